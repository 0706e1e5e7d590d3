"""`physgen sample`: draw a video, guided and if asked unguided from the same noise, and measure both."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from torch import Tensor

from physgen import __version__
from physgen.adapters.diffusers import GuidanceLog, guide
from physgen.audit import mass_balance
from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.experiments.certified import certified, measure, verdict, warnings_of
from physgen.experiments.charts import Chart, Series
from physgen.experiments.config import build
from physgen.experiments.report import Film, Page, Table, number, percent, write_report
from physgen.experiments.schema import SampleConfig
from physgen.experiments.strip import write_preview
from physgen.grid import Grid, finite
from physgen.guidance import Guidance
from physgen.guidance.contradiction import require_consistent
from physgen.observables import Observable
from physgen.records import JsonlWriter, check_out, git_sha, open_run, peak_memory_mb, run_name, write_json_atomic
from physgen.video import Video, write_mp4, write_tiff
from physgen.worlds import World
from physgen.worlds.loading import check


@dataclass(frozen=True)
class Drawn:
    """One video ``[1, 3, T, H, W]`` in [0, 1] and what it cost and measures."""

    video: Tensor
    seconds: float
    nfe: int
    log: GuidanceLog
    constraints: dict[str, dict[str, Any]]
    mass: dict[str, dict[str, Any]]

    @property
    def drift(self) -> float | None:
        """Largest drift of any species, ``max_t |m(t) - m(0)| / m(0)``."""
        return largest(self.mass, "drift")


def run(config: SampleConfig) -> None:
    """Draw, measure and write the run directory; ``metrics.json`` comes last."""
    check_options(config)
    settings = asdict(config)
    name = run_name("sample", {key: value for key, value in settings.items() if key != "out"})
    out = check_out(config.out or Path("runs") / name)
    constraints: list[Constraint] = [build(Constraint, spec) for spec in config.constraint.values()]
    grid, observable = config.world.grid(config.prompt), config.world.observable(config.prompt)
    if config.observable["_target_"]:
        observable = build(Observable, config.observable)
    check(config.world)
    check_physics(constraints, observable, grid, config.world.num_frames)
    guidance = build(Guidance, config.guidance, constraints) if constraints and config.guidance["_target_"] else None
    if config.compare and guidance is None:
        raise InvalidArgument("compare", True, "true only with both a constraint and a guidance")
    if guidance and guidance.terminal:
        size = (1, len(observable.species), config.world.num_frames, config.world.height, config.world.width)
        faint = torch.rand(size, generator=torch.Generator().manual_seed(config.seed))
        require_consistent(guidance.problem(grid), 0.4 + 0.2 * faint)

    if config.world.threads:
        torch.set_num_threads(config.world.threads)
    world = config.world.load(config.device)
    if guidance:
        with guide(world.pipe, guidance, observable=observable, grid=grid):
            pass  # refuses a pipeline that cannot be guided
    notes = remarks(world, config)
    console = Console(soft_wrap=True, highlight=False)
    for note in notes:
        console.print(note, markup=False)
    logging.getLogger("physgen.worlds").setLevel(logging.ERROR)  # the pipeline warns of ignored words at every call
    open_run(out)
    (out / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")

    drawn: dict[str, Drawn] = {}
    if config.compare:
        # one step, so that neither timing holds start-up costs
        draw(world, replace(config, steps=1), guidance, constraints, observable, grid)
        drawn["unguided"] = draw(world, config, None, constraints, observable, grid)
    main = "guided" if guidance else "unguided"
    drawn[main] = draw(world, config, guidance, constraints, observable, grid)
    with JsonlWriter(out / "log.jsonl") as log:
        for record in drawn[main].log.steps:
            log.write(record)

    dy, dx = grid.spacing
    videos = {
        label: Video(d.video[0].transpose(0, 1), spacing=(dy, dx), dt=grid.dt, prompt=config.prompt)
        for label, d in sorted(drawn.items())
    }
    for label, video in videos.items():
        stem = out / ("video" if label == main else label)
        write_tiff(stem.with_suffix(".tif"), video)
        write_mp4(stem.with_suffix(".mp4"), video, world.fps)
    notes = [*notes, *warnings_of(drawn[main].log)]
    metrics = summary(config, world, drawn, main, notes)
    page = make_page(config, drawn, main, videos, notes, out, observable)
    write_preview(out / "preview.png", videos, page.charts[0], config.prompt)
    write_report(out / "report.html", page)
    write_json_atomic(out / "metrics.json", metrics)
    for first, *cells in (page.table.columns, *page.table.rows):
        console.print(f"{first:<46}" + "".join(f"{cell:>14}" for cell in cells), markup=False)
    for note in (*warnings_of(drawn[main].log), certified(drawn[main].log)):
        console.print(note, markup=False)
    console.print(str(out), markup=False)


def check_options(config: SampleConfig) -> None:
    """Refuse values that cannot work, before anything is loaded."""
    if not config.prompt.strip():
        raise InvalidArgument("prompt", config.prompt, "a description of the video")
    steps = config.world.steps if config.steps is None else config.steps
    if steps < 1:
        raise InvalidArgument("steps", steps, "at least 1")
    if not 0 <= config.seed < 2**63:
        raise InvalidArgument("seed", config.seed, "0 to 2^63 - 1")
    if config.guidance_scale is not None:
        finite("guidance_scale", config.guidance_scale, "a finite number >= 0", lambda value: value >= 0)


def check_physics(constraints: list[Constraint], observable: Observable, grid: Grid, frames: int) -> None:
    """Let every constraint refuse the world's boundary or length now, on made-up fields, instead of after sampling."""
    fields = torch.full((1, len(observable.species), frames, 4, 4), 0.5)
    for constraint in constraints:
        constraint.residual(fields, grid)


