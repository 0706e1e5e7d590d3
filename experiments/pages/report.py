"""The self-contained page of a run: films, numbers, charts, settings; no network, light and dark."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from physgen import __version__
from physgen.experiments.pages.charts import PALETTE, Chart
from physgen.experiments.pages.ribbon import Ribbon
from physgen.experiments.pages.strip import strip_png
from physgen.video import Video


@dataclass(frozen=True)
class Film:
    """A video on the page, or ``frames`` of which it has a few; ``mp4`` is played where there is one."""

    label: str
    video: Video
    mp4: Path | None = None
    frames: int | None = None

    @property
    def strip(self) -> str:
        """Film strip as a data URI."""
        return _data_uri("image/png", strip_png(self.video))

    @property
    def span(self) -> str:
        """What the strip shows."""
        last = (self.frames or len(self.video.frames)) - 1
        return f"frame 0 to {last}" + (f", 0 to {last * self.video.dt:.3g} s" if self.video.dt else "")

    @property
    def movie(self) -> str | None:
        """MP4 as a data URI."""
        return _data_uri("video/mp4", self.mp4.read_bytes()) if self.mp4 else None


@dataclass(frozen=True)
class Table:
    """Numbers with units; every row is a name and one text per column."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Page:
    """Everything that is on the page, top to bottom."""

    title: str
    subtitle: str
    notes: Sequence[str]
    figures: Sequence[tuple[str, str]]
    films: Sequence[Film]
    charts: Sequence[Chart]
    table: Table
    ribbons: Sequence[Ribbon] = ()
    config: str = ""
    version: str = field(default=__version__)


def write_report(path: str | Path, page: Page) -> None:
    """Render ``report.html``; all text is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = (files("physgen.experiments.pages") / "templates" / "report.html.j2").read_text(encoding="utf-8")
    html = environment.from_string(source).render(page=page, palette=PALETTE)
    Path(path).write_text(html, encoding="utf-8")


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits and a unit, or a dash for what is not known.

    >>> number(0.20612, "%"), number(3e-8), number(None)
    ('0.206 %', '3.0e-08', '–')
    """
    if value is None:
        return "–"
    text = f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"
    return f"{text} {unit}" if unit else text


def percent(ratio: float | None) -> str:
    """A ratio in percent, or as it is when that is far below one percent.

    >>> percent(0.0164), percent(3e-8)
    ('1.64 %', '3.0e-08')
    """
    return number(100 * ratio, "%") if ratio is not None and abs(ratio) >= 1e-5 else number(ratio)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
