"""The report of a protocol: what was drawn, scores, paired differences, criteria imposed apart, and who judged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from physgen import __version__
from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.cli.target import build
from physgen.experiments.measure.intervals import share
from physgen.experiments.measure.tables import Cell, Table, publish
from physgen.experiments.microworldbench.judges.base import Judge
from physgen.experiments.microworldbench.options import BenchmarkConfig, data_file
from physgen.experiments.microworldbench.protocol.arm import ScoredArm, difference, imposed_of, mean, read_arm
from physgen.experiments.microworldbench.protocol.arms import ARMS, BEST, planned, records
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, RUBRICS, TASKS, read_rubrics, read_tasks
from physgen.experiments.runs.records import git_sha, run_name, write_json_atomic
from physgen.worlds.checkpoints.file import latest

COLUMNS = ("average", *DIMENSIONS)
PAIRS = ((GUIDED, UNGUIDED), (GUIDED, BEST), (GUIDED, AFTERWARDS), (AFTERWARDS, UNGUIDED), (BEST, UNGUIDED))


def write_report(config: BenchmarkConfig, out: Path) -> Path:
    """Print the tables; write ``protocol.md`` and, last, ``protocol.json``, which holds every score as well."""
    wanted = planned(config)
    tasks = {task.index: task for task in read_tasks(data_file(config, TASKS))}
    rubrics = {rubric.index: rubric for rubric in read_rubrics(data_file(config, RUBRICS))}
    imposed = imposed_of(records(out, GUIDED, wanted))
    arms = {name: read_arm(out, name, wanted, (tasks, rubrics), imposed, config.mode) for name in ARMS}
    about = settings(config, out)
    shown = tables(arms, len(wanted), imposed)
    publish(out / "protocol.md", [Table("What was run", ["", ""], lines(about)), *shown])
    write_json_atomic(out / "protocol.json", {**about, "arms": {name: numbers(arm) for name, arm in arms.items()}})
    return out / "protocol.md"


def settings(config: BenchmarkConfig, out: Path) -> dict[str, Any]:
    """World, checkpoint, laws, guidance, seeds, judge, device, and the id of every arm's run."""
    world = config.world
    calls = [json.loads(path.read_text("utf-8")) for path in sorted((out / "scored" / "calls").glob("*.json"))]
    tokens = {name: sum(call["reply"][f"{name}_tokens"] for call in calls) for name in ("prompt", "completion")}
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "version": __version__,
        "commit": git_sha(),
        "world": f"{world.label}: {world.path or f'{world.hub} {world.revision}'}",
        "size": f"{world.width} x {world.height} x {world.num_frames}",
        "checkpoint": checkpoint(world.checkpoint),
        "steps": config.steps or world.steps,
        "guidance_scale": world.guidance_scale if config.guidance_scale is None else config.guidance_scale,
        "constraint": ", ".join(config.constraint) or "none",
        "guidance": config.guidance,
        "seeds": config.seeds,
        "runs": {name: run_name("generate", yaml.safe_load((out / name / "config.yaml").read_text())) for name in ARMS},
        "judge": judges(config, calls),
        "mode": config.mode,
        "tokens": tokens,
        "cost": build(Judge, config.judge).cost(*tokens.values()),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
    }


def checkpoint(path: str | None) -> str:
    """Name and hash of the file that was loaded."""
    if not path:
        return "none"
    file = latest(Path(path).expanduser())
    with file.open("rb") as stream:
        return f"{file.name}, sha256 {hashlib.file_digest(stream, 'sha256').hexdigest()}"


def judges(config: BenchmarkConfig, calls: Sequence[Mapping[str, Any]]) -> list[str]:
    """Who answered: settings, and the version that the server named; more than one where it changed on the way."""
    found = {
        json.dumps({**call["request"]["judge"], "version": call["reply"].get("judge") or "not named"}, sort_keys=True)
        for call in calls
    }
    return sorted(found) or [json.dumps(config.judge, sort_keys=True)]


