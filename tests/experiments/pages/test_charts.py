"""Charts and ribbons: what is drawn is where the numbers say."""

from __future__ import annotations

import math
import re

import pytest
from matplotlib.figure import Figure

from physgen.experiments.pages.axes import HEIGHT, RIGHT, TOP, WIDTH
from physgen.experiments.pages.charts import Chart, Series
from physgen.experiments.pages.ribbon import Ribbon

BOTTOM_LINE = HEIGHT - 46


def test_amounts_begin_at_zero_and_dots_are_where_the_values_are() -> None:
    lines = [Series("measured", [0, 1, 2], [90.0, 95.0, 100.0], dots=True), Series("law", [0, 2], [95.0, 95.0])]
    chart = Chart("Mass", "time (s)", "mass (counts µm²)", lines, from_zero=True)
    low, high = chart.limits()
    assert (low, high) == (0.0, 105.0)
    places = [
        (float(x), float(y)) for x, y in re.findall(r'<circle class="s0" cx="([\d.]+)" cy="([\d.]+)"', chart.svg())
    ]
    assert [x for x, _ in places] == [84, 277, WIDTH - RIGHT]
    for (_, y), value in zip(places, lines[0].y, strict=True):
        assert y == pytest.approx(TOP + (1 - value / high) * (BOTTOM_LINE - TOP), abs=0.06)
    assert [words for _, words in chart.key] == ["measured", "law"]
    assert "stroke-dasharray" in chart.key[1][0]
    assert "mass (counts µm²)" in chart.svg()


@pytest.mark.parametrize(
    ("values", "limits"), [([-2.0, 8.0], (-2.5, 8.5)), ([0.0, 0.0], (0.0, 0.5)), ([-1.0], (-1.05, 0.05))]
)
def test_the_axis_of_amounts_shows_what_is_below_zero(values: list[float], limits: tuple[float, float]) -> None:
    series = [Series("a", list(range(len(values))), values)]
    assert Chart("", "", "", series, from_zero=True).limits() == pytest.approx(limits)


def test_a_ribbon_shows_the_path_every_frame_and_the_forbidden_steps() -> None:
    ribbon = Ribbon("Phases", "time (s)", [0, 10, 20, 30], ["a", "b", "c"], [0, 0, 1, 1], [0, 2, 1, 1], [1, 2])
    svg = ribbon.svg()
    bands = [(float(x), float(w)) for x, w in re.findall(r'<rect [^>]*x="([\d.]+)" [^>]*width="([\d.]+)"', svg)]
    assert bands == [(104, 183), (287, 183)]
    rows = [float(y) for y in re.findall(r'<circle [^>]*cy="([\d.]+)"', svg)]
    assert rows[2] == rows[3]
    assert rows[1] < rows[2] < rows[0]
    assert svg.count('<path class="s1"') == 2
    assert all(f">{name}</text>" in svg for name in "abc")
    assert ribbon.key[-1][1] == "forbidden step between two frames: 2"


@pytest.mark.parametrize("series", [[], [Series("a", [], [])], [Series("a", [0, 1], [math.nan, math.nan])]])
@pytest.mark.parametrize("log", [False, True])
def test_a_chart_without_a_value_is_an_empty_frame(series: list[Series], log: bool) -> None:
    chart = Chart("Mass", "time (s)", "mass", series, log=log)
    svg = chart.svg()
    assert 'class="axis"' in svg
    assert "<polyline" not in svg
    assert "nan" not in svg
    chart.draw(Figure().add_subplot())


def test_a_line_is_broken_where_it_has_no_value() -> None:
    values = [1.0, 2.0, math.nan, 2.0, 1.0, 0.0, 4.0]
    svg = Chart("Residual", "step", "rms", [Series("mass", list(range(7)), values)], log=True).svg()
    lines = re.findall(r'<polyline [^>]*points="([^"]*)"', svg)
    assert [len(line.split()) for line in lines] == [2, 2], "0 has no place on a logarithmic axis"
    assert svg.count("<circle") == 1


def test_a_line_of_one_value_is_a_dot_in_a_picture_too() -> None:
    axes = Figure().add_subplot()
    Chart("", "", "", [Series("one", [3.0], [2.0]), Series("two", [3.0, 4.0], [2.0, 2.5])]).draw(axes)
    assert [line.get_marker() for line in axes.lines] == ["o", "None"]


def test_a_ribbon_of_one_frame() -> None:
    svg = Ribbon("Phases", "time (s)", [37.3], ["a", "b"], [1], [1], []).svg()
    assert (svg.count("<rect"), svg.count("<circle")) == (1, 1)
    assert "nan" not in svg
