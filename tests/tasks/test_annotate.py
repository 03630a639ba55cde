from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facekp.core.errors import ConfigError, DataError
from facekp.data.annotations import AnnotationsDataModule
from facekp.data.formats.corrected_csv import (
    CorrectedFace,
    CorrectedPhoto,
    corrected_header,
    corrected_rows,
    read_corrected_csv,
)
from facekp.inference.predictor import Predictor
from facekp.tasks.annotate import open_session
from facekp.tasks.corrected_products import Products, train_command
from facekp.tasks.known_faces import read_annotations
from facekp.tasks.predict import Options, predict
from facekp.web.session import AnnotationSession
from tests.conftest import ROOT, interrupted

NAMES = ["eye", "nose", "chin"]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos of a face."""
    made = tmp_path / "photos"
    made.mkdir()
    with Image.open(ROOT / "docs/astronaut.webp") as image:
        image.convert("RGB").save(made / "a.jpg", quality=95)
    shutil.copy(made / "a.jpg", made / "b.jpg")
    return made


def session_of(
    predictor: Predictor,
    tmp_path: Path,
    folder: Path | None,
    dataset: Any = None,
    points: str | None = None,
) -> AnnotationSession:
    where = None if folder is None else str(folder)
    output = tmp_path / "out"
    output.mkdir(exist_ok=True)
    return open_session(predictor, where, dataset, points, str(output))


def accept(session: AnnotationSession, number: int, **moved: Any) -> None:
    photo = session.open(number)
    session.change(number, photo.revision, photo.faces or (), True)


def test_what_was_saved_is_read_by_prediction_morphs_and_training(
    predictor: Predictor, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(predictor, tmp_path, folder)
    accept(session, 0)
    accept(session, 1)
    known = read_annotations(str(session.path), predictor.point_names)
    points = known.points_for(folder / "a.jpg")
    assert points is not None
    np.testing.assert_allclose(points[0], predictor(folder / "a.jpg")[0].keypoints, atol=2e-3)
    predict(predictor, str(folder), str(session.path), str(tmp_path / "p"), options=Options("none"))
    assert len(pd.read_csv(tmp_path / "p/predictions.csv")) == 2
    assert Products(session, tmp_path).make("mean", ())[0].exists()
    monkeypatch.chdir(tmp_path)
    settings = dict(word.split("=", 1) for word in train_command(session, tmp_path).split()[2:])
    assert settings["dataset.images"] == "photos"
    data = AnnotationsDataModule(
        train=settings["dataset.train"], images=settings["dataset.images"],
        landmarks=settings["dataset.landmarks"], data_dir=tmp_path, input_size=(64, 64),
    )  # fmt: skip
    data.setup()
    records = [record for split in data.splits.values() for record in split]
    np.testing.assert_allclose(records[0].keypoints, points[0])


def test_a_saved_file_is_continued_in_place_and_keeps_other_photos(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    session = session_of(predictor, tmp_path, folder, points=str(tmp_path / "mine.csv"))
    accept(session, 0)
    face = session.photos[1].faces
    assert face is None  # not looked at yet
    accept(session, 1)
    again = session_of(predictor, tmp_path, folder / "b.jpg", points=str(tmp_path / "mine.csv"))
    assert again.path == tmp_path / "mine.csv"
    assert again.photos[0].edited
    again.change(0, 0, (), True)
    saved = read_corrected_csv(again.path, predictor.point_names)
    assert {Path(photo.file).name: len(photo.faces) for photo in saved} == {"a.jpg": 1, "b.jpg": 0}
    with pytest.raises(ConfigError, match="no photo is corrected"):
        Products(again, tmp_path).make("csv", ())
    only_a = session_of(predictor, tmp_path, folder / "a.jpg", points=str(tmp_path / "mine.csv"))
    _, notes = Products(only_a, tmp_path).make("csv", ())
    assert notes[0].startswith("left out: 1 photos of ")
    third = session_of(predictor, tmp_path, folder, points=str(tmp_path / "mine.csv"))
    assert third.open(1).faces == ()  # it is not detected again


@pytest.mark.parametrize("separator", [",", ";"])
def test_predictions_are_where_the_work_starts_and_stay_as_they_are(
    predictor: Predictor, folder: Path, tmp_path: Path, separator: str
) -> None:
    predict(predictor, str(folder), None, str(tmp_path / "p"), options=Options("none"))
    start = tmp_path / "p/predictions.csv"
    before = start.read_bytes()
    table = pd.read_csv(start)
    table.loc[0, "x30"] = 77.125
    table.to_csv(start, index=False, sep=separator)
    before = start.read_bytes()
    session = session_of(predictor, tmp_path, folder, points=str(start))
    assert session.path == tmp_path / "out/corrected.csv"
    (face,) = session.open(0).faces or ()
    assert face.keypoints[30, 0] == 77.125
    # The detector's box as in the network's training, as for a face that is detected on the page.
    box = table.loc[0, ["left", "top", "right", "bottom"]].to_numpy(float)
    expected = predictor.training_box(box, table.loc[0, "box_source"])
    np.testing.assert_allclose(face.bbox, expected, atol=0.01)
    assert not face.moved  # the network's, so a fit may move them
    accept(session, 0)
    assert start.read_bytes() == before
    # The network's own points that nobody has looked at are not trained on.
    saved = read_corrected_csv(session.path, predictor.point_names)
    assert [photo.file for photo in saved] == [str(folder / "a.jpg")]


def test_boxes_of_an_unknown_detector_are_refused(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    predict(predictor, str(folder), None, str(tmp_path / "p"), options=Options("none"))
    start = tmp_path / "p/predictions.csv"
    table = pd.read_csv(start)
    table.loc[0, "box_source"] = "mine"
    table.to_csv(start, index=False)
    with pytest.raises(
        DataError, match=r"predictions\.csv: .*a\.jpg: box_source=mine: choose one .* or correct it"
    ):
        session_of(predictor, tmp_path, folder, points=str(start))


def test_the_same_command_again_goes_on(
    predictor: Predictor, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for number in (0, 1):
        session = session_of(predictor, tmp_path, folder)
        assert session.edited_count == number
        accept(session, number)
    assert "going on with" in capsys.readouterr().out
    assert len(read_corrected_csv(session.path, predictor.point_names)) == 2


def test_an_acceptance_can_be_taken_back(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    session = session_of(predictor, tmp_path, folder)
    accept(session, 0)
    photo = session.photos[0]
    session.change(0, photo.revision, photo.faces or (), False)
    assert read_corrected_csv(session.path, predictor.point_names) == []


def test_prediction_in_a_turned_box_is_that_of_the_page(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    with Image.open(folder / "a.jpg") as image:
        image.rotate(-70, resample=Image.Resampling.BICUBIC).save(folder / "a.jpg", quality=95)
    turned = Predictor.load(turned=True)
    session = session_of(turned, tmp_path, folder / "a.jpg")
    accept(session, 0)
    (face,) = session.photos[0].faces or ()
    assert 60 < face.angle < 95
    predict(
        predictor,
        str(folder / "a.jpg"),
        str(session.path),
        str(tmp_path / "p"),
        options=Options("none"),
    )
    row = pd.read_csv(tmp_path / "p/predictions.csv").iloc[0]
    np.testing.assert_allclose([row.x30, row.y30], face.keypoints[30], atol=0.05)


def test_a_name_that_is_not_utf8_is_saved_and_named_where_it_cannot_be(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    (folder / "b.jpg").rename(folder / "b\udcff.jpg")
    session = session_of(predictor, tmp_path, folder)
    accept(session, 0)
    accept(session, 1)
    assert len(read_corrected_csv(session.path, predictor.point_names)) == 2
    with pytest.raises(DataError, match=r"b\\udcff\.jpg: its name is not valid UTF-8"):
        Products(session, tmp_path).make("csv", ())


def test_what_a_format_cannot_hold_and_what_a_morph_passes_over_is_said(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "a.jpg", folder / "c.jpg")
    session = session_of(predictor, tmp_path, folder)
    for number in range(3):
        accept(session, number)
    (face,) = session.photos[2].faces or ()
    points = face.keypoints.copy()
    points[8] = np.nan
    changed = CorrectedFace(face.bbox, points, occluded=frozenset({5}))
    session.change(2, session.photos[2].revision, [changed], True)
    products = Products(session, tmp_path)
    assert "points missing: 8" in products.make("mean", ())[1][0]
    assert "occluded" in products.make("dlib", ())[1][0]
    assert products.make("coco", ())[1] == []


def data_set(folder: Path, tmp_path: Path, **columns: Any) -> AnnotationsDataModule:
    rows = {"file": ["a.jpg", "b.jpg"]}
    for at, name in enumerate(NAMES):
        rows |= {
            f"{name}_x": [200 + 9 * at, 210 + 9 * at],
            f"{name}_y": [90 + 20 * at, 95 + 25 * at],
        }
    table = pd.DataFrame(rows | columns)
    table.to_csv(folder / "faces.csv", index=False)
    return AnnotationsDataModule(
        train=str(folder / "faces.csv"), data_dir=tmp_path, input_size=(64, 64)
    )


def test_a_data_set_of_any_points_is_corrected_as_a_whole(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    data = data_set(folder, tmp_path, split=["train", "val"], group=["p1", "p2"])
    session = session_of(predictor, tmp_path, None, data)
    assert session.columns is None  # the network has other points
    (face,) = session.open(0).faces or ()
    assert face.moved == {0, 1, 2}  # labels, which no fit moves
    box = np.array([100.0, 50, 200, 150])
    placed = session.fit(0, box, 0.0)
    assert placed.shape == (3, 2)
    assert (placed > box[:2] - 50).all()
    centre = (box[:2] + box[2:]) / 2
    quarter = np.array([[0, 1], [-1, 0]])  # of rows: (x, y) to (-y, x), clockwise as seen
    np.testing.assert_allclose(session.fit(0, box, 90.0), (placed - centre) @ quarter + centre)
    accept(session, 1)
    table = pd.read_csv(session.path)
    assert table.edited.tolist() == [0, 1]  # the other stays in the data set
    assert table.split.tolist() == ["train", "val"]
    assert table.group.tolist() == ["p1", "p2"]
    again = AnnotationsDataModule(
        train=str(session.path), images=str(folder), data_dir=tmp_path, input_size=(64, 64)
    )
    again.setup()
    assert again.scheme.point_names == tuple(NAMES)
    np.testing.assert_allclose(
        again.splits["val"][0].keypoints, [[210, 95], [219, 120], [228, 145]]
    )


def test_boxes_and_points_of_stored_pixels_are_turned_upright(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    with Image.open(folder / "a.jpg") as image:
        width = image.width
        exif = image.getexif()
        exif[274] = 6  # the stored image lies on its side
        image.rotate(90, expand=True).save(folder / "a.jpg", quality=95, exif=exif)
    (upright,) = predictor(folder / "a.jpg")
    x, y = upright.keypoints.T
    stored = np.column_stack([y, width - 1 - x])
    parts = "".join(
        f"<part name='{at:02}' x='{p:.0f}' y='{q:.0f}'/>" for at, (p, q) in enumerate(stored)
    )
    xml = tmp_path / "stored.xml"
    xml.write_text(
        "<dataset><images><image file='photos/a.jpg'><box top='9' left='9' width='99' height='90'>"
        f"{parts}</box></image></images></dataset>"
    )
    session = session_of(predictor, tmp_path, folder / "a.jpg", points=str(xml))
    (face,) = session.open(0).faces or ()
    np.testing.assert_allclose(face.keypoints, upright.keypoints, atol=0.51)


def test_a_broken_photo_of_known_points_does_not_stop_the_others(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    faces = "".join(
        f"<image file='photos/{name}.jpg'><box top='9' left='9' width='99' height='90'>"
        + "".join(f"<part name='{at:02}' x='{at}' y='9'/>" for at in range(68))
        + "</box></image>"
        for name in "ab"
    )
    xml = tmp_path / "stored.xml"
    xml.write_text(f"<dataset><images>{faces}</images></dataset>")
    (folder / "b.jpg").write_bytes(b"no photo")
    session = session_of(predictor, tmp_path, folder, points=str(xml))
    assert len(session.open(0).faces or ()) == 1
    with pytest.raises(DataError, match=r"b\.jpg"):
        session.open(1)


def test_one_entry_is_not_taken_for_two_photos(
    predictor: Predictor, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names without folders, as of a session in the folder itself."""
    monkeypatch.chdir(folder)
    accept(open_session(predictor, "a.jpg", None, "mine.csv", str(tmp_path)), 0)
    for name in ("early", "other"):
        (tmp_path / name).mkdir()
        shutil.copy(folder / "a.jpg", tmp_path / name / "a.jpg")
    inputs = [str(tmp_path / "early"), str(folder / "a.jpg"), str(tmp_path / "other")]
    session = open_session(predictor, inputs, None, "mine.csv", str(tmp_path))
    assert [photo.edited for photo in session.photos] == [False, True, False]
    monkeypatch.chdir(tmp_path)
    session = open_session(predictor, inputs, None, str(folder / "mine.csv"), str(tmp_path))
    assert [photo.edited for photo in session.photos] == [False, True, False]
    shutil.move(folder / "mine.csv", tmp_path / "mine.csv")
    with pytest.raises(DataError, match=r"other/a\.jpg: a\.jpg may mean this file, or "):
        open_session(predictor, inputs, None, "mine.csv", str(tmp_path)).open(2)


