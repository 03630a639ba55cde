"""Tracking faces through a video."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import cv2
import numpy as np

from facekp.core.alignment import procrustes_align
from facekp.core.errors import ConfigError
from facekp.core.geometry import (
    apply_box_prior,
    bounding_box,
    intersection_over_union,
    transform_points,
)
from facekp.inference.detectors import Detections, WholeImage
from facekp.inference.faces import Face, Faces
from facekp.inference.orientation import (
    UPRIGHT_WITHIN,
    box_in_photo,
    tilt_of,
    upright_transform,
)
from facekp.inference.predictor import Predictor
from facekp.inference.smoothing import OneEuroFilter

DETECT_EVERY = 10
"""Frames from one detection to the next."""
DETECT_AFTER_MISS = 5
"""Frames to the next detection after one that did not find a tracked face."""
MAX_MISSES = 2
"""Detections in a row without the face after which its track ends."""
OVERLAP = 0.3
"""Intersection over union from which a detected face is that of a track."""
LOOSE = 0.6
"""The same below which a track is framed by the detection again, not by its own points."""
MAX_STEP, MAX_GROWTH, MAX_RESIDUAL = 0.5, 1.4, 0.14
"""Limits from one frame to the next beyond which a face counts as lost: movement in sides of its
box, growth, and deviation from a similar mean shape in sides."""
MERGED = 0.15
"""Mean distance of two tracks' points, in sides, below which they are on one face."""
CLEARLY = 0.8
"""Share of another face's difference that a face's own must stay below, to be told apart."""
EYES = 0.45
"""Distance between the eyes in sides of a face's box, about."""
STEADY = (0.5, 1.0)
"""Cutoff and beta of the filter of a face's box: the network's answer changes a little with every
change of its crop, so a box that follows each point's noise would add to it."""
MOVES = 0.05
"""Sides per frame from which a face counts as moving: its next box is where it will be by then."""
STAYS_TILTED = 8.0
"""Degrees of tilt from which a face is no longer turned back, once it was."""
OTHER_FACE = 36.0
"""Difference in grey levels from which a face is taken for another one than in the frames before:
that of two people of iBUG is 40 or more in 99 of 100 cases, of one face with points that are off by
several pixels 36 at most."""
_PATCH = 24


@dataclass(frozen=True, eq=False)
class TrackedFace(Face):
    """A face in a frame of a video.

    Its box is as in the network's training data, from its points.

    Args:
        number: from 0; of the same face in all frames.
        raw_keypoints: (K, 2) as the network found them; `keypoints` are smoothed.
    """

    number: int
    raw_keypoints: np.ndarray


@dataclass(eq=False)
class _Track:
    number: int
    score: float
    box: np.ndarray
    """(4,) as in training, upright around the face's centre; steadied."""
    angle: float
    """Degrees by which the face is turned back, 0 if it is nearly upright."""
    smooth: OneEuroFilter | None
    steady: OneEuroFilter = field(default_factory=lambda: OneEuroFilter(*STEADY))
    points: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    to_mean: np.ndarray = field(default_factory=lambda: np.empty((2, 3)))
    """Transform from the photo to the mean shape."""
    patch: np.ndarray | None = None
    """The face upright and small, from a frame in which it was apart from others."""
    place: np.ndarray = field(default_factory=lambda: np.full(4, np.nan))
    """(4,) its box by its last points alone."""
    step: np.ndarray = field(default_factory=lambda: np.zeros(2))
    misses: int = 0
    lost: bool = False
    hidden: bool = False
    """Lost, and not found by the detector: not shown until it is found again, or ends."""
    box_before: np.ndarray = field(default_factory=lambda: np.empty(0))

    def forget_place(self) -> None:
        """Let the next box neither be compared with this one nor be drawn to it."""
        self.place, self.steady = np.full(4, np.nan), OneEuroFilter(*STEADY)


