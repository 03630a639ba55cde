"""A trained network put to use: photos in, faces with keypoints out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from facekp.models.checkpoint import MAX_SIDE, load_network
from facekp.data.cache import surroundings
from facekp.data.dataset import View
from facekp.inference.detectors import EXTENTS, Detector, DlibDetector, WholeImage, check_boxes
from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import (
    apply_map,
    box_of_points,
    compose,
    denormalize_points,
    invert,
    place_box,
    turned,
    whole_image_box,
)
from facekp.core.image import read_image, to_channels, warp
from facekp.core.landmarks import SCHEMES, LandmarkScheme
from facekp.models.base import CHECKPOINT_KEY, KeypointNetwork, to_network
from facekp.models.bundled import located

Forward = Callable[[np.ndarray], np.ndarray]
"""Views (B, C, H, W) uint8 to normalised keypoints (B, K, 2)."""

Photo = str | Path | np.ndarray

MAX_SCALE = 100.0
"""Of a network's face boxes: a stranger's file could ask for all memory."""
TURNS = (0.0, 8.0, -8.0, 16.0, -16.0)
"""Degrees by which a face's second to sixth look is turned."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face that was found.

    Args:
        bbox: (4,) `xyxy` in pixels of the photo, as the detector or the caller gave it.
        keypoints: (K, 2) `xy` in pixels of the photo.
        score: of the detector; 1 for a given box.
        box_kind: what the box is, see `Detector.kind`.
    """

    bbox: np.ndarray
    keypoints: np.ndarray
    score: float
    box_kind: str


class Predictor:
    """Finds the keypoints of every face in a photo.

        predictor = Predictor.load()
        for face in predictor("photo.jpg"):
            print(face.bbox, face.keypoints, face.score)

    Args:
        forward: the network.
        description: what its checkpoint says of it.
        detector: called when faces are first to be found; gives the detector.
        mirror: average with the mirrored view's points.
        looks: how often each face is looked at; from the second time on framed by the points found
            so far, not by its box, from the third on turned a little. The mean counts; at most 6.
        batch_size: most faces that go through the network at once.
        name: of the network, for messages.

    Raises:
        ConfigError: a description that is not whole; `mirror` for points whose partners the
            network does not know; several looks by a network that takes whole images.
    """

    def __init__(
        self,
        forward: Forward,
        description: dict[str, Any],
        detector: Callable[[], Detector] = DlibDetector,
        mirror: bool = False,
        looks: int = 1,
        batch_size: int = 64,
        name: str = "the network",
    ) -> None:
        self.forward, self.description, self.name = forward, description, name
        self._make_detector = detector
        self._detector: Detector | None = None
        if not isinstance(mirror, bool):
            raise ConfigError(f"mirror={mirror}: give true or false")
        for setting, number in (("looks", looks), ("batch_size", batch_size)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ConfigError(f"{setting}={number}: give a whole number, at least 1")
        if looks > 1 + len(TURNS):
            raise ConfigError(f"looks={looks}: at most {1 + len(TURNS)}, more show nothing new")
        self.mirror, self.looks, self.batch_size = mirror, looks, batch_size
        try:
            view = description["view"]
            height, width = view["size"]
            self.view = View(
                (int(height), int(width)),
                int(view["channels"]),
                float(view["box_scale"]),
                bool(view["square"]),
            )
            self.scheme: LandmarkScheme = SCHEMES[description["scheme"]]
            self.points = [int(point) for point in description["points"]]
            self.box_kind = str(description["box_kind"])
            self.framing = np.array(description["framing"], dtype=float).reshape(4)
            self.mean_shape = np.array(description["mean_shape"], dtype=float).reshape(-1, 2)
            self._check_description()
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"{name}: its description is not whole: {error!r}") from error
        partners = [int(self.scheme.partners[point]) for point in self.points]
        if mirror and set(partners) != set(self.points):
            raise ConfigError("mirror=true: the network does not know each point's partner")
        self._swap = [self.points.index(p) for p in partners] if mirror else []
        framed = self.box_kind != WholeImage.kind and np.ptp(self.mean_shape, axis=0).min() > 0.05
        if looks > 1 and not framed:
            raise ConfigError(f"looks={looks}: the network's points do not say where a face is")

    def _check_description(self) -> None:
        view = self.view
        numbers = [*self.framing, *self.mean_shape.ravel(), view.box_scale]
        if (
            not 1 <= min(view.size) <= max(view.size) <= MAX_SIDE
            or view.channels not in (1, 3)
            or not np.isfinite(numbers).all()
            or not 0 < view.box_scale <= MAX_SCALE
            or len(self.mean_shape) != len(self.points)
            or not set(self.points) <= set(range(self.scheme.count))
        ):
            raise ValueError(f"{view}, points {self.points}")

    @classmethod
    def load(
        cls,
        path: str | Path = "ibug68",
        detector: Callable[[], Detector] = DlibDetector,
        mirror: bool = False,
        looks: int = 1,
        batch_size: int = 64,
        device: str = "cpu",
    ) -> Predictor:
        """Predictor of a checkpoint (`.ckpt`) or of an exported network (`.onnx`).

        Args:
            path: the file, or the name of a network that comes along, see `facekp.models.bundled`.
            detector: see the class.
            mirror: see the class.
            looks: see the class.
            batch_size: see the class.
            device: where a checkpoint's network runs, as torch names it.

        Raises:
            DataError: no such file, or not a file of facekp.
            ConfigError: the file describes something that facekp does not build.
        """
        path = located(path)
        if path.suffix.lower() == ".onnx":
            if device != "cpu":
                raise ConfigError(f"device={device}: an .onnx runs on the cpu here; give the .ckpt")
            forward, description = _load_onnx(path)
        else:
            network, description = load_network(path)
            try:
                network = network.to(device)
            except (RuntimeError, AssertionError) as error:
                reason = str(error).splitlines()[0]
                raise ConfigError(
                    f"device={device}: {reason}; device=cpu works everywhere"
                ) from error
            forward = _torch_forward(network.eval(), device)
        return cls(forward, description, detector, mirror, looks, batch_size, str(path))

    @property
    def detector(self) -> Detector:
        """The detector in use."""
        if self._detector is None:
            self._detector = self._make_detector()
        return self._detector

    @overload
    def __call__(
        self, photos: Photo, boxes: np.ndarray | None = None, box_kind: str = DlibDetector.kind
    ) -> list[Face]: ...
    @overload
    def __call__(
        self,
        photos: list[Photo] | list[np.ndarray],
        boxes: Sequence[np.ndarray | None] | None = None,
        box_kind: str = DlibDetector.kind,
    ) -> list[list[Face]]: ...
    def __call__(self, photos: Any, boxes: Any = None, box_kind: str = DlibDetector.kind) -> Any:
        """Faces of a photo, or of each of a list.

        Args:
            photos: path, or (H, W, 3) RGB or (H, W) grey uint8 array, or a list of these.
            boxes: (N, 4) face boxes `xyxy` for a photo, in place of the detector's, or a list of
                them; they may leave the photo. None asks the detector.
            box_kind: what the given boxes are, see `Detector.kind`.

        Raises:
            DataError: a photo that cannot be read, or a box that lies outside it.
            ConfigError: neither photos nor boxes as above.
        """
        single = isinstance(photos, str | Path | np.ndarray)
        if single:
            photos, boxes = [photos], [boxes]
        if not isinstance(photos, list | tuple):
            raise ConfigError(f"photos: give a path, an array or a list, not {type(photos)}")
        given = boxes if boxes is not None else [None] * len(photos)
        if len(given) != len(photos):
            raise ConfigError(f"boxes: {len(given)} entries for {len(photos)} photos")
        if box_kind not in EXTENTS:
            raise ConfigError(f"box_kind={box_kind}: choose one of {', '.join(EXTENTS)}")
        images, places, scores, kinds = [], [], [], []
        for photo, its_boxes in zip(photos, given, strict=True):
            image = _as_rgb(photo)
            if its_boxes is None:
                found, score = self.detector(image)
                kind = self.detector.kind
            else:
                found, kind = _checked_boxes(its_boxes, photo, image), box_kind
                score = np.ones(len(found))
            images.append((image, [self.face_box(box, kind) for box in found]))
            places.append(found)
            scores.append(score)
            kinds.append(kind)
        keypoints = iter(self.locate((image, box) for image, own in images for box in own))
        faces = [
            [Face(b, next(keypoints), float(s), kind) for b, s in zip(found, score, strict=True)]
            for found, score, kind in zip(places, scores, kinds, strict=True)
        ]
        return faces[0] if single else faces

    def face_box(self, box: np.ndarray, kind: str) -> np.ndarray:
        """A face box (4,) of some kind, framed as the network's training data frames its faces.

        A box of the training data's own kind, or of the whole image, is taken as it is.
        """
        if kind in (self.box_kind, WholeImage.kind):
            return box
        extent = EXTENTS[kind] if kind in EXTENTS else np.array(self.detector.extent)
        return place_box(place_box(box, extent), self.framing)

    def locate(self, faces: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """Keypoints (K, 2) in photo pixels of each (photo, box as in training), in batches."""
        results: list[np.ndarray] = []
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        boxes: list[np.ndarray] = []

        def flush() -> None:
            if not boxes:
                return
            found = [self._look(parts, boxes)]
            while len(found) < self.looks:
                mean = np.mean(found, axis=0)
                frames = [self._frame(p, box) for p, box in zip(mean, boxes, strict=True)]
                found.append(self._look(parts, frames, TURNS[len(found) - 1]))
            results.extend(np.mean(found, axis=0))
            parts.clear()
            boxes.clear()

        for photo, box in faces:
            # All that later looks may see of the photo, which itself need not be kept.
            part, to_part = surroundings(photo, self.view.frame(box), self.view.map(box))
            parts.append((part.copy(), to_part))
            boxes.append(box)
            if len(boxes) == self.batch_size:
                flush()
        flush()
        return results

    def _frame(self, points: np.ndarray, box: np.ndarray) -> np.ndarray:
        """The box (4,) that points (K, 2) suggest; the given one where they have run together."""
        extent = box_of_points(points)
        side = (extent[2:] - extent[:2]).mean()
        whole = np.isfinite(side) and side > 0.2 * (box[2:] - box[:2]).mean()
        return place_box(extent, self.framing) if whole else box

    def _look(
        self,
        parts: Sequence[tuple[np.ndarray, np.ndarray]],
        boxes: Sequence[np.ndarray],
        degrees: float = 0.0,
    ) -> np.ndarray:
        """Keypoints (B, K, 2) in photo pixels, of parts of photos with the maps to them."""
        maps = np.array([turned(self.view.map(box), self.view.size, degrees) for box in boxes])
        views = []
        for (part, to_part), matrix in zip(parts, maps, strict=True):
            to_view = compose(matrix, invert(to_part))
            view = warp(part, to_view, self.view.size, self.view.channels)
            views.append(view[None] if view.ndim == 2 else view.transpose(2, 0, 1))
        normalised = self.keypoints_of_views(np.stack(views))
        return apply_map(invert(maps), denormalize_points(normalised.astype(float), self.view.size))

    def keypoints_of_views(self, views: np.ndarray) -> np.ndarray:
        """Normalised keypoints (B, K, 2) of views (B, C, H, W) uint8.

        Raises:
            ConfigError: the network answers anything else, e.g. what is no number.
        """
        points = self._points(views)
        if self.mirror:
            other = self._points(np.ascontiguousarray(views[..., ::-1]))[:, self._swap]
            points = (points + other * (-1, 1) + (1, 0)) / 2
        return points

    def _points(self, views: np.ndarray) -> np.ndarray:
        points = self.forward(views)
        if points.shape != (len(views), len(self.points), 2) or not np.isfinite(points).all():
            raise ConfigError(
                f"{self.name}: its answer is not the points that it describes; give another "
                "checkpoint"
            )
        return points


def _torch_forward(network: KeypointNetwork, device: str) -> Forward:
    network = network.to(memory_format=torch.channels_last)  # else every call turns the weights

    def forward(views: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            images = torch.from_numpy(views).to(device).to(memory_format=torch.channels_last)
            return network(to_network(images)).float().cpu().numpy()

    return forward


def _load_onnx(path: Path) -> tuple[Forward, dict[str, Any]]:
    remedy = "export a checkpoint with predict.py task=export"
    if not path.is_file():
        raise DataError(path, "no such file", remedy)
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"{path}: needs the export extra: pip install 'facekp[export]'"
        ) from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        description = json.loads(session.get_modelmeta().custom_metadata_map[CHECKPOINT_KEY])
        name = session.get_inputs()[0].name
    except Exception as error:  # onnxruntime's errors share no base class
        raise DataError(path, "not a network that facekp exported", remedy) from error

    def forward(views: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(session.run(None, {name: views})[0])
        except Exception as error:  # as above
            problem = f"its network does not run ({str(error).splitlines()[0][:200]})"
            raise DataError(path, problem, remedy) from error

    return forward, description


def _checked_boxes(boxes: Any, photo: Photo, image: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) of a photo; they must touch it."""
    try:
        found = np.asarray(boxes, dtype=float)
        found = found.reshape(-1, 4) if found.size in (0, 4) else found
        if found.ndim != 2 or found.shape[1] != 4:
            raise ValueError(f"an array of shape {found.shape}")
        check_boxes(found)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"boxes: not (N, 4) left, top, right, bottom: {error}") from error
    frame = whole_image_box(image.shape[:2])
    outside = (found[:, 2:] <= frame[:2]).any(axis=1) | (found[:, :2] >= frame[2:]).any(axis=1)
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
            f"{photo.dtype} {photo.shape} is no photo",
            "give (H, W, 3) RGB or (H, W) uint8",
        )
    return to_channels(photo if photo.ndim == 2 else photo[..., :3], 3)
