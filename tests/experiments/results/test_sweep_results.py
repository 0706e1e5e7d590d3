"""One table of a sweep: what is read, what is refused, and differences whose truth is known."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import physgen
from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.measure.paired import Difference, compare
from physgen.experiments.runs.collect import collect
from physgen.experiments.runs.tables import query

ARMS = {"none": 0.0, "projection": -1.0, "dps": 0.0}
SEEDS = 12


def write_sweep(runs: Path, seeds: int = SEEDS) -> None:
    """A sweep whose violation is noise that is shared by the arms, plus what the arm adds."""
    rng = np.random.default_rng(0)
    listed = []
    for seed in range(seeds):
        shared = rng.normal(10.0, 5.0)
        for arm, effect in ARMS.items():
            name = f"run-{arm}-{seed}"
            (runs / name).mkdir(parents=True)
            metrics = {
                "version": physgen.__version__,
                "git_sha": None,
                "seed": seed,
                "wall_time_s": 2.0,
                "violation": {"mass": shared + effect + rng.normal(0.0, 0.1)},
                "prompt": "dye",
                "features": [1.0, float(seed)],
            }
            (runs / name / "metrics.json").write_text(json.dumps(metrics))
            record = {"step": 29, "sigma": 0.1, "residual": {"mass": 0.5}}
            (runs / name / "log.jsonl").write_text(json.dumps(record) + "\n")
            listed.append({"run": name, "set": {"law": "mass", "guidance": arm, "seed": str(seed)}})
    (runs / "sweep.json").write_text(json.dumps({"version": physgen.__version__, "runs": listed}))


def differences(rows: list[dict[str, Any]]) -> dict[str, Difference]:
    found = compare(rows, "violation/mass", axis="guidance", baseline="none", groups=["law"])
    return {one.arm: one for one in found}


def test_paired_differences_find_what_the_noise_hides(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    found = differences(collect(tmp_path, "sweep").rows)
    real, absent = found["projection"], found["dps"]
    assert real.n == SEEDS
    assert real.difference.low < -1.0 < real.difference.high < -0.8
    assert real.p == pytest.approx(2 / 2**SEEDS)
    assert real.p_holm == pytest.approx(2 * real.p)
    assert absent.difference.low < 0 < absent.difference.high
    assert absent.p_holm == absent.p > 0.05
    spread = real.mean.high - real.mean.low
    assert real.difference.high - real.difference.low < spread / 10


def test_unequal_seeds_are_named_and_not_averaged(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    (tmp_path / "run-projection-3" / "metrics.json").unlink()
    collected = collect(tmp_path, "sweep")
    assert ["run-projection-3" in problem and "seed=3" in problem for problem in collected.problems] == [True]
    found = differences(collected.rows)
    assert (found["projection"].n, found["projection"].unpaired) == (SEEDS - 1, (3,))
    assert (found["dps"].n, found["dps"].unpaired) == (SEEDS, ())


def test_degenerate_samples_are_counted_and_left_out_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three empty videos of the projection have a violation of 0; without them its mean is what it was."""
    write_sweep(tmp_path)
    plain = differences(collect(tmp_path, "sweep").rows)["projection"]
    for seed in range(SEEDS):
        for arm in ARMS:
            path = tmp_path / f"run-{arm}-{seed}" / "metrics.json"
            metrics = json.loads(path.read_text())
            metrics["degenerate"] = {"any": arm == "projection" and seed < 3}
            metrics["violation"]["mass"] *= not metrics["degenerate"]["any"]
            path.write_text(json.dumps(metrics))
    options = ["axis=guidance", "baseline=none", "groups=[law]", f"out={tmp_path / 'out'}"]
    assert main(["results", "sweep=sweep", f"runs={tmp_path}", *options]) == 0
    with (tmp_path / "out" / "sweep.differences.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["guidance"] == "projection" and "mass" in row["metric"]]
    every, shown = rows
    assert (every["samples"], shown["samples"]) == ("all", "without degenerate samples")
    assert (float(every["degenerate"]), float(every["baseline_degenerate"])) == (3 / SEEDS, 0.0)
    assert (int(every["n"]), int(shown["n"]), float(shown["degenerate"])) == (SEEDS, SEEDS - 3, 0.0)
    assert float(every["difference"]) < -2.0
    assert float(shown["difference"]) == pytest.approx(plain.difference.estimate, abs=0.1)
    printed = capsys.readouterr().out
    assert "degenerate" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_one_pair_has_no_interval_and_what_is_not_finite_no_part() -> None:
    values = {"none": [1.0, 1.0], "projection": [np.nan, 3.0]}
    rows = [
        {"seed": seed, "guidance": arm, "metric": "m", "value": value}
        for arm, column in values.items()
        for seed, value in enumerate(column)
    ]
    (found,) = compare(rows, "m", axis="guidance", baseline="none")
    assert (found.n, found.mean.estimate, found.baseline.estimate, found.difference.estimate) == (1, 3.0, 1.0, 2.0)
    assert found.unpaired == (0,)
    assert np.isnan([found.difference.low, found.mean.high]).all()


def test_seeds_without_a_value_are_named_and_stay_in_the_share_of_degenerate_samples() -> None:
    """Ten seeds, of which the arm shows nothing and so has no value in four."""
    rows = []
    for seed in range(10):
        for arm in ("none", "projection"):
            empty = arm == "projection" and seed < 4
            about = {"run": f"{arm}-{seed}", "seed": seed, "guidance": arm}
            rows.append({**about, "metric": "m", "value": None if empty else 1.0})
            rows.append({**about, "metric": "degenerate/any", "value": empty})
    (found,) = compare(rows, "m", axis="guidance", baseline="none")
    assert (found.n, found.unpaired) == (6, (0, 1, 2, 3))
    assert (found.degenerate, found.baseline_degenerate) == (0.4, 0.0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"version": "0.1', "cut or foreign"),
        ("[]", "cut or foreign"),
        ('{"version": "0.0.1", "seed": 1, "git_sha": null}', "this one is 0.0.1"),
    ],
)
def test_damaged_runs_are_listed(tmp_path: Path, content: str, reason: str) -> None:
    write_sweep(tmp_path)
    (tmp_path / "run-dps-0" / "metrics.json").write_text(content)
    collected = collect(tmp_path, "sweep")
    assert len(collected.problems) == 1
    assert "run-dps-0" in collected.problems[0]
    assert reason in collected.problems[0]
    assert "run-dps-0" not in {row["run"] for row in collected.rows}