def remarks(world: World, config: SampleConfig) -> list[str]:
    """What whoever wrote the prompt should know before believing the video."""
    spec, prompt = world.spec, config.prompt
    family = spec.family(prompt)
    notes = []
    if ignored := world.ignored_words(prompt):
        notes.append(f"ignored words: {', '.join(ignored)}")
    if world.report:
        notes.append(str(world.report))
    if not spec.recognises(prompt) and spec.level is None:
        notes.append(f"no word names a kind of video that {spec.name} knows; scale and colours are those of {family}")
    if not spec.families[family].colours:
        dy, dt = spec.families[family].spacing[0], spec.families[family].dt
        notes.append(f"{family} scale, an assumption: {dy:g} µm and {dt:g} s (world.families.{family}.spacing and .dt)")
    for name in config.constraint:
        if spec.families[family].laws and name not in spec.families[family].laws:
            notes.append(f"{name} is not a law of {family} videos in {spec.name}: the simulator violates it as well")
    return notes


def draw(
    world: World,
    config: SampleConfig,
    guidance: Guidance | None,
    constraints: list[Constraint],
    observable: Observable,
    grid: Grid,
) -> Drawn:
    """Sample once and measure the float video."""
    with ExitStack() as stack:
        log = (
            stack.enter_context(guide(world.pipe, guidance, observable=observable, grid=grid))
            if guidance
            else GuidanceLog()
        )
        calls = stack.enter_context(counted_calls(world.pipe))
        start = time.perf_counter()
        video = world.sample(config.prompt, seed=config.seed, steps=config.steps, guidance_scale=config.guidance_scale)
        seconds = time.perf_counter() - start
    measured = measure(video, observable, guidance, constraints, grid, log)
    return Drawn(video, seconds, len(calls), log, measured, mass_balance(video, observable, grid))


