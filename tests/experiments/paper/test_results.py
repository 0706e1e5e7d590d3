"""Results that are not as they should be: refused in one line, never drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from physgen.errors import InvalidArgument
from physgen.experiments.paper.results.results import Sweep
from physgen.experiments.paper.results.store import Store
from physgen.experiments.runs.tables import write_parquet

ARMS, SEEDS = ("none", "projection"), 3


def rows() -> list[dict[str, Any]]:
    """A number of each run of a small sweep."""
    return [
        {"run": f"run-{arm}-{seed}", "version": "1", "git_sha": "a", "metric": "violation/mass", "value": seed + 0.5}
        for arm in ARMS
        for seed in range(SEEDS)
    ]


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., Sweep]:
    """The sweep on disk, its rows and its plan changed as a test likes."""

    def make(found: list[dict[str, Any]], left_out: str = "") -> Sweep:
        planned = [
            {"run": f"run-{arm}-{seed}", "set": {"guidance": arm, "seed": str(seed)}}
            for arm in ARMS
            for seed in range(SEEDS)
        ]
        plan = {"version": "1", "runs": [one for one in planned if one["run"] != left_out]}
        (tmp_path / "small.json").write_text(json.dumps(plan))
        write_parquet(tmp_path / "small.parquet", found)
        return Sweep(tmp_path, "small", "1")

    return make


def test_an_arm_has_its_runs_in_the_order_of_seeds(sweep: Callable[..., Sweep]) -> None:
    found = sweep(rows()[::-1])
    arm = found.arm({"guidance": "none"}, range(SEEDS))
    assert arm.runs == ("run-none-0", "run-none-1", "run-none-2")
    assert found.column(arm, "violation/mass").tolist() == [0.5, 1.5, 2.5]


def test_a_run_without_numbers_is_named(sweep: Callable[..., Sweep]) -> None:
    found = sweep([row for row in rows() if row["run"] != "run-projection-1"])
    with pytest.raises(InvalidArgument, match=r"run-projection-1 \(guidance=projection seed=1\)"):
        found.arm({"guidance": "projection"}, range(SEEDS))


def test_a_seed_that_one_arm_lacks_is_named(sweep: Callable[..., Sweep]) -> None:
    found = sweep(rows(), left_out="run-projection-2")
    found.arm({"guidance": "none"}, range(SEEDS))
    with pytest.raises(InvalidArgument, match=r"\[2\] of guidance=projection.*0, 1"):
        found.arm({"guidance": "projection"}, range(SEEDS))


def test_an_arm_that_settings_leave_open_is_refused(sweep: Callable[..., Sweep]) -> None:
    """Without the guidance two runs have each seed; the last of them stood for both."""
    with pytest.raises(InvalidArgument, match=r"both of seed=0, differ in guidance \('none' and 'projection'\)"):
        sweep(rows()).arm({}, range(SEEDS))


def test_two_runs_of_one_id_that_differ_are_refused(sweep: Callable[..., Sweep]) -> None:
    again = rows()[4] | {"value": 9.0}
    assert sweep([*rows(), rows()[4]]).finished
    with pytest.raises(InvalidArgument, match=r"run-projection-1.*one value of violation/mass \(here 1.5 and 9.0\)"):
        sweep([*rows(), again]).arm({"guidance": "none"}, range(SEEDS))


def test_a_run_of_another_version_is_refused(sweep: Callable[..., Sweep]) -> None:
    found = sweep([*rows()[:-1], rows()[-1] | {"version": "2"}])
    with pytest.raises(InvalidArgument, match=r"run-projection-2.*version 1 .this one is 2"):
        found.arm({"guidance": "none"}, range(SEEDS))


def test_a_sweep_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="small"):
        Sweep(tmp_path, "small", "1").arm({}, range(1))


@pytest.mark.parametrize("text", ["[]", '{"version": "1", "rec', '{"version": "2", "records": []}'])
def test_a_benchmark_that_is_cut_or_of_another_version_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "heat.json").write_text(text)
    with pytest.raises(InvalidArgument, match=r"heat\.json"):
        Store(tmp_path, "1").records("heat")
