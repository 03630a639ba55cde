"""Charts and the numbers behind them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from facekp.core.landmarks import LandmarkScheme
from facekp.visualization import charts


def test_error_curve_is_the_share_of_faces() -> None:
    _, curve = charts.error_curves({"network": np.array([0.01, 0.02, 0.03, 0.2])}, 0.08)
    at = curve.set_index("nme_interocular")["network"]
    assert at[at.index <= 0.0199].iloc[-1] == 0.25
    assert at.iloc[-1] in (0.75, 1.0)


def test_a_point_that_no_face_has_and_faces_without_a_normaliser() -> None:
    scheme = LandmarkScheme("x", ("a", "b", "c"))
    shape = np.array([[0.2, 0.2], [0.8, 0.2], [0.5, 0.8]])
    offsets = np.full((4, 3, 2), 0.1)
    offsets[:, 1] = np.nan
    figure = charts.errors_by_point(shape, offsets, [0, 1, 2], scheme)
    drawn = figure.axes[0].collections[0]
    np.testing.assert_allclose(drawn.get_offsets(), shape[[0, 2]])
    assert np.isfinite(drawn.get_sizes()).all()
    _, curve = charts.error_curves({"network": np.full(4, np.nan)}, 0.08)
    assert (curve["network"] == 0).all()


def test_of_many_subsets_the_largest_are_drawn() -> None:
    sizes = {f"person {at:04d}": 1 + (at % 30 == 0) for at in range(1200)}
    names = [name for name, size in sizes.items() for _ in range(size)]
    errors = pd.DataFrame({"subset": names, "nme_box": 0.1})
    figure = charts.errors_by_subset(errors, "folder")
    assert figure.get_figheight() < 20
    axes = figure.axes[0]
    assert axes.get_ylabel() == "folder (the 40 with most faces of 1200)"
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert [text.split(" (")[0] for text in shown] == [n for n, size in sizes.items() if size == 2]
