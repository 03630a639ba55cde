"""Tracking faces through videos."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np
import pytest

from facekp.core.errors import ConfigError
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.detectors import Detections, YuNetDetector
from facekp.inference.predictor import Predictor
from facekp.inference.tracking import FaceTracker, TrackedFace

PICTURE = cv2.resize(draw_ibug_face(3, 0)[0], (170, 176))
OTHER = cv2.resize(draw_ibug_face(8, 0)[0], (170, 176))


class Counted(YuNetDetector):
    calls = 0
    misses: ClassVar[set[int]] = set()
    """Calls, counted from 1, in which no face is found."""

    def __call__(self, image: np.ndarray) -> Detections:
        Counted.calls += 1
        if Counted.calls in Counted.misses:
            image = np.zeros_like(image)
        return super().__call__(image)


def frame(*faces: tuple[np.ndarray, float], noise: int | None = None) -> np.ndarray:
    """A picture with faces at some x, the last in front."""
    canvas = np.full((260, 480, 3), 120, np.uint8)
    for picture, x in faces:
        matrix = np.array([[1.0, 0, x], [0, 1, 40]])
        cv2.warpAffine(picture, matrix, (480, 260), canvas, borderMode=cv2.BORDER_TRANSPARENT)
    if noise is not None:
        canvas = canvas + np.random.default_rng(noise).normal(0, 2, canvas.shape)
    return np.clip(canvas, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(detector=Counted)


def test_the_detector_runs_every_tenth_frame(predictor: Predictor) -> None:
    Counted.calls, tracker = 0, FaceTracker(predictor)
    for number in range(30):
        (face,) = tracker(frame((PICTURE, 100 + number)), number / 25)
        assert isinstance(face, TrackedFace)
        assert face.number == 0
    assert Counted.calls == 3


def test_a_detector_for_every_frame_runs_in_every_frame_after_a_miss(predictor: Predictor) -> None:
    Counted.calls, Counted.misses = 0, {4}
    tracker = FaceTracker(predictor, detect_every=1)
    for number in range(8):
        tracker(frame((PICTURE, 100)), number / 25)
    Counted.misses = set()
    assert Counted.calls == 8


def test_points_follow_a_face_and_are_steady_on_a_still_one(predictor: Predictor) -> None:
    alone = predictor(frame((PICTURE, 100)))[0].keypoints
    tracker, still = FaceTracker(predictor), []
    for number in range(40):
        (face,) = tracker(frame((PICTURE, 100), noise=number), number / 25)
        still.append((face.raw_keypoints, face.keypoints))
    raw, smooth = (np.array(points)[10:] for points in zip(*still, strict=True))
    eyes = np.linalg.norm(alone[36] - alone[45])
    assert np.abs(smooth[-1] - alone).mean() < 0.03 * eyes
    jitter = [100 * np.diff(points, n=2, axis=0).std() / eyes for points in (raw, smooth)]
    assert jitter[1] < 0.15
    assert jitter[1] < jitter[0] / 2
    tracker = FaceTracker(predictor)
    for number in range(30):
        (face,) = tracker(frame((PICTURE, 60 + 6 * number)), number / 25)
        if number > 5:
            moved = alone + (6 * number - 40, 0)
            assert np.abs(face.keypoints - moved).mean() < 0.05 * eyes


def test_smoothing_can_be_off(predictor: Predictor) -> None:
    tracker = FaceTracker(predictor, smoothing=False)
    for number in range(3):
        (face,) = tracker(frame((PICTURE, 100 + 9 * number)), number / 25)
        np.testing.assert_array_equal(face.keypoints, face.raw_keypoints)
    with pytest.raises(ConfigError, match="detect_every=0"):
        FaceTracker(predictor, detect_every=0)


def test_a_face_that_leaves_ends_and_one_that_comes_gets_a_new_number(
    predictor: Predictor,
) -> None:
    tracker = FaceTracker(predictor)
    numbers = []
    for number in range(60):
        faces = [(PICTURE, 100.0)] if number < 20 or number >= 45 else []
        numbers.append([face.number for face in tracker(frame(*faces), number / 25)])
    assert numbers[19] == [0]
    assert not any(numbers[40:45])
    assert numbers[55] == [1]


def test_two_that_cross_never_swap(predictor: Predictor) -> None:
    tracker = FaceTracker(predictor)
    tracks: dict[int, list[int]] = {}
    for number in range(60):
        at = {0: 300 - 5.0 * number, 1: 5.0 * number}
        shown = frame((OTHER, at[0]), (PICTURE, at[1]), noise=number)
        for face in tracker(shown, number / 25):
            middle = face.keypoints[:, 0].mean() - 85
            if abs(at[0] - at[1]) > 150:
                nearest = min(at, key=lambda who: abs(at[who] - middle))
                tracks.setdefault(face.number, []).append(nearest)
    assert len(tracks) <= 4
    assert {track[0] for track in tracks.values()} == {0, 1}
    assert not any(a != b for track in tracks.values() for a, b in pairwise(track))


def test_a_tilted_face_is_tracked(predictor: Predictor) -> None:
    tracker = FaceTracker(predictor)
    upright = predictor(frame((PICTURE, 150)))[0].keypoints
    for number in range(40):
        turn = cv2.getRotationMatrix2D((235, 128), -number, 1.0)
        tilted = cv2.warpAffine(frame((PICTURE, 150)), turn, (480, 260), borderValue=(120,) * 3)
        (face,) = tracker(tilted, number / 25)
        assert face.number == 0
    expected = upright @ turn[:, :2].T + turn[:, 2]
    eyes = np.linalg.norm(upright[36] - upright[45])
    assert np.linalg.norm(face.raw_keypoints - expected, axis=1).mean() < 0.08 * eyes


def test_a_cut_to_another_face_gives_a_new_number_and_a_dark_frame_does_not(
    predictor: Predictor,
) -> None:
    tracker, numbers = FaceTracker(predictor), []
    for number in range(40):
        picture = PICTURE if number < 23 else OTHER
        shown = frame((picture, 100)) if number != 7 else np.zeros((260, 480, 3), np.uint8)
        numbers.append([face.number for face in tracker(shown, number / 25)])
    assert numbers[7] == []
    assert all(found == [0] for found in (*numbers[:7], *numbers[8:23]))
    assert all(found == [1] for found in numbers[25:])


def test_a_fast_face_keeps_its_number(predictor: Predictor) -> None:
    tracker = FaceTracker(predictor)
    for number in range(8):
        found = tracker(frame((PICTURE, 5 + 38 * number)), number / 5)
        assert [face.number for face in found] == [0]
