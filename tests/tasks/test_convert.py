"""`task=convert`, and what it writes read back as a data set."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekp.core.errors import ConfigError
from facekp.data.annotations import AnnotationsDataModule
from facekp.tasks.convert import convert
from tests.data.formats.helpers import image
from tests.helpers import ibug, imm


@pytest.mark.parametrize("name", ["coco", "csv", "dlib", "pts"])
@pytest.mark.parametrize("data", ["imm", "ibug"])
def test_a_data_set_survives_the_conversion(
    tmp_path: Path, imm_data: Path, ibug_data: Path, data: str, name: str
) -> None:
    source = imm(imm_data) if data == "imm" else ibug(ibug_data)
    paths = convert(source, name, str(tmp_path))
    train, val = (next(p for p in paths if p.stem == split) for split in ("train", "val"))
    written = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(64, 64), train=str(train), val=str(val),
        images=None if name == "pts" else str(source.folder), landmarks=source.scheme.name,
    )  # fmt: skip
    written.setup()
    for split in ("train", "val"):
        before = {record.image.name: record for record in source.splits[split]}
        assert len(written.splits[split]) == len(source.splits[split])
        for record in written.splits[split]:
            np.testing.assert_allclose(
                record.keypoints, before[record.image.name].keypoints, atol=1e-6
            )
            if name != "pts":
                np.testing.assert_allclose(record.bbox, before[record.image.name].bbox, atol=1e-6)


def test_a_turned_photo_keeps_its_points(tmp_path: Path) -> None:
    """dlib's XML counts pixels as stored, COCO those of the upright photo."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    for at in range(4):
        image(tmp_path / f"{at}.jpg", exif=exif)  # stored 120 wide, shown 100 wide
    rows = [f"{at}.jpg,10,20,30,{40 + at},50,60" for at in range(4)]
    (tmp_path / "a.csv").write_text("\n".join(["file,a_x,a_y,b_x,b_y,c_x,c_y", *rows]))

    def data(train: str, **settings: str) -> AnnotationsDataModule:
        return AnnotationsDataModule(
            data_dir=tmp_path, input_size=(32, 32), train=train, **settings
        )

    convert(data("a.csv"), "dlib", str(tmp_path / "stored"))
    convert(data("stored/train.xml", images=str(tmp_path)), "coco", str(tmp_path / "upright"))
    stored, upright = (
        data("stored/train.xml", images=str(tmp_path)),
        data("upright/train.json", images=str(tmp_path)),
    )
    stored.read()
    upright.read()
    first = stored.splits["train"][0].keypoints
    assert first is not None
    assert first[0].tolist() == [20, 99 - 10]
    again = upright.splits["train"][0].keypoints
    assert again is not None
    assert again[0].tolist() == [10, 20]


def test_what_is_missing_is_said(tmp_path: Path, imm_data: Path) -> None:
    with pytest.raises(ConfigError, match="dataset= is missing"):
        convert(None, "coco", str(tmp_path))
    with pytest.raises(ConfigError, match="format= is missing"):
        convert(imm(imm_data), None, str(tmp_path))
    with pytest.raises(ConfigError, match="format=labelme: choose one of coco, dlib, pts, csv"):
        convert(imm(imm_data), "labelme", str(tmp_path))


def test_what_a_format_cannot_hold_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{at}.jpg,10,20,2,30,{40 + at},1,{at // 2}" for at in range(6)]
    text = "\n".join(["file,a_x,a_y,a_v,b_x,b_y,b_v,person", *rows])
    (tmp_path / "a.csv").write_text(text)
    for at in range(6):
        image(tmp_path / f"{at}.jpg")
    data = AnnotationsDataModule(data_dir=tmp_path, input_size=(32, 32), train="a.csv")
    convert(data, "dlib", str(tmp_path / "dlib"))
    said = capsys.readouterr().out
    assert "dlib cannot hold that points are occluded" in said
    assert "dlib cannot hold which photos show one person" in said
    convert(data, "coco", str(tmp_path / "coco"))
    assert "cannot hold" not in capsys.readouterr().out


def test_copies_of_a_photo_stay_together_as_the_note_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"p{at // 2}.jpg,10,20,30,{40 + at}" for at in range(16)]
    (tmp_path / "a.csv").write_text("\n".join(["file,a_x,a_y,b_x,b_y", *rows]))
    for at in range(8):
        image(tmp_path / f"p{at}.jpg")
    data = AnnotationsDataModule(data_dir=tmp_path, input_size=(32, 32), train="a.csv")
    data.read()
    paths = convert(data, "pts", str(tmp_path / "pts"))
    note = next(x for x in capsys.readouterr().out.split("\n") if "holds one face per image" in x)
    group = re.search(r"dataset.group='(.+?)' when", note)
    assert group is not None
    again = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(32, 32), train=[str(path) for path in paths], group=group[1]
    )
    again.read()
    sides = [{r.image.stem[:2] for r in again.splits[name]} for name in ("train", "val")]
    assert sides[0] | sides[1] == {f"p{at}" for at in range(8)}
    assert not sides[0] & sides[1]


