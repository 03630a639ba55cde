"""Figures against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from facekp.core.landmarks import IMM58
from facekp.metrics import (
    METRICS,
    FaceMetric,
    KeypointMetrics,
    PointErrors,
    face_errors,
    format_metric,
    normalized_offsets,
    summarize,
)
from tests.helpers import annotated_face


def batch(offset: float, count: int = 1) -> tuple:
    """Predictions `offset` px to the right in the photo; the input shows it at half size."""
    target = torch.tensor([[[0.25, 0.5], [0.75, 0.5]]]).repeat(count, 1, 1)
    predicted = target + torch.tensor([offset / 2 / 100, 0.0])
    to_photo = torch.tensor([[[2.0, 0.0, 30.0], [0.0, 2.0, -7.0]]]).repeat(count, 1, 1)
    return predicted, target, to_photo, (50, 100), torch.full((count,), 40.0)


def test_by_hand_over_uneven_batches() -> None:
    metrics = KeypointMetrics(threshold=0.08)
    metrics.update(*batch(2.0))  # NME 2 / 40 = 0.05
    metrics.update(*batch(4.0, 3))  # NME 0.10: failures
    result = {name: value.item() for name, value in metrics.compute().items()}
    assert result["mae_px"] == pytest.approx((2 / 2 + 3 * 4 / 2) / 4)
    assert result["nme_interocular"] == pytest.approx((0.05 + 3 * 0.10) / 4)
    assert result["mse"] == pytest.approx((0.01**2 / 2 + 3 * 0.02**2 / 2) / 4)
    assert result["auc_0.08_interocular"] == pytest.approx((1 - 0.05 / 0.08) / 4, rel=1e-5)
    assert result["failure_0.08_interocular"] == pytest.approx(3 / 4)


def test_a_metric_is_recognised_by_its_longest_key(monkeypatch: pytest.MonkeyPatch) -> None:
    class Largest(FaceMetric):
        key, unit = "nme_max_px", "px"

        def values(self, errors: PointErrors) -> torch.Tensor:
            return errors.nme

    monkeypatch.setattr("facekp.metrics.METRICS", (*METRICS, Largest))
    assert format_metric("val/nme_max_px", 2) == "2.00 px"
    assert format_metric("nme_jaw", 0.02) == "2.00 %"


def test_counts_are_printed_in_full() -> None:
    assert format_metric("images", 12345.0) == "12345"


def test_how_far_other_faces_would_lie_off() -> None:
    nme = [0.01, 0.03, 0.05, 0.03]  # their standard deviation is 0.04 / 6**0.5
    errors = pd.DataFrame({"image": "a", "subset": "b", "mae_px": 1.0, "nme_interocular": nme})
    figures = summarize(errors, 0.08).iloc[0]
    assert figures["nme_interocular"] == pytest.approx(0.03)
    assert figures["nme_standard_error"] == pytest.approx(0.04 / 6**0.5 / 2)


def test_turned_map_keeps_distances() -> None:
    predicted, target, _, size, normalizer = batch(0.0)
    turn = torch.tensor([[[0.0, -1.0, 5.0], [1.0, 0.0, 9.0]]])
    metrics = KeypointMetrics()
    metrics.update(predicted + torch.tensor([0.03, 0.08]), target, turn, size, normalizer)
    result = metrics.compute()
    assert result["nme_interocular"].item() == pytest.approx(5.0 / 40)  # (3, 4) px
    assert result["mae_px"].item() == pytest.approx(3.5)


def test_unknown_normaliser_gives_nan_not_zero() -> None:
    predicted, target, to_photo, size, _ = batch(2.0)
    metrics = KeypointMetrics()
    metrics.update(predicted, target, to_photo, size, torch.tensor([torch.nan]))
    result = metrics.compute()
    assert result["mae_px"].item() == pytest.approx(1.0)
    assert all(result[name].isnan() for name in metrics.names[2:])


def test_missing_points_are_left_out() -> None:
    predicted, target, to_photo, size, normalizer = batch(2.0, 3)
    target[1, 0] = torch.nan
    predicted[1, 1] += torch.tensor([2 / 2 / 100, 0.0])  # 4 px off, the only point it has
    target[2] = torch.nan
    metrics = KeypointMetrics()
    metrics.update(predicted, target, to_photo, size, normalizer)
    result = metrics.compute()
    assert result["nme_interocular"].item() == pytest.approx((2 / 40 + 4 / 40) / 2)
    assert result["mae_px"].item() == pytest.approx((1 + 2) / 2)
    assert result["failure_0.08_interocular"].item() == pytest.approx(1 / 2)


def test_a_face_without_normaliser_counts_in_mae_only() -> None:
    whole = np.random.default_rng(0).uniform(0, 90, (58, 2))
    partial = whole.copy()
    partial[21] = np.nan
    faces = [annotated_face(points) for points in (whole, partial)]
    errors = face_errors(faces, np.stack([whole, whole]) + (3, 4), range(58), IMM58)
    row = summarize(errors, 0.08).iloc[0]
    assert (row["images"], row["images_in_nme"]) == (2, 1)
    assert row["mae_px"] == pytest.approx(3.5)
    assert np.isfinite(row["nme_interocular"])


def test_half_precision_network_keeps_double_sums() -> None:
    metrics = KeypointMetrics().half()
    metrics.update(*batch(2.0))
    assert metrics.compute()["mae_px"].dtype == torch.float64


def test_relative_errors_by_hand() -> None:
    points = np.zeros((58, 2))
    points[21], points[13] = (10, 5), (60, 5)
    record = annotated_face(points)
    offsets = normalized_offsets([record], points[None, [52]] + (5, -10), [52], IMM58)
    np.testing.assert_allclose(offsets, [[[0.1, -0.2]]])


def test_distance_to_the_annotated_curve_by_hand() -> None:
    points = np.random.default_rng(0).uniform(0, 90, (58, 2))
    points[:13] = [(10 * at, 100) for at in range(13)]  # the jaw
    points[21], points[13] = (10, 5), (60, 5)
    gap = points.copy()
    gap[6] = np.nan
    faces = [annotated_face(truth) for truth in (points, gap)]
    errors = face_errors(faces, np.stack([points, points]) + (4, 3), range(58), IMM58)
    np.testing.assert_allclose(errors["nme_jaw"], 5 / 50)
    # The last point has slid beyond the end; so has that before the gap.
    np.testing.assert_allclose(
        errors["nme_jaw_to_curve"], [(12 * 3 + 5) / 13 / 50, (10 * 3 + 2 * 5) / 12 / 50]
    )
    gap[[5, 7]] = np.nan  # a point between missing ones is still on the curve
    alone = face_errors(faces[1:], gap[None], range(58), IMM58)
    assert alone["nme_jaw_to_curve"].tolist() == [0]
    nose = face_errors(faces, points[None, [52]].repeat(2, 0), [52], IMM58)
    assert nose["nme_nose_to_curve"].tolist() == [0, 0]
