import math
import re
from typing import Any

import jaxtyping
import pytest

from physgen import Grid
from physgen.errors import InvalidArgument


def test_keeps_what_it_was_given() -> None:
    grid = Grid(spacing=(2, 0.5), dt=3, boundary="periodic")
    assert grid.spacing == (2.0, 0.5)
    assert grid.dt == 3.0
    assert grid.boundary == "periodic"
    assert grid.cell_area == 1.0
    assert all(type(value) is float for value in (*grid.spacing, grid.dt))


@pytest.mark.parametrize("spacing", [(2.0,), (2.0, 3.0), (2.0, 3.0, 0.5)])
def test_lines_and_volumes(spacing: tuple[float, ...]) -> None:
    assert Grid(spacing, dt=1.0).cell_area == math.prod(spacing)


def test_is_a_value() -> None:
    grid = Grid((1.0, 1.0), 1.0)
    assert grid == Grid((1, 1), 1)
    assert hash(grid) == hash(Grid((1, 1), 1))
    assert grid.boundary == "no-flux"
    with pytest.raises(AttributeError):
        grid.dt = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "got", "allowed"),
    [
        ("spacing", (0.0, 1.0), "> 0"),
        ("spacing", (1.0, -1.0), "> 0"),
        ("spacing", (math.nan, 1.0), "> 0"),
        ("spacing", (), "one or three lengths"),
        ("spacing", (1.0,) * 4, "one or three lengths"),
        ("spacing", 1.0, "one or three lengths"),
        ("dt", 0.0, "> 0"),
        ("dt", math.inf, "> 0"),
        ("dt", "fast", "> 0"),
        ("dt", None, "> 0"),
        ("boundary", "wall", "no-flux, periodic, dirichlet, open"),
    ],
)
def test_refuses(monkeypatch: pytest.MonkeyPatch, name: str, got: object, allowed: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    arguments: dict[str, Any] = {"spacing": (1.0, 1.0), "dt": 1.0, name: got}
    with pytest.raises(InvalidArgument, match=f"^{name}=.*{re.escape(allowed)}"):
        Grid(**arguments)
