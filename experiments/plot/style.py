"""How every figure looks: Okabe and Ito's colours, and a marker and a dash for each arm, for print in grey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from physgen.errors import InvalidArgument

#: width of the text in inches
WIDTH = 6.5
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    *("#000000", "#e69f00", "#56b4e9", "#009e73"),
    *("#0072b2", "#d55e00", "#cc79a7"),
)
GREY = "#888888"
RC: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.07,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.2,
    "svg.hashsalt": "physgen",
}


@dataclass(frozen=True)
class Look:
    """Name in print, colour, marker and dash of an arm."""

    name: str
    colour: str
    marker: str
    dash: str = "-"


#: values of ``guidance`` in a sweep; the first three are free baselines
ARMS = {
    "none": Look("unguided", BLACK, "o", ":"),
    "afterwards": Look("projected afterwards", GREY, "s", "--"),
    "best_of_4": Look("best of 4", ORANGE, "D", "-."),
    "particles": Look("4 particles", PURPLE, "*", "--"),
    "x0_gradient": Look("x0-gradient (soft)", SKY, "^"),
    "projection": Look("projection", BLUE, "v", "--"),
    "augmented_lagrangian": Look("augmented Lagrangian", GREEN, "P", "-."),
    "dps": Look("DPS (soft)", VERMILION, "X", ":"),
}
LAWS = {
    "mass": "mass",
    "diffusion": "diffusion",
    "fisher_kpp": "Fisher-KPP",
    "phase_order": "order of phases",
    "gray_scott": "Gray-Scott",
    "transport": "transport",
    "permanence": "permanence",
    "periodic": "one period",
    "progression": "one direction",
    "count": "count",
}


#: looks of values that have none of their own
LOOKS = tuple(
    zip(
        (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK),
        ("o", "s", "^", "D", "v", "P", "X"),
        ("-", "--", "-.", ":", "-", "--", "-."),
        strict=True,
    )
)


def looks(values: Sequence[str]) -> dict[str, Look]:
    """A look for each value: that of its arm, or in order.

    Raises: InvalidArgument for more values than can be told apart.

    >>> looks(["none", "dps"])["none"].name, looks(["0.5", "dps"])["0.5"].colour
    ('unguided', '#0072b2')
    """
    if len(values) > len(LOOKS):
        raise InvalidArgument(
            "colour", ", ".join(values), f"a key with at most {len(LOOKS)} values; facets= takes more"
        )
    if set(values) <= ARMS.keys():
        return {value: ARMS[value] for value in values}
    return {value: Look(value_name(value), *look) for value, look in zip(values, LOOKS, strict=False)}


def value_name(value: str) -> str:
    """A value of a key as it is printed.

    >>> value_name("augmented_lagrangian"), value_name("fisher_kpp"), value_name("0.5")
    ('augmented Lagrangian', 'Fisher-KPP', '0.5')
    """
    return ARMS[value].name if value in ARMS else LAWS.get(value, value)


def sized(height: float) -> Figure:
    """An empty figure as wide as the text."""
    return Figure((WIDTH, height), layout="constrained")


@contextmanager
def styled() -> Iterator[None]:
    """Figures drawn inside look alike."""
    with mpl.rc_context(RC):
        yield


def save(picture: Figure, path: Path) -> None:
    """Write an SVG whose bytes depend on the picture alone."""
    picture.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def legend(picture: Figure, axes: Any, columns: int) -> None:
    """One legend for all panels, below them."""
    handles, labels = axes.get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=2.6)
