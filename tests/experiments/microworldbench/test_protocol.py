"""The protocol: its page's own commands on tiny weights, killed and resumed; its arithmetic against numbers by hand."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from microworldbench.benchdata import NAMES, small_benchmark
from microworldbench.server import Answer, completion, criteria_of, serving
from physgen.experiments.cli.config import choices
from physgen.experiments.cli.dispatch import main
from physgen.experiments.microworldbench.protocol.apart import SPEAKING, speaks_of
from physgen.experiments.microworldbench.protocol.arm import ScoredArm, difference
from physgen.experiments.microworldbench.protocol.arms import ARMS
from physgen.experiments.microworldbench.protocol.tiny import write_tiny
from physgen.experiments.microworldbench.tasks.data import Criterion, read_rubrics, read_tasks

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "guides" / "protocol.md"


@pytest.fixture(scope="module")
def tiny_bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("protocol")
    write_tiny(folder)
    return folder


def arm(scores: Mapping[int, list[int]], imposed: Mapping[int, set[str]], text: str = "phases in order") -> ScoredArm:
    """Three tasks of three criteria, the first of each about the phases; answers of all dimensions by task."""
    raw_tasks, raw_rubrics = small_benchmark(3)
    for rubric in raw_rubrics:
        for name in NAMES:
            rubric[f"rubrics_{name}"]["d1"] = text
    tasks, rubrics = read_tasks(raw_tasks), read_rubrics(raw_rubrics)
    results = [
        {"index": index, **{f"{name}_eval": {"parsed_result": {"scores": given}} for name in NAMES}}
        for index, given in scores.items()
    ]
    data = {task.index: task for task in tasks}, {rubric.index: rubric for rubric in rubrics}
    return ScoredArm("any", [], [results], *data, imposed, "corrected")


def test_what_was_imposed_is_counted_apart() -> None:
    """Only the criterion about the phases changes, so without it the difference is nothing."""
    imposed = {1: {"phase_order"}}
    guided = arm({1: [1, 1, 0, 1, 0], 2: [1, 1, 1, 1, 0]}, imposed)
    free = arm({1: [0, 1, 0, 1, 0], 2: [1, 1, 1, 1, 0]}, imposed)
    found, n = difference(guided.cards, free.cards, "average")
    assert n == 2
    assert found.estimate == pytest.approx(100 * (1.0 / 2.7) / 2)  # of weights 1, 0.5, 0.2 and 1, in one task of two
    assert difference(guided.cards, free.cards, "average", {1})[0].estimate == pytest.approx(100 / 2.7)
    apart, _ = difference(guided.cards_apart, free.cards_apart, "average", {1})
    assert apart.estimate == 0
    assert guided.cards_apart[0].per_task[0].average == pytest.approx(100 * 1.5 / 1.7)
    assert (sum(guided.met[True]), len(guided.met[True]), sum(free.met[True])) == (3, 3, 0)
    assert guided.met[False] == free.met[False] == [1, 0, 1, 1] * 3


def test_an_instrument_says_what_a_criterion_measures_and_words_do_not() -> None:
    named = Criterion(1, "Phases come in order", 1, 1.0, measure="flicker")
    assert not speaks_of(named, ["phase_order"])
    assert speaks_of(Criterion(1, "", 1, 1.0, measure="phases"), ["phase_order"])


def test_every_law_has_criteria_that_speak_of_it() -> None:
    assert set(choices("constraint")) - {"auto", "none"} == set(SPEAKING)


def test_published_criteria_of_mitosis(shared: Path) -> None:
    """Of the 75 criteria of the five tasks with an imposed law, some speak of it and most do not."""
    rubrics = [
        one
        for one in read_rubrics(shared / "microworldbench" / "MWBenchRubrics_norm.json")
        if one.index in (134, 142, 225, 345, 435)
    ]
    every = [criterion for one in rubrics for name in NAMES for criterion in one.criteria[name]]
    about = [criterion for criterion in every if speaks_of(criterion, ["phase_order"])]
    assert len(every) == 75
    assert all(
        any(speaks_of(criterion, ["phase_order"]) for criterion in one.criteria["scientific"]) for one in rubrics
    )
    assert 5 <= len(about) < len(every) / 2


def sizes() -> list[str]:
    """The options of the page's tiny run, without its judge."""
    (options,) = re.findall(r'OPTIONS="(world\.height=[^"]*)"', PAGE.read_text(encoding="utf-8"))
    return [option for option in options.split() if option != "judge=random"]


def options_of(folder: Path) -> list[str]:
    weights = [f"world.path={folder / 'wan'}", f"checkpoint={folder / 'step-1.safetensors'}", f"data={folder / 'data'}"]
    return ["benchmark", "protocol", "world=microverse", *weights, *sizes()]


