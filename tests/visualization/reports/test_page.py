"""HTML pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from facekp.visualization import charts
from facekp.visualization.reports.page import Section, chart, link, table, write_page
from tests.helpers import Page


def test_cells_and_charts_cannot_break_a_page(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a<b": ["</table><script>", None], "n": [1.5, 2.0]})
    curve, _ = charts.error_curves({"<x>": np.array([0.1])}, 0.08)
    parts = [table(frame), chart(curve, "one"), chart(curve, "two"), link("x/y", "<b>")]
    write_page(tmp_path / "p.html", "<t>", "", "rm <x>", {"<c>": "<v>"}, [Section("s", "<", parts)])
    text = (tmp_path / "p.html").read_text()
    for piece in ("<script", "<t>", "<v>", "<c>", "<x>", "a<b"):
        assert piece not in text
    ids = Page(tmp_path / "p.html").ids
    assert len(ids) == len(set(ids))