def lines(about: Mapping[str, Any]) -> list[list[Cell]]:
    """The settings as rows."""
    return [
        [name, json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)]
        for name, value in about.items()
    ]


def tables(arms: Mapping[str, ScoredArm], asked: int, imposed: Mapping[int, Collection[str]]) -> list[Table]:
    """What was drawn, scores, paired differences, criteria imposed apart."""
    drawn: list[list[Cell]] = []
    for name, arm in arms.items():
        law = [record for record in arm.records if record["index"] in imposed]
        satisfied = [
            bool(record["constraints"][one]["satisfied"]) for record in law for one in imposed[record["index"]]
        ]
        drawn.append(
            [
                name,
                f"{len(arm.records)} of {asked}",
                str(len(law)),
                share(sum(satisfied), len(satisfied)),
                share(sum(bool(record["degenerate"]) for record in arm.records), len(arm.records)),
                *(average([record[key] for record in law]) for key in ("nfe", "wall_time_s")),
            ]
        )
    scores: list[list[Cell]] = [
        [
            name,
            str(sum(card.valid_tasks for card in arm.cards)),
            f"{sum(card.scored for card in arm.cards)} of {sum(card.criteria for card in arm.cards)}",
            *(mean(arm.cards, column) for column in COLUMNS),
        ]
        for name, arm in arms.items()
    ]
    apart: list[list[Cell]] = [
        [
            name,
            *(share(sum(arm.met[about]), len(arm.met[about])) for about in (True, False)),
            str(len(arm.met[True])),
            str(len(arm.met[False])),
        ]
        for name, arm in arms.items()
    ]
    where = f"tasks with an imposed law ({len(imposed)} tasks)"
    costs = ["satisfied [95 %]", "degenerate [95 %]", "evaluations", "seconds"]
    return [
        Table(
            "What was drawn; evaluations and seconds: means with a law", ["arm", "videos", "with a law", *costs], drawn
        ),
        Table("Scores, mean [95 % over tasks]", ["arm", "videos scored", "answers scored", *COLUMNS], scores),
        Table("Paired differences [95 % over tasks]", ["arms", "tasks", "n", *COLUMNS], differences(arms, imposed)),
        Table(
            f"Share of criteria met, {where}: those that measure the law, by instrument or words, and the others",
            ["arm", "measure the law [95 %]", "others [95 %]", "n", "n of others"],
            apart,
        ),
    ]


def differences(arms: Mapping[str, ScoredArm], imposed: Collection[int]) -> list[list[Cell]]:
    """Rows of each pair: all tasks, those with a law, none degenerate, without the criteria that measure the law."""
    rows: list[list[Cell]] = []
    for a, b in PAIRS:
        first, second = arms[a], arms[b]
        sound = {*first.tasks} - first.degenerate - second.degenerate
        law, apart = {*imposed}, (first.cards_apart, second.cards_apart)
        for what, cards, tasks in (
            ("all", (first.cards, second.cards), None),
            ("with a law", (first.cards, second.cards), law),
            ("with a law, none degenerate", (first.cards, second.cards), law & sound),
            ("with a law, without criteria that measure it", apart, law),
        ):
            found = [difference(*cards, column, tasks) for column in COLUMNS]
            rows.append([f"{a} − {b}", what, str(found[0][1]), *(interval for interval, _ in found)])
    return rows


def numbers(arm: ScoredArm) -> dict[str, Any]:
    """An arm for ``protocol.json``: intervals, and the score of every task and seed."""
    return {
        **{column: asdict(mean(arm.cards, column)) for column in COLUMNS},
        "apart": {column: asdict(mean(arm.cards_apart, column)) for column in COLUMNS},
        "degenerate": sorted(arm.degenerate),
        "nfe": sum(record["nfe"] for record in arm.records),
        "per_task": [[asdict(task) for task in card.per_task] for card in arm.cards],
    }


def average(values: Sequence[float]) -> float:
    """Mean, NaN of none."""
    return float(np.mean(values)) if values else float("nan")
