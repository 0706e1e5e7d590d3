"""What a run writes is whole or not there, and names what made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import physgen
from physgen.errors import InvalidArgument
from physgen.experiments.runs.records import (
    JsonlWriter,
    git_sha,
    peak_memory_mb,
    run_name,
    with_contents,
    write_json_atomic,
)
from physgen.experiments.runs.resume import resume


def test_json_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json_atomic(path, {"a": float("nan"), "b": [1.5, float("inf")], "c": {"µ": (1, 2)}})
    assert json.loads(path.read_text("utf-8")) == {"a": None, "b": [1.5, None], "c": {"µ": [1, 2]}}
    with pytest.raises(TypeError):
        write_json_atomic(path, {"written": 1, "not json": object()})
    assert json.loads(path.read_text("utf-8"))["b"] == [1.5, None]
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_log_lines_are_on_disk_at_once(tmp_path: Path) -> None:
    with JsonlWriter(tmp_path / "log.jsonl") as log:
        log.write({"step": 0, "residual": {"mass": float("nan")}})
        lines = (tmp_path / "log.jsonl").read_text().splitlines()
        assert json.loads(lines[0]) == {"step": 0, "residual": {"mass": None}}
    with pytest.raises(FileExistsError):
        JsonlWriter(tmp_path / "log.jsonl")


def test_run_name_depends_on_content_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    name = run_name("sample", {"a": 1, "b": {"c": [1, 2]}})
    assert name == run_name("sample", {"b": {"c": [1, 2]}, "a": 1})
    assert name != run_name("sample", {"a": 2, "b": {"c": [1, 2]}})
    monkeypatch.setattr(physgen, "__version__", "999")
    assert name != run_name("sample", {"a": 1, "b": {"c": [1, 2]}})


def test_provenance() -> None:
    sha = git_sha()
    assert sha is None or (len(sha) == 40 and int(sha, 16) >= 0)
    assert 10 < peak_memory_mb() < 1e6


def test_sha_of_somebody_elses_checkout_is_not_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nested = Path(physgen.__file__).parent / "simulators" / "installed" / "physgen" / "__init__.py"
    monkeypatch.setattr(physgen, "__file__", str(nested))
    assert git_sha() is None


def test_a_run_of_a_movie_that_has_changed_is_another_run(tmp_path: Path) -> None:
    movie, frames, out = tmp_path / "movie.npy", tmp_path / "frames", tmp_path / "out"
    frames.mkdir()
    movie.write_bytes(b"dye")
    (frames / "0.png").write_bytes(b"first")
    options = {"movies": [str(movie), str(frames)], "lora": None}

    def settings() -> dict[str, Any]:
        return with_contents(options, "movies", "lora")

    before = settings()
    resume(out, before)
    assert settings() == before, "nothing has changed"
    (frames / "0.png").rename(frames / "1.png")
    assert settings() != before, "a frame has another name"
    (frames / "1.png").rename(frames / "0.png")
    movie.write_bytes(b"die")
    with pytest.raises(InvalidArgument, match=r"contents\.movies"):
        resume(out, settings())
    assert with_contents({"lora": None}, "lora") == {"lora": None}
