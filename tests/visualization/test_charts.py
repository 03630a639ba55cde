"""Charts and the numbers behind them."""

from __future__ import annotations

import numpy as np

from facekp.visualization import charts


def test_error_curve_is_the_share_of_faces() -> None:
    _, curve = charts.error_curves({"network": np.array([0.01, 0.02, 0.03, 0.2])}, 0.08)
    at = curve.set_index("nme_interocular")["network"]
    assert at[at.index <= 0.0199].iloc[-1] == 0.25
    assert at.iloc[-1] in (0.75, 1.0)
