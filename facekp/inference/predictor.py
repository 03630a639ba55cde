"""The predictor: photos in, faces with keypoints out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from facekp.core.crop import PartOfImage, crop_with_context
from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import (
    apply_box_prior,
    check_boxes,
    compose_affine,
    image_box,
    invert_affine,
    transform_points,
)
from facekp.core.image import read_image, read_reduced_image
from facekp.core.photo import Photo, as_photos, as_rgb
from facekp.inference.backends import Backend, load_backend
from facekp.inference.detectors import (
    POINTS_PRIORS,
    Detections,
    Detector,
    DlibDetector,
    WholeImage,
    YuNetDetector,
)
from facekp.inference.faces import Face, Faces
from facekp.inference.orientation import (
    box_in_photo,
    detect_tilted,
    detect_turned,
    tilt_of,
    upright_transform,
)
from facekp.inference.tta import check_passes, flip_test, predict_passes
from facekp.models.bundled import resolve_network

REDUCED_SIDE = 1280
"""A JPEG is reduced by its decoder down to this longest side, if its faces stay sharp enough."""


class _FacesOfPhoto(NamedTuple):
    """N faces of a photo, in pixels of the photo reduced by `factor`."""

    boxes: np.ndarray
    """(N, 4)."""
    scores: np.ndarray
    angles: list[float]
    source: str
    factor: int

    def face(self, at: int, keypoints: np.ndarray) -> Face:
        """A face in pixels of the whole photo."""
        box, points = ((xy + 0.5) * self.factor - 0.5 for xy in (self.boxes[at], keypoints))
        return Face(box, points, float(self.scores[at]), self.source, angle=self.angles[at])


class Predictor:
    """Finds the keypoints of all faces in a photo.

        predictor = Predictor.load()
        for face in predictor("photo.jpg"):
            print(face.bbox, face.keypoints, face.score)

    Several threads may use one predictor.

    Args:
        backend: runs the network.
        description: of the network.
        detector: makes the face detector; called when faces are first to be detected.
        flip_test: average with the points of the mirrored crop.
        tta_passes: passes per face, at most 6; the mean counts. From the second on the box comes
            from the points found so far, from the third on the crop is rotated.
        batch_size: faces per forward pass, at most.
        name: of the network, for messages.
        turned: look for faces in four orientations, as a photo may lie on its side.

    Raises:
        ConfigError: a setting out of range; a flip test for points whose counterparts the network
            does not predict; several passes for a network that takes whole images.
    """

    def __init__(
        self,
        backend: Backend,
        description: NetworkDescription,
        detector: Callable[[], Detector] = YuNetDetector,
        flip_test: bool = False,
        tta_passes: int = 1,
        batch_size: int = 64,
        name: str = "the network",
        turned: bool = False,
    ) -> None:
        self.backend, self.description, self.name = backend, description, name
        self._make_detector = detector
        self._detector: Detector | None = None
        self._lock = Lock()
        for switch, value in (("flip_test", flip_test), ("turned", turned)):
            if not isinstance(value, bool):
                raise ConfigError(f"{switch}={value}: give true or false")
        for setting, number in (("tta_passes", tta_passes), ("batch_size", batch_size)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ConfigError(f"{setting}={number}: give a whole number, at least 1")
        if not callable(detector):
            raise ConfigError(f"detector={detector}: give what makes one, e.g. YuNetDetector")
        check_passes(tta_passes)
        self.flip_test, self.tta_passes, self.batch_size = flip_test, tta_passes, batch_size
        self.turned = turned
        self.scheme, self.crop = description.scheme, description.crop
        self.points = list(description.points)
        self.output_scheme = self.scheme.subset(self.points)
        """Of the K points that the network predicts."""
        self.point_names = self.output_scheme.point_names
        self._flip_order = description.flip_order if flip_test else None
        if flip_test and self._flip_order is None:
            raise ConfigError("flip_test=true: the network does not predict both points of a pair")
        if tta_passes > 1 and not self.points_determine_box:
            raise ConfigError(
                f"tta_passes={tta_passes}: the network's points do not determine a face box; give "
                "tta_passes=1"
            )

    @classmethod
    def load(
        cls,
        path: str | Path = "ibug68",
        detector: Callable[[], Detector] = YuNetDetector,
        flip_test: bool = False,
        tta_passes: int = 1,
        batch_size: int = 64,
        device: str = "cpu",
        turned: bool = False,
    ) -> Predictor:
        """Predictor of a checkpoint (`.ckpt`) or of an exported network (`.onnx`).

        Args:
            path: the file, or the name of a bundled network, see `facekp.models.bundled`.
            detector: see the class.
            flip_test: see the class.
            tta_passes: see the class.
            batch_size: see the class.
            device: where a checkpoint's network runs, as torch names it.
            turned: see the class.

        Raises:
            DataError: a missing file, or not a file of facekp.
            ConfigError: see the class and `load_backend`.
        """
        backend, description = load_backend(path, device)
        name = str(resolve_network(path, device))
        return cls(backend, description, detector, flip_test, tta_passes, batch_size, name, turned)

    @property
    def points_determine_box(self) -> bool:
        """Whether a face's box can be told from its points: not from two, or from a whole image."""
        if self.description.box_source == WholeImage.name or len(self.points) < 3:
            return False
        return bool(np.ptp(self.description.mean_shape, axis=0).min() > 0.05)

    @property
    def detector(self) -> Detector:
        """The detector in use."""
        with self._lock:
            if self._detector is None:
                self._detector = self._make_detector()
            return self._detector

    @property
    def remedy(self) -> str:
        """What may find a face in a photo in which none is found."""
        turned = [] if self.turned else ["turned=true looks for faces that lie on their side"]
        return ", ".join([*turned, *([self.detector.remedy] if self.detector.remedy else [])])

    def __call__(
        self,
        photos: Any,
        boxes: Any = None,
        box_source: str = DlibDetector.name,
        *,
        angles: Any = None,
        bgr: bool = False,
    ) -> Any:
        """Faces of a photo (`Faces`), or of each of several (a list of `Faces`).

        Args:
            photos: path, array, PIL image or torch tensor, see `facekp.core.photo.Photo`; or a
                list, a generator or a batch of these, of which few are in memory at a time.
            boxes: (N, 4) face boxes `xyxy` of a photo in place of the detector's, or a list of
                them; they may extend beyond the photo. None: detect faces.
            box_source: what the given boxes are, see `Detector.name`.
            angles: (N,) degrees by which the faces in the given boxes of a photo are tilted,
                clockwise, about the box's centre, or a list of them. None: 0.
            bgr: arrays and tensors have the channels in OpenCV's order, blue first.

        Raises:
            DataError: a photo that cannot be read, or a box outside it.
            ConfigError: neither photos nor boxes as above.
        """
        several, single = as_photos(photos)
        known: list[tuple[Any, Any]] | None = None
        if boxes is not None:
            several = list(several)
            known = _boxes_of_photos(boxes, angles, len(several), single)
            self._check_source(box_source)
        elif angles is not None:
            raise ConfigError("angles are those of boxes: give boxes, too")
        found: list[_FacesOfPhoto] = []

        def oriented() -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
            for number, photo in enumerate(several):
                if known is None:
                    image, faces = self._detected(photo, bgr)
                else:
                    image = as_rgb(photo, bgr=bgr)
                    faces = _checked_faces(photo, image, *known[number], box_source)
                found.append(faces)
                for box, angle in zip(faces.boxes, faces.angles, strict=True):
                    yield image, self.training_box(box, faces.source, angle), angle

        keypoints = iter(self.predict_tilted(oriented()))
        results = [
            Faces(
                (faces.face(at, next(keypoints)) for at in range(len(faces.boxes))),
                self.point_names,
            )
            for faces in found
        ]
        return results[0] if single else results

    def detect(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB, best first, as the detector finds them.

        Raises:
            DataError, ConfigError: of the detector.
        """
        return (detect_turned if self.turned else detect_tilted)(self.detector, image)

    def _detected(self, photo: Photo, bgr: bool) -> tuple[np.ndarray, _FacesOfPhoto]:
        """A photo, perhaps reduced, and the faces that are detected in it."""
        factor = 1
        if isinstance(photo, str | Path):
            image, factor = read_reduced_image(photo, REDUCED_SIDE)
            found = self.detect(image)
            if factor > 1 and not all(self._is_sharp(box) for box in found.boxes):
                found = found._replace(boxes=(found.boxes + 0.5) * factor - 0.5)
                image, factor = read_image(photo, upright=True), 1
        else:
            image = as_rgb(photo, bgr=bgr)
            found = self.detect(image)
        angles = [tilt_of(found, at) for at in range(len(found.boxes))]
        faces = _FacesOfPhoto(found.boxes, found.scores, angles, self.detector.name, factor)
        return image, faces

    def _is_sharp(self, box: np.ndarray) -> bool:
        """Whether a detected face fills the network's input without being enlarged."""
        matrix = self.crop.transform(self.training_box(box, self.detector.name))
        return bool(abs(np.linalg.det(matrix[:, :2])) <= 1)

    def _check_source(self, box_source: str) -> None:
        known = {self.description.box_source, *POINTS_PRIORS}
        # The detector, which may not be installed, is only made if its name can matter.
        if box_source not in known and box_source != self.detector.name:
            names = ", ".join(sorted(known | {self.detector.name}))
            raise ConfigError(f"box_source={box_source}: choose one of {names}")

    def training_box(self, box: np.ndarray, box_source: str, degrees: float = 0.0) -> np.ndarray:
        """A face box (4,) converted to the convention of the network's training data.

        Boxes of the same source, and whole images, are returned unchanged.

        Args:
            box: as the face has it when turned upright about the box's centre.
            box_source: what it is, see `Detector.name`.
            degrees: by which the face is tilted, clockwise.

        Raises:
            ConfigError: an unknown source.
        """
        self._check_source(box_source)
        if box_source in (self.description.box_source, WholeImage.name):
            return box
        prior = np.array(POINTS_PRIORS.get(box_source) or self.detector.points_prior)
        description = self.description
        measured = description.detector_prior
        to_training = description.box_prior if measured is None else measured
        converted = apply_box_prior(apply_box_prior(box, prior), to_training)
        return box_in_photo(converted, upright_transform(box, degrees)) if degrees else converted

    def training_boxes(self, found: Detections) -> list[np.ndarray]:
        """Boxes (4,) as in training of the faces that `detect` has found, see `training_box`."""
        name = self.detector.name
        return [
            self.training_box(box, name, tilt_of(found, at)) for at, box in enumerate(found.boxes)
        ]

    def predict_boxes(self, faces: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """Keypoints (K, 2) in photo pixels of each (photo, box as in training), in batches.

        Raises:
            ConfigError: the network outputs anything but finite points.
        """
        return self.predict_tilted((photo, box, 0.0) for photo, box in faces)

    def predict_tilted(
        self, faces: Iterable[tuple[np.ndarray, np.ndarray, float]]
    ) -> list[np.ndarray]:
        """Keypoints (K, 2) in photo pixels of faces that may not stand upright, in batches.

        Args:
            faces: photo, box as in training, and degrees of each, clockwise, by which it is turned
                back about its box's centre before the network sees it.

        Raises:
            ConfigError: the network outputs anything but finite points.
        """
        results: list[np.ndarray] = []
        batch: list[tuple[PartOfImage, np.ndarray, np.ndarray | None]] = []
        for photo, box, degrees in faces:
            upright = upright_transform(box, degrees) if degrees else None
            # All that later passes can read, so that the photo itself need not be kept.
            part, to_part = crop_with_context(
                photo, self.crop.expand(box), self.crop.transform(box)
            )
            batch.append(((part.copy(), to_part), box, upright))
            if len(batch) == self.batch_size:
                results.extend(self._predict_batch(batch))
                batch.clear()
        return results + (self._predict_batch(batch) if batch else [])

    def _predict_batch(
        self, batch: Sequence[tuple[PartOfImage, np.ndarray, np.ndarray | None]]
    ) -> list[np.ndarray]:
        """Keypoints (K, 2) of (part of photo, box, transform to upright) in photo pixels."""
        prior = self.description.box_prior
        parts = [
            (part, to_part if up is None else compose_affine(to_part, invert_affine(up)))
            for (part, to_part), _, up in batch
        ]
        boxes = [box for _, box, _ in batch]
        found = predict_passes(self.predict_crops, self.crop, prior, parts, boxes, self.tta_passes)
        return [
            points if up is None else transform_points(invert_affine(up), points)
            for points, (_, _, up) in zip(found, batch, strict=True)
        ]

    def predict_crops(self, crops: np.ndarray) -> np.ndarray:
        """Normalised keypoints (B, K, 2) of crops (B, C, H, W) uint8, flip test included.

        Raises:
            ConfigError: the network outputs anything but finite points.
        """
        if self._flip_order is None:
            return self._run(crops)
        return flip_test(self._run, self._flip_order)(crops)

    def _run(self, crops: np.ndarray) -> np.ndarray:
        points = self.backend(crops)
        if points.shape != (len(crops), len(self.points), 2) or not np.isfinite(points).all():
            raise ConfigError(
                f"{self.name}: its output is not the points that it describes; give another "
                "checkpoint"
            )
        return points


def _boxes_of_photos(boxes: Any, angles: Any, count: int, single: bool) -> list[tuple[Any, Any]]:
    """(boxes, angles) of each of `count` photos; without angles they are None."""
    by_photo = []
    for name, entries in (("boxes", boxes), ("angles", angles)):
        if not (single or entries is None or isinstance(entries, Iterable)):
            raise ConfigError(f"{name}: give a list with an entry for each photo")
        listed = [entries] if single else [None] * count if entries is None else list(entries)
        if len(listed) != count:
            raise ConfigError(f"{name}: {len(listed)} entries for {count} photos")
        by_photo.append(listed)
    return list(zip(*by_photo, strict=True))


def _checked_faces(
    photo: Photo, image: np.ndarray, boxes: Any, angles: Any, source: str
) -> _FacesOfPhoto:
    """The faces in boxes that a caller gives."""
    checked = _checked_boxes(boxes, photo, image)
    count = len(checked)
    try:
        degrees = np.zeros(count) if angles is None else np.array(angles, dtype=float, ndmin=1)
    except (TypeError, ValueError):
        degrees = np.empty(0)
    if degrees.shape != (count,) or not np.isfinite(degrees).all():
        raise ConfigError(f"angles: give {count} numbers, one for each box")
    return _FacesOfPhoto(checked, np.ones(count), degrees.tolist(), source, 1)


def _checked_boxes(boxes: Any, photo: Photo, image: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) of a photo; they must overlap it."""
    try:
        found = np.asarray(boxes, dtype=float)
        found = found.reshape(-1, 4) if found.size in (0, 4) else found
        if found.ndim != 2 or found.shape[1] != 4:
            raise ValueError(f"an array of shape {found.shape}")
        check_boxes(found)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"boxes: not (N, 4) left, top, right, bottom: {error}") from error
    photo_box = image_box(image.shape[:2])
    outside = (found[:, 2:] <= photo_box[:2]).any(axis=1) | (found[:, :2] >= photo_box[2:]).any(
        axis=1
    )
    if outside.any():
        name = photo if isinstance(photo, str | Path) else "array"
        problem = f"the box {found[outside][0].tolist()} lies outside the photo"
        raise DataError(name, problem, "is the box of another photo, or of another size of it?")
    return found
