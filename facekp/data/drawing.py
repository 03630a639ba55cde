"""Draws a face with exactly known points: pose in 3D, expression, skin, hair, light, occlusion.

Units of the model: the outer eye corners are 1 apart, the origin is between the eyes, x points to
the picture's right, y down, z towards the camera.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from facekp.core.geometry import Size

_SHIFT = 4  # fractional bits of OpenCV's polygon coordinates: a sixteenth of a pixel

# Right half (the picture's left) of each curve; the other half is its mirror image.
_JAW = np.array(
    [
        (-0.79, 0.02, -0.80), (-0.78, 0.25, -0.74), (-0.75, 0.47, -0.62), (-0.68, 0.69, -0.48),
        (-0.57, 0.88, -0.32), (-0.44, 1.04, -0.17), (-0.29, 1.17, -0.05), (-0.13, 1.25, 0.04),
        (0.0, 1.28, 0.07),
    ]
)  # fmt: skip
_BROW = np.array(
    [(-0.66, -0.16, -0.13), (-0.55, -0.27, -0.02), (-0.42, -0.30, 0.06), (-0.28, -0.28, 0.12),
     (-0.14, -0.22, 0.16)]
)  # fmt: skip
_EYE_OUTER, _EYE_INNER = np.array([-0.5, 0.0, -0.10]), np.array([-0.19, 0.015, 0.0])
_BRIDGE = np.array([(0, -0.02, 0.15), (0, 0.13, 0.25), (0, 0.28, 0.36), (0, 0.43, 0.46)])
_NOSE_BASE = np.array([(-0.15, 0.51, 0.17), (-0.075, 0.54, 0.25), (0.0, 0.56, 0.28)])
_NOSE_SIDE = np.array(
    [(-0.09, 0.02, 0.10), (-0.115, 0.27, 0.20), (-0.18, 0.37, 0.19), (-0.19, 0.47, 0.17),
     (-0.10, 0.53, 0.24), (0.0, 0.55, 0.28)]
)  # fmt: skip
_LIP_TOP = np.array([(-0.28, 0.80, 0.10), (-0.18, 0.755, 0.20), (-0.075, 0.73, 0.26),
                     (0.0, 0.75, 0.27)])  # fmt: skip
_LIP_BOTTOM = np.array([(-0.17, 0.885, 0.18), (-0.075, 0.925, 0.23), (0.0, 0.935, 0.24)])
_INNER_TOP = np.array([(-0.24, 0.80, 0.11), (-0.075, 0.80, 0.22), (0.0, 0.805, 0.235)])
_INNER_BOTTOM = np.array([(-0.075, 0.815, 0.22), (0.0, 0.82, 0.235)])
_SKINS = np.array([(244, 208, 184), (233, 186, 152), (214, 160, 122), (176, 120, 84),
                   (134, 88, 60), (96, 62, 44)], dtype=float)  # fmt: skip
_HAIRS = np.array([(38, 28, 22), (70, 46, 30), (112, 76, 44), (176, 136, 82), (130, 124, 120),
                   (140, 62, 30)], dtype=float)  # fmt: skip


def _both(half: np.ndarray, centre: bool) -> np.ndarray:
    """A half curve and its mirror image, left to right; `centre`: the last point is on the axis."""
    other = half[::-1] * (-1, 1, 1)
    return np.concatenate([half, other[1:] if centre else other])


@dataclass(frozen=True)
class Face:
    """A face in 3D; every curve is (N, 3) from the picture's left to its right.

    `lids` holds (upper, lower) of the right and the left eye, each from corner to corner.
    """

    jaw: np.ndarray
    brows: tuple[np.ndarray, np.ndarray]
    lids: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    gaze: np.ndarray
    bridge: np.ndarray
    nose_base: np.ndarray
    nose_side: np.ndarray
    lip_top: np.ndarray
    lip_bottom: np.ndarray
    inner_top: np.ndarray
    inner_bottom: np.ndarray
    cranium: np.ndarray

    def ibug68(self) -> np.ndarray:
        """The 68 points of iBUG, (68, 3)."""
        (right_up, right_low), (left_up, left_low) = self.lids
        third = np.array([0, 20, 40, 60])
        return np.concatenate(
            [
                self.jaw,
                *self.brows,
                self.bridge,
                self.nose_base,
                right_up[third],
                right_low[[40, 20]],
                left_up[third],
                left_low[[40, 20]],
                self.lip_top,
                self.lip_bottom[::-1],
                self.inner_top,
                self.inner_bottom[::-1],
            ]
        )

    def imm58(self) -> np.ndarray:
        """The 58 points of IMM, (58, 3)."""
        (right_up, right_low), (left_up, left_low) = self.lids
        jaw = CubicSpline(np.arange(17), self.jaw)(np.linspace(2.3, 13.7, 13))
        quarter, back = np.array([0, 15, 30, 45, 60]), np.array([45, 30, 15])
        return np.concatenate(
            [
                jaw,
                left_up[60 - quarter],
                left_low[60 - back],
                right_up[quarter],
                right_low[back],
                self.brows[1],
                self.brows[0][::-1],
                self.lip_top[[0, 2, 3, 4, 6]],
                self.lip_bottom[[3, 2, 1]],
                self.nose_side,
            ]
        )


def make_face(person: np.random.Generator, mood: np.random.Generator, calm: float = 1.0) -> Face:
    """A random face.

    Args:
        person: draws what a person keeps: proportions.
        mood: draws what a picture changes: expression, gaze.
        calm: 0 for a neutral face, 1 for the whole range of expressions.
    """
    width, length = person.normal(1, 0.06), person.normal(1, 0.05)
    jaw = _both(_JAW, True)
    chin = np.clip(jaw[:, 1], 0, None) / 1.28
    jaw[:, 0] *= 1 + (width - 1) * (1 + chin * person.normal(0, 0.6))
    jaw[:, 1] *= length
    nose_scale = np.array([person.normal(1, 0.12), person.normal(1, 0.07), person.normal(1, 0.15)])
    mouth_scale = np.array([person.normal(1, 0.09), 1, 1])
    lip_height, eye_open = person.uniform(0.7, 1.4), person.uniform(0.8, 1.25)
    brow_y, brow_tilt, slant = person.normal(0, 0.03, 3)

    smile = calm * mood.uniform(-0.3, 1.0)
    opening = calm * max(0.0, mood.uniform(-0.6, 1.0))
    raised = calm * mood.normal(0, 0.05)
    eye_open *= 1 - calm * max(0.0, mood.uniform(-1.2, 0.9))

    def mouth(half: np.ndarray, centre_y: float, sign: float) -> np.ndarray:
        curve = _both(half, True) * mouth_scale
        curve[:, 1] = 0.81 + (curve[:, 1] - 0.81) * (lip_height if sign else 1.0) + centre_y
        out = np.abs(curve[:, 0]) / 0.28
        curve[:, 1] -= 0.07 * smile * out**2
        curve[:, 0] *= 1 + 0.14 * smile
        curve[:, 2] -= 0.04 * smile * out**2
        curve[:, 1] += 0.22 * opening * (1 - out.clip(0, 1) ** 2) * (0.85 if sign > 0 else -0.12)
        return curve * (1, length, 1)

    lip_top, lip_bottom = mouth(_LIP_TOP, 0, -1), mouth(_LIP_BOTTOM, 0, 1)
    inner_top = mouth(_INNER_TOP, 0, -1)
    inner_bottom = mouth(_INNER_BOTTOM, 0, 1)
    # Thick lips leave no room between them: the inner line stays inside the outer one.
    inner_top[1:-1, 1] = np.maximum(inner_top[1:-1, 1], lip_top[2:5, 1] + 0.03)
    inner_bottom[:, 1] = np.maximum(inner_bottom[:, 1], inner_top[1:-1, 1] + 0.012)
    inner_bottom[:, 1] = np.minimum(inner_bottom[:, 1], lip_bottom[1:4, 1] - 0.03)
    jaw[:, 1] += 0.16 * opening * np.clip(jaw[:, 1] / 1.28, 0, 1) ** 2

    s = np.linspace(0, 1, 61)[:, None]
    arch = (4 * s * (1 - s)) ** 0.8
    middle = _EYE_OUTER + s * (_EYE_INNER - _EYE_OUTER)
    middle = middle + arch * (0, 0, 0.07) + (1 - s) * (0, slant, 0)
    upper = middle - arch * (0, 0.078 * eye_open, 0)
    lower = middle + arch * (0, 0.048 * (0.6 + 0.4 * eye_open), 0)
    flip = np.array([-1, 1, 1])
    lids = ((upper, lower), (upper[::-1] * flip, lower[::-1] * flip))

    brow = _BROW + (0, brow_y - raised, 0)
    brow = brow + (np.linspace(0, 1, 5)[:, None] - 0.5) * (0, 2 * brow_tilt, 0)
    gaze = np.array([mood.uniform(-0.035, 0.035), mood.uniform(-0.012, 0.012), 0])

    angle = np.linspace(np.pi, 2 * np.pi, 25)
    top = person.uniform(1.0, 1.15) * length
    cranium = [
        np.column_stack(
            [0.84 * width * np.cos(angle), -0.05 + 1.02 * top * np.sin(angle) * lift,
             np.full(25, depth)]
        )
        for depth, lift in ((-0.95, 1.0), (-0.55, 0.98), (-0.15, 0.85))
    ]  # fmt: skip
    return Face(
        jaw=jaw,
        brows=(brow, brow[::-1] * flip),
        lids=lids,
        gaze=gaze,
        bridge=_BRIDGE * nose_scale,
        nose_base=_both(_NOSE_BASE, True) * nose_scale,
        nose_side=_both(_NOSE_SIDE, True) * nose_scale,
        lip_top=lip_top,
        lip_bottom=lip_bottom,
        inner_top=inner_top,
        inner_bottom=inner_bottom,
        cranium=np.concatenate(cranium),
    )


@dataclass(frozen=True)
class Camera:
    """Where a face is in the picture.

    Args:
        yaw: degrees, positive turns the nose to the picture's right.
        pitch: degrees, positive looks down.
        roll: degrees, positive turns clockwise.
        centre: (2,) pixels of the point between the eyes.
        scale: pixels a model unit.
        distance: of the camera, in model units.
    """

    yaw: float
    pitch: float
    roll: float
    centre: np.ndarray
    scale: float
    distance: float = 9.0

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of model points (..., 3)."""
        turn = Rotation.from_euler("zxy", [self.roll, -self.pitch, self.yaw], degrees=True)
        turned = turn.apply((points + (0, 0, 0.6)).reshape(-1, 3)).reshape(points.shape)
        turned = turned - (0, 0, 0.6)
        depth = self.distance / (self.distance - turned[..., 2:])
        return self.centre + self.scale * turned[..., :2] * depth


