"""HTML pages of text, charts, pictures and tables, each a single file."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from facekp.core.files import atomic_write_text
from facekp.core.image import read_image
from facekp.visualization.charts import save_chart, to_svg
from facekp.visualization.overlay import save_image


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Args:
        title: its heading.
        text: what it shows, in a sentence or two.
        parts: elements, made by the functions below.
    """

    title: str
    text: str
    parts: Sequence[Markup]


def write_page(
    path: Path,
    title: str,
    subtitle: str,
    command: str,
    cards: Mapping[str, str],
    sections: Sequence[Section],
) -> None:
    """Write a page.

    Args:
        path: of the HTML file.
        title: its heading.
        subtitle: a line below it.
        command: that made the results; empty for none.
        cards: the most important figures, by title.
        sections: all else, in order.
    """
    loader = PackageLoader("facekp.visualization.reports", ".")
    template = Environment(loader=loader, autoescape=True).get_template("page.html")
    text = template.render(
        title=title, subtitle=subtitle, command=command, cards=cards, sections=sections
    )
    atomic_write_text(path, text)


def chart(figure: Figure, name: str, caption: str = "") -> Markup:
    """A chart as SVG; `name` must be unique on the page."""
    return _figure(Markup(to_svg(figure, name)), caption)  # drawn here, so safe


def photo(path: Path, caption: str = "") -> Markup:
    """An image file, embedded in the page."""
    media_type = mimetypes.guess_type(path)[0]
    data = base64.b64encode(path.read_bytes()).decode()
    image = Markup('<img loading="lazy" src="data:{};base64,{}" alt="{}">')
    return _figure(image.format(media_type, data, caption or path.stem), caption)


def _figure(content: Markup, caption: str) -> Markup:
    below = Markup("<figcaption>{}</figcaption>").format(caption) if caption else ""
    return Markup('<figure><div class="scroll">{}</div>{}</figure>').format(content, below)


def row(*parts: Markup) -> Markup:
    """Elements side by side if there is room."""
    return Markup('<div class="row">{}</div>').format(Markup().join(parts))


def table(
    frame: pd.DataFrame,
    formats: Mapping[str, Callable[[object], str | Markup]] | None = None,
    faded: Sequence[bool] = (),
) -> Markup:
    """A table; columns of numbers are right-aligned.

    Args:
        frame: its rows; missing values stay empty.
        formats: functions that format the values of a column, by its name.
        faded: which rows are greyed out.
    """
    numeric = {name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])}

    def cell(name: str, value: object, tag: str) -> Markup:
        css = Markup(' class="number"') if name in numeric else ""
        return Markup("<{0}{1}>{2}</{0}>").format(tag, css, value)

    head = Markup().join(cell(name, name, "th") for name in frame.columns)
    lines = []
    for number, values in enumerate(frame.itertuples(index=False)):
        cells = Markup().join(
            cell(name, "" if pd.isna(value) else (formats or {}).get(name, str)(value), "td")
            for name, value in zip(frame.columns, values, strict=True)
        )
        css = Markup(' class="failed"') if number < len(faded) and faded[number] else ""
        lines.append(Markup("<tr{}>{}</tr>").format(css, cells))
    return Markup('<div class="scroll"><table><tr>{}</tr>{}</table></div>').format(
        head, Markup().join(lines)
    )


def plain(text: str) -> Markup:
    """Preformatted text."""
    return Markup("<pre>{}</pre>").format(text)


def folded(summary: str, content: Markup) -> Markup:
    """An element that is hidden until it is opened."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, content)


def link(target: str, text: str) -> Markup:
    """A link to a file beside the page."""
    return Markup('<a href="{}">{}</a>').format(target, escape(text))


class Gallery:
    """Puts charts and pictures into a folder, on TensorBoard, and on the page.

    Args:
        folder: where the files go.
        boards: TensorBoard writers (`torch.utils.tensorboard.SummaryWriter`).
        step: of the TensorBoard entries.
    """

    def __init__(self, folder: Path, boards: Sequence[Any] = (), step: int = 0) -> None:
        self.folder, self.boards, self.step = folder, boards, step

    def chart(self, figure: Figure, name: str) -> Markup:
        """Add a chart."""
        path = self.folder / f"{name}.png"
        save_chart(figure, path)
        self._to_boards(path)
        return chart(figure, name)

    def picture(self, picture: np.ndarray, name: str, caption: str) -> Markup:
        """Add an image (H, W, 3) under a file name."""
        path = self.folder / name
        save_image(path, picture)
        self._to_boards(path)
        return photo(path, caption)

    def text(self, text: str, name: str) -> None:
        """Add preformatted text, on TensorBoard only."""
        for board in self.boards:
            board.add_text(f"report/{name}", "\n".join(f"    {x}" for x in text.splitlines()))

    def _to_boards(self, path: Path) -> None:
        for board in self.boards:
            board.add_image(f"report/{path.stem}", read_image(path), self.step, dataformats="HWC")
