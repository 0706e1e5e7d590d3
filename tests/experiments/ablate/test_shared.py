"""One sweep, several drivers and several commands: what is kept, who makes what, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from tiny_world import SIZES

import physgen
from physgen.experiments.cli.dispatch import main
from physgen.experiments.runs.locks import locked
from physgen.experiments.runs.manifest import read_manifest

HOLD = "import sys, time; from pathlib import Path; from physgen.experiments.runs.locks import locked\n"
HOLD += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"


def command(tiny: Path, runs: Path, *arguments: str) -> list[str]:
    return ["ablate", "-m", f"world.path={tiny}", *SIZES, f"runs={runs}", "law=mass", *arguments]


def finished(runs: Path) -> set[str]:
    return {path.parent.name for path in runs.glob("run-*/metrics.json")}


def listed(runs: Path, name: str) -> list[dict[str, str]]:
    return [one["set"] for one in read_manifest(runs / f"{name}.json")["runs"]]


def unfinished(tiny: Path, runs: Path, seeds: int) -> list[Path]:
    """Folders of runs that were made once and lost their metrics."""
    assert main(command(tiny, runs, f"seed=range({seeds})", "name=before")) == 0
    folders = [path.parent for path in runs.glob("run-*/metrics.json")]
    for folder in folders:
        (folder / "metrics.json").unlink()
    return folders


def test_what_is_added_later_extends_the_sweep(tiny: Path, tmp_path: Path) -> None:
    for arguments in (["seed=0,1"], ["guidance=afterwards", "seed=0"], ["seed=1"]):
        assert main(command(tiny, tmp_path, "name=first", *arguments)) == 0
    rows = [(one["guidance"], one["seed"]) for one in listed(tmp_path, "first")]
    assert rows == [("none", "0"), ("none", "1"), ("afterwards", "0")], "the arm of the first command is named as well"
    assert not (tmp_path / "sweep.json").exists()


@pytest.mark.slow
def test_an_option_that_was_not_varied_at_first(tiny: Path, tmp_path: Path) -> None:
    for arguments in ([], ["steps=2"], ["world.steps=2"]):
        assert main(command(tiny, tmp_path, *arguments)) == 0
    rows = [(one["steps"], one["world.steps"]) for one in listed(tmp_path, "sweep")]
    assert rows == [("null", "3"), ("2", "3"), ("null", "2")]


def test_a_sweep_of_another_version_is_kept_aside(tiny: Path, tmp_path: Path) -> None:
    old = {"version": "0.0.1", "runs": [{"run": "run-0", "set": {"seed": "0"}}]}
    (tmp_path / "sweep.json").write_text(json.dumps(old))
    assert main(command(tiny, tmp_path)) == 0
    assert json.loads((tmp_path / "sweep-0.0.1.json").read_text("utf-8")) == old
    assert [one["run"] for one in read_manifest(tmp_path / "sweep.json")["runs"]] == list(finished(tmp_path))


def test_a_sweep_of_another_world_is_refused(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a run is made; lists of before worlds had versions are of the first."""
    old = {"version": physgen.__version__, "runs": [{"run": "run-0", "set": {}, "choices": {"world": "micro"}}]}
    (tmp_path / "sweep.json").write_text(json.dumps(old))
    assert main(command(tiny, tmp_path, "world.version=7")) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "one of micro 7 (this is of micro 1): another name=, runs=" in error
    assert json.loads((tmp_path / "sweep.json").read_text("utf-8")) == old
    assert not finished(tmp_path)


@pytest.mark.slow
def test_two_drivers_share_the_work(tiny: Path, tmp_path: Path) -> None:
    folders = unfinished(tiny, tmp_path, 6)
    here, there = (command(tiny, tmp_path, f"seed={seeds}", "name=both") for seeds in ("range(5)", "range(1,6)"))
    with ExitStack() as held:
        for folder in folders:
            held.enter_context(locked(folder))
        other = subprocess.Popen([sys.executable, "-m", "physgen", *there], stdout=subprocess.PIPE, text=True)

        def begin() -> None:
            for line in other.stdout or ():
                if "being made by process" in line:
                    break
            held.close()  # both wait now: this process needs a fraction of what the other takes to start
            other.communicate()

        starter = threading.Thread(target=begin)
        starter.start()
        assert main(here) == 0
        starter.join()
    assert other.returncode == 0
    assert finished(tmp_path) == {folder.name for folder in folders}
    makers = {(tmp_path / ".locks" / folder.name).read_text().split()[1] for folder in folders}
    assert makers == {str(os.getpid()), str(other.pid)}
    assert sorted(one["seed"] for one in listed(tmp_path, "both")) == [str(seed) for seed in range(6)]


def test_a_run_is_left_to_who_makes_it_and_taken_over_when_it_dies(tiny: Path, tmp_path: Path) -> None:
    folders = unfinished(tiny, tmp_path, 3)
    maker = subprocess.Popen([sys.executable, "-c", HOLD, str(folders[0])], stdout=subprocess.PIPE, text=True)
    assert maker.stdout
    assert maker.stdout.readline() == "held\n"
    others: set[str] = set()

    def kill() -> None:
        while len(finished(tmp_path)) < 2:
            time.sleep(0.05)
        others.update(finished(tmp_path))
        maker.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    assert main(command(tiny, tmp_path, "seed=range(3)")) == 0
    killer.join()
    assert others == {folder.name for folder in folders[1:]}
    assert len(finished(tmp_path)) == 3
    maker.communicate()


def test_prompts_with_commas(tiny: Path, tmp_path: Path) -> None:
    assert main(command(tiny, tmp_path, "prompt='green dye, spreading','red dye'")) == 0
    captions = {json.loads(path.read_text("utf-8"))["prompt"] for path in tmp_path.glob("run-*/metrics.json")}
    assert captions == {"green dye, spreading", "red dye"}


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_sweep_quietly(tiny: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "physgen", *command(tiny, tmp_path, "seed=range(50)")]
    pipe = subprocess.PIPE
    driver = subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True)
    assert driver.stdout
    assert driver.stderr
    assert "50 runs" in driver.stdout.readline()
    driver.stdout.close()
    assert driver.wait() == 141
    assert driver.stderr.read() == ""
    driver.stderr.close()
    assert len(finished(tmp_path)) < 50
    assert physgen.__version__ == json.loads((tmp_path / "sweep.json").read_text("utf-8"))["version"]