def test_two_runs_of_one_seed_that_differ_are_refused(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    rows = collect(tmp_path, "sweep").rows
    again = next(row for row in rows if row["metric"] == "violation/mass")
    other = {**again, "value": again["value"] + 1}
    with pytest.raises(InvalidArgument, match=r"one violation/mass a seed: runs .* differ"):
        compare([*rows, other], "violation/mass", axis="guidance", baseline="none")
    rows, other = [{**row, "steps": "2"} for row in rows], {**other, "steps": "3", "run": "run-other"}
    said = rf"\[law,steps\]: runs {again['run']} and run-other, both of .* differ in steps \(2 and 3\)"
    with pytest.raises(InvalidArgument, match=said):
        compare([*rows, other], "violation/mass", axis="guidance", baseline="none", groups=["law"])
    assert compare([*rows, other], "violation/mass", axis="guidance", baseline="none", groups=["law", "steps"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"metric": "violation/mas"}, "metric"), ({"axis": "guide"}, "axis"), ({"baseline": "nothing"}, "baseline")],
)
def test_unknown_names(tmp_path: Path, changes: dict[str, str], named: str) -> None:
    write_sweep(tmp_path)
    options = {"metric": "violation/mass", "axis": "guidance", "baseline": "none"} | changes
    with pytest.raises(InvalidArgument, match=named):
        compare(collect(tmp_path, "sweep").rows, options.pop("metric"), **options)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep(tmp_path)
    (tmp_path / "run-dps-0" / "metrics.json").write_text("")
    assert main(["results", "sweep=sweep", f"runs={tmp_path}"]) == 0
    out = tmp_path / "results"
    assert "left out: run-dps-0" in capsys.readouterr().out
    (count,) = query("SELECT count(DISTINCT run) AS runs, min(seed) AS seed FROM t", t=out / "sweep.parquet")
    assert count == {"runs": len(ARMS) * SEEDS - 1, "seed": 0}
    assert len(query("FROM t", t=out / "sweep.features.parquet")) == count["runs"]
    assert {row["residual"] for row in query("FROM t", t=out / "sweep.steps.parquet")} == {0.5}
    assert "| mass | projection | 12 |" in (out / "sweep.md").read_text("utf-8")


