"""Painting a face: skin, hair, eyes, glasses, light, occlusion, and the camera's effects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from facekp.core.geometry import Size
from facekp.data.drawing.face3d import Camera, Face

_SHIFT = 4  # fractional bits of OpenCV's polygon coordinates: a sixteenth of a pixel

_SKINS = np.array([(244, 208, 184), (233, 186, 152), (214, 160, 122), (176, 120, 84),
                   (134, 88, 60), (96, 62, 44)], dtype=float)  # fmt: skip
_HAIRS = np.array([(38, 28, 22), (70, 46, 30), (112, 76, 44), (176, 136, 82), (130, 124, 120),
                   (140, 62, 30)], dtype=float)  # fmt: skip


@dataclass(frozen=True)
class Appearance:
    """Colours and accessories of a person.

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


def make_appearance(person: np.random.Generator) -> Appearance:
    """A random appearance."""
    tone = person.uniform(0, len(_SKINS) - 1)
    low = int(tone)
    skin = _SKINS[low] + (tone - low) * (_SKINS[min(low + 1, len(_SKINS) - 1)] - _SKINS[low])
    long_hair = person.random() < 0.45
    return Appearance(
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
    """Colours (..., 3) with reduced saturation."""
    grey = colours.mean(axis=-1, keepdims=True)
    return grey + 0.45 * (colours - grey)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * 2**_SHIFT).astype(np.int32)


