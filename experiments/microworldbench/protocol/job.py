"""`physgen benchmark protocol`: check, draw every arm, judge them together, report; a killed run goes on."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from physgen.errors import InvalidArgument
from physgen.experiments.cli.target import build
from physgen.experiments.microworldbench.generation.generate import check_all, is_best
from physgen.experiments.microworldbench.generation.plan import Layout, Shard
from physgen.experiments.microworldbench.judges.base import Judge
from physgen.experiments.microworldbench.options import GENERATION, BenchmarkConfig, data_file
from physgen.experiments.microworldbench.protocol.arms import ARMS, generate_arms, planned
from physgen.experiments.microworldbench.protocol.cost import print_cost, require_memory
from physgen.experiments.microworldbench.protocol.report import write_report
from physgen.experiments.microworldbench.score_job import run_score
from physgen.experiments.microworldbench.scoring.score import check_mode
from physgen.experiments.microworldbench.tasks.data import RUBRICS, read_rubrics
from physgen.experiments.runs.records import run_name
from physgen.worlds.loading import check


def run_protocol(config: BenchmarkConfig) -> int:
    """The cost alone with ``plan=true``; else all arms, and without ``shard=`` their scores and the report.

    Everything that can be refused is refused before the first video: weights, memory, tasks, rubrics, judge.

    Raises: InvalidArgument, FileNotFoundError.
    """
    check_mode(config.mode)
    if not config.guidance["_target_"] or is_best(config.guidance):
        raise InvalidArgument("guidance", config.guidance["_target_"], "a guidance: the other arms are made beside it")
    if config.compare:
        raise InvalidArgument("compare", True, "false: the unguided videos are an arm")
    read_rubrics(data_file(config, RUBRICS))
    check_all(config, planned(config))
    if config.plan:
        print_cost(config)
        return 0
    check(config.world)
    require_memory(config)
    build(Judge, config.judge)
    settings = {key: value for key, value in asdict(config).items() if key in GENERATION}
    out = Path(config.out or Path("runs") / run_name("protocol", settings))
    failed = generate_arms(config, out)
    if Shard.parse(config.shard).count > 1:
        print(f"{out}: shard {config.shard} is made; the same command without shard= judges and reports")
        return failed
    folders = [str(Layout(out / arm).videos(seed)) for arm in ARMS for seed in config.seeds]
    run_score(replace(config, videos=folders, results=[], out=str(out / "scored")))
    print(write_report(config, out))
    return failed
