"""Film strips and reports of every length, scale and name: times are numbers, and nothing is taken as mathematics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.axes import Axes

from physgen.experiments.pages.charts import Chart, Series
from physgen.experiments.pages.numbers import number, percent
from physgen.experiments.pages.report import Film, Page, Table, write_report
from physgen.experiments.pages.strip import write_preview
from physgen.video import Video

CHART = Chart("Mass", "time (s)", "mass", [Series("a", [0, 1], [1.0, 1.0])])


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written into pictures from now on."""
    words: list[str] = []
    real = Axes.text

    def text(self: Axes, x: float, y: float, s: str, *args: Any, **options: Any) -> Any:
        words.append(s)
        return real(self, x, y, s, *args, **options)

    monkeypatch.setattr(Axes, "text", text)
    return words


def video(frames: int = 25, size: int = 16, spacing: float = 2.0, dt: float = 14400.0) -> Video:
    return Video(torch.rand(frames, 3, size, size), spacing=(spacing, spacing), dt=dt)


def test_hours_are_not_written_with_exponents_of_two_digits(tmp_path: Path, written: list[str]) -> None:
    write_preview(tmp_path / "a.png", {"guided": video(frames=5)}, CHART, "two colonies")
    assert [word for word in written if word.endswith(" s")] == ["0 s", "14400 s", "28800 s", "43200 s", "57600 s"]
    assert Film("guided", video(frames=5)).span == "frame 0 to 4, 0 to 57600 s"
    assert Film("guided", video(frames=25)).span == "frame 0 to 24, 0 to 3.46·10⁵ s"


@pytest.mark.parametrize(
    ("spacing", "bar"), [(2.0, "10 µm"), (1e-6, "5e-06 µm"), (1e9, "5e+09 µm"), (1.0, "5 µm"), (0.0625, "0.5 µm")]
)
def test_a_scale_bar_of_every_scale(tmp_path: Path, written: list[str], spacing: float, bar: str) -> None:
    write_preview(tmp_path / "a.png", {"a": video(2, 16 if spacing != 1e-6 else 10, spacing)}, CHART, "a")
    assert [word for word in written if word.endswith("µm")] == [bar]


def test_names_are_not_mathematics(tmp_path: Path) -> None:
    write_preview(tmp_path / "$a_{.png", {"$\\frac$": video(2), "µ é": video(2)}, CHART, "$x_{$")
    assert (tmp_path / "$a_{.png").stat().st_size > 1000


def test_a_report_without_films_and_charts_has_no_empty_headings(tmp_path: Path) -> None:
    page = Page("physgen audit", "a \udcff <folder>", [], [], [], [], Table(["", "rms"], [["mass", "0.1"]]))
    write_report(tmp_path / "report.html", page)
    html = (tmp_path / "report.html").read_text("utf-8")
    assert re.findall("<h2[^>]*>([^<]*)", html) == ["Numbers"]
    assert "&lt;folder&gt;" in html
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_numbers_have_three_digits_and_no_exponent_where_none_is_needed() -> None:
    shown = [number(value, "s") for value in (999.96, 1234.0, -1500.0, 99999.0, 0.0, float("nan"), float("-inf"))]
    assert shown == ["1000 s", "1230 s", "-1500 s", "100000 s", "0 s", "–", "-inf s"]
    assert (percent(12.34), percent(float("nan"))) == ("1230 %", "–")
