"""A random face in 3D with exactly known points, and the camera that projects it.

Units of the model: the outer eye corners are 1 apart, the origin is between the eyes, x points to
the right of the image, y down, z towards the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

# Right half (left in the image) of each curve; the other half is its mirror image.
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


def _both(half: np.ndarray, centre: bool) -> np.ndarray:
    """A half curve and its mirror image, left to right; `centre`: its last point is on the axis."""
    other = half[::-1] * (-1, 1, 1)
    return np.concatenate([half, other[1:] if centre else other])


@dataclass(frozen=True)
class Face:
    """A face in 3D; every curve is (N, 3), from left to right in the image.

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


def make_face(
    person: np.random.Generator, mood: np.random.Generator, expression: float = 1.0
) -> Face:
    """A random face.

    Args:
        person: generator of what a person keeps: proportions.
        mood: generator of what differs between pictures: expression, gaze.
        expression: 0 for a neutral face, 1 for the whole range of expressions.
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

    smile = expression * mood.uniform(-0.3, 1.0)
    opening = expression * max(0.0, mood.uniform(-0.6, 1.0))
    raised = expression * mood.normal(0, 0.05)
    eye_open *= 1 - expression * max(0.0, mood.uniform(-1.2, 0.9))

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
    # Thick lips leave no gap: the inner outline stays inside the outer one.
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
    """A perspective camera.

    Args:
        yaw: degrees, positive turns the nose to the right of the image.
        pitch: degrees, positive looks down.
        roll: degrees, positive turns clockwise.
        centre: (2,) pixels of the point between the eyes.
        scale: pixels per model unit.
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