@dataclass(frozen=True)
class Look:
    """What a person looks like besides the shape.

    Colours are (3,) RGB from 0 to 255.
    """

    skin: np.ndarray
    hair: np.ndarray
    eyes: np.ndarray
    clothes: np.ndarray
    long_hair: bool
    hairline: float
    beard: float
    glasses: bool


def make_look(person: np.random.Generator) -> Look:
    """A random look."""
    tone = person.uniform(0, len(_SKINS) - 1)
    low = int(tone)
    skin = _SKINS[low] + (tone - low) * (_SKINS[min(low + 1, len(_SKINS) - 1)] - _SKINS[low])
    long_hair = person.random() < 0.45
    return Look(
        skin=np.clip(skin + person.normal(0, 5, 3), 20, 255),
        hair=np.clip(_HAIRS[person.integers(len(_HAIRS))] + person.normal(0, 9, 3), 8, 235),
        eyes=np.array([(90, 62, 40), (70, 100, 130), (84, 110, 80)], dtype=float)[
            person.integers(3)
        ],
        clothes=person.uniform(25, 225, 3),
        long_hair=long_hair,
        hairline=person.uniform(-0.85, -0.62),
        beard=0.0 if long_hair or person.random() < 0.55 else person.uniform(0.15, 0.6),
        glasses=person.random() < 0.15,
    )


