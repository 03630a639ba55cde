"""Written videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facekp.visualization.video import VideoWriter
from tests.helpers import frames


def test_a_film_of_odd_size(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(33, dtype=np.uint8)[:, None] * 6, 65, axis=1)
    with VideoWriter(tmp_path / "x.mp4", (33, 65), 25) as video:
        video.write(np.repeat(ramp[..., None], 3, axis=2))
    (frame,) = frames(tmp_path / "x.mp4")
    assert frame.shape == (34, 66, 3)
    assert np.abs(frame[:33, :65, 1].astype(int) - ramp).max() < 12


def test_a_film_that_fails_leaves_no_file(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "x.mp4", (64, 64), 25)
    with pytest.raises(ValueError, match="ndim"), video:
        video.write(np.zeros((64, 64), np.uint8))
    assert not list(tmp_path.iterdir())
