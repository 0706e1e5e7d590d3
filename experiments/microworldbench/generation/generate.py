"""`physgen benchmark generate`: a video of every task and seed; a killed run goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from physgen.drawn import GUIDED, UNGUIDED, Request, draw
from physgen.experiments.cli.target import build
from physgen.experiments.draw.measured import measure, outcome, warnings_of
from physgen.experiments.draw.physics import Physics, open_world, physics_of, remarks
from physgen.experiments.draw.rules import AUTO, Chosen, chosen, decide
from physgen.experiments.microworldbench.generation.generated import Failure, write_summary
from physgen.experiments.microworldbench.generation.plan import Item, Layout, Shard, items
from physgen.experiments.microworldbench.options import GENERATION, BenchmarkConfig, data_file
from physgen.experiments.microworldbench.tasks.data import TASKS, read_tasks
from physgen.experiments.microworldbench.tasks.named import SETS
from physgen.experiments.runs.records import digest_of, run_name, write_json_atomic
from physgen.experiments.runs.resume import resume
from physgen.guidance import BestOfN, Guidance
from physgen.measure import degenerate
from physgen.video import Video, write_mp4, write_tiff
from physgen.worlds import World
from physgen.worlds.loading import check

#: of ``conf/guidance``: nothing is imposed
UNGUIDED_ENTRY: dict[str, Any] = {"_target_": None}


def generate(config: BenchmarkConfig, unguided: Path | None = None) -> int:
    """Make this shard's videos, print and keep what failed, and say with 1 that something did.

    ``unguided`` is the folder of a run without guidance: its videos are taken over where nothing is imposed.

    Raises: InvalidArgument, FileNotFoundError before any video is made.
    """
    shard = Shard.parse(config.shard)
    tasks = data_file(config, TASKS)
    planned = items(read_tasks(tasks), config.seeds)
    check_all(config, planned)
    settings = {key: value for key, value in asdict(config).items() if key in GENERATION}
    settings["tasks"] = str(tasks)
    if config.data or config.tasks not in (None, *SETS):
        settings["tasks_digest"] = digest_of(tasks)
    layout = Layout(Path(config.out or Path("runs") / run_name("generate", settings)))
    check(config.world)
    resume(layout.out, settings, part=shard.name)
    mine = shard.mine(planned)
    if unguided:
        for item in mine:
            if not layout.finished(item) and TaskRequest.of(config, item).algorithm(config) is None:
                layout.take(Layout(unguided), item)
    todo = [item for item in mine if not layout.finished(item)]
    began, failures = time.perf_counter(), make(config, todo, layout) if todo else []
    return write_summary(config, layout, mine, shard.metrics, failures, len(todo), time.perf_counter() - began)


@dataclass(frozen=True)
class TaskRequest:
    """A task as a prompt, and the laws that it gets."""

    request: Request
    laws: Chosen

    @classmethod
    def of(cls, config: BenchmarkConfig, item: Item) -> TaskRequest:
        """With ``constraint=auto`` by the words of the task."""
        request = Request(item.task.task, item.seed, config.steps, config.guidance_scale)
        return cls(request, chosen(config.constraint, request.prompt, config.world))

    def physics(self, config: BenchmarkConfig) -> Physics:
        """Constraints and guidance; the best of several draws is no guidance, see `algorithm`."""
        laws, guidance = self.laws, UNGUIDED_ENTRY if is_best(config.guidance) else config.guidance
        return physics_of(config.world, self.request, laws.constraint, guidance, measured=laws.measured)

    def algorithm(self, config: BenchmarkConfig) -> Guidance | BestOfN | None:
        """What imposes the laws; ``None`` where there is none to impose."""
        physics = self.physics(config)
        imposing = {name: law for name, law in physics.constraints.items() if name not in self.laws.measured}
        if not imposing or not is_best(config.guidance):
            return physics.guidance
        best: BestOfN = build(BestOfN, config.guidance, imposing)
        return best


def is_best(guidance: dict[str, Any]) -> bool:
    """Whether an entry of ``conf/guidance`` is the best of several draws."""
    return str(guidance["_target_"]).endswith(f".{BestOfN.__name__}")


def check_all(config: BenchmarkConfig, planned: Sequence[Item]) -> None:
    """Refuse options that cannot work, by one task of each kind that the run has."""
    every = [TaskRequest.of(config, item) for item in planned]
    for asked in {(config.world.family(a.request.prompt), *a.laws.constraint): a for a in every}.values():
        asked.algorithm(config)


def make(config: BenchmarkConfig, todo: Sequence[Item], layout: Layout) -> list[Failure]:
    """Load the world once and make videos one by one; one that fails is left for the next run."""
    world, failures = open_world(config.world, config.device), []
    world.pipe.set_progress_bar_config(disable=True)
    for item in tqdm(todo, unit="video", disable=None):
        try:
            write(config, world, layout, item)
        except Exception as error:  # whatever is wrong with one video, the others are made
            failures.append(Failure(item.task.index, item.seed, " ".join(f"{type(error).__name__}: {error}".split())))
            tqdm.write(str(failures[-1]))
    return failures


def write(config: BenchmarkConfig, world: World, layout: Layout, item: Item) -> None:
    """Make one video: both its files, and then its record."""
    asked = TaskRequest.of(config, item)
    prompt, physics, algorithm = asked.request.prompt, asked.physics(config), asked.algorithm(config)
    main = GUIDED if algorithm else UNGUIDED
    arms = [GUIDED, UNGUIDED] if config.compare and algorithm else [main]
    scale: dict[str, Any] = {"observable": physics.observable, "grid": physics.grid}
    drawn = draw(world, asked.request, algorithm, **scale, arms=arms).arms
    result = measure(drawn[main], physics)
    free = measure(drawn[UNGUIDED], physics) if len(drawn) > 1 else None
    dy, dx = physics.grid.spacing
    video = Video(result.arm.video[0].transpose(0, 1), spacing=(dy, dx), dt=physics.grid.dt, prompt=prompt)
    with layout.writing(item) as (mp4, tiff):
        write_mp4(mp4, video, world.fps)
        write_tiff(tiff, video)
    record = {
        "index": item.task.index,
        "level": item.task.level,
        "seed": item.seed,
        "family": config.world.family(prompt),
        "guided": algorithm is not None,
        "degenerate": degenerate(physics.observable(result.arm.video), physics.observable.least)[0],
        "chosen": list(asked.laws.constraint),
        "decision": decide(prompt, config.world).record() if AUTO in config.constraint else None,
        "notes": [*asked.laws.notes, *remarks(world, prompt, asked.laws.constraint), *warnings_of(result.arm.log)],
        "ignored_words": world.ignored_words(prompt),
        "wall_time_s": result.arm.seconds,
        **outcome(result, free),
    }
    write_json_atomic(layout.record(item), record)
