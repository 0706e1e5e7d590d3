"""What each published world would need, placed and guided in every way: tables made by the plan of memory alone.

``python -m physgen.experiments.speed.worlds`` prints them as Markdown; ``--measure`` measures the embedded world.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from rich.console import Console

from physgen.constraints import MassConservation, Observed
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.speed.memory import PROMPT, STEPS, peak_bytes
from physgen.guidance import DPS, ConditionalMean, Guidance, Projection, X0Gradient
from physgen.sampling.diffusers import guide
from physgen.worlds import load_world, world_names, world_spec
from physgen.worlds.memory.plan import Planner

GIB = 2**30
#: guidances by what they take of the network; those of the same kind need as much
KINDS: dict[str, Callable[[], Guidance | None]] = {
    "unguided": lambda: None,
    "no Jacobian": lambda: X0Gradient([MassConservation()]),
    "forward": lambda: DPS([MassConservation()], jacobian="forward"),
    "backward": lambda: DPS([MassConservation()], jacobian="backward"),
    "forward, two products": lambda: ConditionalMean([MassConservation()], jacobian="forward", terminal=False),
    "backward, two products": lambda: ConditionalMean([MassConservation()], terminal=False),
}


#: GiB of cards that are looked at
CARDS = (24, 48, 80)


def placed(name: str) -> list[Cell]:
    """Weights, peaks in GiB by offloading under `Projection`, and the fastest offloading that fits each card."""
    spec = world_spec(name)
    planner = Planner(spec, Projection([MassConservation()]), spec.observable(PROMPT))
    plans = [planner.plan(offload, True) for offload in ("none", "model", "group")]
    cells: list[Cell] = [name, *(f"{size / GIB:.1f}" for size in (plans[0].host, *(plan.peak for plan in plans)))]
    cells.append(f"{planner.plan('model', False).peak / GIB:.0f}")
    fits = {card: [plan.offload for plan in plans if plan.fits(card * GIB)] for card in CARDS}
    return [*cells, *((offloads or ["smaller video"])[0] for offloads in fits.values())]


def row(name: str) -> list[Cell]:
    """Peaks in GiB of one world with everything on the device, and what a guided step takes of its network."""
    spec = world_spec(name)
    cells: list[Cell] = [name]
    peaks = {}
    for kind, guidance in KINDS.items():
        plan = Planner(spec, guidance(), spec.observable(PROMPT)).plan("none", spec.tiling)
        back = f" + {plan.ways_back} back" if plan.ways_back else ""
        if "two" in kind:
            cells.append(f"{plan.evaluations}{back}")
            continue
        peaks[kind] = plan.peak
        cells.append(f"{plan.peak / GIB:.1f} ({plan.evaluations}{back})")
    return [*cells, f"{peaks['forward'] / peaks['backward']:.2f}"]


def measured() -> dict[str, int]:
    """Peak bytes of one sample of the embedded world, of tensors as the allocator counts them."""
    world = load_world("micro")
    world.pipe.set_progress_bar_config(disable=True)
    observable, grid = world.observable(PROMPT), world.grid(PROMPT)

    def sample(seed: int = 0) -> None:
        world.sample(PROMPT, seed=seed, steps=STEPS)

    fields = observable(world.sample(PROMPT, seed=1, steps=STEPS))
    fields[:, :, 1:] = math.nan

    def guided(jacobian: str) -> Callable[[], None]:
        def work() -> None:
            with guide(world.pipe, DPS(Observed(fields), jacobian=jacobian), observable=observable, grid=grid):
                sample()

        return work

    return {
        "unguided": peak_bytes(sample),
        **{f"DPS, {how}": peak_bytes(guided(how)) for how in ("forward", "backward")},
    }


def main() -> None:
    """The table of all worlds, or what the embedded one needs."""
    parser = argparse.ArgumentParser(prog="physgen.experiments.speed.worlds", description=main.__doc__)
    parser.add_argument("--measure", action="store_true")
    console = Console(width=200, soft_wrap=True)
    if parser.parse_args().measure:
        found = measured()
        rows: list[list[Cell]] = [[name, f"{peak / 2**20:.1f}"] for name, peak in found.items()]
        title = "the embedded world: peak of tensors, as the allocator counts them; no weights"
        console.print(Table(title, ["sample", "peak, MB"], rows).markdown(), markup=False)
        return
    heads = ["world", *KINDS, "forward / backward"]
    names = [name for name in world_names() if name not in ("micro", "other")]
    columns = ["world", "weights", "none", "model", "group", "tiles off, model", *(f"{card} GiB" for card in CARDS)]
    title_placed = "peak in GiB under Projection with tiles, by offloading, and what fits a card, extrapolated"
    console.print(Table(title_placed, columns, [placed(name) for name in names]).markdown(), markup=False)
    rows = [row(name) for name in names]
    title = "peak in GiB with all weights on the device (evaluations + ways back of a guided step), extrapolated"
    console.print(Table(title, heads, rows).markdown(), markup=False)


if __name__ == "__main__":
    main()