def test_splits_in_different_folders_have_their_images_in_one(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Namesakes of other folders would else be taken for them."""
    for folder in ("a", "b"):
        for at in range(3):
            image(tmp_path / folder / f"{at}.jpg")
        rows = [f"{folder}/{at}.jpg,{at},20,30,40,50,60" for at in range(3)]
        (tmp_path / f"{folder}.csv").write_text("\n".join(["file,a_x,a_y,b_x,b_y,c_x,c_y", *rows]))
    settings: dict[str, Any] = dict(data_dir=tmp_path, input_size=(32, 32))
    data = AnnotationsDataModule(**settings, train="a.csv", val="b.csv")
    train, val = convert(data, "coco", str(tmp_path / "out"))
    (images,) = re.findall(r"dataset.images=(.*)", capsys.readouterr().out)
    again = AnnotationsDataModule(**settings, train=str(train), val=str(val), images=images)
    again.read()
    for split in ("train", "val"):
        assert [r.image for r in again.splits[split]] == [r.image for r in data.splits[split]]


def test_what_is_read_is_not_replaced(tmp_path: Path) -> None:
    text = "\n".join(["file,a_x,a_y,b_x,b_y", *(f"{at}.jpg,10,20,30,{at}" for at in range(6))])
    for name in ("train.csv", "predict.csv"):
        (tmp_path / name).write_text(text)
    for at in range(6):
        image(tmp_path / f"{at}.jpg")
    data = AnnotationsDataModule(data_dir=tmp_path, input_size=(32, 32), train="train.csv")
    with pytest.raises(ConfigError, match=r"train\.csv is read, and would be lost"):
        convert(data, "csv", str(tmp_path))
    assert (tmp_path / "train.csv").read_text() == text
    assert not (tmp_path / "val.csv").exists()


def test_photos_beside_the_working_folder_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("work/in", "other"):
        (tmp_path / place).mkdir(parents=True)
        for at in range(4):
            image(tmp_path / place / f"{at}.jpg")
        rows = [f"{at}.jpg,10,20,{30 + len(place)},{at}" for at in range(4)]
        (tmp_path / place / "a.csv").write_text("\n".join(["file,a_x,a_y,b_x,b_y", *rows]))
    monkeypatch.chdir(tmp_path / "work")
    files = {"train": "in/a.csv", "val": "../other/a.csv"}
    source = AnnotationsDataModule(data_dir=Path(), input_size=(32, 32), **files)  # type: ignore[arg-type]
    paths = convert(source, "csv", "out")
    written = AnnotationsDataModule(
        data_dir=Path(), input_size=(32, 32), train=str(paths[0]), val=str(paths[1]),
        images=str(tmp_path),
    )  # fmt: skip
    written.setup()
    for split in ("train", "val"):
        images = [record.image.resolve() for record in written.splits[split]]
        assert images == [record.image.resolve() for record in source.splits[split]]
    convert(source, "pts", "points")
    assert len(list((tmp_path / "work/points").rglob("*.pts"))) == 8


def test_a_test_without_points_is_read_again(
    tmp_path: Path, ibug_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ibug(ibug_data)
    source.splits["predict"] = [replace(r, keypoints=None) for r in source.splits["predict"]]
    monkeypatch.setattr(source, "read", lambda: None)
    paths = {path.stem: str(path) for path in convert(source, "dlib", str(tmp_path))}
    written = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(32, 32), train=paths["train"], val=paths["val"],
        test=paths["predict"], images=str(source.folder), landmarks="ibug68",
    )  # fmt: skip
    written.setup()
    assert len(written.splits["predict"]) == len(source.splits["predict"])
    assert all(record.keypoints is None for record in written.splits["predict"])