def test_points_that_only_the_network_placed_are_not_saved_as_labels(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    """A photo with a labelled face and one with only a box stays so until a person looks at it."""
    (face,) = predictor(folder / "a.jpg")
    labelled = CorrectedFace(face.bbox, face.keypoints, moved=frozenset(range(68)))
    boxed = CorrectedFace(face.bbox + 3, np.full((68, 2), np.nan))
    text = corrected_header(predictor.point_names)
    text += corrected_rows(
        CorrectedPhoto("a.jpg", (labelled, boxed)), 68, predictor.description.box_source
    )
    (tmp_path / "mine.csv").write_text(text)
    session = session_of(predictor, tmp_path, folder, points=str(tmp_path / "mine.csv"))
    faces = session.open(0).faces or ()
    assert np.isfinite([f.keypoints for f in faces]).all()  # the page shows points to correct
    accept(session, 1)
    saved = read_corrected_csv(session.path, predictor.point_names)
    kept = next(photo for photo in saved if Path(photo.file).name == "a.jpg")
    assert [bool(np.isfinite(f.keypoints).all()) for f in kept.faces] == [True, False]
    accept(session, 0)
    saved = read_corrected_csv(session.path, predictor.point_names)
    kept = next(photo for photo in saved if Path(photo.file).name == "a.jpg")
    assert np.isfinite([f.keypoints for f in kept.faces]).all()


def test_wrong_settings_are_refused(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose one"):
        session_of(predictor, tmp_path, folder, data_set(folder, tmp_path))
    with pytest.raises(ConfigError, match="input= is missing"):
        session_of(predictor, tmp_path, None)
    with pytest.raises(DataError, match=r"nothing\.json"):
        session_of(predictor, tmp_path, folder, points=str(tmp_path / "nothing.json"))
    (tmp_path / "other.csv").write_text("file,nose_x,nose_y\na.jpg,1,2\n")
    with pytest.raises(DataError, match="points"):
        session_of(predictor, tmp_path, folder, points=str(tmp_path / "other.csv"))
    session = session_of(predictor, tmp_path, folder, points=str(tmp_path / "mine.csv"))
    accept(session, 0)
    (folder / "c.jpg").write_bytes((folder / "a.jpg").read_bytes())
    with pytest.raises(ConfigError, match="none of the 1 photos"):
        session_of(predictor, tmp_path, folder / "c.jpg", points=str(tmp_path / "mine.csv"))


def test_photos_in_which_the_network_is_unsure_come_first(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    image = cv2.imread(str(folder / "b.jpg"))
    noise = np.random.default_rng(0).normal(0, 60, image.shape)
    blurred = cv2.GaussianBlur(image, (0, 0), 9) * 0.5 + noise
    (face,) = predictor(folder / "b.jpg")
    left, top, right, bottom = face.bbox.astype(int)
    image[(top + bottom) // 2 : bottom, left:right] = blurred.clip(0, 255)[
        (top + bottom) // 2 : bottom, left:right
    ]
    cv2.imwrite(str(folder / "b.jpg"), image)
    session = session_of(predictor, tmp_path, folder)
    session.start_analysis()
    session._analysis.join(60)  # type: ignore[union-attr]
    first, second = (photo.disagreement for photo in session.photos)
    assert first is not None
    assert second is not None
    assert second > 1.3 * first
    session.end()


def test_it_runs_without_torch_and_ends_with_ctrl_c(folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from facekp.cli.programs import predict_main; predict_main();"
        "assert 'torch' not in sys.modules"
    )
    arguments = ["task=annotate", f"input={folder}", f"output={tmp_path / 'o'}", "browser=false"]
    code, output = interrupted([sys.executable, "-c", program, *arguments], "Ctrl-C", timeout=20)
    assert code == 0, output
    assert "0 of 2 photos corrected" in output
    assert "Traceback" not in output