@contextmanager
def counted_calls(pipe: Any) -> Iterator[list[None]]:
    """A list that grows by one with every evaluation of the pipeline's transformers."""
    calls: list[None] = []
    networks = [getattr(pipe, name, None) for name in ("transformer", "transformer_2")]
    hooks = [net.register_forward_pre_hook(lambda *_: calls.append(None)) for net in networks if net is not None]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def summary(config: SampleConfig, world: World, drawn: dict[str, Drawn], main: str, notes: list[str]) -> dict[str, Any]:
    """Contents of ``metrics.json``."""
    result, free = drawn[main], drawn.get("unguided")
    constraints = {
        name: {**report, "unguided_residual_rms": free.constraints[name]["residual_rms"] if free else None}
        for name, report in result.constraints.items()
    }
    return {
        "version": __version__,
        "git_sha": git_sha(),
        "seed": config.seed,
        "device": str(world.pipe.device),
        "wall_time_s": result.seconds,
        "unguided_wall_time_s": free.seconds if free else None,
        "time_ratio": result.seconds / free.seconds if free else None,
        "peak_memory_mb": peak_memory_mb(),
        "nfe": result.nfe,
        "prompt": config.prompt,
        "ignored_words": world.ignored_words(config.prompt),
        "notes": notes,
        "constraints": constraints,
        "drift": result.drift,
        "unguided_drift": free.drift if free else None,
        "certificate": result.log.terminal.get("certificate", {}),
        "conflicts": result.log.conflicts,
        "terminal": {key: value for key, value in result.log.terminal.items() if key != "certificate"},
        "dropped": result.log.dropped,
        "mass": {label: d.mass for label, d in drawn.items()},
    }


def make_page(
    config: SampleConfig,
    drawn: dict[str, Drawn],
    main: str,
    videos: dict[str, Video],
    notes: list[str],
    out: Path,
    observable: Observable,
) -> Page:
    """The report: guided first, unguided beside it."""
    result, free = drawn[main], drawn.get("unguided")
    dt = config.world.grid(config.prompt).dt
    time_axis = [dt * i for i in range(len(videos[main].frames))]
    masses = [
        Series(label if len(d.mass) == 1 else f"{label}, {species}", time_axis, values["mass"])
        for label, d in sorted(drawn.items())
        for species, values in d.mass.items()
    ]
    charts = [Chart("Mass in the frame", "time (s)", f"mass ({observable.unit} µm²)", masses)]
    if result.log.steps:
        steps = [record["step"] + 1 for record in result.log.steps]
        lines = [
            Series(n, steps, [r["residual"][n] for r in result.log.steps]) for n in result.log.steps[0]["residual"]
        ]
        charts.append(Chart("Residual of the estimate at each step", "denoising step", "rms residual", lines, log=True))
    labels = sorted(drawn)
    cards = [
        (f"{name} residual, largest", number(report["residual_max"])) for name, report in result.constraints.items()
    ]
    cards.append(("mass drift, max |m(t) − m(0)| / m(0)", percent(result.drift)))
    if free and free is not result:
        cards.append(("mass drift, unguided", percent(free.drift)))
        cards.append(("time, guided / unguided", number(result.seconds / free.seconds)))
    return Page(
        title=f"physgen sample · {config.world.name}",
        subtitle=config.prompt,
        notes=notes,
        figures=cards,
        films=[Film(x, videos[x], out / f"{'video' if x == main else x}.mp4") for x in labels],
        charts=charts,
        table=Table(["", *labels], rows(drawn, labels)),
        config=(out / "config.yaml").read_text(encoding="utf-8"),
    )


def rows(drawn: dict[str, Drawn], labels: list[str]) -> list[list[str]]:
    """Table of numbers, one column per video."""
    columns = [drawn[label] for label in labels]
    table = []
    for name in columns[0].constraints:
        for key, text in (("residual_rms", "rms"), ("residual_max", "largest")):
            table.append([f"{name} residual, {text}", *(number(d.constraints[name][key]) for d in columns)])
    certificates = [d.log.terminal.get("certificate", {}) for d in columns]
    for name in dict.fromkeys(name for entries in certificates for name in entries):
        table.append(
            [f"{name}, certified", *(verdict(entries.get(name)).partition(":")[0] for entries in certificates)]
        )
    table.append(["mass drift, max |m(t) − m(0)| / m(0)", *(percent(d.drift) for d in columns)])
    table.append(["mass, sd about its trend", *(percent(largest(d.mass, "detrended_sd")) for d in columns)])
    table.append(
        ["moved by the last projection, rms of [0, 1]", *(number(d.log.terminal.get("moved_rms")) for d in columns)]
    )
    table.append(["network evaluations", *(str(d.nfe) for d in columns)])
    table.append(["time", *(number(d.seconds, "s") for d in columns)])
    return table


def largest(mass: dict[str, dict[str, Any]], key: str) -> float | None:
    """Largest of a quantity over the species that have it."""
    return max((values[key] for values in mass.values() if values[key] is not None), default=None)
