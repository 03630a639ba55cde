"""Settings of the documentation's generator, Sphinx: `make docs`."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

from facekp.core.version import __version__

project, author, version = "facekp", "The facekp developers", __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"facekp {version}"
html_copy_source = html_show_sourcelink = html_show_copyright = False
# A line of a hundred characters fits.
html_theme_options = {"light_css_variables": {"code-font-size": "var(--font-size--small--3)"}}
myst_heading_anchors = 3
autodoc_typehints = "none"
# The pages that are included begin with their own headings.
suppress_warnings = ["myst.header"]

ROOT = Path(__file__).parent.parent
GROUPS = (
    "", "dataset", "model", "model/optimizer", "model/scheduler", "model/loss", "augmentation",
    "trainer", "callbacks", "experiment", "task", "detector", "landmarks", "search",
    "hydra/launcher", "logger",
)  # fmt: skip


def write_settings(_app: Sphinx) -> None:
    """Write `settings.md` from the files of `conf/`, whose comments explain the settings."""
    lines = [
        "# Settings",
        "",
        "The files of `conf/`. A group is chosen by its name (`model=resnet18`), a value is set by "
        "its place (`model.optimizer.lr=1e-3`).",
    ]
    for group in GROUPS:
        lines += ["", f"## {group or 'Programs'}"]
        for path in sorted((ROOT / "conf" / group).glob("*.yaml")):
            text = path.read_text(encoding="utf-8").rstrip()
            text = re.sub(
                r"^(\s*(?:names|parts|skeleton|flip_pairs): ).{300,}$", r"\1...", text, flags=re.M
            )
            name = f"{group}={path.stem}" if group else path.name
            lines += ["", f"### {name}", "", "```yaml", text, "```"]
    page = ROOT / "docs/settings.md"
    text = "\n".join(lines) + "\n"
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def mark_code(
    _app: Sphinx, _what: str, _name: str, _obj: object, _opt: object, lines: list[str]
) -> None:
    """Tell reStructuredText that indented lines before the first section are code."""
    marked: list[str] = []
    in_code, in_text = False, True
    for line in lines:
        in_text = in_text and line not in ("Args:", "Raises:", "Returns:", "Attributes:")
        if in_text and line.startswith("    ") and not in_code and not (marked and marked[-1]):
            marked += ["::", ""]
        in_code = in_text and (line.startswith("    ") or (in_code and not line))
        marked.append(line)
    lines[:] = marked


def link_to_pages(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Let links to files of the project lead to the pages that include them."""
    source[0] = source[0].replace("](../SECURITY.md)", "](security.md)")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", link_to_pages)
    app.connect("autodoc-process-docstring", mark_code, priority=400)
    app.connect("builder-inited", write_settings)
