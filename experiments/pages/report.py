"""The self-contained page of a run: films, numbers, charts, settings; no network, light and dark."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from physgen.experiments.pages.charts import PALETTE, Chart
from physgen.experiments.pages.numbers import seconds
from physgen.experiments.pages.render import render
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
        return f"frame 0 to {last}" + (f", 0 to {seconds(last * self.video.dt)}" if self.video.dt else "")

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


def write_report(path: str | Path, page: Page) -> None:
    """Render ``report.html``, completely or not at all; all text is escaped."""
    render(Path(path), "report", page=page, palette=PALETTE)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
