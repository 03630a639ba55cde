"""Face records load what the annotation states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facekp.core.errors import DataError
from facekp.data.ibug import read_ibug
from tests.helpers import write_xml


def test_image_cut_short_and_image_of_another_size(tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    (tmp_path / "afw").mkdir()
    for name in ("a_1", "b_1"):
        image.save(tmp_path / f"afw/{name}.jpg")
    stated, unstated = read_ibug(write_xml(tmp_path))
    with pytest.raises(DataError, match=r"x\.xml:6: .* stated as 640x480, the image is 64x48"):
        stated.load(1)
    assert unstated.load(1).shape == (48, 64)
    assert unstated.load(3).shape == (48, 64, 3)
    path = tmp_path / "afw/b_1.jpg"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match=r"b_1\.jpg: the image cannot be decoded"):
        unstated.load(1)
