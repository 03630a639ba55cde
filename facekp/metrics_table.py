"""Judging found points face by face: tables of errors and their summary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from facekp.data.records import FaceRecord
from facekp.core.landmarks import LandmarkScheme


def relative_errors(
    records: Sequence[FaceRecord], found: np.ndarray, points: Sequence[int], scheme: LandmarkScheme
) -> np.ndarray:
    """Offsets (N, K, 2) of found points from the true ones, over the faces' inter-ocular distance.

    Args:
        records: the faces, with points.
        found: (N, K, 2) pixels of the photos.
        points: indices of the K points in the scheme.
        scheme: what the records' points are.
    """
    truth = _truth(records)
    return (found - truth[:, points]) / scheme.interocular(truth)[:, None, None]


def _truth(records: Sequence[FaceRecord]) -> np.ndarray:
    """All points (N, scheme's count, 2) of faces that have them."""
    return np.stack([record.keypoints for record in records if record.keypoints is not None])


def image_errors(
    records: Sequence[FaceRecord], found: np.ndarray, points: Sequence[int], scheme: LandmarkScheme
) -> pd.DataFrame:
    """A row an image: name, source, MAE per coordinate in px, NME, NME of each region.

    Its arguments are those of `relative_errors`.
    """
    difference = found - _truth(records)[:, points]
    normalised = np.linalg.norm(relative_errors(records, found, points, scheme), axis=-1)
    columns = {
        "image": [record.name for record in records],
        "source": [record.source for record in records],
        "mae_px": np.abs(difference).mean(axis=(1, 2)),
        "nme_interocular": normalised.mean(axis=1),
    }
    for region, members in scheme.regions.items():
        own = [at for at, point in enumerate(points) if point in members]
        if own:
            columns[f"nme_{region}"] = normalised[:, own].mean(axis=1)
    return pd.DataFrame(columns)


def summary(errors: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """One row: count, means, AUC and failure rate at `threshold` of a table of image errors.

    `nme_standard_error` is how far the mean of as many other faces would lie off (not a number for
    one face). Two networks judged on the same faces can be told apart more finely: it is their
    difference face by face that counts.
    """
    error = errors["nme_interocular"]
    row = {
        "images": len(errors),
        "mae_px": errors["mae_px"].mean(),
        "nme_interocular": error.mean(),
        "nme_standard_error": error.sem(),
        f"auc_{threshold:g}_interocular": (1 - error / threshold).clip(lower=0).mean(),
        f"failure_{threshold:g}_interocular": (error > threshold).mean(),
    }
    regions = errors.columns.drop(["image", "source", "mae_px", "nme_interocular"])
    return pd.DataFrame([row | errors[regions].mean().to_dict()])