def test_what_is_printed_fits_80_columns_and_cuts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep(tmp_path)
    for seed in range(7):
        (tmp_path / f"run-dps-{seed}" / "metrics.json").unlink()
    assert main(["results", "sweep=sweep", f"runs={tmp_path}"]) == 0
    out = capsys.readouterr().out
    lines = out.partition("violation/mass, law=mass")[2].splitlines()
    assert max(map(len, lines[:6])) <= 80
    assert lines[1] == "no finite value in both arms, left out: seed 0, 1, 2, 3, 4, 5, 6"
    assert [line.split()[:2] for line in lines[3:6]] == [["none", "12"], ["projection", "12"], ["dps", "5"]]
    assert "…" not in out
    assert out.count("left out: run-dps-") == 5
    assert "left out: 2 more, listed in sweep.md" in out
    assert (tmp_path / "results" / "sweep.md").read_text("utf-8").count("\n- run-dps-") == 7


def test_csv_has_what_parquet_has_and_the_differences(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    assert main(["results", "sweep=sweep", f"runs={tmp_path}"]) == 0
    out = tmp_path / "results"
    with (out / "sweep.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kept = query("FROM t", t=out / "sweep.parquet")
    assert list(rows[0]) == list(kept[0])
    assert [float(row["value"]) for row in rows] == [row["value"] for row in kept]
    with (out / "sweep.differences.csv").open(encoding="utf-8", newline="") as file:
        written = {(row["metric"], row["law"], row["guidance"]): row for row in csv.DictReader(file)}
    true = differences(kept)["projection"]
    row = written["violation/mass", "mass", "projection"]
    assert [float(row[f"difference{end}"]) for end in ("", "_low", "_high")] == list(vars(true.difference).values())


def test_a_sweep_without_arms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep(tmp_path)
    assert main(["results", "sweep=sweep", f"runs={tmp_path}", "axis=law", "baseline=mass", "groups=[guidance]"]) == 2
    assert "axis='law': allowed: a key with more values than mass" in capsys.readouterr().err


def test_command_without_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep(tmp_path)
    assert main(["results", "sweep=swoop", f"runs={tmp_path}"]) == 2
    assert "one that was run in" in capsys.readouterr().err


def test_lines_of_a_resampling_have_no_residual(tmp_path: Path) -> None:
    write_sweep(tmp_path, seeds=3)
    resampling = {"step": 3, "sigma": 0.7, "rewards": {"mass": [0.1, -0.1]}, "weights": [0.5, 0.5], "ancestors": [0, 0]}
    for log in tmp_path.glob("run-projection-*/log.jsonl"):
        log.write_text(log.read_text() + json.dumps(resampling) + "\n")
    assert main(["results", "sweep=sweep", f"runs={tmp_path}"]) == 0
    rows = query("FROM t", t=tmp_path / "results" / "sweep.steps.parquet")
    assert [row["step"] for row in rows] == [29] * 9


@pytest.mark.parametrize("folder", ["o'brien", "a b", "µé [1] *?#"])
def test_folders_of_every_name(tmp_path: Path, folder: str) -> None:
    write_sweep(tmp_path / folder, seeds=2)
    assert main(["results", "sweep=sweep", f"runs={tmp_path / folder}"]) == 0
    (count,) = query("SELECT count(*) AS rows FROM t", t=tmp_path / folder / "results" / "sweep.parquet")
    assert count["rows"] == 2 * 2 * len(ARMS)


def test_values_in_brackets_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep(tmp_path, seeds=2)
    manifest = tmp_path / "sweep.json"
    lists = {"none": "[mass]", "dps": "[mass,diffusion]", "projection": "mass"}
    runs = json.loads(manifest.read_text())
    for one in runs["runs"]:
        one["set"] = {"law": "a | b", "constraint": lists[one["set"]["guidance"]], "seed": one["set"]["seed"]}
    manifest.write_text(json.dumps(runs))
    assert main(["results", "sweep=sweep", f"runs={tmp_path}", "axis=constraint", "baseline='[mass]'"]) == 0
    out = capsys.readouterr().out
    assert "less [mass] [95 %]" in out
    assert "[mass,diffusion]" in out
    assert r"| a \| b | [mass,diffusion] |" in (tmp_path / "results" / "sweep.md").read_text("utf-8")


def test_a_group_that_no_run_sets_is_named_as_a_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep(tmp_path, seeds=2)
    assert main(["results", "sweep=sweep", f"runs={tmp_path}", "groups=[family]"]) == 2
    assert "groups='family': allowed: " in capsys.readouterr().err
