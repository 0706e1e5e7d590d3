"""Tables of the documentation that are typed by hand, and whether a cell is what the committed files say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from physgen.experiments.paper.results.numbers import Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import read_figures

ROOT = Path(__file__).parents[3]
NUMBER = r"[-+−]?\d+(?:\.\d+)?(?:e-?\d+)?"


def page(name: str) -> str:
    """Text of ``docs/NAME.md``."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """What stands under a heading of a page, up to the next heading that is as high."""
    level = heading.split(" ", 1)[0]
    (found,) = re.findall(rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", page(name), re.M | re.S)
    return str(found)


def tables(text: str) -> list[list[dict[str, str]]]:
    """Rows of each table of a text, cells by heading."""
    found = []
    for lines in re.findall(r"(?:^\|.*\n)+", text, re.M):
        head, _, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in lines.splitlines())
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def rounds_to(value: float, text: str) -> bool:
    """Whether a number is, to the digits that are printed, what is printed."""
    printed = Decimal(text.replace("−", "-"))
    return abs(Decimal(value) - printed) <= Decimal("0.5001").scaleb(int(printed.as_tuple().exponent))


def agrees(cell: str, values: Iterable[float]) -> bool:
    """Whether the numbers of a cell are, in their order, these."""
    printed = re.findall(NUMBER, cell)
    known = list(values)
    return len(printed) == len(known) and all(map(rounds_to, known, printed))


def interval(entry: dict[str, float]) -> tuple[float, float, float]:
    """Value and bounds, as results write them."""
    return entry["estimate"], entry["low"], entry["high"]


@cache
def documented(name: str) -> Any:
    """What ``docs/results/NAME.json`` holds, of either version of the world."""
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))


@cache
def numbers(name: str) -> dict[str, Number]:
    """Those of a figure or table of the paper."""
    version, specs = read_figures(ROOT / "paper" / "figures.yaml")
    made = import_module(f"physgen.experiments.paper.figures.{specs[name].module}").make(
        specs[name], Store(ROOT / "paper" / "results", version)
    )
    return dict(made.numbers)
