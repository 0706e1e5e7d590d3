"""What a protocol will cost, told without weights: draws, operations, hours, memory, disk, questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from rich.console import Console

from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.microworldbench.generation.generate import TaskRequest
from physgen.experiments.microworldbench.judges.frames import SHOWN, corrected_positions
from physgen.experiments.microworldbench.options import BenchmarkConfig
from physgen.experiments.microworldbench.protocol.arms import BEST, draws_of, planned
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS
from physgen.guidance import Guidance, NoiseSearch
from physgen.worlds import WorldSpec
from physgen.worlds.memory.operations import decode_operations, network_operations
from physgen.worlds.memory.plan import Planner, require_fit

#: operations a second, 1e12, that a card keeps up: what 4 minutes a video on an RTX 4090 mean, as Wan 2.1's README has
#: it, and an assumption for a card of a data centre
RATES = (120, 400)
GIB, GB = 2**30, 1e9
NOTE = "extrapolated: operations counted and tensors followed through models without weights; never measured on a GPU"


@dataclass(frozen=True)
class Draws:
    """Videos of an arm that have to be drawn, network evaluations and operations of one of them."""

    arm: str
    videos: int
    evaluations: int
    operations: float | int


def print_cost(config: BenchmarkConfig) -> None:
    """Print a row an arm, and what memory, disk and judge need.

    Raises: InvalidArgument for a world whose models are not known.
    """
    console, spec = Console(highlight=False, soft_wrap=True), asked(config)
    planner = Planner(spec)
    guided, everything, law = some_guidance(config), planned(config), imposed(config)
    rows: list[list[Cell]] = []
    found = list(draws(config, planner, guided, len(everything), law))
    for one in found:
        total = one.videos * one.operations
        hours = [f"{total / rate / 1e12 / 3600:.3g}" for rate in RATES]
        rows.append([one.arm, str(one.videos), str(one.evaluations), f"{one.operations / 1e15:.3g}", *hours])
    rates = [f"hours at {rate} TFLOP/s" for rate in RATES]
    Table(f"What has to be drawn ({NOTE})", ["arm", "videos", "evaluations", "PFLOP a video", *rates], rows).show(
        console
    )
    peaks = {
        name: Planner(spec, one, spec.observable("")).plan().peak / GIB
        for name, one in {UNGUIDED: None, GUIDED: guided}.items()
        if one or name == UNGUIDED
    }
    memory = ", ".join(f"{name} {peak:.1f} GiB" for name, peak in peaks.items())
    videos = sum(one.videos for one in found)
    frames = spec.num_frames * spec.height * spec.width * 3
    console.print(f"{law} of {len(everything)} videos have a law that is imposed; the others are the same in every arm")
    console.print(f"device memory, peak: {memory}; host: {planner.plan().host / GIB:.1f} GiB of weights")
    console.print(
        f"disk: at most {videos * frames * 4 / GB:.0f} GB of float32 TIFF before compression, and the MP4 files"
    )
    questions = videos * len(DIMENSIONS) * config.repeats
    seen = SHOWN if config.mode == "upstream" else len(corrected_positions(spec.num_frames))
    console.print(f"judge: {questions} questions with {seen} frames of {spec.width} x {spec.height} each")


def draws(config: BenchmarkConfig, planner: Planner, guided: Guidance | None, videos: int, law: int) -> Iterator[Draws]:
    """Every arm; without a law that is imposed there is the unguided one alone."""
    spec = planner.spec
    steps = spec.steps
    network, decode = network_operations(planner), decode_operations(planner, guided=False)
    calls = planner.plan().evaluations
    free = steps * calls * network + decode
    yield Draws(UNGUIDED, videos, steps * calls, free)
    if guided is None:
        return
    yield Draws(AFTERWARDS, law, steps * calls, free)
    active = sum(guided.active(step, steps) for step in range(steps))
    plan = Planner(spec, guided, spec.observable("")).plan()
    evaluations = guided.particles * (steps - active) * calls + guided.particles * active * plan.evaluations
    back = 2 * guided.particles * active * plan.ways_back
    way = active * guided.particles * decode_operations(planner, guided=guided.derivatives > 0)
    if isinstance(guided, NoiseSearch):
        evaluations += round((guided.cost(steps) - 1) * steps) * calls
        way += (1 + guided.iterations) * decode_operations(planner, guided=True)
    yield Draws(GUIDED, law, evaluations, (evaluations + back) * network + way + decode)
    n = draws_of([{"nfe": steps * calls}], [{"guided": True, "nfe": evaluations}]) or 2
    yield Draws(f"{BEST} of {n}", law, n * steps * calls, n * free)


def asked(config: BenchmarkConfig) -> WorldSpec:
    """The world with the steps and the scale of classifier-free guidance that were asked for."""
    scale = config.world.guidance_scale if config.guidance_scale is None else config.guidance_scale
    return replace(config.world, steps=config.steps or config.world.steps, guidance_scale=scale)


def imposed(config: BenchmarkConfig) -> int:
    """Number of videos in which a law is imposed."""
    return sum(TaskRequest.of(config, item).algorithm(config) is not None for item in planned(config))


def some_guidance(config: BenchmarkConfig) -> Guidance | None:
    """The guidance of the first task that has one."""
    found = (TaskRequest.of(config, item).physics(config).guidance for item in planned(config))
    return next((guidance for guidance in found if guidance), None)


def require_memory(config: BenchmarkConfig) -> None:
    """Refuse a GPU on which a guided sample cannot fit, before anything is loaded.

    Raises: InvalidArgument with what would fit.
    """
    device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda" and (guided := some_guidance(config)):
        observable = config.world.observable("")
        free = torch.cuda.mem_get_info(device)[0]
        require_fit(Planner(config.world, guided, observable), free, "device memory")
