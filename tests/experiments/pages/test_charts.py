"""Charts and ribbons: what is drawn is where the numbers say."""

from __future__ import annotations

import re

import pytest

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