def background(rng: np.random.Generator, size: Size, busy: bool) -> np.ndarray:
    """Canvas (H, W, 3) float32: a wall, or a blurred scene where `busy`."""
    height, width = size
    if not busy:
        wall = rng.uniform(80, 160) + rng.uniform((-10, 0, -14), (6, 14, 6))
        shade = np.linspace(rng.uniform(0.85, 1.1), rng.uniform(0.85, 1.1), width)
        return (np.ones((height, 1, 1)) * shade[None, :, None] * wall).astype(np.float32)
    coarse = _dull(rng.uniform(10, 240, (rng.integers(2, 6), rng.integers(2, 6), 3)))
    canvas = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(3, 12)):
        points = rng.uniform(-0.2, 1.2, (rng.integers(3, 6), 2)) * (width, height)
        colour = _dull(rng.uniform(0, 255, 3))
        cv2.fillPoly(canvas, [_fixed(points)], colour.tolist(), cv2.LINE_AA, _SHIFT)
    blur = rng.uniform(0.3, 0.02 * width)
    return cv2.GaussianBlur(canvas, (0, 0), blur).clip(0, 255)


def _dull(colours: np.ndarray) -> np.ndarray:
    """Colours (..., 3) with less of their hue, as most of the world has."""
    grey = colours.mean(axis=-1, keepdims=True)
    return grey + 0.45 * (colours - grey)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * 2**_SHIFT).astype(np.int32)


