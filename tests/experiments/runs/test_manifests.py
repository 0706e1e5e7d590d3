"""Lists of runs: none is lost between versions, and a run that was cut short does not keep the others from readers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import physgen
from physgen.errors import InvalidArgument
from physgen.experiments.runs.manifest import Row, extend_manifest, read_manifest


def row(run: str, world: str = "micro 2", **values: str) -> Row:
    return {"run": run, "world": world, "set": values, "choices": {}}


def listed(path: Path) -> list[str]:
    return [one["run"] for one in json.loads(path.read_text("utf-8"))["runs"]]


def test_a_version_that_is_taken_up_again_has_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = tmp_path / "sweep.json"
    for version, run in (("1", "run-a"), ("2", "run-b"), ("1", "run-c"), ("2", "run-d")):
        monkeypatch.setattr(physgen, "__version__", version)
        extend_manifest(sweep, [row(run)])
    assert listed(sweep) == ["run-b", "run-d"]
    assert listed(tmp_path / "sweep-1.json") == ["run-a", "run-c"]


def test_what_is_refused_leaves_every_list_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = tmp_path / "sweep.json"
    for version in ("1", "2"):
        monkeypatch.setattr(physgen, "__version__", version)
        extend_manifest(sweep, [row(f"run-{version}")])
    monkeypatch.setattr(physgen, "__version__", "1")
    with pytest.raises(InvalidArgument, match="this is of micro 2"):
        extend_manifest(sweep, [row("run-c", world="micro 3")])
    assert (listed(sweep), listed(tmp_path / "sweep-1.json")) == (["run-2"], ["run-1"])


@pytest.mark.parametrize("content", [b"", b"prompt: 'one dr", b"prompt: \xff", b"[1, 2]", b"world: 3"])
def test_a_config_that_is_cut_says_nothing_of_what_was_not_set(tmp_path: Path, content: bytes) -> None:
    extend_manifest(tmp_path / "sweep.json", [row("run-a", **{"world.steps": "3"}), row("run-b")])
    (tmp_path / "run-b").mkdir()
    (tmp_path / "run-b" / "config.yaml").write_bytes(content)
    first, cut = read_manifest(tmp_path / "sweep.json")["runs"]
    assert first["set"] == {"world.steps": "3"}
    assert cut["set"] == {}


def test_what_was_not_set_is_read_from_the_config(tmp_path: Path) -> None:
    asked = {"world.steps": "3", "rewards": "[count]", "world.families": "{}", "prompt": "x"}
    extend_manifest(tmp_path / "sweep.json", [row("run-a", **asked), row("run-b")])
    (tmp_path / "run-b").mkdir()
    config = {"world": {"steps": 4, "families": {"dye": {"dt": 0.1}}}, "rewards": [], "prompt": "costs ${5}"}
    (tmp_path / "run-b" / "config.yaml").write_text(json.dumps(config), "utf-8")
    _, other = read_manifest(tmp_path / "sweep.json")["runs"]
    families = '{"dye": {"dt": 0.1}}'
    assert other["set"] == {"world.steps": "4", "rewards": "[]", "world.families": families, "prompt": "costs ${5}"}
