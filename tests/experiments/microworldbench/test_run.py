"""Whole runs of `physgen benchmark score`: killed and resumed, on bad videos, with repeats."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microworldbench.benchdata import evaluated, small_benchmark
from microworldbench.server import Answer, completion, criteria_of, good, serving, text_of
from physgen.experiments.cli.dispatch import main
from physgen.experiments.microworldbench import read_results, score

Folder = Callable[[int], Path]
CONCURRENCY = 8


@pytest.fixture
def folder(tmp_path: Path, movie: Path) -> Folder:
    """Tasks, rubrics and a video for each of so many tasks."""

    def make(count: int) -> Path:
        tasks, rubrics = small_benchmark(count)
        (tmp_path / "tasks.json").write_text(json.dumps(tasks))
        (tmp_path / "rubrics.json").write_text(json.dumps(rubrics))
        (tmp_path / "model").mkdir()
        for index in range(1, count + 1):
            os.link(shutil.copy(movie, tmp_path / "movie.mp4"), tmp_path / "model" / f"{index}.mp4")
        return tmp_path

    return make


def arguments(folder: Path, *more: str) -> list[str]:
    files = [f"tasks={folder / 'tasks.json'}", f"rubrics={folder / 'rubrics.json'}", f"out={folder / 'out'}"]
    return ["benchmark", "score", *files, f"videos=[{folder / 'model'}]", *more]


def environment(url: str) -> dict[str, str]:
    judge = {"OPENAI_BASE_URL": url, "OPENAI_MODEL": "tiny-judge", "OPENAI_API_KEY": "secret-key"}
    return judge | {"NO_PROXY": "127.0.0.1"}


def start(folder: Path, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "physgen", *arguments(folder, f"judge.concurrency={CONCURRENCY}")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=os.environ | environment(url), **quiet)  # type: ignore[call-overload]


def kept(folder: Path) -> int:
    return len(list((folder / "out" / "calls").glob("*.json")))


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not condition():
        assert process.poll() is None, "the run ended before it was killed"
        time.sleep(0.02)


@pytest.mark.slow
def test_kill_and_resume_repeats_and_loses_nothing(folder: Folder) -> None:
    """Killed while the server holds its replies back, so that every call is either kept or was never answered."""
    path, total, before = folder(459), 459 * 3, 600
    killed, lock, answered = threading.Event(), threading.Lock(), [0]

    def until_killed(request: dict[str, Any], n: int) -> Answer:
        with lock:
            answered[0] += 1
            late = answered[0] > before and not killed.is_set()
        if late:
            killed.wait()
            return Answer(hang_up=True)
        return good(request)

    with serving(until_killed) as server:
        run = start(path, server.url)
        wait_until(lambda: kept(path) == before and len(server.requests) >= before + CONCURRENCY, run)
        run.kill()
        run.wait()
        killed.set()
        asked_before = len(server.requests)
        assert kept(path) == before
        assert not (path / "out" / "model_result.json").exists()
        again = start(path, server.url)
        assert again.wait() == 0
        assert len(server.requests) - asked_before == total - before
        assert len(server.replied) == total
        assert set(server.replied.values()) == {1}
        asked = len(server.requests)
        assert start(path, server.url).wait() == 0
        assert len(server.requests) == asked
    card = score(path / "out" / "model_result.json", path / "rubrics.json", path / "tasks.json", "corrected")
    assert card.valid_tasks == 459
    metrics = json.loads((path / "out" / "metrics.json").read_text())
    assert metrics["models"]["model"]["average"] == pytest.approx(card.average)
    assert metrics["tokens"] == {"prompt": 100 * total, "completion": 7 * total}


@pytest.mark.slow
def test_kills_at_any_moment_repeat_only_what_was_in_flight(folder: Folder) -> None:
    path, total, kills = folder(60), 180, (20, 90)
    with serving(lambda request, n: good(request)) as server:
        for count in kills:
            run = start(path, server.url)
            wait_until(lambda count=count: len(server.requests) >= count, run)  # type: ignore[misc]
            run.kill()
            run.wait()
        assert start(path, server.url).wait() == 0
        assert len(server.replied) == kept(path) == total
        assert len(server.requests) <= total + len(kills) * CONCURRENCY
    assert len(read_results(path / "out" / "model_result.json")[0]) == 60


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    def run(folder: Path, url: str, *more: str) -> dict[str, Any]:
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        assert main(arguments(folder, *(more or ["judge.backoff=0.01"]))) == 0
        metrics: dict[str, Any] = json.loads((folder / "out" / "metrics.json").read_text())
        return metrics

    return run


def test_bad_videos_are_named_and_the_rest_is_scored(
    folder: Folder, movie: Path, run_here: Callable[..., dict[str, Any]]
) -> None:
    path = folder(8)
    model = path / "model"
    (model / "1.mp4").unlink()
    (model / "2.mp4").rename(model / "002.MP4")
    for name, content in {
        "3.mp4": b"",
        "4.mp4": b"not a video",
        "99.mp4": b"",
        "intro.mp4": b"",
        "7.mov": b"x",
    }.items():
        (model / name).unlink(missing_ok=True)
        (model / name).write_bytes(content)
    (model / "5.mp4").unlink()
    (model / "5.mp4").write_bytes(movie.read_bytes()[: movie.stat().st_size // 2])
    with serving(lambda request, n: good(request)) as server:
        metrics = run_here(path, server.url)
    assert [item["index"] for item in read_results(path / "out" / "model_result.json")[0]][-3:] == [6, 7, 8]
    notes = "\n".join(metrics["notes"])
    for text in ("99.mp4: no task 99", "intro.mp4: no task number", "1 tasks without a video", "7.mp4 taken of"):
        assert text in notes
    for index in (3, 4):
        assert f"task {index}: video=" in notes
    assert "task 5: " in notes
    assert metrics["models"]["model"]["valid_tasks"] == len(read_results(path / "out" / "model_result.json")[0])


def test_one_open_question(folder: Folder, run_here: Callable[..., dict[str, Any]]) -> None:
    """`corrected` keeps what was answered and asks again the next time; `upstream` drops the video."""
    path, down = folder(3), [True]

    def partly(request: dict[str, Any], n: int) -> Answer:
        text = text_of(request)
        return Answer(500) if down[0] and "task 2<" in text and "visual" in text else good(request)

    with serving(partly) as server:
        metrics = run_here(path, server.url)
        assert metrics["models"]["model"]["valid_tasks"] == 2
        assert any(note.startswith("model: task 2, visual: HTTP 500: bare") for note in metrics["notes"])
        results = read_results(path / "out" / "model_result.json")[0]
        assert results[1]["visual_eval"] is None
        assert results[1]["scientific_eval"]["parsed_result"]["scores"] == [1] * 5
        down[0], asked = False, len(server.requests)
        assert run_here(path, server.url)["models"]["model"]["valid_tasks"] == 3
        assert len(server.requests) == asked + 1


def test_upstream_drops_a_video_with_an_open_question(folder: Folder, run_here: Callable[..., dict[str, Any]]) -> None:
    path = folder(3)
    with serving(lambda request, n: good(request) if "scientific" in text_of(request) else Answer(500)) as server:
        metrics = run_here(path, server.url, "mode=upstream", "judge.backoff=0.01")
    assert read_results(path / "out" / "model_result.json")[0] == []
    assert metrics["models"]["model"]["average"] == 0.0


def test_equal_questions_are_asked_once(folder: Folder, run_here: Callable[..., dict[str, Any]]) -> None:
    """The released evaluator shows no task: equal videos with equal criteria make equal requests, in many threads."""
    path = folder(4)
    with serving(lambda request, n: good(request)) as server:
        metrics = run_here(path, server.url, "mode=upstream")
    assert len(server.requests) == 3
    assert metrics["models"]["model"]["valid_tasks"] == 4


def test_every_request_and_reply_is_kept(folder: Folder, run_here: Callable[..., dict[str, Any]]) -> None:
    path = folder(2)
    with serving(lambda request, n: good(request)) as server:
        run_here(path, server.url)
    for file in (path / "out" / "calls").glob("*.json"):
        record = json.loads(file.read_text())
        assert record["request"]["judge"]["model"] == "tiny-judge"
        assert f"task {record['task']}" in record["request"]["text"]
        assert record["reply"]["parsed"]["scores"] == [1] * 5
        assert all((path / "out" / "frames" / name).is_file() for name in record["request"]["images"])
    page = (path / "out" / "details" / "model.html").read_text()
    shown = re.findall(r'src="../([^"]+)"', page)
    assert len(shown) == 2 * 8
    assert all((path / "out" / name).is_file() for name in shown)
    assert page.count("<td>criterion 5</td>") == 2 * 3
    assert "secret-key" not in "".join(p.read_text() for p in (path / "out").rglob("*.json"))


def test_repeats_measure_the_agreement_of_the_judge(folder: Folder, run_here: Callable[..., dict[str, Any]]) -> None:
    path = folder(10)

    def moody(request: dict[str, Any], n: int) -> Answer:
        answers = [int(k < 3 or request["seed"] == 1) for k in range(criteria_of(request))]
        return completion(json.dumps({"reasoning": "", "scores": answers}))

    with serving(moody) as server:
        metrics = run_here(path, server.url, "repeats=2")
    assert len(server.requests) == 60
    agreement = metrics["agreement"]["model"]
    assert (agreement["repeats"], agreement["criteria"]) == (2, 150)
    assert agreement["kappa"] == pytest.approx((0.6 - 0.68) / (1 - 0.68))
    assert "kappa" in (path / "out" / "report.html").read_text()


def test_reference_judges_and_replay(folder: Folder, run_here: Callable[..., dict[str, Any]]) -> None:
    path = folder(6)
    assert run_here(path, "", "judge=perfect")["models"]["model"]["average"] == 100.0
    recorded = path / "recorded_result.json"
    shutil.copy(path / "out" / "model_result.json", recorded)
    recorded.write_text(json.dumps([evaluated(i, [1, 1, 1, 1, i % 2]) for i in range(1, 6)]))
    shutil.rmtree(path / "out")
    metrics = run_here(path, "", "judge=replay", f"judge.source={recorded}")
    assert metrics["models"]["model"]["valid_tasks"] == 5
    assert "model: task 6, visual: not recorded" in metrics["notes"]
