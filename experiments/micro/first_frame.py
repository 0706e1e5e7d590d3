"""What a first frame is worth in the embedded world: its latents replaced, or a gradient towards it.

``python -m physgen.experiments.micro.first_frame`` prints the table.
"""

from __future__ import annotations

import torch
from rich.console import Console
from torch import Tensor

from physgen.constraints import Observed
from physgen.drawn import GUIDED, UNGUIDED, Arm, draw
from physgen.experiments.measure.intervals import mean_interval
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.micro.arms import request_of
from physgen.experiments.micro.cases import Case, cases, simulated
from physgen.guidance import DPS, Guidance, Replacement
from physgen.sampling import encode_frames
from physgen.worlds import World, load_world

#: law of the family -> its name in the table
FAMILIES = {"fisher_kpp": "growth", "diffusion": "dye"}
PROMPTS, SEED, TRUTH = 8, 501, 3


def guidances(world: World, video: Tensor, fields: Tensor) -> dict[str, Guidance]:
    """What is compared, given a video's first frame and nothing else."""
    latents = encode_frames(world.pipe, video[:, :, :1], world.spec.num_frames)
    seen = torch.full_like(fields, torch.nan)
    seen[:, :, 0] = fields[:, :, 0]
    replaced = {f"Replacement, renoise={eta:g}": Replacement(latents, renoise=eta) for eta in (0.0, 0.6, 0.9)}
    return {**replaced, **{f"DPS, backward, renoise={eta:g}": DPS(Observed(seen), renoise=eta) for eta in (0.0, 0.9)}}


def measure(world: World, case: Case) -> list[tuple[str, float, float]]:
    """Name of each arm, RMSE of its fields on frames 1 and later, and its time over the unguided one's."""
    video, observable = simulated(case, TRUTH), world.observable(case.prompt.caption)
    fields = observable(video)
    rows = []
    for name, guidance in guidances(world, video, fields).items():
        found = draw(world, request_of(case), guidance, arms=[UNGUIDED, GUIDED]).arms
        free, guided = found[UNGUIDED], found[GUIDED]

        def error(arm: Arm) -> float:
            return float((observable(arm.video) - fields)[:, :, 1:].square().mean().sqrt())

        rows += [(UNGUIDED, error(free), 1.0), (name, error(guided), guided.seconds / free.seconds)]
    return rows


def main() -> None:
    """Eight prompts of growth and eight of dye, each arm beside an unguided run of its own."""
    torch.set_num_threads(1)
    world = load_world("micro")
    world.pipe.set_progress_bar_config(disable=True)
    draw(world, request_of(cases("diffusion", 1, SEED)[0]))  # the first run holds start-up costs
    for law, family in FAMILIES.items():
        drawn = [measure(world, case) for case in cases(law, PROMPTS, SEED)]
        found: dict[str, list[tuple[float, float]]] = {}
        for rows in drawn:
            for name, (error, ratio) in {name: (error, ratio) for name, error, ratio in rows}.items():
                found.setdefault(name, []).append((error, ratio))
        table: list[list[Cell]] = []
        for name, values in found.items():
            errors, ratios = torch.tensor(values, dtype=torch.float64).T
            table.append([name, mean_interval(errors.numpy()), float(ratios.median()), float(ratios.max())])
        title = f"{family}: first frame known, {PROMPTS} prompts, one sample each, 95 % bootstrap intervals"
        Table(title, ["arm", "RMSE of hidden frames", "time, median", "time, max"], table).show(Console(width=120))


if __name__ == "__main__":
    main()