class Painter:
    """Draws faces on a canvas (H, W, 3) float32 RGB, in place."""

    def __init__(self, canvas: np.ndarray) -> None:
        self.canvas = canvas

    def fill(
        self, points: np.ndarray, colour: np.ndarray, alpha: float = 1.0, soft: float = 0.0
    ) -> None:
        """Fill a polygon (N, 2); `soft` is the blur of its edge in pixels."""
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
        """Restrict what is drawn in the block to a polygon (N, 2)."""
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
        """Fill an ellipse; `axes` are half lengths in pixels, `turn` is in degrees."""
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        round_ = np.column_stack([axes[0] * np.cos(angle), axes[1] * np.sin(angle)])
        spin = Rotation.from_euler("z", turn, degrees=True).as_matrix()[:2, :2]
        self.fill(centre + round_ @ spin.T, colour, alpha, soft)

    def line(
        self, points: np.ndarray, colour: np.ndarray, width: float, alpha: float = 1.0
    ) -> None:
        """A line (N, 2), `width` pixels thick in the middle and thinner at the ends."""
        along = np.gradient(points, axis=0)
        normal = np.column_stack([-along[:, 1], along[:, 0]])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        thick = (0.3 + 0.7 * np.sin(np.linspace(0, np.pi, len(points))))[:, None] * width / 2
        self.fill(np.concatenate([points + normal * thick, (points - normal * thick)[::-1]]),
                  colour, alpha)  # fmt: skip

    def face(
        self, face: Face, appearance: Appearance, camera: Camera, rng: np.random.Generator
    ) -> None:
        """Draw a whole person."""
        unit, project = camera.scale, camera.project
        light = rng.normal(0, 0.6, 2)
        dark = appearance.skin * 0.45
        eyes = camera.centre
        down = project(np.array([0.0, 1.0, 0.0])) - project(np.zeros(3))
        down /= np.linalg.norm(down)
        side = np.array([down[1], -down[0]])

        hull = cv2.convexHull(project(np.concatenate([face.jaw, face.cranium])).astype(np.float32))[
            :, 0
        ].astype(float)

        # The body, back to front.
        chin = project(face.jaw[8])
        neck = project(np.array([0.0, 0.9, -0.7]))
        for reach, colour in ((1.0, appearance.clothes * 0.6), (0.94, appearance.clothes)):
            shoulder = neck + np.array([0, 1.25 * unit])
            self.ellipse(shoulder + (0, unit), (2.1 * unit * reach, 1.5 * unit * reach), 0, colour)
        if appearance.long_hair:
            lock = np.concatenate([hull, project(face.jaw[[0, 16]]) + down * 1.1 * unit])
            outline = cv2.convexHull((eyes + 1.16 * (lock - eyes)).astype(np.float32))[:, 0]
            self.fill(outline.astype(float), appearance.hair * 0.75, soft=0.03 * unit)
        low = (0, 1.15 * unit)
        top, base = side * 0.45 * unit, side * 0.52 * unit
        throat = np.array([neck - top, neck + top, neck + base + low, neck - base + low])
        with self.clipped(throat):
            self.fill(throat, appearance.skin * 0.72)
            self.ellipse(chin + down * 0.12 * unit, (0.5 * unit, 0.22 * unit), camera.roll, dark,
                         0.5, 0.08 * unit)  # fmt: skip
        for corner in (0, 16):
            ear = project(face.jaw[corner] * (1.04, 1, 1) + (0, 0.12, -0.05))
            self.ellipse(ear, (0.10 * unit, 0.21 * unit), camera.roll, appearance.skin * 0.85)
            self.ellipse(ear, (0.05 * unit, 0.13 * unit), camera.roll, dark, 0.4, 0.02 * unit)

        self.head(hull, appearance.skin, light)
        self.hair(appearance, camera, hull, rng)

        with self.clipped(hull):
            self.relief(appearance, camera)
            if appearance.beard:
                self.beard(face, appearance, camera)
        for number in (0, 1):
            self.eye(face, number, appearance, camera)
            self.brow(project(face.brows[number]), appearance.hair, unit, rng)
        self.nose(face, appearance, camera, light)
        self.mouth(face, appearance, camera)
        if appearance.glasses:
            self.glasses(camera)

    def relief(self, appearance: Appearance, camera: Camera) -> None:
        """Flushed cheeks and shaded eye sockets."""
        unit = camera.scale
        for sign in (-1, 1):
            cheek = camera.project(np.array([sign * 0.47, 0.45, 0.05]))
            flush = appearance.skin * (1.06, 0.86, 0.84)
            self.ellipse(cheek, (0.2 * unit, 0.16 * unit), camera.roll, flush, 0.45, 0.07 * unit)
            socket = camera.project(np.array([sign * 0.33, -0.03, 0.0]))
            shade = appearance.skin * 0.7
            self.ellipse(socket, (0.22 * unit, 0.12 * unit), camera.roll, shade, 0.5, 0.05 * unit)

    def head(self, hull: np.ndarray, skin: np.ndarray, light: np.ndarray) -> None:
        """The bare head: shading of an ellipsoid inside the outline."""
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
        self,
        appearance: Appearance,
        camera: Camera,
        hull: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        """Hair: a cap down to the hairline, with strands."""
        project, unit, centre = camera.project, camera.scale, camera.centre
        x = np.linspace(-0.80, 0.80, 21)
        wave = rng.uniform(0, 0.08) * np.sin(7 * x + 3)
        line = appearance.hairline + 0.55 * (np.abs(x) / 0.8) ** 3 + wave
        front = project(np.column_stack([x, line, -0.1 - 0.6 * np.abs(x) ** 2]))
        # On the far side of a turned head the line runs back: only its front is visible.
        peak = int(np.argmax(front[:, 0])) + 1
        start = int(np.argmin(front[:peak, 0]))
        front = front[start:peak]
        outline = centre + 1.045 * (hull - centre)
        up = project(np.array([0.0, -1.0, 0.0])) - project(np.zeros(3))
        across = 0.6 * np.array([-up[1], up[0]])
        sky = [front[-1] + across, front[-1] + across + up, front[0] - across + up,
               front[0] - across]  # fmt: skip
        hair = appearance.hair
        with self.clipped(outline):
            self.fill(np.concatenate([front, sky]), hair, soft=0.012 * unit)
            for _ in range(50):
                root = front[rng.integers(len(front))]
                end = root + rng.uniform(0.4, 0.9) * up + rng.normal(0, 0.12 * unit, 2)
                bow = (root + end) / 2 + 0.25 * (root - centre) + rng.normal(0, 0.03 * unit, 2)
                tone = (hair * rng.uniform(0.7, 1.4)).clip(0, 255)
                self.line(_arc(root, bow, end), tone, 0.03 * unit, 0.4)

    def beard(self, face: Face, appearance: Appearance, camera: Camera) -> None:
        """A beard's shadow over jaw and lip."""
        project, unit = camera.project, camera.scale
        jaw = face.jaw[2:15]
        inner = np.array([(0.5, 0.62, 0.1), (0.3, 0.62, 0.2), (0, 0.64, 0.28), (-0.3, 0.62, 0.2),
                          (-0.5, 0.62, 0.1)])  # fmt: skip
        outline = project(np.concatenate([jaw * (0.97, 0.99, 1), inner]))
        self.fill(outline, appearance.hair * 0.8, appearance.beard, 0.05 * unit)

    def eye(self, face: Face, number: int, appearance: Appearance, camera: Camera) -> None:
        """An eye: white, iris, pupil, glint, lids."""
        unit = camera.scale
        upper, lower = (camera.project(curve) for curve in face.lids[number])
        opening = np.concatenate([upper, lower[::-1]])
        with self.clipped(opening):
            self.eyeball(opening, face.lids[number], face.gaze, appearance.eyes, camera)
        self.line(upper, appearance.hair * 0.35, 0.032 * unit, 0.9)
        self.line(lower, appearance.skin * 0.5, 0.012 * unit, 0.7)
        crease = upper + (upper - lower) * 0.45 - (0, 0.02 * unit)
        self.line(crease, appearance.skin * 0.55, 0.014 * unit, 0.6)

    def eyeball(
        self,
        opening: np.ndarray,
        lids: tuple[np.ndarray, np.ndarray],
        gaze: np.ndarray,
        iris: np.ndarray,
        camera: Camera,
    ) -> None:
        """The eyeball between the lids."""
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

    def nose(self, face: Face, appearance: Appearance, camera: Camera, light: np.ndarray) -> None:
        """Nose: shaded flank, ridge and tip, nostrils, wings, shadow below."""
        project, unit = camera.project, camera.scale
        side, bridge = project(face.nose_side), project(face.bridge)
        base = project(face.nose_base)
        lit = 1 if light[0] > 0 else -1
        flank = side[:5] if lit > 0 else side[6:][::-1]
        shadow = np.concatenate([bridge, base[2:3], flank[::-1]])
        self.fill(shadow, appearance.skin * 0.62, 0.45, 0.035 * unit)
        self.line(bridge + (lit * 0.012 * unit, 0), np.minimum(appearance.skin * 1.22, 255),
                  0.06 * unit, 0.35)  # fmt: skip
        tip = bridge[3]
        highlight = np.minimum(appearance.skin * 1.3, 255)
        self.ellipse(tip, (0.05 * unit, 0.04 * unit), 0, highlight, 0.4, 0.02 * unit)
        below = base[2] + (0, 0.06 * unit)
        self.ellipse(below, (0.14 * unit, 0.05 * unit), camera.roll, appearance.skin * 0.55, 0.4,
                     0.03 * unit)  # fmt: skip
        for wing in (side[1:5], side[6:10]):
            curve = CubicSpline(np.arange(4), wing)(np.linspace(0.6, 3, 16))
            self.line(curve, appearance.skin * 0.5, 0.022 * unit, 0.7)
        for nostril in (base[1], base[3]):
            self.ellipse(
                nostril, (0.042 * unit, 0.02 * unit), camera.roll, appearance.skin * 0.22, 0.9
            )
        self.line(base, appearance.skin * 0.5, 0.016 * unit, 0.5)

    def mouth(self, face: Face, appearance: Appearance, camera: Camera) -> None:
        """Lips, and teeth where the mouth is open."""
        project, unit = camera.project, camera.scale
        top, bottom = project(face.lip_top), project(face.lip_bottom)
        inner_top, inner_bottom = project(face.inner_top), project(face.inner_bottom)
        red = appearance.skin * (0.86, 0.55, 0.56)
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

    def glasses(self, camera: Camera) -> None:
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
        """An object in front of part of the face."""
        unit = camera.scale
        centre = camera.project(face.jaw[rng.integers(17)]) + rng.normal(0, 0.25 * unit, 2)
        colour = rng.uniform(10, 230, 3)
        turn = rng.uniform(0, 180)
        axes = (rng.uniform(0.12, 0.4) * unit, rng.uniform(0.2, 0.7) * unit)
        self.ellipse(centre, axes, turn, colour * 0.7)
        self.ellipse(
            centre - 0.03 * unit, (axes[0] * 0.9, axes[1] * 0.9), turn, colour, 1, 0.02 * unit
        )


def add_camera_effects(canvas: np.ndarray, rng: np.random.Generator, harsh: float) -> np.ndarray:
    """Exposure, uneven light, blur and noise; returns (H, W, 3) uint8."""
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
