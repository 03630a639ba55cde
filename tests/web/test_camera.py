from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from facekp.inference.predictor import Predictor
from facekp.web.camera import CameraSession, camera_application
from facekp.web.server import Pages
from tests.web.conftest import Client


@pytest.fixture
def camera(predictor: Predictor, tmp_path: Path, serve: Callable[..., Client]) -> Client:
    pages = Pages()
    return serve(camera_application(CameraSession(predictor, True, tmp_path), pages), pages)


@pytest.fixture
def jpeg(astronaut: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", astronaut[..., ::-1])[1].tobytes()


def test_faces_keep_their_numbers_from_frame_to_frame(camera: Client, jpeg: bytes) -> None:
    frames = [camera("POST", f"frames/p?seconds={at / 30}", jpeg) for at in range(3)]
    assert [status for status, _ in frames] == [200] * 3
    assert [[face["number"] for face in faces] for _, faces in frames] == [[0]] * 3
    assert len(frames[0][1][0]["points"]) == 68


def test_pages_do_not_share_faces(camera: Client, jpeg: bytes) -> None:
    with ThreadPoolExecutor(6) as pool:
        names = [f"p{at}" for at in range(6)]
        answers = pool.map(lambda p: camera("POST", f"frames/{p}?seconds=0", jpeg)[1], names)
    assert all([face["number"] for face in faces] == [0] for faces in answers)


def test_stills_are_kept_with_their_points(
    camera: Client, predictor: Predictor, jpeg: bytes, tmp_path: Path
) -> None:
    for _ in range(2):
        assert camera("POST", "stills", jpeg)[0] == 200
    assert (tmp_path / "still_0001.jpg").read_bytes() == jpeg
    assert (tmp_path / "still_0002_points.jpg").exists()
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert [Path(file).name for file in table.file] == ["still_0001.jpg", "still_0002.jpg"]
    CameraSession(predictor, True, tmp_path).save(jpeg)  # started again
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 3


@pytest.mark.parametrize("body", [b"", b"GIF89a", b"\xff\xd8\xff\xe0"])
def test_what_is_no_jpeg_is_refused(camera: Client, body: bytes) -> None:
    assert camera("POST", "frames/p?seconds=0", body)[0] == 422
    assert camera("POST", "stills", body)[0] == 422


def test_a_small_file_of_a_huge_picture_is_refused(camera: Client) -> None:
    data = cv2.imencode(".jpg", np.zeros((5000, 5000), np.uint8))[1].tobytes()
    status, answer = camera("POST", "frames/p?seconds=0", data)
    assert status == 422
    assert "pixels" in answer["error"]


@pytest.mark.parametrize("seconds", ["", "nan", "inf", "x"])
def test_a_frame_needs_its_time(camera: Client, jpeg: bytes, seconds: str) -> None:
    assert camera("POST", f"frames/p?seconds={seconds}", jpeg)[0] == 400
