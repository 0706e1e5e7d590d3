"""`physgen sample`: draw a video, guided and if asked unguided from the same noise, and measure both."""

from __future__ import annotations

import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from physgen.arguments import whole
from physgen.drawn import GUIDED, UNGUIDED, Request, draw
from physgen.ensemble import INFLATION, INFLATION_JOINED
from physgen.errors import InvalidArgument
from physgen.experiments.content.asked import asked_of
from physgen.experiments.content.rewards import describe, names_of, readings_of, rewards_of
from physgen.experiments.draw.measured import (
    Measured,
    contradiction_of,
    describe_certificate,
    describe_particles,
    describe_search,
    measure,
    outcome,
    warnings_of,
)
from physgen.experiments.draw.physics import OBSERVED, open_world, physics_of, remarks
from physgen.experiments.draw.rules import chosen
from physgen.experiments.pages.report import write_report
from physgen.experiments.pages.strip import write_preview
from physgen.experiments.runs.records import (
    JsonlWriter,
    origin,
    peak_memory_mb,
    run_name,
    write_json_atomic,
)
from physgen.experiments.runs.resume import check_folder, resume
from physgen.experiments.sample.ensemble import describe_ensemble, write_ensemble
from physgen.experiments.sample.options import SampleConfig
from physgen.experiments.sample.page import make_page
from physgen.experiments.sample.plan import plan_memory
from physgen.guidance import Assimilation
from physgen.sampling.diffusers import guide
from physgen.video import Video, write_mp4, write_tiff
from physgen.worlds import World
from physgen.worlds.loading import check
from physgen.worlds.memory.architecture import pipeline_of
from physgen.worlds.start import require_start


def run(config: SampleConfig) -> None:
    """Draw, measure and write the run directory; ``metrics.json`` comes last."""
    request = Request(config.prompt, config.seed, config.steps, config.guidance_scale)
    laws = chosen(config.constraint, config.prompt, config.world)
    config = replace(config, constraint=laws.constraint)
    asked = asked_of(config.prompt, config.world)
    content = rewards_of(names_of(config.rewards), asked)
    besides = ("out", "memory", "plan") if config.rewards else ("out", "memory", "plan", "rewards")
    settings = {key: value for key, value in asdict(config).items() if key not in besides}
    settings |= {"measured": list(laws.measured)} if laws.measured else {}
    out = Path(config.out or Path("runs") / run_name("sample", settings))
    check_folder(out, settings, finished=False)
    options = (config.guidance, config.observable, config.observed, laws.measured, content.rewards)
    config.check()
    physics = physics_of(config.world, request, config.constraint, *options)
    guidance, observable, grid = physics.guidance, physics.observable, physics.grid
    config = replace(config, world=physics.world)
    if physics.guidance_scale is not None:
        request = replace(request, guidance_scale=physics.guidance_scale)
    whole("samples", config.samples)
    console = Console(soft_wrap=True, highlight=False)
    if config.plan:
        plan_memory(config, guidance, observable, console)
        return
    require_start(config.world, pipeline_of(config.world), physics.start)
    check(config.world)
    if config.compare and guidance is None:
        raise InvalidArgument(
            "compare", True, "true only with an observation, or a constraint or rewards and a guidance"
        )

    plan_memory(config, guidance, observable, console)
    world = open_world(config.world, config.device, physics.start)
    if guidance:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "no step was corrected")
            with guide(world.pipe, guidance, observable=observable, grid=grid):
                pass  # refuses a pipeline that cannot be guided
    notes = [*laws.notes, *content.notes, *physics.notes, *remarks(world, config.prompt, config.constraint)]
    for note in notes:
        console.print(note, markup=False)
    resume(out, settings)

    if config.compare:
        # one step, so that neither timing holds start-up costs
        draw(world, replace(request, steps=1), guidance, observable=observable, grid=grid, arms=[GUIDED])
    main = GUIDED if guidance else UNGUIDED
    arms = None if config.compare else [main]
    made = draw(world, request, guidance, observable=observable, grid=grid, samples=config.samples, arms=arms).arms
    drawn = {name: measure(arm.first, physics) for name, arm in made.items()}
    log = drawn[main].arm.log
    with JsonlWriter(out / "log.jsonl", "w") as lines:
        for record in log.records:
            lines.write(record.as_json())

    dy, dx = grid.spacing
    videos = {
        label: Video(d.arm.video[0].transpose(0, 1), spacing=(dy, dx), dt=grid.dt, prompt=config.prompt)
        for label, d in drawn.items()
    }
    for label, video in videos.items():
        stem = out / ("video" if label == main else label)
        write_tiff(stem.with_suffix(".tif"), video)
        write_mp4(stem.with_suffix(".mp4"), video, world.fps)
    kept = INFLATION_JOINED if isinstance(guidance, Assimilation) else INFLATION
    imposes = config.guidance["_target_"] is not None
    imposed = [law for name, law in physics.constraints.items() if imposes and name not in laws.measured]
    chosen_by = {main: (tuple(content.rewards), imposed)}
    read = {
        label: readings_of(arm.video[0], asked, tuple(content.rewards), *chosen_by.get(label, ((), ())))
        for label, arm in made.items()
    }
    inflation = kept if OBSERVED in physics.constraints else 1.0
    ensemble = write_ensemble(made[main], videos[main], out, inflation) if config.samples > 1 else None
    more = [
        *contradiction_of(guidance, drawn[main]),
        *(describe_ensemble(ensemble) if ensemble else []),
        *describe_particles(log),
        *describe_search(log),
        *([describe(read[main])] if content.rewards else []),
        *warnings_of(log),
    ]
    notes = [*notes, *more]
    metrics = summary(config, world, drawn, main, notes) | ({"ensemble": ensemble} if ensemble else {})
    metrics |= {"content": read} if content.rewards else {}
    page = make_page(config, drawn, main, videos, notes, out, observable)
    write_preview(out / "preview.png", videos, page.charts[0], config.prompt)
    write_report(out / "report.html", page)
    write_json_atomic(out / "metrics.json", metrics)
    for first, *cells in (page.table.columns, *page.table.rows):
        console.print(f"{first:<46}" + "".join(f"{cell:>14}" for cell in cells), markup=False)
    for note in (*more, describe_certificate(log)):
        console.print(note, markup=False)
    console.print(str(out), markup=False)


def summary(
    config: SampleConfig, world: World, drawn: dict[str, Measured], main: str, notes: list[str]
) -> dict[str, Any]:
    """Contents of ``metrics.json``."""
    result, free = drawn[main], drawn.get(UNGUIDED)
    return {
        **origin(config.world),
        "seed": config.seed,
        "device": str(world.pipe._execution_device),
        "wall_time_s": result.arm.seconds,
        "unguided_wall_time_s": free.arm.seconds if free else None,
        "time_ratio": result.arm.seconds / free.arm.seconds if free else None,
        "peak_memory_mb": peak_memory_mb(),
        "prompt": config.prompt,
        "ignored_words": world.ignored_words(config.prompt),
        "notes": notes,
        **outcome(result, free),
        "mass": {label: d.mass for label, d in drawn.items()},
    }
