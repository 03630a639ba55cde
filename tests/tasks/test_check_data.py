"""Checking data sets."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facekp.core.errors import ConfigError, DataError
from facekp.core.landmarks import IBUG68, read_scheme
from facekp.data.annotations import AnnotationsDataModule
from facekp.data.synthetic import draw_ibug_face
from facekp.tasks.check_data import check_data
from tests.data.formats.helpers import image
from tests.helpers import FOLDER


def test_findings_are_a_table(hurt: Path, tmp_path: Path) -> None:
    check_data(str(hurt), str(tmp_path / "out"))
    found = pd.read_csv(tmp_path / "out/ibug68.csv")
    assert found["category"].value_counts()["broken"] == 3
    assert (found["category"] == "left and right").sum() == 1
    assert not found["category"].isin(["leak", "order"]).any()
    page = (tmp_path / "out/ibug68.html").read_text()
    assert "broken: 3" in page
    assert "left and right: 1" in page
    # All categories but broken; the points, some faces, and the flip pairs.
    assert page.count("data:image/jpeg") == found["category"].nunique() - 1 + 3


def own_faces(
    folder: Path, heading: str, count: int = 12, **settings: Any
) -> AnnotationsDataModule:
    """Drawn faces with their 68 points in a CSV."""
    rows = [heading]
    for number in range(count):
        picture, points, _ = draw_ibug_face(number, 0)
        Image.fromarray(picture).save(folder / f"{number}.jpg")
        rows.append(f"{number}.jpg," + ",".join(f"{value:.2f}" for value in points.ravel()))
    (folder / "faces.csv").write_text("\n".join(rows))
    return AnnotationsDataModule(
        data_dir=folder, input_size=(64, 64), train="faces.csv", **settings
    )


def test_own_annotations_and_proposed_flip_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    heading = ",".join(["file", *(str(at) for at in range(136))])
    check_data(None, str(tmp_path / "out"), own_faces(tmp_path, heading))
    assert "the data suggests 29" in capsys.readouterr().out
    proposed = read_scheme(tmp_path / "out/custom68_proposed.yaml")
    assert set(proposed.flip_pairs or ()) == set(IBUG68.flip_pairs or ())
    table = pd.read_csv(tmp_path / "out/custom68_points.csv")
    assert table["labels"].tolist() == [12] * 68
    assert table["proposed flip pair"][36] == 45
    page = (tmp_path / "out/custom68.html").read_text()
    assert "flip_pairs:" in page
    assert "data:image/jpeg" in page


def test_a_contradicted_flip_pair_is_a_finding(tmp_path: Path) -> None:
    names = [f"p{chr(97 + at // 26)}{chr(97 + at % 26)}" for at in range(68)]
    names[36], names[39] = "left_a", "right_a"  # both corners of one eye
    heading = ",".join(["file", *(f"{name}_{axis}" for name in names for axis in "xy")])
    check_data(None, str(tmp_path / "out"), own_faces(tmp_path, heading))
    found = pd.read_csv(tmp_path / "out/custom68.csv")
    details = found[found["category"] == "flip pair"]["detail"]
    assert details.str.startswith("left_a and right_a are declared a flip pair").any()


def test_own_annotations_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text("file,a_x,a_y\nb.jpg,1,2\n")
    data = AnnotationsDataModule(data_dir=tmp_path, input_size=(64, 64), train="faces.csv")
    with pytest.raises(DataError, match=r"none of its faces can be read: 1 errors.*b\.jpg"):
        check_data(None, str(tmp_path / "out"), data)


def test_twins_that_do_not_mirror(ibug_data: Path, tmp_path: Path) -> None:
    shutil.copytree(ibug_data / FOLDER, tmp_path / FOLDER)
    xml = tmp_path / FOLDER / "labels_ibug_300W_train.xml"
    entries = xml.read_text().split("  <image ")
    names = ["", *(entry.split('"')[1] for entry in entries[1:])]
    first, second = [name for name in names if "_mirror" in name][:2]
    at = names.index(first)
    part = re.search(r"<part name='30' x='([0-9.]+)'", entries[at])
    assert part
    entries[at] = entries[at].replace(part[0], f"<part name='30' x='{float(part[1]) + 40}'")
    xml.write_text("  <image ".join(entries))
    shutil.copy(tmp_path / FOLDER / second.replace("_mirror", ""), tmp_path / FOLDER / second)
    check_data(str(tmp_path), str(tmp_path / "out"))
    found = pd.read_csv(tmp_path / "out/ibug68.csv")
    twins = found[found["category"] == "twin"].set_index("entry")["detail"]
    assert twins[first].startswith("point 30 is ")
    assert "pixels" in twins[second]
    assert len(twins) == 2


def test_what_cannot_be_compared_hides_nothing(hurt: Path, tmp_path: Path) -> None:
    xml = hurt / FOLDER / "labels_ibug_300W_train.xml"
    entries = xml.read_text().split("  <image ")
    entries[9] = re.sub(r" x='[0-9.-]+' y='[0-9.-]+'", " x='50' y='50'", entries[9])
    entries[11] = entries[11].replace(entries[11].split('"')[1], "[/b]" + "a" * 5000)
    xml.write_text("  <image ".join(entries)[:-30])  # cut off, too
    check_data(str(hurt), str(tmp_path / "out"))
    found = pd.read_csv(tmp_path / "out/ibug68.csv")
    assert found["detail"].str.contains("its points coincide").sum() == 1
    assert found["detail"].str.contains("not well-formed").sum() == 1
    assert (found["category"] == "broken").sum() == 5
    assert (found["category"] == "left and right").sum() == 1


def test_a_copy_across_the_splits_is_a_leak(imm_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "imm_face_db"
    shutil.copytree(imm_data / "imm_face_db", folder)
    for ending in ("asf", "jpg"):
        source = next(folder.glob(f"01-1*.{ending}"))
        target = next(folder.glob(f"33-1*.{ending}"))
        text = source.read_bytes()
        target.write_bytes(text.replace(source.stem.encode(), target.stem.encode()))
    image = next(folder.glob("33-1*.jpg"))
    brighter = np.clip(np.asarray(Image.open(image)) * 1.1, 0, 255).astype(np.uint8)
    Image.fromarray(brighter).save(image)
    check_data(str(tmp_path), str(tmp_path / "out"))
    found = pd.read_csv(tmp_path / "out/imm58.csv")
    leaks = found[found["category"] == "leak"]
    assert {(row.entry[:4], row.other[:4]) for row in leaks.itertuples()} == {("01-1", "33-1")}


def test_the_real_data(real_data: Path, tmp_path: Path) -> None:
    check_data(str(real_data), str(tmp_path))
    imm, ibug = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("imm58", "ibug68"))
    turned = imm[imm["category"] == "order"]["entry"].tolist()
    assert turned == [
        "06-5m",
        "10-4m",
        "18-4m",
        "33-3m",
        "36-4m",
        "36-5m",
        "36-6m",
        "39-3m",
        "40-5m",
    ]
    assert not (imm["category"] == "broken").any()
    assert not ibug["category"].isin(["broken", "leak"]).any()


@pytest.mark.parametrize("data_dir", ["/nowhere", "2024"])
def test_no_data_set(data_dir: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"data_dir={data_dir}: none of imm_face_db, ibug_"):
        check_data(data_dir, str(tmp_path))


def checked(folder: Path, rows: list[str], heading: str) -> pd.DataFrame:
    """Findings on images of 100 x 120 with a few points."""
    (folder / "faces.csv").write_text("\n".join([heading, *rows]))
    for row in rows:
        image(folder / row.split(",")[0])
    data = AnnotationsDataModule(data_dir=folder, input_size=(64, 64), train="faces.csv")
    check_data(None, str(folder / "out"), data)
    return pd.read_csv(next((folder / "out").glob("custom?.csv")))


EYES = "file,left_eye_x,left_eye_y,right_eye_x,right_eye_y,nose_x,nose_y"


def test_a_point_far_outside_the_image(tmp_path: Path) -> None:
    """The box comes from the points, so only the image tells."""
    rows = [f"{at}.jpg,60,{30 + at},30,30,45,60" for at in range(6)] + [
        "7.jpg,60,30,30,99999,45,60"
    ]
    found = checked(tmp_path, rows, EYES)
    found = found[found["category"] != "near-duplicate"]
    assert found[found["category"] == "far point"]["entry"].tolist() == ["7.jpg"]
    assert not (found["category"] == "left and right").any()


def test_marks_of_missing_points(tmp_path: Path) -> None:
    rows = [f"{at}.jpg,60,{30 + at},-1,-1,45,60" for at in range(5)] + ["6.jpg,60,30,30,30,45,60"]
    found = checked(tmp_path, rows, EYES)
    marks = found[found["category"] == "placeholder"]
    assert len(marks) == 5
    assert marks["detail"].iloc[0] == "a point at (-1, -1), as 4 others: is it missing?"


def test_eyes_at_one_height_and_half_missing_faces_are_not_suspicious(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2, (12, 6)).round(1)
    rows = []
    for at, shift in enumerate(noise):
        x = np.array([60, 30, 30, 30, 45, 60]) + shift
        cells = [f"{value}" for value in x]
        if at % 3 == 0:
            cells[2:4] = ["", ""]
        rows.append(f"{at}.jpg," + ",".join(cells))
    rows.append("20.jpg,60,30,30,30,,")  # both eyes, level
    found = checked(tmp_path, rows, EYES)
    assert not found["category"].isin(["left and right", "odd shape"]).any()