class FaceTracker:
    """Finds the faces of a video's frames, one after another, and keeps their numbers.

        tracker = FaceTracker(Predictor.load())
        for frame in VideoReader("clip.mp4"):
            for face in tracker(frame.pixels, frame.seconds):
                print(frame.number, face.number, face.keypoints)

    The detector runs every tenth frame, and when a face is lost. In between each face is framed by
    its points in the frame before. Two faces that cross keep their numbers if their looks tell them
    apart, and get new ones otherwise. Faces whose points do not determine a box (a single point, or
    `detector=none`) are found in each frame anew, and numbered by their order.

    Args:
        predictor: of the network.
        smoothing: smooth the points, see `OneEuroFilter`.
        detect_every: frames from one detection to the next.

    Raises:
        ConfigError: a setting out of range.
    """

    def __init__(
        self, predictor: Predictor, smoothing: bool = True, detect_every: int = DETECT_EVERY
    ) -> None:
        if detect_every < 1:
            raise ConfigError(f"detect_every={detect_every}: give a whole number, at least 1")
        self.predictor, self.smoothing, self.detect_every = predictor, smoothing, detect_every
        description = predictor.description
        sides = np.ones(2) if description.crop.square else description.box_prior[2:]
        self._mean = (description.mean_shape - 0.5) * sides
        self._mean = self._mean * description.crop.box_scale  # in sides of the box
        self._tracks: list[_Track] = []
        self._next_number, self._until_detection, self._seconds = 0, 0, 0.0

    def __call__(self, image: np.ndarray, seconds: float) -> Faces:
        """The faces of the next frame, a list of `TrackedFace`.

        Args:
            image: (H, W, 3) uint8 RGB.
            seconds: time of the frame.

        Raises:
            DataError, ConfigError: of the detector or the network.
        """
        whole_image = isinstance(self.predictor.detector, WholeImage)
        if whole_image or not self.predictor.points_determine_box:
            return self._untracked(image)
        self._seconds = seconds
        self._follow(image)
        self._until_detection -= 1
        if self._until_detection < 0 or any(track.lost for track in self._tracks):
            self._detect(image)
        self._separate(image)
        return Faces(
            (self._face(track, seconds) for track in self._tracks if not track.hidden),
            self.predictor.point_names,
        )

    def _untracked(self, image: np.ndarray) -> Faces:
        """Faces whose next box is not told by their points, e.g. by a single one."""
        faces = self.predictor(image)
        return Faces(
            (
                TrackedFace(
                    f.bbox, f.keypoints, f.score, f.box_source, number, f.keypoints, angle=f.angle
                )
                for number, f in enumerate(faces)
            ),
            self.predictor.point_names,
        )

    def _follow(self, image: np.ndarray) -> None:
        """Find the points of all tracks in the next frame."""
        tracks = self._tracks
        found = self.predictor.predict_tilted((image, _ahead(t), t.angle) for t in tracks)
        for track, points in zip(tracks, found, strict=True):
            self._move(track, points, image.shape[:2])
            track.lost = track.lost or self._is_other(image, track)

    def _move(self, track: _Track, points: np.ndarray, size: tuple[int, int]) -> None:
        track.points, track.box_before = points, track.box
        (aligned,), (to_mean,) = procrustes_align(points[None], self._mean)
        track.to_mean = to_mean
        residual = float(np.sqrt(((aligned - self._mean) ** 2).sum(axis=1).mean()))
        angle = float(-np.degrees(np.arctan2(to_mean[1, 0], to_mean[0, 0])))
        if abs(angle) <= (STAYS_TILTED if track.angle else UPRIGHT_WITHIN):
            angle = 0.0
        before, box = track.place, self._box(points, angle)
        side, centre = float((box[2:] - box[:2]).mean()), (box[:2] + box[2:]) / 2
        inside = ((centre > 0) & (centre < size[::-1])).all()
        track.lost = not inside or residual > MAX_RESIDUAL
        if np.isfinite(before).all():
            step = centre - (before[:2] + before[2:]) / 2
            growth = side / float((before[2:] - before[:2]).mean())
            track.lost |= float(np.linalg.norm(step - track.step)) > MAX_STEP * side
            track.lost |= not 1 / MAX_GROWTH < growth < MAX_GROWTH
            track.step = step
            if float(np.linalg.norm(step)) > MOVES * side:  # a steadied box would lag behind
                track.steady = OneEuroFilter(*STEADY)
        track.place, track.angle = box, angle
        track.box = track.steady(box.reshape(2, 2), self._seconds, EYES * side).ravel()

    def _box(self, points: np.ndarray, angle: float) -> np.ndarray:
        """Box (4,) as in training of points (K, 2) of a face that is tilted."""
        extent = bounding_box(points)
        turn = upright_transform(extent, angle)
        box = apply_box_prior(
            bounding_box(transform_points(turn, points)), self.predictor.description.box_prior
        )
        return box_in_photo(box, turn)

    def _detect(self, image: np.ndarray) -> None:
        """Look for faces: confirm tracks, end those that are gone, begin new ones."""
        found = self.predictor.detect(image)
        boxes = self.predictor.training_boxes(found)
        pairs = [
            (_overlap(track, box), track, at)
            for track in self._tracks
            for at, box in enumerate(boxes)
        ]
        taken: dict[int, _Track] = {}
        confirmed: set[_Track] = set()
        for overlap, track, at in sorted(pairs, key=lambda pair: -pair[0]):
            if overlap < OVERLAP:
                break
            if track in confirmed or at in taken:
                continue
            if track.lost or overlap < LOOSE:
                self._reframe(image, track, boxes[at], tilt_of(found, at))
            if track.lost and self._is_other(image, track):
                track.misses = MAX_MISSES  # another face is in its place
                continue
            confirmed.add(track)
            taken[at] = track
            track.misses, track.score = 0, float(found.scores[at])
        for track in self._tracks:
            track.hidden = track.lost and track not in confirmed
            track.misses += track not in confirmed
            track.lost = False
            if track.hidden:  # it is waited for where it was
                track.box, track.step = track.box_before, np.zeros(2)
                track.forget_place()
        self._tracks = [track for track in self._tracks if track.misses < MAX_MISSES]
        self._begin(image, found, [at for at in range(len(boxes)) if at not in taken], boxes)
        self._until_detection = self.detect_every - 1
        if any(track.misses for track in self._tracks):
            self._until_detection = min(DETECT_AFTER_MISS, self.detect_every) - 1
        if any(track.hidden for track in self._tracks):
            self._until_detection = 0

    def _reframe(self, image: np.ndarray, track: _Track, box: np.ndarray, angle: float) -> None:
        """Find a track's points again, in a detected box (4,)."""
        lost, before = track.lost, track.box_before
        track.angle = angle
        track.forget_place()
        (points,) = self.predictor.predict_tilted([(image, box, angle)])
        self._move(track, points, image.shape[:2])
        track.step = ((box[:2] + box[2:]) - (before[:2] + before[2:])) / 2
        track.lost, track.box_before = lost, before

    def _begin(
        self, image: np.ndarray, found: Detections, new: list[int], boxes: list[np.ndarray]
    ) -> None:
        """Begin a track for each detected face that belongs to none."""
        begun = []
        for at in new:
            smooth = OneEuroFilter() if self.smoothing else None
            score, angle = float(found.scores[at]), tilt_of(found, at)
            begun.append(_Track(self._next_number, score, boxes[at], angle, smooth))
            self._next_number += 1
        points = self.predictor.predict_tilted((image, t.box, t.angle) for t in begun)
        for track, of_face in zip(begun, points, strict=True):
            self._move(track, of_face, image.shape[:2])
            track.lost = False
        self._tracks += begun

    def _separate(self, image: np.ndarray) -> None:
        """End tracks that have met on one face, or exchanged faces."""
        near = [
            pair
            for pair in combinations(self._tracks, 2)
            if intersection_over_union(pair[0].box, pair[1].box) > 0.05
        ]
        crossing = {track for pair in near for track in pair}
        ended: set[_Track] = set()
        for first, second in near:
            if ended & {first, second}:
                continue
            patches = self._patch(image, first), self._patch(image, second)
            kept = tuple(map(_difference, (first.patch, second.patch), patches))
            swapped = tuple(map(_difference, (first.patch, second.patch), patches[::-1]))
            side = float((first.box[2:] - first.box[:2]).mean())
            if np.linalg.norm(first.points - second.points, axis=1).mean() < MERGED * side:
                # Of two that are on one face, the one that looks like it stays.
                ended |= {first} if kept[0] > CLEARLY * kept[1] else set()
                ended |= {second} if kept[1] > CLEARLY * kept[0] else set()
            elif sum(swapped) < CLEARLY * sum(kept):
                ended |= {first, second}
        for track in self._tracks:
            if track not in crossing and not track.misses and not track.hidden:
                patch = self._patch(image, track)
                track.patch = patch if track.patch is None else 0.8 * track.patch + 0.2 * patch
        if ended:
            self._tracks = [track for track in self._tracks if track not in ended]
            self._until_detection = 0  # a track that was ended wrongly starts again at once

    def _is_other(self, image: np.ndarray, track: _Track) -> bool:
        """Whether a track's face looks like another one, as after a cut."""
        return track.patch is not None and (
            _difference(track.patch, self._patch(image, track)) > OTHER_FACE
        )

    def _patch(self, image: np.ndarray, track: _Track) -> np.ndarray:
        """The face upright, in colour, as (24, 24, 3) float32."""
        to_patch = track.to_mean * (_PATCH / self.predictor.crop.box_scale)
        to_patch[:, 2] += _PATCH / 2
        size = (_PATCH, _PATCH)
        return cv2.warpAffine(image, to_patch, size, flags=cv2.INTER_LINEAR).astype(np.float32)

    def _face(self, track: _Track, seconds: float) -> TrackedFace:
        points = track.points
        if track.smooth is not None:
            points = track.smooth(points, seconds, self._eye_distance(track))
        source = self.predictor.description.box_source
        return TrackedFace(
            track.box, points, track.score, source, track.number, track.points, angle=track.angle
        )

    def _eye_distance(self, track: _Track) -> float:
        """Distance between the eyes in pixels, of a face without eyes a likely one."""
        ends = self.predictor.scheme.normalizer
        if ends.first and self.predictor.description.covers_scheme:
            distance = float(ends.distance(track.points))
            if np.isfinite(distance):
                return distance
        return EYES * float((track.box[2:] - track.box[:2]).mean())


def _overlap(track: _Track, box: np.ndarray) -> float:
    """Overlap of a track with a detected box (4,), there or where it was before it was lost."""
    return max(intersection_over_union(known, box) for known in (track.place, track.box_before))


def _ahead(track: _Track) -> np.ndarray:
    """Where a face's box will be; what moves little stays, as noise would move it."""
    side = float((track.box[2:] - track.box[:2]).mean())
    moves = float(np.linalg.norm(track.step)) > MOVES * side
    return track.box + np.tile(track.step, 2) if moves else track.box


def _difference(patch: np.ndarray | None, other: np.ndarray) -> float:
    """Mean difference of two patches in grey levels; without a patch nothing is alike."""
    return float(np.abs(patch - other).mean()) if patch is not None else 255.0
