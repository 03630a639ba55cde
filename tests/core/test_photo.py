"""Photos in any form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facekp.core.errors import ConfigError, DataError
from facekp.core.photo import as_photos, as_rgb

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
FORMS: dict[str, Any] = {
    "array": RGB,
    "array with alpha": np.dstack([RGB, np.zeros((5, 7), np.uint8)]),
    "channels first": RGB.transpose(2, 0, 1),
    "floats": RGB / 255,
    "float32": (RGB / 255).astype(np.float32),
    "PIL": Image.fromarray(RGB),
    "tensor": torch.from_numpy(RGB).permute(2, 0, 1),
    "tensor, channels last": torch.from_numpy(RGB),
    "tensor of floats": torch.from_numpy(RGB).permute(2, 0, 1) / 255,
    "bfloat16": (torch.from_numpy(RGB).permute(2, 0, 1).double() / 255).requires_grad_(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pixels(form: str) -> None:
    found = as_rgb(FORMS[form])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, RGB)


def test_grey_and_bgr() -> None:
    grey = RGB[..., 0]
    for form in (grey, grey[..., None], torch.from_numpy(grey.copy())[None]):
        np.testing.assert_array_equal(as_rgb(form), np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(as_rgb(RGB[..., ::-1], bgr=True), RGB)


def test_files_and_pil_images_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    expected = np.rot90(RGB, -1)
    np.testing.assert_array_equal(as_rgb(tmp_path / "a.png"), expected)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(as_rgb(image), expected)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (np.zeros((5, 7, 2)), "is not a photo"),
        (np.zeros((0, 7, 3), np.uint8), "is not a photo"),
        (np.full((5, 7, 3), 255.0), "numbers from 255 to 255; give uint8, or floats from 0 to 1"),
        (np.full((5, 7, 3), np.nan), "numbers from nan"),
        (np.zeros((5, 7, 3), np.int64), "int64 is not a photo's"),
        ({"a": 1}, "give paths, arrays, PIL images or torch tensors"),
    ],
)
def test_what_is_no_photo_is_refused(photo: Any, message: str) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        as_rgb(photo)


def test_one_and_several() -> None:
    for photo in (RGB, FORMS["PIL"], FORMS["tensor"], "a.jpg", Path("a.jpg")):
        assert as_photos(photo)[1]
    batch = np.stack([RGB, RGB])
    for several in ([RGB, RGB], (p for p in (RGB, RGB)), batch, torch.from_numpy(batch)):
        photos, single = as_photos(several)
        assert not single
        assert len(list(photos)) == 2
    with pytest.raises(ConfigError, match="photos: give a path"):
        as_photos(3)
