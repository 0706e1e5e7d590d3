"""One prompt under one law, from one noise: the simulator's video, unguided, projected afterwards, guided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from physgen.constraints import Transport
from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED, Arm, draw
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.draw.measured import Measured, measure
from physgen.experiments.draw.physics import Physics
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import SIMULATOR, simulate
from physgen.experiments.micro.arms import HARD
from physgen.experiments.micro.cases import Case
from physgen.experiments.micro.flow import EVERY, START, project_colours
from physgen.experiments.pages.axes import label
from physgen.experiments.pages.showcase.row import Row, Shot, write_film
from physgen.experiments.runs.progress import Record
from physgen.guidance import DPS, Guidance, GuidanceLog
from physgen.worlds import Request, World

#: law -> family of prompts, in the order of the page
LAWS = {
    "mass": "dye",
    "fisher_kpp": "growth",
    "gray_scott": "gray_scott",
    "phase_order": "mitosis",
    "transport": "blood",
    "progression": "vesicles",
    "periodic": "sheet",
}
TRANSPORT, ORDER = "transport", "phase_order"
#: between the noise of a sample and what the simulator draws
TRUTH = 7
TITLES = {
    SIMULATOR: "simulator, the truth",
    UNGUIDED: "unguided",
    AFTERWARDS: "projected afterwards",
    GUIDED: "guided, then projected",
}


def law_record(world: World, law: str, prompt: Prompt, folder: Path, steps: int | None = None) -> Record:
    """Draw every arm, measure it and write its film.

    The guidance is the default one of ``physgen sample guidance=projection``; of blood it is what
    ``physgen instruments blood`` does: `DPS` at nearly every step, and all three colours are projected.
    """
    spec = world.spec
    constraint = Case(law, prompt).constraint()
    guidance: Guidance = (
        DPS({law: constraint}, start=START, every=EVERY)
        if law == TRANSPORT
        else default_guidance(HARD, {law: constraint})
    )
    physics = Physics(
        {law: constraint}, guidance, spec.observable(prompt.caption), spec.grid(prompt.caption), world=spec
    )
    truth = Arm(simulate(prompt, spec, [TRUTH, prompt.seed]), 0.0, 0, (GuidanceLog(),))
    arms = {SIMULATOR: truth, **_drawn(world, Request(prompt.caption, prompt.seed, steps=steps), physics)}
    name = f"{law}-{prompt.index}"
    shots = []
    for arm, title in TITLES.items():
        film = write_film(folder / f"{name}-{arm}.webp", arms[arm].video[0].permute(1, 2, 3, 0).numpy())
        found = measure(arms[arm].first, physics)
        left = law == TRANSPORT and arm == AFTERWARDS and torch.equal(arms[arm].video, arms[UNGUIDED].video)
        note = "too incoherent to be projected, left as it was" if left else _note(law, found)
        shots.append(Shot(title, film, "violation", found.constraints[law].residual_rms, note))
    about = f"{law}, seed {prompt.seed}"
    row = Row(name, prompt.caption, about, spec.num_frames, float(physics.grid.dt), spec.fps, shots)
    return {"law": law, "family": prompt.family, "seed": prompt.seed, "row": row.as_json()}


def _drawn(world: World, request: Request, physics: Physics) -> dict[str, Arm]:
    """The three arms from one noise."""
    transport = physics.constraints.get(TRANSPORT)
    if not isinstance(transport, Transport):
        return draw(world, request, physics.guidance).arms
    made = draw(world, request, physics.guidance, arms=[UNGUIDED, GUIDED]).arms
    for arm, free in ((AFTERWARDS, made[UNGUIDED]), (GUIDED, made[GUIDED])):
        made[arm] = replace(free, video=project_colours(free.video, transport, physics.grid)[0])
    return made


def _note(law: str, found: Measured) -> str:
    """What the residual alone does not say of a video."""
    if law == "mass" and found.drift is not None:
        return f"mass changes by {label(float(f'{100 * found.drift:.2g}'))} %"
    measured = found.constraints[law]
    if law == ORDER:
        return "phases in order" if measured.satisfied else "phases out of order"
    if law == TRANSPORT and measured.degenerate:
        return "less than half of what happens is a steady flow"
    return ""
