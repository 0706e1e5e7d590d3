"""Every committed file says which version of the embedded world it was made with, and two versions are never mixed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from physgen.errors import InvalidArgument
from physgen.experiments.paper.results.export import export_benchmark
from physgen.experiments.paper.results.results import Sweep
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.results.worlds import Worlds
from physgen.experiments.paper.spec import read_figures
from physgen.experiments.runs.tables import write_parquet
from physgen.worlds import world_spec

PAPER = Path(__file__).parents[3] / "paper"
RESULTS = PAPER / "results"
WORLDS = Worlds.read(RESULTS)


def committed() -> Iterator[Path]:
    for folder in (RESULTS, RESULTS / "docs", *(path for path in (RESULTS / "docs").iterdir() if path.is_dir())):
        yield from (path for path in folder.iterdir() if path.suffix in (".json", ".parquet", ".npz"))


def name_of(path: Path) -> str:
    """Its name in ``worlds.yaml``: a sweep's files have one."""
    return str(path.relative_to(RESULTS).with_name(path.name.split(".")[0]))


def test_every_committed_file_is_named_once() -> None:
    for name in map(name_of, committed()):
        found = [one for one, names in WORLDS.versions.items() if any(fnmatchcase(name, known) for known in names)]
        assert len(found) + (name in WORLDS.without) == 1, f"{name} is of versions {found}: see worlds.yaml"


def test_every_name_is_a_file() -> None:
    names = {name_of(path) for path in committed()}
    listed = [name for found in (*WORLDS.versions.values(), WORLDS.without) for name in found if "*" not in name]
    assert set(listed) <= names


def test_former_versions_have_a_commit() -> None:
    shipped = world_spec("micro").version
    assert set(WORLDS.commits) == {version for version in WORLDS.versions if version != shipped}


def test_what_a_file_says_itself_is_what_is_said_of_it() -> None:
    for path in committed():
        data = json.loads(path.read_text(encoding="utf-8")) if path.suffix == ".json" else []
        stated = data.get("world") if isinstance(data, dict) else None
        assert stated in (None, f"micro {WORLDS.of(name_of(path))}"), path.name


def test_figures_refuse_a_file_of_another_world(tmp_path: Path) -> None:
    version, _ = read_figures(PAPER / "figures.yaml")
    for name in ("micro", "micro-1"):
        (tmp_path / "docs" / name).mkdir(parents=True)
        shutil.copy(RESULTS / "docs" / name / "quality.json", tmp_path / "docs" / name)
    shutil.copy(RESULTS / "worlds.yaml", tmp_path)
    store = Store(tmp_path, version)
    assert store.documented("micro/quality")["n"]
    with pytest.raises(InvalidArgument, match=r"docs/micro-1/quality.*made with micro 2, as what.*\(not micro 1\)"):
        store.documented("micro-1/quality")
    file = tmp_path / "docs" / "micro" / "quality.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"world": "micro 1"}))
    with pytest.raises(InvalidArgument, match=r"made with micro 2, see worlds.yaml \(it says micro 1\)"):
        store.documented("micro/quality")


def test_figures_are_of_the_shipped_world() -> None:
    assert WORLDS.figures == world_spec("micro").version


def test_a_run_of_another_world_is_refused(tmp_path: Path) -> None:
    (tmp_path / "worlds.yaml").write_text(yaml.safe_dump({"figures": 1, "versions": {1: ["small"]}}))
    (tmp_path / "small.json").write_text(json.dumps({"version": "1", "runs": [{"run": "run-0", "set": {"seed": "0"}}]}))
    row = {"run": "run-0", "version": "1", "git_sha": "a", "metric": "nfe", "value": 1.0}
    for label, fits in (("micro 1", True), ("micro 2", False)):
        write_parquet(tmp_path / "small.parquet", [row | {"world_label": label}])
        if fits:
            assert Sweep(tmp_path, "small", "1").finished == {"run-0"}
        else:
            with pytest.raises(InvalidArgument, match=r"small.*\(it says micro 2\)"):
                _ = Sweep(tmp_path, "small", "1").values


def test_an_exported_benchmark_says_its_world(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "dial.json").write_text("[{}]")
    (tmp_path / "run" / "config.yaml").write_text("seeds: [0]\nworld: micro 2\n")
    export_benchmark(tmp_path / "run" / "dial.json", tmp_path)
    assert json.loads((tmp_path / "dial.json").read_text())["world"] == "micro 2"


def test_a_file_with_other_keys_is_refused(tmp_path: Path) -> None:
    (tmp_path / "worlds.yaml").write_text("colours: {}")
    with pytest.raises(InvalidArgument, match="colours"):
        Worlds.read(tmp_path)
