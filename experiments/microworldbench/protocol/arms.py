"""The arms of the protocol: unguided, projected afterwards, guided, and the best of several draws."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.cli.config import choice
from physgen.experiments.microworldbench.generation.generate import generate
from physgen.experiments.microworldbench.generation.plan import Item, Layout, Shard, items
from physgen.experiments.microworldbench.options import BenchmarkConfig, data_file
from physgen.experiments.microworldbench.tasks.data import TASKS, read_tasks

BEST = "best"
ARMS = (UNGUIDED, AFTERWARDS, GUIDED, BEST)


def generate_arms(config: BenchmarkConfig, out: Path) -> int:
    """Make what is missing of this shard in every arm, in ``OUT/ARM``; 1 where a video failed.

    Tasks in which nothing is imposed have one video, which all arms share.

    Raises: as `generate`.
    """
    unguided = out / UNGUIDED
    failed = _generate(config, unguided, choice("guidance", "none"))
    failed |= _generate(config, out / AFTERWARDS, choice("guidance", "afterwards"), unguided)
    failed |= _generate(config, out / GUIDED, config.guidance, unguided)
    mine = Shard.parse(config.shard).mine(planned(config))
    if (draws := draws_of(records(out, UNGUIDED, mine), records(out, GUIDED, mine))) or config.shard == "1/1":
        best = {**choice("guidance", "best_of_4"), "n": draws or 2}
        failed |= _generate(config, out / BEST, best, unguided)
    return failed


def draws_of(unguided: Sequence[dict[str, Any]], guided: Sequence[dict[str, Any]]) -> int | None:
    """How many draws have at least the network evaluations of a guided sample, 2 or more; ``None`` without one.

    N = max(2, ceil(evaluations guided / evaluations unguided))

    >>> draws_of([{"guided": False, "nfe": 100}], [{"guided": True, "nfe": 210}])
    3
    >>> draws_of([{"guided": False, "nfe": 100}], [{"guided": True, "nfe": 100}])
    2
    """
    most = max((record["nfe"] for record in guided if record["guided"]), default=None)
    if most is None:
        return None
    return max(2, math.ceil(most / min(record["nfe"] for record in unguided)))


def planned(config: BenchmarkConfig) -> list[Item]:
    """Every task and seed."""
    return items(read_tasks(data_file(config, TASKS)), config.seeds)


def records(out: Path, arm: str, wanted: Sequence[Item]) -> list[dict[str, Any]]:
    """What is known of the finished videos of an arm."""
    layout = Layout(out / arm)
    return [json.loads(layout.record(item).read_text("utf-8")) for item in wanted if layout.finished(item)]


def _generate(config: BenchmarkConfig, out: Path, guidance: dict[str, Any], unguided: Path | None = None) -> int:
    return generate(replace(config, guidance=guidance, compare=False, out=str(out)), unguided)
