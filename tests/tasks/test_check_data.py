"""Checking data sets."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facekp.core.errors import ConfigError
from facekp.tasks.check_data import check_data
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
    assert page.count("data:image/jpeg") == found["category"].nunique() - 1  # all kinds but broken


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
