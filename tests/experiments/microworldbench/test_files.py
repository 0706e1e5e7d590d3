"""The published files: fetched whole or not at all, their defects, the published tables."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from microworldbench.benchdata import small_benchmark
from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.microworldbench import read_rubrics, read_tasks
from physgen.experiments.microworldbench.scoring.published import LEVEL_COUNTS, PUBLISHED
from physgen.experiments.microworldbench.tasks.data import RAW_RUBRICS, RUBRICS, TASKS
from physgen.experiments.microworldbench.tasks.doctor import diagnose
from physgen.experiments.microworldbench.tasks.fetch import LARGEST, fetch

NAMES = (TASKS, RUBRICS, RAW_RUBRICS)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder with three good files, and where it is served."""
    folder = tmp_path / "repository"
    folder.mkdir()
    tasks, rubrics = small_benchmark(459)
    for name, content in zip(NAMES, (tasks, rubrics, rubrics), strict=True):
        (folder / name).write_text(json.dumps(content))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = partial(Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_fetch(repository: tuple[Path, str], tmp_path: Path) -> None:
    source, url = repository
    paths = fetch(tmp_path / "data", url)
    assert [path.name for path in paths] == list(NAMES)
    assert all(path.read_bytes() == (source / path.name).read_bytes() for path in paths)
    assert len(read_tasks(paths[0])) == len(read_rubrics(paths[1])) == 459


def test_fetch_needs_no_network_for_what_is_there(repository: tuple[Path, str], tmp_path: Path) -> None:
    fetch(tmp_path / "data", repository[1])
    assert len(fetch(tmp_path / "data", "http://127.0.0.1:9")) == 3


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b'{"index": 1}', b'[{"index": 1}]', b"[" * 10**5, b" " * (LARGEST + 1)]
)
def test_a_bad_download_is_not_written(repository: tuple[Path, str], tmp_path: Path, content: bytes) -> None:
    (repository[0] / RUBRICS).write_bytes(content)
    with pytest.raises(InvalidArgument):
        fetch(tmp_path / "data", repository[1])
    assert [path.name for path in (tmp_path / "data").iterdir()] == [TASKS]


def test_a_cut_copy_is_fetched_again(repository: tuple[Path, str], tmp_path: Path) -> None:
    path = fetch(tmp_path / "data", repository[1])[1]
    path.write_bytes(path.read_bytes()[:-100])
    fetch(tmp_path / "data", repository[1])
    assert len(read_rubrics(path)) == 459


def test_fetch_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(ConnectionError, match="nothing was changed"):
        fetch(tmp_path / "data", "http://127.0.0.1:9")
    assert not (tmp_path / "data").exists()


def test_a_missing_file_says_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "doctor", f"data={tmp_path}"]) == 2
    assert "physgen benchmark fetch" in capsys.readouterr().err


def counts(tasks: list[Any], rubrics: list[Any], raw: list[Any]) -> dict[str, int]:
    return {defect.name: len(defect.where) for defect in diagnose(tasks, rubrics, raw)}


def test_doctor_of_the_published_files(shared: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = shared / "microworldbench"
    found = counts(*(json.loads((folder / name).read_text()) for name in NAMES))
    assert found == {
        "malformed keys, d11 for d1": 55,
        "not five criteria": 1,
        "weight written as text": 556,
        "merit of weight 0": 737,
        "penalty of weight 0": 147,
        "equal first weights, different final ones": 325,
        "penalty worded as a virtue, 'Avoid …'": 70,
        "penalty that speaks of a fault as controlled": 77,
        "task text under keys that the released evaluator does not read": 459,
    }
    assert main(["benchmark", "doctor", f"data={folder}", f"out={tmp_path / 'defects.json'}"]) == 0
    assert "55  malformed keys" in capsys.readouterr().out
    listed = json.loads((tmp_path / "defects.json").read_text())
    assert [277, "instruction", ""] in next(d["where"] for d in listed if d["name"] == "not five criteria")


def test_doctor_finds_what_is_planted() -> None:
    tasks, rubrics = small_benchmark(4)
    del tasks[3], rubrics[0]["rubrics_visual"]["s5"]
    tasks[1] |= {"final_label": "Planet-level"}
    rubrics[2] |= {"任务": "another task"}
    found = counts(tasks, rubrics, small_benchmark(4)[1])
    assert found["not five criteria"] == found["task without a known level"] == 1
    assert found["task text differs between files"] == found["task that not all three files have"] == 1


def test_eight_of_nine_published_averages_follow_from_the_levels() -> None:
    assert LEVEL_COUNTS == (189, 238, 32)
    wrong = [row.model for row in PUBLISHED if abs(row.implied - row.average) > 0.1]
    assert wrong == ["Wan2.2-TI2V-5B"]
    assert round({row.model: row for row in PUBLISHED}["Wan2.2-TI2V-5B"].implied, 2) == 50.59


def test_level_counts_are_those_of_the_tasks(shared: Path) -> None:
    tasks = read_tasks(shared / "microworldbench" / TASKS)
    levels = [
        sum(task.level == level for task in tasks) for level in ("Organ-level", "Cellular-level", "Subcellular-level")
    ]
    assert tuple(levels) == LEVEL_COUNTS
