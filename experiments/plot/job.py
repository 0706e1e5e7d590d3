"""`physgen plot`: two columns of a sweep's table against each other, as PNG and SVG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from physgen.experiments.plot.figure import draw
from physgen.experiments.plot.points import points
from physgen.experiments.plot.style import save, styled
from physgen.experiments.runs.collect import collect

#: of the PNG, in dots an inch
RESOLUTION = 200


@dataclass
class PlotConfig:
    """Options of `physgen plot`, see ``conf/plot.yaml``."""

    sweep: str
    x: str
    y: str
    colour: str | None
    facets: list[str]
    runs: str
    out: str | None


def run(config: PlotConfig) -> None:
    """Write ``SWEEP.Y.X.png`` and ``.svg`` and print where they are.

    Raises: InvalidArgument as `collect`, `points` and `draw`.
    """
    runs = Path(config.runs)
    found = collect(runs, config.sweep)
    shown = points(found.rows, config.x, config.y, colour=config.colour, facets=config.facets)
    with styled():
        picture = draw(shown, sweep=config.sweep, x=config.x, y=config.y, colour=config.colour, facets=config.facets)
        out = Path(config.out or runs / "results")
        out.mkdir(parents=True, exist_ok=True)
        stem = ".".join([config.sweep, *(name.replace("/", "-") for name in (config.y, config.x))])
        save(picture, out / f"{stem}.svg")
        picture.savefig(out / f"{stem}.png", dpi=RESOLUTION, metadata={"Software": None})
    runs_found, runs_shown = len({row["run"] for row in found.rows}), sum(len(one.y) for one in shown)
    if runs_shown < runs_found:
        print(f"{runs_found - runs_shown} of {runs_found} runs do not have both {config.x} and {config.y}")
    if found.problems:
        print(f"left out: {len(found.problems)} runs, the first is {found.problems[0]}")
    for kind in ("png", "svg"):
        print(out / f"{stem}.{kind}")