@pytest.mark.slow
def test_the_cost_is_told_without_weights(tiny_bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two of four tiny tasks have a law: every other arm draws two videos, the best of 2 twice as many evaluations."""
    assert main([*options_of(tiny_bench), "plan=true"]) == 0
    printed = capsys.readouterr().out
    rows = {line.split("  ")[0]: line.split()[-5:] for line in printed.splitlines() if re.search(r"  \d+ +\d+  ", line)}
    assert {name: cells[:2] for name, cells in rows.items()} == {
        "unguided": ["4", "8"],
        "afterwards": ["2", "8"],
        "guided": ["2", "8"],
        "best of 2": ["2", "16"],
    }
    assert float(rows["best of 2"][2]) == pytest.approx(2 * float(rows["unguided"][2]), rel=0.02)
    assert float(rows["guided"][2]) > float(rows["unguided"][2])
    assert "2 of 4 videos have a law that is imposed" in printed
    assert "judge: 30 questions with 8 frames of 32 x 32" in printed


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("guidance=none", "guidance"),
        ("guidance=best_of_4", "guidance"),
        ("compare=true", "compare"),
        ("judge=openai", "OPENAI_MODEL"),
        ("checkpoint=/nowhere.safetensors", "checkpoint"),
        ("rubrics=/nowhere.json", "/nowhere.json"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_video(
    tiny_bench: Path,
    tmp_path: Path,
    option: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    assert main([*options_of(tiny_bench), "judge=random", option, f"out={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_too_small_is_refused(
    tiny_bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 30, 1 << 30))
    assert main([*options_of(tiny_bench), "judge=random", "device=cuda", f"out={tmp_path / 'out'}"]) == 2
    assert "GiB of device memory" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def page_commands() -> list[list[str]]:
    """The two commands of the page's tiny run; of `make` what it would run."""
    text = PAGE.read_text(encoding="utf-8").split("## The same command on tiny weights")[1]
    first, second = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    shown = subprocess.run(
        ["make", "-n", "-o", ".venv/.complete", *shlex.split(second)[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", "")
    (protocol,) = [line for line in shown.splitlines() if "benchmark protocol" in line]
    assert "benchmark fetch" not in shown
    assert "hf download" not in shown
    python = [sys.executable, "-m", "physgen"]
    return [[sys.executable, *shlex.split(first)[1:]], [*python, *shlex.split(protocol)[1:]]]


def files(out: Path, pattern: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob(pattern) if path.stat().st_size}


def kill_when(command: list[str], folder: Path, environment: Mapping[str, str], ready: Callable[[], bool]) -> None:
    """Run until something is there, and kill."""
    with (folder / "killed.log").open("w") as log:
        run = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        while not ready():
            assert run.poll() is None, (folder / "killed.log").read_text()
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()


@pytest.mark.slow
def test_the_page_s_commands_killed_and_resumed(tmp_path: Path) -> None:
    """Killed after a video of the guided arm and after an answer of the judge; nothing that was there is made again."""
    write, protocol = page_commands()
    subprocess.run(write, cwd=tmp_path, check=True, capture_output=True)
    protocol = [argument for argument in protocol if argument != "judge=random"]  # the server's, as the page's first
    out = tmp_path / "runs" / "tiny" / "out"

    def behaviour(request: dict[str, Any], n: int) -> Answer:
        time.sleep(0.05)
        scores = json.dumps({"reasoning": "seen", "scores": [1] * criteria_of(request)})
        return completion(scores, model="judge-2026-11", system_fingerprint="fp_1")

    with serving(behaviour) as server:
        judge = {"OPENAI_BASE_URL": server.url, "OPENAI_MODEL": "judge", "OPENAI_API_KEY": "key"}
        environment = os.environ | judge | {"NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        kill_when(protocol, tmp_path, environment, lambda: bool(files(out, "guided/records/seed0/3.json")))
        videos = files(out, "*/records/*/*.json")
        kill_when(protocol, tmp_path, environment, lambda: len(files(out, "scored/calls/*.json")) > 2)
        assert videos.items() <= files(out, "*/records/*/*.json").items()
        answers = files(out, "scored/calls/*.json")
        done = subprocess.run(protocol, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert videos.items() <= files(out, "*/records/*/*.json").items()
    assert answers.items() <= files(out, "scored/calls/*.json").items()
    page = (out / "protocol.md").read_text(encoding="utf-8")
    assert "judge-2026-11 fp_1" in page
    assert "guided − best" in page
    found = json.loads((out / "protocol.json").read_text(encoding="utf-8"))
    assert set(found["arms"]) == set(found["runs"]) == set(ARMS)
    assert re.fullmatch(r"step-1.safetensors, sha256 [0-9a-f]{64}", found["checkpoint"])
    assert found["commit"]
    assert found["tokens"]["prompt"] == 100 * len(files(out, "scored/calls/*.json"))  # each answer once
    guided, best = (
        json.loads((out / arm / "records" / "seed0" / "1.json").read_text(encoding="utf-8"))
        for arm in ("guided", "best")
    )
    assert guided["constraints"]["phase_order"]["satisfied"]
    assert best["nfe"] == 2 * guided["nfe"] == 16
    for arm in ARMS[1:]:  # nothing is imposed in the second task: one video, judged once
        one, other = (out / name / f"{name}-seed0" / "2.mp4" for name in ("unguided", arm))
        assert one.read_bytes() == other.read_bytes()
        assert one.samefile(other)
    assert len(files(out, "scored/calls/*.json")) == 3 * len(
        {path.read_bytes() for arm in ARMS for path in (out / arm / f"{arm}-seed0").glob("*.mp4")}
    )
