"""A page of text, charts, pictures and tables in one file that needs no other."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from facekp.visualization.charts import to_svg
from facekp.core.files import write_text


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        title: its heading.
        text: what is to be seen, in a sentence or two.
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
        command: what made the results; empty for none.
        cards: the figures that matter most, by name.
        sections: the rest, in order.
    """
    loader = PackageLoader("facekp.visualization.reports", ".")
    template = Environment(loader=loader, autoescape=True).get_template("page.html")
    text = template.render(
        title=title, subtitle=subtitle, command=command, cards=cards, sections=sections
    )
    write_text(path, text)


def chart(figure: Figure, name: str, caption: str = "") -> Markup:
    """A chart as SVG; `name` must be unique on the page."""
    return _figure(Markup(to_svg(figure, name)), caption)  # drawn by us


def photo(path: Path, caption: str = "") -> Markup:
    """A picture file, carried inside the page."""
    kind = mimetypes.guess_type(path)[0]
    data = base64.b64encode(path.read_bytes()).decode()
    image = Markup('<img loading="lazy" src="data:{};base64,{}" alt="{}">')
    return _figure(image.format(kind, data, caption or path.stem), caption)


def _figure(content: Markup, caption: str) -> Markup:
    below = Markup("<figcaption>{}</figcaption>").format(caption) if caption else ""
    return Markup('<figure><div class="scroll">{}</div>{}</figure>').format(content, below)


def row(*parts: Markup) -> Markup:
    """Elements side by side where there is room."""
    return Markup('<div class="row">{}</div>').format(Markup().join(parts))


def table(
    frame: pd.DataFrame,
    formats: Mapping[str, Callable[[object], str | Markup]] | None = None,
    faded: Sequence[bool] = (),
) -> Markup:
    """A table; columns of numbers are flush right.

    Args:
        frame: its rows; missing values stay empty.
        formats: how the values of a column are written, by its name.
        faded: rows in a soft colour.
    """
    numeric = {name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])}

    def cell(name: str, value: object, tag: str) -> Markup:
        kind = Markup(' class="number"') if name in numeric else ""
        return Markup("<{0}{1}>{2}</{0}>").format(tag, kind, value)

    head = Markup().join(cell(name, name, "th") for name in frame.columns)
    lines = []
    for number, values in enumerate(frame.itertuples(index=False)):
        cells = Markup().join(
            cell(name, "" if pd.isna(value) else (formats or {}).get(name, str)(value), "td")
            for name, value in zip(frame.columns, values, strict=True)
        )
        kind = Markup(' class="failed"') if number < len(faded) and faded[number] else ""
        lines.append(Markup("<tr{}>{}</tr>").format(kind, cells))
    return Markup('<div class="scroll"><table><tr>{}</tr>{}</table></div>').format(
        head, Markup().join(lines)
    )


def plain(text: str) -> Markup:
    """Text as it is."""
    return Markup("<pre>{}</pre>").format(text)


def folded(summary: str, content: Markup) -> Markup:
    """An element that is to be opened first."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, content)


def link(target: str, text: str) -> Markup:
    """A link to a file beside the page."""
    return Markup('<a href="{}">{}</a>').format(target, escape(text))
