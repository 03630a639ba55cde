"""The predictor: photos in, faces with keypoints out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from facekp.core.crop import PartOfImage, crop_with_context
from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import apply_box_prior, check_boxes, image_box
from facekp.core.image import read_image, to_channels
from facekp.inference.backends import Backend, load_backend
from facekp.inference.detectors import POINTS_PRIORS, Detector, DlibDetector, WholeImage
from facekp.inference.tta import check_passes, flip_test, predict_passes
from facekp.models.bundled import resolve_checkpoint

Photo = str | Path | np.ndarray


@dataclass(frozen=True, eq=False)
class Face:
    """A detected face with its keypoints.

    Args:
        bbox: (4,) `xyxy` in pixels of the photo, from the detector or the caller.
        keypoints: (K, 2) `xy` in pixels of the photo.
        score: of the detector; 1 for a box of the caller.
        box_source: what the box is, see `Detector.name`.
    """

    bbox: np.ndarray
    keypoints: np.ndarray
    score: float
    box_source: str


class Predictor:
    """Finds the keypoints of all faces in a photo.

        predictor = Predictor.load()
        for face in predictor("photo.jpg"):
            print(face.bbox, face.keypoints, face.score)

    Args:
        backend: runs the network.
        description: of the network.
        detector: makes the face detector; called when faces are first to be detected.
        flip_test: average with the points of the mirrored crop.
        tta_passes: passes per face, at most 6; the mean counts. From the second on the box comes
            from the points found so far, from the third on the crop is rotated.
        batch_size: faces per forward pass, at most.
        name: of the network, for messages.

    Raises:
        ConfigError: a setting out of range; a flip test for points whose counterparts the network
            does not predict; several passes for a network that takes whole images.
    """

    def __init__(
        self,
        backend: Backend,
        description: NetworkDescription,
        detector: Callable[[], Detector] = DlibDetector,
        flip_test: bool = False,
        tta_passes: int = 1,
        batch_size: int = 64,
        name: str = "the network",
    ) -> None:
        self.backend, self.description, self.name = backend, description, name
        self._make_detector = detector
        self._detector: Detector | None = None
        if not isinstance(flip_test, bool):
            raise ConfigError(f"flip_test={flip_test}: give true or false")
        for setting, number in (("tta_passes", tta_passes), ("batch_size", batch_size)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ConfigError(f"{setting}={number}: give a whole number, at least 1")
        check_passes(tta_passes)
        self.flip_test, self.tta_passes, self.batch_size = flip_test, tta_passes, batch_size
        self.scheme, self.crop = description.scheme, description.crop
        self.points = list(description.points)
        self._flip_order = description.flip_order if flip_test else None
        if flip_test and self._flip_order is None:
            raise ConfigError("flip_test=true: the network does not predict both points of a pair")
        whole_image = description.box_source == WholeImage.name
        if tta_passes > 1 and (whole_image or np.ptp(description.mean_shape, axis=0).min() <= 0.05):
            raise ConfigError(
                f"tta_passes={tta_passes}: the network's points do not determine a face box; give "
                "tta_passes=1"
            )

    @classmethod
    def load(
        cls,
        path: str | Path = "ibug68",
        detector: Callable[[], Detector] = DlibDetector,
        flip_test: bool = False,
        tta_passes: int = 1,
        batch_size: int = 64,
        device: str = "cpu",
    ) -> Predictor:
        """Predictor of a checkpoint (`.ckpt`) or of an exported network (`.onnx`).

        Args:
            path: the file, or the name of a bundled network, see `facekp.models.bundled`.
            detector: see the class.
            flip_test: see the class.
            tta_passes: see the class.
            batch_size: see the class.
            device: where a checkpoint's network runs, as torch names it.

        Raises:
            DataError: a missing file, or not a file of facekp.
            ConfigError: see the class and `load_backend`.
        """
        backend, description = load_backend(path, device)
        name = str(resolve_checkpoint(path))
        return cls(backend, description, detector, flip_test, tta_passes, batch_size, name)

    @property
    def detector(self) -> Detector:
        """The detector in use."""
        if self._detector is None:
            self._detector = self._make_detector()
        return self._detector

    @overload
    def __call__(
        self, photos: Photo, boxes: np.ndarray | None = None, box_source: str = DlibDetector.name
    ) -> list[Face]: ...
    @overload
    def __call__(
        self,
        photos: list[Photo] | list[np.ndarray],
        boxes: Sequence[np.ndarray | None] | None = None,
        box_source: str = DlibDetector.name,
    ) -> list[list[Face]]: ...
    def __call__(self, photos: Any, boxes: Any = None, box_source: str = DlibDetector.name) -> Any:
        """Faces of a photo, or of each photo of a list.

        Args:
            photos: path, or (H, W, 3) RGB or (H, W) grey uint8 array, or a list of these.
            boxes: (N, 4) face boxes `xyxy` of a photo in place of the detector's, or a list of
                them; they may extend beyond the photo. None: detect faces.
            box_source: what the given boxes are, see `Detector.name`.

        Raises:
            DataError: a photo that cannot be read, or a box outside it.
            ConfigError: neither photos nor boxes as above.
        """
        single = isinstance(photos, str | Path | np.ndarray)
        if single:
            photos, boxes = [photos], [boxes]
        if not isinstance(photos, list | tuple):
            raise ConfigError(f"photos: give a path, an array or a list, not {type(photos)}")
        known = boxes if boxes is not None else [None] * len(photos)
        if len(known) != len(photos):
            raise ConfigError(f"boxes: {len(known)} entries for {len(photos)} photos")
        own = {self.detector.name, self.description.box_source}
        sources = sorted(own | set(POINTS_PRIORS))
        if box_source not in sources:
            raise ConfigError(f"box_source={box_source}: choose one of {', '.join(sources)}")
        images, detections = [], []
        for photo, its_boxes in zip(photos, known, strict=True):
            image = _as_rgb(photo)
            if its_boxes is None:
                found, scores = self.detector(image)
                source = self.detector.name
            else:
                found, source = _checked_boxes(its_boxes, photo, image), box_source
                scores = np.ones(len(found))
            images.append((image, [self.training_box(box, source) for box in found]))
            detections.append((found, scores, source))
        pairs = ((image, box) for image, boxes in images for box in boxes)
        keypoints = iter(self.predict_boxes(pairs))
        faces = [
            [Face(b, next(keypoints), float(s), source) for b, s in zip(found, scores, strict=True)]
            for found, scores, source in detections
        ]
        return faces[0] if single else faces

    def training_box(self, box: np.ndarray, box_source: str) -> np.ndarray:
        """A face box (4,) converted to the convention of the network's training data.

        Boxes of the same source, and whole images, are returned unchanged.
        """
        if box_source in (self.description.box_source, WholeImage.name):
            return box
        prior = POINTS_PRIORS.get(box_source)
        if prior is None:
            prior = np.array(self.detector.points_prior)
        description = self.description
        measured = description.detector_prior
        to_training = description.box_prior if measured is None else measured
        return apply_box_prior(apply_box_prior(box, prior), to_training)

    def predict_boxes(self, faces: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """Keypoints (K, 2) in photo pixels of each (photo, box as in training), in batches.

        Raises:
            ConfigError: the network outputs anything but finite points.
        """
        results: list[np.ndarray] = []
        parts: list[PartOfImage] = []
        boxes: list[np.ndarray] = []

        def flush() -> None:
            if boxes:
                prior = self.description.box_prior
                results.extend(
                    predict_passes(
                        self.predict_crops, self.crop, prior, parts, boxes, self.tta_passes
                    )
                )
                parts.clear()
                boxes.clear()

        for photo, box in faces:
            # All that later passes can read, so that the photo itself need not be kept.
            part, to_part = crop_with_context(
                photo, self.crop.expand(box), self.crop.transform(box)
            )
            parts.append((part.copy(), to_part))
            boxes.append(box)
            if len(boxes) == self.batch_size:
                flush()
        flush()
        return results

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


def _as_rgb(photo: Photo) -> np.ndarray:
    if not isinstance(photo, str | Path | np.ndarray):
        raise ConfigError(f"photos: give paths or arrays, not {type(photo)}")
    if not isinstance(photo, np.ndarray):
        return read_image(photo, upright=True)
    if photo.ndim == 3 and photo.shape[2] == 1:
        photo = photo[..., 0]
    colours = photo.shape[2] if photo.ndim == 3 else 3
    if (
        photo.dtype != np.uint8
        or photo.ndim not in (2, 3)
        or photo.size == 0
        or colours not in (3, 4)
    ):
        raise DataError(
            "array",
            f"{photo.dtype} {photo.shape} is not a photo",
            "give (H, W, 3) RGB or (H, W) uint8",
        )
    return to_channels(photo if photo.ndim == 2 else photo[..., :3], 3)
