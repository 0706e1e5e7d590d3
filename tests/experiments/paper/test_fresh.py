"""Parts of the tables made again: stated for every table, compared number by number, refused where one is off."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.measure.intervals import Interval
from physgen.experiments.paper.fresh.compare import compared
from physgen.experiments.paper.fresh.flat import flat
from physgen.experiments.paper.fresh.run import make
from physgen.experiments.paper.fresh.spec import Part, read_fresh
from physgen.experiments.paper.spec import read_figures

PAPER = Path(__file__).parents[3] / "paper"
#: writes what stands in its second argument
WRITER = "import pathlib, sys; out = pathlib.Path(sys.argv[1]); out.mkdir(); (out / 'a.json').write_text(sys.argv[2])"


def tables() -> list[str]:
    return [name for name, spec in read_figures(PAPER / "figures.yaml")[1].items() if spec.module.startswith("table")]


def test_every_table_of_the_paper_has_a_part_or_a_reason() -> None:
    stated = read_fresh(PAPER / "fresh.yaml", tables())
    assert {*stated.tables, *stated.reasons} == set(tables())
    assert all(len(reason) > 40 for reason in stated.reasons.values())
    assert all(part.of for part in stated.parts.values())


def test_committed_results_have_the_numbers_of_every_part() -> None:
    """The patterns of each part find numbers, and none of them are times."""
    from fnmatch import fnmatchcase

    from physgen.experiments.paper.fresh.run import _committed

    version, _ = read_figures(PAPER / "figures.yaml")
    for part in read_fresh(PAPER / "fresh.yaml", tables()).parts.values():
        committed = _committed(part, PAPER / "results", version)
        for pattern in part.numbers:
            assert any(fnmatchcase(place, pattern) for place in committed), (part.name, pattern)
        keys = [key for pattern in part.numbers for key in pattern.split(".")[1:]]  # what is before names an arm
        assert not any("second" in key or "time" in key for key in keys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["tables"].pop("kernels"), "without kernels"),
        (lambda data: data["tables"].update(kernel=["kernels"]), "did you mean 'kernels'"),
        (lambda data: data["tables"].update(kernels=["kernel"]), "did you mean 'kernels'"),
        (lambda data: data["tables"].update(kernels="no"), "one that a table uses"),
        (lambda data: data["parts"]["kernels"].update(colour=1), "colour"),
        (lambda data: data.pop("parts"), "parts and tables"),
    ],
)
def test_a_file_that_says_too_little_or_too_much_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    data = yaml.safe_load((PAPER / "fresh.yaml").read_text(encoding="utf-8"))
    change(data)
    (tmp_path / "fresh.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(InvalidArgument, match=message):
        read_fresh(tmp_path / "fresh.yaml", tables())


@pytest.fixture
def results(tmp_path: Path) -> Path:
    records = [{"arm": "a", "rmse": 0.5, "seconds": 9.0}, {"arm": "b", "rmse": 2.0, "seconds": 9.0}]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "all.json").write_text(json.dumps({"version": "1", "git_sha": "x", "records": records}))
    return tmp_path / "results"


def part(made: Any) -> Part:
    command = f"python -c {json.dumps(WRITER)} {{out}} {json.dumps(json.dumps(made))}"
    return Part("one", "half", command, ("*.rmse",), made="a.json", committed="all.json", match=("arm",))


@pytest.mark.parametrize(("value", "agrees"), [(0.5, True), (0.509, True), (0.511, False), (0.489, False)])
def test_a_number_that_is_off_does_not_agree(results: Path, tmp_path: Path, value: float, agrees: bool) -> None:
    (row,) = make(part([{"arm": "a", "rmse": value, "seconds": 1.0}]), results, "1", tmp_path)
    assert (row.place, row.committed, row.again, row.agrees) == ("a.rmse", 0.5, value, agrees)
    assert (row.low, row.high) == pytest.approx((0.489999, 0.510001))


def test_a_number_that_was_never_committed_does_not_agree(results: Path, tmp_path: Path) -> None:
    (row,) = make(part([{"arm": "c", "rmse": 0.5}]), results, "1", tmp_path)
    assert row.committed is None
    assert not row.agrees


def test_a_command_that_fails_gives_no_numbers(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Part("one", "half", "python -c 'raise SystemExit(3)' {out}", ("*",), made="a.json", committed="all.json")
    assert make(broken, results, "1", tmp_path) == []
    assert "exit code 3" in capsys.readouterr().err


def test_records_that_share_their_keys_are_told_apart_by_order() -> None:
    """So that of two videos with one name the second is compared with the second."""
    found = flat({"records": [{"law": "mass", "holds": True}, {"law": "mass", "holds": False}]}, ["law"])
    assert found == {"records.mass.holds": 1.0, "records.mass 2.holds": 0.0}


def test_means_of_other_samples_agree_within_their_intervals() -> None:
    committed, again = Interval(10.0, 9.0, 11.0), Interval(12.0, 10.0, 14.0)
    row = compared("", "", committed, again, 0.0, 0.0)
    assert row.high == pytest.approx(10 + 1.5 * 5**0.5)
    assert row.agrees
    assert not compared("", "", committed, Interval(14.0, 12.0, 16.0), 0.0, 0.0).agrees


def copy_of_the_paper(folder: Path, name: str, change: Any) -> Path:
    """The paper with one part, changed, and its committed results."""
    paper = folder / "paper"
    shutil.copytree(PAPER, paper, ignore=shutil.ignore_patterns("build"))
    data = yaml.safe_load((paper / "fresh.yaml").read_text(encoding="utf-8"))
    change(data["parts"][name])
    (paper / "fresh.yaml").write_text(yaml.safe_dump(data))
    return paper


def test_the_exit_code_says_whether_all_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kernels made again: they agree with themselves, and no longer with one register more."""
    records = json.loads((PAPER / "results" / "kernels.json").read_text(encoding="utf-8"))["records"]
    for more, code in ((0, 0), (1, 1)):
        made = json.dumps([records[0] | {"registers": records[0]["registers"] + more}])

        def change(part: dict[str, Any], made: str = made) -> None:
            part.update(command=f"python -c {json.dumps(WRITER)} {{out}} {shlex.quote(made)}", made="a.json")

        paper = copy_of_the_paper(tmp_path / str(code), "kernels", change)
        assert main(["paper", "fresh", "only=[kernels]", f"paper={paper}"]) == code
        printed = capsys.readouterr().out
        assert ("NO" in printed) == bool(more)
        assert "yardstick: not made again" in printed


