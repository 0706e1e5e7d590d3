"""A run's folder is new, or begun with the same options; nothing of another one is written over."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from physgen.errors import InvalidArgument
from physgen.experiments.runs.locks import holder, let_go, locked
from physgen.experiments.runs.resume import check_folder, resume


def test_only_new_or_empty_folders_and_those_of_the_same_options(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    resume(out, {"seed": 0})
    assert yaml.safe_load((out / "config.yaml").read_text()) == {"seed": 0}
    (out / "kept.txt").write_text("mine")
    resume(out, {"seed": 0})
    with pytest.raises(InvalidArgument, match="seed is 0 there and 1 here"):
        resume(out, {"seed": 1})
    (out / "config.yaml").unlink()
    with pytest.raises(InvalidArgument, match=r"new or empty folder.*\(this one has files and no config.yaml\)"):
        resume(out, {"seed": 0})
    with pytest.raises(InvalidArgument, match=r"new or empty folder.*\(this one is a file\)"):
        resume(out / "kept.txt", {"seed": 0})
    assert [(path.name, path.read_text()) for path in out.glob("[!.]*")] == [("kept.txt", "mine")]


def test_one_command_at_a_time_and_shards_side_by_side(tmp_path: Path) -> None:
    with locked(tmp_path / "run" / "1-of-2"):
        with pytest.raises(InvalidArgument, match=r"at work in \(process \d+ on .* is\)"):
            resume(tmp_path / "run", {"seed": 0}, part="1-of-2")
        resume(tmp_path / "run", {"seed": 0}, part="2-of-2")
    for _ in range(2):
        resume(tmp_path / "run", {"seed": 0}, part="1-of-2")
    assert holder(tmp_path / "run" / "1-of-2") is not None
    let_go()
    assert holder(tmp_path / "run" / "1-of-2") is None


def test_a_check_writes_nothing_and_says_what_is_finished(tmp_path: Path) -> None:
    out = tmp_path / "run"
    check_folder(out, {}, finished=False)
    assert not out.exists()
    resume(out, {})
    check_folder(out, {}, finished=False)
    (out / "metrics.json").write_text("{}")
    check_folder(out, {})
    with pytest.raises(InvalidArgument, match="this one is a finished run"):
        check_folder(out, {}, finished=False)


def test_a_run_that_was_killed_while_it_began_begins_again(tmp_path: Path) -> None:
    (tmp_path / ".config.1.partial").write_text("seed")
    resume(tmp_path, {"seed": 0})
    assert (tmp_path / "config.yaml").read_text() == "seed: 0\n"