class Painter:
    """Draws faces on a canvas (H, W, 3) float32 RGB, which it changes."""

    def __init__(self, canvas: np.ndarray) -> None:
        self.canvas = canvas

    def fill(
        self, points: np.ndarray, colour: np.ndarray, alpha: float = 1.0, soft: float = 0.0
    ) -> None:
        """Fill a polygon (N, 2); `soft` blurs its edge by so many pixels."""
        height, width = self.canvas.shape[:2]
        pad = int(3 * soft) + 2
        low = np.maximum(np.floor(points.min(axis=0)).astype(int) - pad, 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + pad + 1, (width, height))
        if (high <= low).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), dtype=np.uint8)
        cv2.fillPoly(mask, [_fixed(points - low)], 255, cv2.LINE_AA, _SHIFT)
        if soft > 0.3:
            mask = cv2.GaussianBlur(mask, (0, 0), soft)
        part = self.canvas[low[1] : high[1], low[0] : high[0]]
        weight = mask[..., None] * np.float32(alpha / 255)
        part += weight * (np.asarray(colour, dtype=np.float32) - part)

    @contextmanager
    def clipped(self, region: np.ndarray) -> Iterator[None]:
        """What is drawn meanwhile stays inside a polygon (N, 2), near it at least."""
        height, width = self.canvas.shape[:2]
        reach = 0.5 * np.ptp(region, axis=0) + 4
        low = np.clip(np.floor(region.min(axis=0) - reach).astype(int), 0, (width, height))
        high = np.clip(np.ceil(region.max(axis=0) + reach).astype(int), 0, (width, height))
        part = self.canvas[low[1] : high[1], low[0] : high[0]]
        before = part.copy()
        yield
        if part.size:
            mask = np.zeros(part.shape[:2], dtype=np.uint8)
            cv2.fillPoly(mask, [_fixed(region - low)], 255, cv2.LINE_AA, _SHIFT)
            weight = mask[..., None] * np.float32(1 / 255)
            part[:] = before + weight * (part - before)

    def ellipse(
        self,
        centre: np.ndarray,
        axes: tuple[float, float],
        turn: float,
        colour: np.ndarray,
        alpha: float = 1.0,
        soft: float = 0.0,
    ) -> None:
        """Fill an ellipse; `axes` half lengths in pixels, `turn` in degrees."""
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        round_ = np.column_stack([axes[0] * np.cos(angle), axes[1] * np.sin(angle)])
        spin = Rotation.from_euler("z", turn, degrees=True).as_matrix()[:2, :2]
        self.fill(centre + round_ @ spin.T, colour, alpha, soft)

    def line(
        self, points: np.ndarray, colour: np.ndarray, width: float, alpha: float = 1.0
    ) -> None:
        """A line (N, 2) that is `width` pixels thick in its middle and thins to its ends."""
        along = np.gradient(points, axis=0)
        normal = np.column_stack([-along[:, 1], along[:, 0]])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        thick = (0.3 + 0.7 * np.sin(np.linspace(0, np.pi, len(points))))[:, None] * width / 2
        self.fill(np.concatenate([points + normal * thick, (points - normal * thick)[::-1]]),
                  colour, alpha)  # fmt: skip

    def face(self, face: Face, look: Look, camera: Camera, rng: np.random.Generator) -> None:
        """Draw a whole person."""
        unit, project = camera.scale, camera.project
        light = rng.normal(0, 0.6, 2)
        dark = look.skin * 0.45
        eyes = camera.centre
        down = project(np.array([0.0, 1.0, 0.0])) - project(np.zeros(3))
        down /= np.linalg.norm(down)
        side = np.array([down[1], -down[0]])

        hull = cv2.convexHull(project(np.concatenate([face.jaw, face.cranium])).astype(np.float32))[
            :, 0
        ].astype(float)

        # Body, from the back to the front.
        chin = project(face.jaw[8])
        neck = project(np.array([0.0, 0.9, -0.7]))
        for reach, colour in ((1.0, look.clothes * 0.6), (0.94, look.clothes)):
            shoulder = neck + np.array([0, 1.25 * unit])
            self.ellipse(shoulder + (0, unit), (2.1 * unit * reach, 1.5 * unit * reach), 0, colour)
        if look.long_hair:
            lock = np.concatenate([hull, project(face.jaw[[0, 16]]) + down * 1.1 * unit])
            outline = cv2.convexHull((eyes + 1.16 * (lock - eyes)).astype(np.float32))[:, 0]
            self.fill(outline.astype(float), look.hair * 0.75, soft=0.03 * unit)
        low = (0, 1.15 * unit)
        top, base = side * 0.45 * unit, side * 0.52 * unit
        throat = np.array([neck - top, neck + top, neck + base + low, neck - base + low])
        with self.clipped(throat):
            self.fill(throat, look.skin * 0.72)
            self.ellipse(chin + down * 0.12 * unit, (0.5 * unit, 0.22 * unit), camera.roll, dark,
                         0.5, 0.08 * unit)  # fmt: skip
        for corner in (0, 16):
            ear = project(face.jaw[corner] * (1.04, 1, 1) + (0, 0.12, -0.05))
            self.ellipse(ear, (0.10 * unit, 0.21 * unit), camera.roll, look.skin * 0.85)
            self.ellipse(ear, (0.05 * unit, 0.13 * unit), camera.roll, dark, 0.4, 0.02 * unit)

        self.head(hull, look.skin, light, unit)
        self.hair(face, look, camera, hull, rng)

        with self.clipped(hull):
            self.relief(look, camera)
            if look.beard:
                self.beard(face, look, camera)
        for number in (0, 1):
            self.eye(face, number, look, camera)
            self.brow(project(face.brows[number]), look.hair, unit, rng)
        self.nose(face, look, camera, light)
        self.mouth(face, look, camera)
        if look.glasses:
            self.glasses(face, camera)

    def relief(self, look: Look, camera: Camera) -> None:
        """Flushed cheeks and shaded eye sockets."""
        unit = camera.scale
        for sign in (-1, 1):
            cheek = camera.project(np.array([sign * 0.47, 0.45, 0.05]))
            flush = look.skin * (1.06, 0.86, 0.84)
            self.ellipse(cheek, (0.2 * unit, 0.16 * unit), camera.roll, flush, 0.45, 0.07 * unit)
            socket = camera.project(np.array([sign * 0.33, -0.03, 0.0]))
            self.ellipse(socket, (0.22 * unit, 0.12 * unit), camera.roll, look.skin * 0.7, 0.5,
                         0.05 * unit)  # fmt: skip

    def head(self, hull: np.ndarray, skin: np.ndarray, light: np.ndarray, unit: float) -> None:
        """The bare head: an ellipsoid's shading inside the outline."""
        height, width = self.canvas.shape[:2]
        low = np.clip(np.floor(hull.min(axis=0)).astype(int) - 2, 0, (width, height))
        high = np.clip(np.ceil(hull.max(axis=0)).astype(int) + 3, 0, (width, height))
        if (high <= low).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), dtype=np.uint8)
        cv2.fillPoly(mask, [_fixed(hull - low)], 255, cv2.LINE_AA, _SHIFT)
        (cx, cy), (wide, tall), turn = cv2.fitEllipse(hull.astype(np.float32))
        ys, xs = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32)
        cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        dx, dy = xs - cx, ys - cy
        u = (cos * dx + sin * dy) / (0.56 * wide)
        v = (-sin * dx + cos * dy) / (0.56 * tall)
        z = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
        nx, ny = cos * u - sin * v, sin * u + cos * v
        direction = np.array([light[0], light[1] - 0.35, 1.0])
        direction /= np.linalg.norm(direction)
        lambert = np.clip(nx * direction[0] + ny * direction[1] + z * direction[2], 0, 1)
        shade = (0.42 + 0.66 * lambert)[..., None]
        part = self.canvas[low[1] : high[1], low[0] : high[0]]
        part += mask[..., None] * np.float32(1 / 255) * (shade * skin.astype(np.float32) - part)

    def hair(
        self, face: Face, look: Look, camera: Camera, hull: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Hair on the head: a cap down to the hairline, with strands."""
        project, unit, centre = camera.project, camera.scale, camera.centre
        x = np.linspace(-0.80, 0.80, 21)
        wave = rng.uniform(0, 0.08) * np.sin(7 * x + 3)
        line = look.hairline + 0.55 * (np.abs(x) / 0.8) ** 3 + wave
        front = project(np.column_stack([x, line, -0.1 - 0.6 * np.abs(x) ** 2]))
        # On the far side of a turned head the line runs back behind itself: only its front shows.
        peak = int(np.argmax(front[:, 0])) + 1
        start = int(np.argmin(front[:peak, 0]))
        front = front[start:peak]
        outline = centre + 1.045 * (hull - centre)
        up = project(np.array([0.0, -1.0, 0.0])) - project(np.zeros(3))
        across = 0.6 * np.array([-up[1], up[0]])
        sky = [front[-1] + across, front[-1] + across + up, front[0] - across + up,
               front[0] - across]  # fmt: skip
        hair = look.hair
        with self.clipped(outline):
            self.fill(np.concatenate([front, sky]), hair, soft=0.012 * unit)
            for _ in range(50):
                root = front[rng.integers(len(front))]
                end = root + rng.uniform(0.4, 0.9) * up + rng.normal(0, 0.12 * unit, 2)
                bow = (root + end) / 2 + 0.25 * (root - centre) + rng.normal(0, 0.03 * unit, 2)
                tone = (hair * rng.uniform(0.7, 1.4)).clip(0, 255)
                self.line(_arc(root, bow, end), tone, 0.03 * unit, 0.4)

    def beard(self, face: Face, look: Look, camera: Camera) -> None:
        """A shadow of beard over jaw and lip."""
        project, unit = camera.project, camera.scale
        jaw = face.jaw[2:15]
        inner = np.array([(0.5, 0.62, 0.1), (0.3, 0.62, 0.2), (0, 0.64, 0.28), (-0.3, 0.62, 0.2),
                          (-0.5, 0.62, 0.1)])  # fmt: skip
        outline = project(np.concatenate([jaw * (0.97, 0.99, 1), inner]))
        self.fill(outline, look.hair * 0.8, look.beard, 0.05 * unit)

    def eye(self, face: Face, number: int, look: Look, camera: Camera) -> None:
        """An eye: white, iris, pupil, glint, lids."""
        unit = camera.scale
        upper, lower = (camera.project(curve) for curve in face.lids[number])
        opening = np.concatenate([upper, lower[::-1]])
        with self.clipped(opening):
            self.eyeball(opening, face.lids[number], face.gaze, look.eyes, camera)
        self.line(upper, look.hair * 0.35, 0.032 * unit, 0.9)
        self.line(lower, look.skin * 0.5, 0.012 * unit, 0.7)
        crease = upper + (upper - lower) * 0.45 - (0, 0.02 * unit)
        self.line(crease, look.skin * 0.55, 0.014 * unit, 0.6)

    def eyeball(
        self,
        opening: np.ndarray,
        lids: tuple[np.ndarray, np.ndarray],
        gaze: np.ndarray,
        iris: np.ndarray,
        camera: Camera,
    ) -> None:
        """What the opening between the lids shows."""
        unit = camera.scale
        self.fill(opening, np.array([232, 228, 224]), soft=0.5)
        middle = camera.project((lids[0][30] + lids[1][30]) / 2 * (1, 0, 1) + gaze)
        self.ellipse(middle, (0.074 * unit,) * 2, 0, iris * 0.45)
        self.ellipse(middle, (0.062 * unit,) * 2, 0, iris)
        self.ellipse(middle, (0.03 * unit,) * 2, 0, np.array([12, 10, 10]))
        self.ellipse(middle - 0.022 * unit, (0.013 * unit,) * 2, 0, np.array([250, 250, 250]))

    def brow(
        self, points: np.ndarray, hair: np.ndarray, unit: float, rng: np.random.Generator
    ) -> None:
        """An eyebrow along five points."""
        curve = CubicSpline(np.arange(5), points)(np.linspace(0, 4, 24))
        self.line(curve, hair * 0.6, 0.075 * unit, 0.75)
        for at in rng.integers(1, 22, 16):
            hairlet = curve[at] + np.array([(0.0, 0.03), (0.015, -0.035)]) * unit
            self.line(np.stack([hairlet[0], hairlet.mean(axis=0), hairlet[1]]), hair * 0.4,
                      0.014 * unit, 0.7)  # fmt: skip

    def nose(self, face: Face, look: Look, camera: Camera, light: np.ndarray) -> None:
        """Nose: shaded flank, ridge and tip, nostrils, wings, shadow below."""
        project, unit = camera.project, camera.scale
        side, bridge = project(face.nose_side), project(face.bridge)
        base = project(face.nose_base)
        lit = 1 if light[0] > 0 else -1
        flank = side[:5] if lit > 0 else side[6:][::-1]
        shadow = np.concatenate([bridge, base[2:3], flank[::-1]])
        self.fill(shadow, look.skin * 0.62, 0.45, 0.035 * unit)
        self.line(bridge + (lit * 0.012 * unit, 0), np.minimum(look.skin * 1.22, 255),
                  0.06 * unit, 0.35)  # fmt: skip
        tip = bridge[3]
        self.ellipse(tip, (0.05 * unit, 0.04 * unit), 0, np.minimum(look.skin * 1.3, 255), 0.4,
                     0.02 * unit)  # fmt: skip
        below = base[2] + (0, 0.06 * unit)
        self.ellipse(below, (0.14 * unit, 0.05 * unit), camera.roll, look.skin * 0.55, 0.4,
                     0.03 * unit)  # fmt: skip
        for wing in (side[1:5], side[6:10]):
            curve = CubicSpline(np.arange(4), wing)(np.linspace(0.6, 3, 16))
            self.line(curve, look.skin * 0.5, 0.022 * unit, 0.7)
        for nostril in (base[1], base[3]):
            self.ellipse(nostril, (0.042 * unit, 0.02 * unit), camera.roll, look.skin * 0.22, 0.9)
        self.line(base, look.skin * 0.5, 0.016 * unit, 0.5)

    def mouth(self, face: Face, look: Look, camera: Camera) -> None:
        """Lips, and teeth where the mouth is open."""
        project, unit = camera.project, camera.scale
        top, bottom = project(face.lip_top), project(face.lip_bottom)
        inner_top, inner_bottom = project(face.inner_top), project(face.inner_bottom)
        red = look.skin * (0.86, 0.55, 0.56)
        upper = np.concatenate([_smooth(top), _smooth(inner_top)[::-1]])
        low_inner = np.concatenate([inner_top[:1], inner_bottom, inner_top[-1:]])
        low_outer = np.concatenate([top[:1], bottom, top[-1:]])
        lower = np.concatenate([_smooth(low_inner), _smooth(low_outer)[::-1]])
        self.fill(lower, red * 1.05)
        self.fill(upper, red * 0.82)
        gap = np.concatenate([_smooth(inner_top), _smooth(low_inner)[::-1]])
        self.fill(gap, np.array([52, 18, 20]))
        room = inner_bottom[1] - inner_top[2]
        if np.linalg.norm(room) > 0.05 * unit:
            teeth = np.concatenate([inner_top[1:-1], (inner_top[1:-1] + 0.35 * room)[::-1]])
            self.fill(teeth, np.array([236, 230, 220]))
        else:
            self.line(_smooth(inner_top), red * 0.35, 0.02 * unit, 0.9)
        shine = (bottom[2] + low_inner[2]) / 2
        self.ellipse(shine, (0.09 * unit, 0.018 * unit), camera.roll,
                     np.minimum(red * 1.4, 255), 0.5, 0.012 * unit)  # fmt: skip

    def glasses(self, face: Face, camera: Camera) -> None:
        """A dark frame around both eyes."""
        project, unit = camera.project, camera.scale
        angle = np.linspace(0, 2 * np.pi, 40)
        frame = np.array([30, 28, 30])
        for sign in (-1, 1):
            ring = np.column_stack(
                [sign * 0.34 + 0.235 * np.cos(angle), 0.03 + 0.18 * np.sin(angle),
                 np.full(40, 0.14) - 0.12 * np.abs(np.cos(angle))]
            )  # fmt: skip
            points = project(ring)
            cv2.polylines(self.canvas, [_fixed(points)], True, frame.tolist(),
                          max(1, round(0.03 * unit)), cv2.LINE_AA, _SHIFT)  # fmt: skip
            self.fill(points, np.array([220, 230, 235]), 0.10)
            arm = project(np.array([(sign * 0.57, 0.0, 0.02), (sign * 0.8, -0.02, -0.7)]))
            self.line(np.stack([arm[0], arm.mean(axis=0), arm[1]]), frame, 0.04 * unit)
        nose = project(np.array([(-0.11, 0.02, 0.16), (0, -0.01, 0.2), (0.11, 0.02, 0.16)]))
        self.line(nose, frame, 0.035 * unit)

    def occlude(self, face: Face, camera: Camera, rng: np.random.Generator) -> None:
        """Something in front of a part of the face."""
        unit = camera.scale
        centre = camera.project(face.jaw[rng.integers(17)]) + rng.normal(0, 0.25 * unit, 2)
        colour = rng.uniform(10, 230, 3)
        turn = rng.uniform(0, 180)
        axes = (rng.uniform(0.12, 0.4) * unit, rng.uniform(0.2, 0.7) * unit)
        self.ellipse(centre, axes, turn, colour * 0.7)
        self.ellipse(
            centre - 0.03 * unit, (axes[0] * 0.9, axes[1] * 0.9), turn, colour, 1, 0.02 * unit
        )


def finish(canvas: np.ndarray, rng: np.random.Generator, harsh: float) -> np.ndarray:
    """The camera's part: exposure, uneven light, blur and noise; (H, W, 3) uint8 out."""
    height, width = canvas.shape[:2]
    gain = rng.uniform(1 - 0.35 * harsh, 1 + 0.2 * harsh)
    slope = rng.uniform(-0.3, 0.3, 2) * harsh
    across = 1 + slope[0] * np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    along = 1 + slope[1] * np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    picture = canvas * np.float32(gain) * across * along
    blur = rng.uniform(0.3, 0.4 + 1.1 * harsh)
    picture = cv2.GaussianBlur(picture, (0, 0), blur)
    noise = rng.normal(0, rng.uniform(1, 2 + 6 * harsh), (height, width, 1)).astype(np.float32)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def _arc(start: np.ndarray, bow: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Quadratic Bezier curve, (8, 2)."""
    t = np.linspace(0, 1, 8)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * bow + t**2 * end


def _smooth(points: np.ndarray) -> np.ndarray:
    """A denser line through (N, 2) points."""
    count = len(points)
    if count < 3:
        return points
    return CubicSpline(np.arange(count), points)(np.linspace(0, count - 1, 6 * count))
