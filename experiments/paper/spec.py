"""``figures.yaml``: which figure is made by which module of which runs."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

import physgen.experiments.paper.figures
from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of
from physgen.experiments.paper.results.results import Arm, Sweep
from physgen.experiments.paper.results.store import Store


@dataclass(frozen=True)
class FigureSpec:
    """One figure or table.

    Attributes:
        name: of its file.
        module: of `physgen.experiments.paper.figures` whose ``make`` draws it.
        caption: Typst markup; ``{key}`` stands for a number or words of the figure.
        sweep: that its runs belong to.
        seeds: 0 to this, in every arm.
        runs: what was set in its runs, values by key.
        options: what else the module wants.
    """

    name: str
    module: str
    caption: str
    sweep: str = ""
    seeds: int = 0
    runs: Mapping[str, list[str]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def arms(self, store: Store) -> tuple[Sweep, list[Arm]]:
        """The sweep, and its runs for each combination of settings, all with the same seeds.

        Raises: InvalidArgument, see `Sweep.arm`.
        """
        sweep = store.sweep(self.sweep)
        combinations = (dict(zip(self.runs, values, strict=True)) for values in product(*self.runs.values()))
        return sweep, [sweep.arm(where, range(self.seeds)) for where in combinations]


def read_figures(path: Path) -> tuple[str, dict[str, FigureSpec]]:
    """Version of all runs, and the figures by name.

    Raises: InvalidArgument for a file that is none, an unknown key or module; FileNotFoundError.
    """
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        version = str(data["version"])
        specs = {name: FigureSpec(name=name, **(data["defaults"] | entry)) for name, entry in data["figures"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument("figures", str(path), f"version, defaults and figures ({error})") from error
    for spec in specs.values():
        if spec.module not in modules():
            raise one_of(f"module of {spec.name}", spec.module, modules())
    return version, specs


@cache
def modules() -> list[str]:
    """Modules that make a figure.

    >>> "figure_families" in modules()
    True
    """
    names = (one.name for one in pkgutil.iter_modules(physgen.experiments.paper.figures.__path__))
    return [name for name in names if name.startswith(("figure_", "table_"))]
