"""A user's own annotations as a data module: points, boxes, splits, images."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facekp.core.errors import ConfigError, DataError
from facekp.core.landmarks import LandmarkScheme, bundled_schemes
from facekp.data.annotations import AnnotationsDataModule
from facekp.data.augmentation import Augmentation
from facekp.data.factory import training_data
from facekp.data.formats.pts import write_pts
from facekp.training.fit import describe
from tests.data.formats.helpers import image

HEAD = "file,left_eye_x,left_eye_y,right_eye_x,right_eye_y,nose_x,nose_y"


def own_faces(folder: Path, text: str | None = None, **settings: Any) -> AnnotationsDataModule:
    """A data module of `faces.csv`; its images are made as needed."""
    rows = [f"p{at}_{at % 2}.jpg,60,30,30,{30 + at},45,60" for at in range(10)]
    text = "\n".join([HEAD, *rows]) if text is None else text
    (folder / "faces.csv").write_text(text)
    for row in text.split("\n")[1:]:
        if not (folder / row.split(",")[0]).exists():
            image(folder / row.split(",")[0])
    module = AnnotationsDataModule(
        data_dir=folder, input_size=(32, 32), train=str(folder / "faces.csv"), **settings
    )
    module.prepare_data()
    module.setup()
    return module


def records(module: AnnotationsDataModule, *splits: str) -> list:
    return [record for split in splits or module.splits for record in module.splits[split]]


def test_points_flip_pairs_and_split(tmp_path: Path) -> None:
    module = own_faces(tmp_path, val_fraction=0.3)
    assert module.scheme.point_names == ("left_eye", "right_eye", "nose")
    assert module.scheme.flip_pairs == ((0, 1),)
    assert [len(module.splits[name]) for name in ("train", "val")] == [7, 3]
    assert module.num_keypoints == 3
    batch = next(iter(module.train_dataloader()))
    assert batch["keypoints"].shape == (7, 3, 2)
    assert "10 labels" not in module.summary()
    assert "7 faces train, 3 faces validate" in module.summary()


def test_names_of_a_bundled_scheme_bring_it(tmp_path: Path) -> None:
    scheme = bundled_schemes()["five"]
    names = scheme.point_names[::-1]
    head = "file," + ",".join(f"{name}_{axis}" for name in names for axis in "xy")
    rows = [f"{at}.jpg,1,2,3,4,5,6,7,8,9,10" for at in range(5)]
    module = own_faces(tmp_path, "\n".join([head, *rows]))
    assert module.scheme is scheme
    assert records(module)[0].keypoints[:, 0].tolist() == [9, 7, 5, 3, 1]


def test_declared_landmarks(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "names: [nose, left_eye, right_eye]\nflip_pairs: [[1, 2]]\n"
    )
    module = own_faces(tmp_path, landmarks=str(tmp_path / "mine.yaml"))
    assert module.scheme.name == "mine"
    assert records(module)[0].keypoints[0].tolist() == [45, 60]
    (tmp_path / "other.yaml").write_text("names: [nose, mouth, chin]\n")
    with pytest.raises(DataError, match="points that landmarks other do not have: left_eye"):
        own_faces(tmp_path, landmarks=str(tmp_path / "other.yaml"))
    with pytest.raises(DataError, match="3 points, landmarks ibug68 have 68"):
        own_faces(tmp_path, landmarks="ibug68")


def test_unnamed_points_go_by_position(tmp_path: Path) -> None:
    rows = [f"{at}.jpg,60,30,30,30,45,60" for at in range(5)]
    text = "\n".join([",0,1,2,3,4,5", *rows])
    module = own_faces(tmp_path, text)
    assert module.scheme.flip_pairs is None
    assert "no flip pairs" in module.summary()
    (tmp_path / "mine.yaml").write_text(
        "names: [left_eye, right_eye, nose]\nflip_pairs: [[0, 1]]\n"
    )
    assert own_faces(tmp_path, text, landmarks=str(tmp_path / "mine.yaml")).scheme.name == "mine"
    with pytest.raises(DataError, match="3 points, landmarks five have 5"):
        own_faces(tmp_path, text, landmarks="five")


def test_mirroring_needs_flip_pairs(tmp_path: Path) -> None:
    import albumentations as A

    mirror = Augmentation([A.OneOf([A.HorizontalFlip(p=1)], p=0.1)])
    own_faces(tmp_path, augmentation=mirror)
    text = "\n".join([",0,1,2,3", *(f"{at}.jpg,60,30,30,30" for at in range(5))])
    with pytest.raises(ConfigError, match="have no flip pairs"):
        own_faces(tmp_path, text, augmentation=mirror)


@pytest.mark.parametrize(
    ("row", "box", "expected", "source"),
    [
        ("1,2,31,42,60,30,30,30,45,60", None, [1, 2, 31, 42], "annotation"),
        (",,,,60,30,30,30,45,60", None, [27, 27, 63, 63], "points"),
        (",,,,60,30,30,30,,", None, [-0.5, -0.5, 119.5, 99.5], "image"),
        ("1,2,31,42,60,30,30,30,45,60", "points", [27, 27, 63, 63], "points"),
        ("1,2,31,42,60,30,30,30,45,60", "image", [-0.5, -0.5, 119.5, 99.5], "image"),
    ],
)
def test_boxes(tmp_path: Path, row: str, box: str | None, expected: list, source: str) -> None:
    head = "file,left,top,right,bottom," + HEAD.removeprefix("file,")
    text = "\n".join([head, *(f"{at}.jpg,{row}" for at in range(5))])
    module = own_faces(tmp_path, text, box=box)
    assert module.box_source == source
    np.testing.assert_allclose(records(module)[0].bbox, expected)


def test_a_test_fraction_beside_a_validation_file(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text(f"{HEAD}\nv.jpg,60,30,30,30,45,60")
    image(tmp_path / "v.jpg")
    splits = own_faces(tmp_path, val=str(tmp_path / "v.csv"), test_fraction=0.3).splits
    assert {name: len(found) for name, found in splits.items()} == {
        "train": 7,
        "val": 1,
        "test": 3,
    }


def test_faces_to_predict_are_kept_without_points(tmp_path: Path) -> None:
    rows = [f"{at}.jpg,60,30,30,30,45,60,train" for at in range(4)]
    text = "\n".join([f"{HEAD},split", *rows, "p.jpg,,,,,,,predict"])
    assert [record.name for record in own_faces(tmp_path, text).splits["predict"]] == ["p.jpg"]


def test_a_box_that_is_forced_and_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"faces.csv:2: p0_0.jpg: the entry has no box"):
        own_faces(tmp_path, box="annotation")


def test_groups_by_column_pattern_or_photo(tmp_path: Path) -> None:
    text = "\n".join(
        [f"{HEAD},person", *(f"{at}.jpg,60,30,30,30,45,60,{at // 4}" for at in range(8))]
    )
    people = {record.group for record in records(own_faces(tmp_path, text))}
    assert people == {"0", "1"}
    module = own_faces(tmp_path, group=r"p\d+_(\d)", val_fraction=0.5)
    assert {record.group for record in module.splits["train"]} != {"0", "1"}
    with pytest.raises(DataError, match=r"dataset.group=x\(\.\) does not match p0_0.jpg"):
        own_faces(tmp_path, group="x(.)")
    with pytest.raises(ConfigError, match="not a regular expression"):
        own_faces(tmp_path, group="(")
    with pytest.raises(DataError, match="no column team"):
        own_faces(tmp_path, text, group="team")


def test_a_group_may_be_a_number(tmp_path: Path) -> None:
    text = "\n".join(
        [f"{HEAD},2024", *(f"{at}.jpg,60,30,30,30,45,60,p{at // 2}" for at in range(8))]
    )
    module = own_faces(tmp_path, text, group=2024)
    assert {record.group for record in records(module)} == {"p0", "p1", "p2", "p3"}


def test_a_file_found_elsewhere_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_faces(tmp_path)
    module = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(32, 32), train="/nowhere/at/all/faces.csv"
    )
    module.setup()
    assert (
        f"/nowhere/at/all/faces.csv is not there: {tmp_path}/faces.csv is used" in module.summary()
    )
    assert "is not there" not in own_faces(tmp_path).summary()
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = AnnotationsDataModule(
        data_dir=tmp_path / "x", input_size=(32, 32), train="~/faces.csv"
    )
    at_home.setup()
    assert "is not there" not in at_home.summary()


def test_leaks_are_said_at_once(tmp_path: Path) -> None:
    rows = [f"{who}_{at}.jpg,60,30,30,30,45,60" for who in "ab" for at in range(4)]
    for name, chosen in (("t.csv", rows[::2]), ("v.csv", rows[1::2])):
        (tmp_path / name).write_text("\n".join([HEAD, *chosen]))
    for row in rows:
        image(tmp_path / row.split(",")[0])
    module = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(32, 32), train="t.csv", val="v.csv", group=r"(.)_\d"
    )
    module.setup()
    assert "LEAK: 2 of the 2 groups in val are in train, too" in module.summary()
    both = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(32, 32), train=["t.csv", "v.csv"], group=r"(.)_\d",
        val_fraction=0.5,
    )  # fmt: skip
    both.setup()
    assert "LEAK" not in both.summary()
    unlabelled = "\n".join([HEAD, *(f"{row.split(',')[0]},,,,,," for row in rows[:2])])
    (tmp_path / "u.csv").write_text(unlabelled)
    predicted = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(32, 32), train="t.csv", test="u.csv", group=r"(.)_\d",
        val_fraction=0.5,
    )  # fmt: skip
    predicted.setup()
    assert len(predicted.splits["predict"]) == 2
    assert "LEAK" not in predicted.summary()
    assert [len(both.splits[name]) for name in ("train", "val")] == [4, 4]


def test_the_split_column_and_a_test_fraction(tmp_path: Path) -> None:
    names = ["train"] * 3 + ["val"] * 2 + ["test"]
    text = "\n".join(
        [f"{HEAD},split", *(f"{at}.jpg,60,30,30,30,45,60,{n}" for at, n in enumerate(names))]
    )
    module = own_faces(tmp_path, text)
    assert {name: len(found) for name, found in module.splits.items()} == {
        "train": 3,
        "val": 2,
        "test": 1,
    }
    module = own_faces(tmp_path, val_fraction=0.2, test_fraction=0.3)
    assert {name: len(found) for name, found in module.splits.items()} == {
        "train": 5,
        "val": 2,
        "test": 3,
    }


def test_what_a_file_is_given_for_counts_more_than_its_column(tmp_path: Path) -> None:
    rows = [f"{at}.jpg,60,30,30,30,45,60,train" for at in range(6)]
    (tmp_path / "others.csv").write_text("\n".join([f"{HEAD},split", *rows[:2]]))
    for at in range(2):
        image(tmp_path / f"{at}.jpg")
    text = "\n".join([f"{HEAD},split", *rows[2:]])
    module = own_faces(tmp_path, text, val=str(tmp_path / "others.csv"))
    assert {name: len(found) for name, found in module.splits.items()} == {"train": 4, "val": 2}


def test_the_working_folder_is_named_by_a_dot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(records(own_faces(tmp_path, images="."))) == 10


def test_an_empty_file_beside_a_broken_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text(HEAD)
    text = f"{HEAD}\nb.jpg,1,2,3,4,5,6\nb.jpg,x,2,3,4,5,6"
    with pytest.raises(DataError, match=r"empty.csv: there are no faces in it"):
        own_faces(tmp_path, text, val=str(tmp_path / "empty.csv"), on_error="skip")


def test_faces_without_points_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [f"{at}.jpg,60,30,30,30,45,60" for at in range(4)] + [
        "5.jpg,,,,,,",
        "6.jpg,60,30,,,45,60",
    ]
    module = own_faces(tmp_path, "\n".join([HEAD, *rows]))
    assert "1 faces of train have no points and are left out" in module.summary()
    assert "1 of 15 labels missing" in module.summary()
    assert len(records(module)) == 5
    assert module.has_missing


def test_a_test_file_without_points_is_for_prediction(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text(f"{HEAD}\np0_0.jpg,,,,,,\n")
    module = own_faces(tmp_path, test="test.csv")
    assert [record.keypoints for record in module.splits["predict"]] == [None]
    assert "test" not in module.splits


@pytest.mark.parametrize(
    "name", ["C:\\Users\\me\\pics\\b.jpg", "/home/me/pics/b.jpg", "../pics/b.jpg", "b", "B.JPG"]
)
def test_images_are_found(tmp_path: Path, name: str) -> None:
    image(tmp_path / "pics/b.jpg")
    (tmp_path / "faces.csv").write_text(f"{HEAD}\n{name},1,2,3,4,5,6\n{name},1,2,3,4,5,7")
    module = AnnotationsDataModule(data_dir=tmp_path, input_size=(32, 32), train="faces.csv")
    module.read()
    assert {record.image for record in records(module)} == {tmp_path / "pics/b.jpg"}


def test_missing_and_ambiguous_images(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text(f"{HEAD}\nb.jpg,1,2,3,4,5,6")
    module = AnnotationsDataModule(data_dir=tmp_path, input_size=(32, 32), train="faces.csv")
    with pytest.raises(
        DataError, match=r"faces.csv:2: the image b.jpg is not in .*; give dataset.images="
    ):
        module.read()
    image(tmp_path / "one/b.jpg")
    image(tmp_path / "two/b.jpg")
    module = AnnotationsDataModule(data_dir=tmp_path, input_size=(32, 32), train="faces.csv")
    with pytest.raises(DataError, match=r"several images are called b.jpg"):
        module.read()
    module = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(32, 32), train="faces.csv", images="two"
    )
    module.read()
    assert records(module)[0].image == tmp_path / "two/b.jpg"


def test_three_bad_images_of_many_are_skipped_and_named(tmp_path: Path) -> None:
    rows = [f"{at}.jpg,60,30,30,30,45,60" for at in range(12)]
    for row in rows[2:]:
        image(tmp_path / row.split(",")[0])
    (tmp_path / "5.jpg").write_bytes(b"no image")
    (tmp_path / "faces.csv").write_text("\n".join([HEAD, *rows]))
    module = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(32, 32), train="faces.csv", on_error="skip"
    )
    module.setup()
    assert len(records(module)) == 9
    assert module.problems is not None
    assert [error.path.name for error in module.problems] == ["faces.csv", "faces.csv", "5.jpg"]


def test_points_of_a_turned_photo(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    for at in range(5):
        image(tmp_path / f"{at}.jpg", exif=exif)
    module = own_faces(
        tmp_path,
        "\n".join([HEAD, *(f"{at}.jpg,60,30,30,30,45,60" for at in range(5))]),
        box="image",
    )
    record = records(module)[0]
    assert record.load(3).shape == (120, 100, 3)
    assert record.bbox.tolist() == [-0.5, -0.5, 99.5, 119.5]


def test_folds_leave_the_test_faces_alone(tmp_path: Path) -> None:
    folds = [own_faces(tmp_path, fold=f"{k}/2", test_fraction=0.3).splits for k in (1, 2)]
    names = [{s: {r.name for r in splits[s]} for s in splits} for splits in folds]
    assert names[0]["test"] == names[1]["test"]
    assert names[0]["train"] == names[1]["val"]
    assert names[0]["val"] == names[1]["train"]
    text = f"{HEAD},split\n0.jpg,60,30,30,30,45,60,train\n1.jpg,60,30,30,30,45,60,val"
    with pytest.raises(
        ConfigError, match=r"says itself .* dataset.file_splits=false draws all folds"
    ):
        own_faces(tmp_path, text, fold="1/2")
    drawn = [own_faces(tmp_path, text, fold=f"{k}/2", file_splits=False).splits for k in (1, 2)]
    assert {splits["val"][0].name for splits in drawn} == {"0.jpg", "1.jpg"}
    text += "\n2.jpg,60,30,30,30,45,60,test"
    tested = own_faces(tmp_path, text, file_splits=False).splits["test"]
    assert [record.name for record in tested] == ["2.jpg"]


def test_tags_are_evaluated_apart(tmp_path: Path) -> None:
    module = own_faces(tmp_path)
    faces = records(module)
    object.__setattr__(faces[0], "tags", ("blur",))
    masks = module.evaluation_subsets("val", faces)
    assert list(masks) == ["val", "blur"]
    assert masks["blur"].sum() == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"box": "face"}, "dataset.box=face: choose one of annotation, points, image"),
        ({"val_fraction": 0.6, "test_fraction": 0.5}, "give fractions that leave faces"),
        ({"fold": "2"}, "dataset.fold=2: give K/N, e.g. 1/5"),
        ({"fold": "1/2", "val": "v.csv"}, "a fold is drawn from dataset.train"),
        ({"landmarks": "five6"}, "landmarks=five6: no such file"),
        ({"format": "cocoa"}, "dataset.format=cocoa: choose one of"),
        ({"images": "nowhere"}, "nowhere: there is no such file or folder"),
        ({"val": "nowhere.csv"}, "nowhere.csv: there is no such file or folder"),
        ({"points": [3]}, "dataset.points=[3]: give different indices from 0 to 2"),
        ({"images": ["a", "b"]}, "dataset.images: give one folder, or 1, one per file"),
        ({"download": True}, "dataset.download=true: this data set has no archive"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, settings: dict, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=re.escape(message)):
        own_faces(tmp_path, **settings)


def test_missing_labels_train(tmp_path: Path) -> None:
    rows = [f"{at}.jpg,60,30,{'30,30' if at % 2 else ','},45,60" for at in range(8)]
    module = own_faces(tmp_path, "\n".join([HEAD, *rows]))
    shape = module.mean_shape()
    assert torch.isfinite(shape).all()


def test_points_that_only_one_file_has_are_said(tmp_path: Path) -> None:
    image(tmp_path / "v.jpg")
    (tmp_path / "v.csv").write_text("file,left_eye_x,left_eye_y,nose_x,nose_y\nv.jpg,60,30,45,60")
    module = own_faces(tmp_path, val=str(tmp_path / "v.csv"))
    assert "v.csv has no points right_eye" in module.summary()
    assert np.isnan(module.splits["val"][0].keypoints[1]).all()
    (tmp_path / "v.csv").write_text(",0,1\nv.jpg,60,30")
    with pytest.raises(DataError, match=r"v.csv: 1 points, .*faces.csv has 3"):
        own_faces(tmp_path, val=str(tmp_path / "v.csv"))


def test_the_recipe_comes_with_the_data_set() -> None:
    from tests.conftest import composed

    assert composed("dataset=annotations").name == "annotations"
    assert composed("dataset=annotations", "experiment=part1").name == "part1"
    assert composed("dataset=youtube_faces").dataset.landmarks == "ibug68"
    assert composed().name == "quickstart"


def test_one_folders_image_is_not_anothers(tmp_path: Path) -> None:
    for at in range(3):
        image(tmp_path / f"p1/{at}.jpg")
        image(tmp_path / f"p1/{at}.png")  # a mask
    rows = [f"p{folder}/{at}.jpg,1,2,3,4,5,6" for folder in (1, 2) for at in range(3)]
    (tmp_path / "faces.csv").write_text("\n".join([HEAD, *rows]))
    settings: dict[str, Any] = dict(data_dir=tmp_path, input_size=(32, 32), train="faces.csv")
    with pytest.raises(
        DataError, match=r"faces.csv:5: the image p2/0.jpg is not in .*/p1/0.jpg is p1/0.jpg"
    ):
        AnnotationsDataModule(**settings).read()
    (tmp_path / "faces.csv").write_text(f"{HEAD}\np1/7.jpg,1,2,3,4,5,6")
    image(tmp_path / "p1/7.png")
    with pytest.raises(DataError, match=r"the image p1/7.jpg is not in"):
        AnnotationsDataModule(**settings).read()
    (tmp_path / "faces.csv").write_text(f"{HEAD}\n/home/me/2.jpg,1,2,3,4,5,6")
    module = AnnotationsDataModule(**settings)
    module.read()
    assert "images found by their file names alone, e.g. /home/me/2.jpg as" in module.summary()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD, "there are no faces in it; is it the right file?"),
        (f"{HEAD}\nb.jpg,,,,,,", "1 faces of train have no points and are left out"),
    ],
)
def test_what_has_nothing_to_train_on_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        own_faces(tmp_path, text)


def test_two_points_alike(tmp_path: Path) -> None:
    category = {"id": 1, "name": "face", "keypoints": ["a", "a"]}
    entry = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [category],
        "annotations": [entry],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    module = AnnotationsDataModule(data_dir=tmp_path, input_size=(32, 32), train="a.json")
    with pytest.raises(DataError, match="two points called a"):
        module.read()


def test_a_face_without_its_chin_has_the_box_of_a_whole_one(tmp_path: Path) -> None:
    """Missing points are where the mean shape has them, as far as the box goes."""
    head = "file," + ",".join(
        f"{name}_{axis}" for name in ("brow", "nose", "ear", "chin") for axis in "xy"
    )
    shape = np.array([[20, 20], [30, 40], [60, 35], [35, 80.0]])
    rows, boxes = [], []
    for at in range(8):
        points = shape * (0.8 + 0.05 * at) + (at, 2 * at)
        cells = [f"{value:.3f}" for value in points.ravel()]
        boxes.append(
            np.concatenate(
                [
                    points.min(axis=0) - 0.1 * 60 * (0.8 + 0.05 * at),
                    points.max(axis=0) + 0.1 * 60 * (0.8 + 0.05 * at),
                ]
            )
        )
        rows.append(f"{at}.jpg," + ",".join(cells[:6] + (["", ""] if at == 3 else cells[6:])))
    module = own_faces(tmp_path, "\n".join([head, *rows]))
    found = {record.image.stem: record for record in records(module)}
    assert np.isnan(found["3"].keypoints[3]).all()
    for at, box in enumerate(boxes):
        np.testing.assert_allclose(found[str(at)].bbox, box, atol=0.05)


def test_a_file_that_exists_elsewhere_is_not_taken_for_its_namesake(tmp_path: Path) -> None:
    image(tmp_path / "a/1.jpg")
    image(tmp_path / "b/1.jpg", quality=50)
    path = tmp_path / "b/faces.csv"
    path.write_text(f"{HEAD}\n{tmp_path / 'a/1.jpg'},1,2,3,4,5,6")
    settings: dict[str, Any] = dict(data_dir=tmp_path, input_size=(32, 32), train=str(path))
    with pytest.raises(DataError, match=r"a/1.jpg is not in .*/b/1.jpg is another one of its name"):
        AnnotationsDataModule(**settings).read()
    image(tmp_path / "copy/a/1.jpg")  # of the whole data set
    copied = AnnotationsDataModule(**settings, images=str(tmp_path / "copy"))
    copied.read()
    assert [record.image for record in records(copied)] == [tmp_path / "copy/a/1.jpg"]
    module = AnnotationsDataModule(**settings, images=str(tmp_path / "a"))
    module.read()
    assert "alone" not in module.summary()
    assert [record.image for record in records(module)] == [tmp_path / "a/1.jpg"]


def test_names_without_suffix_are_looked_up_with_their_folder(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg"):
        image(tmp_path / name)
    names = ("a/1", "b/1", "b/1.jpg", "B/2.JPG", "b/2", "/elsewhere/A/1.jpg")
    rows = [f"{name},1,2,3,4,5,6" for name in names]
    (tmp_path / "faces.csv").write_text("\n".join([HEAD, *rows]))
    module = AnnotationsDataModule(data_dir=tmp_path, input_size=(32, 32), train="faces.csv")
    module.read()
    found = {record.name: record.image for record in records(module)}
    assert found == {
        "a/1": tmp_path / "a/1.jpg", "b/1": tmp_path / "b/1.jpg", "b/1.jpg": tmp_path / "b/1.jpg",
        "B/2.JPG": tmp_path / "b/2.jpg", "b/2": tmp_path / "b/2.jpg",
        "/elsewhere/A/1.jpg": tmp_path / "a/1.jpg",
    }  # fmt: skip
    assert "alone" not in module.summary()


def test_points_that_are_only_counted_must_be_as_many_as_the_schemes(tmp_path: Path) -> None:
    """Five without names or numbers are not the first five of 68."""
    rows = [f"{at}.jpg,60,30,30,30,45,60" for at in range(5)]
    for text in ("\n".join(["f.jpg,1,2,3,4,5,6", *rows]), "\n".join(["file" + 6 * ",", *rows])):
        image(tmp_path / "f.jpg")
        with pytest.raises(DataError, match="3 points, landmarks ibug68 have 68"):
            own_faces(tmp_path, text, landmarks="ibug68")
    numbered = "file,x0,y0,x1,y1,x2,y2"
    module = own_faces(tmp_path, "\n".join([numbered, *rows]), landmarks="ibug68", points=[0, 1])
    assert "has 3 of the 68 points of ibug68, by their numbers (0 to 2)" in module.summary()
    nose = "\n".join(["file,x30,y30", *(f"{at}.jpg,60,30" for at in range(5))])
    assert (
        "ibug68, by their numbers (30 to 30)"
        in own_faces(tmp_path, nose, landmarks="ibug68", points=[30]).summary()
    )


def test_the_group_of_images_in_a_folder_may_be_its_subfolder(tmp_path: Path) -> None:
    for at in range(8):
        image(tmp_path / f"p{at // 2}/{at % 2}.jpg")
        write_pts(tmp_path / f"p{at // 2}/{at % 2}.pts", np.array([[60.0, 30], [30, 30], [45, 60]]))
    module = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(32, 32), train=str(tmp_path), group=r"(p\d)", box="image"
    )
    module.read()
    assert {record.group for record in records(module)} == {"p0", "p1", "p2", "p3"}


def test_validation_files_without_points_are_not_replaced_by_a_draw(tmp_path: Path) -> None:
    own_faces(tmp_path)
    (tmp_path / "val.csv").write_text(f"{HEAD}\np0_0.jpg,,,,,,")
    with pytest.raises(DataError, match=r"val.csv: none of its faces has points"):
        own_faces(tmp_path, val=str(tmp_path / "val.csv"))


def test_a_checkpoints_scheme_is_used_where_its_file_is_gone(tmp_path: Path) -> None:
    dataset = {
        "_target_": "facekp.data.annotations.AnnotationsDataModule", "input_size": [32, 32],
        "train": "faces.csv", "landmarks": "/elsewhere/mine.yaml",
    }  # fmt: skip
    scheme = LandmarkScheme("mine", ("left_eye", "right_eye", "nose"), flip_pairs=((0, 1),))
    known = describe(own_faces(tmp_path, landmarks=scheme), {"model": {}, "dataset": dataset})
    module = training_data(known, str(tmp_path))
    module.setup()
    assert module.scheme == scheme
