"""Self-contained HTML pages from the templates of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from physgen import __version__
from physgen.experiments.measure.tables import text
from physgen.experiments.pages.axes import label
from physgen.experiments.pages.numbers import number, seconds


def render(path: Path, template: str, **content: Any) -> None:
    """Write a page, completely or not at all; all text is escaped."""
    loader = PackageLoader("physgen.experiments.pages")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"text": text, "label": label, "number": number, "seconds": seconds}
    html = environment.get_template(f"{template}.html.j2").render(version=__version__, **content)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(html, encoding="utf-8", errors="replace")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