def test_parts_of_a_former_world_are_not_made_but_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the others left out of the file, nothing is run, and nothing disagrees."""
    paper = copy_of_the_paper(tmp_path, "arms", lambda part: part)
    worlds = yaml.safe_load((paper / "results" / "worlds.yaml").read_text(encoding="utf-8"))
    worlds["versions"] = {1: [name for names in worlds["versions"].values() for name in names]}
    (paper / "results" / "worlds.yaml").write_text(yaml.safe_dump(worlds))
    data = yaml.safe_load((paper / "fresh.yaml").read_text(encoding="utf-8"))
    for name in ("seen", "laws", "kernels"):
        del data["parts"][name]
        data["tables"][name] = "not in this test"
    (paper / "fresh.yaml").write_text(yaml.safe_dump(data))
    assert main(["paper", "fresh", f"paper={paper}"]) == 0
    printed = capsys.readouterr().out
    for table in ("world", "joined", "ablation", "sweeps", "tasks"):
        assert f"{table}: made with micro 1: check out 257e5dd to repeat" in printed
    assert "agree" not in printed
    assert main(["paper", "fresh", "only=[arms]", f"paper={paper}"]) == 2
    assert "made with micro 1: check out 257e5dd to repeat" in capsys.readouterr().err


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", "fresh", "only=[amrs]", f"paper={PAPER}"]) == 2
    assert "did you mean 'arms'" in capsys.readouterr().err
