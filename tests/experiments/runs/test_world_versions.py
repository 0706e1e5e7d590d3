"""Results of two versions of a world are never mixed: every job that resumes refuses a folder of the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from physgen.experiments.cli.dispatch import main
from physgen.experiments.runs.records import origin
from physgen.worlds import world_spec

VERSION = world_spec("micro").version
#: a command, and what does its work
JOBS = {
    "benchmark content": "content.run.run_content",
    "benchmark assimilate": "assimilate.run.run_assimilate",
    "benchmark-guidance problem=dial seeds=[0]": "micro.dial.run_dial",
    "showcase laws=[] halves=[] choices=[]": "pages.showcase.job.write_pages",
    "evaluate suite=quality": "evaluate.quality.evaluate",
}


@pytest.mark.parametrize("job", JOBS)
def test_a_folder_of_another_version_is_refused(
    job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(f"physgen.experiments.{JOBS[job]}", lambda *_: None)
    command = [*job.split(), f"out={tmp_path}"]
    assert main(command) == 0
    assert main(command) == 0, "resumed"
    begun = tmp_path / "config.yaml"
    text = begun.read_text(encoding="utf-8")
    before = text.replace(f"world: micro {VERSION}", "world: micro 0").replace(f"version: {VERSION}", "version: 0")
    begun.write_text(before, encoding="utf-8")
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "(world is micro 0 there" in error or "(world.version is 0 there" in error


def test_records_name_the_world() -> None:
    assert origin(world_spec("micro"))["world"] == f"micro {VERSION}"
    assert origin(world_spec("microverse"))["world"] == "microverse 1"


@pytest.mark.parametrize("text", ["[", "", "x: [1", "\udcff"])
def test_a_broken_list_of_options_is_refused_in_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert main(["evaluate", "suite=quality", f"out={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "its config.yaml cannot be read" in error


def test_an_option_that_is_gone_or_new_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("physgen.experiments.evaluate.quality.evaluate", lambda *_: None)
    command = ["evaluate", "suite=quality", f"out={tmp_path}"]
    assert main(command) == 0
    begun = tmp_path / "config.yaml"
    text = begun.read_text(encoding="utf-8")
    begun.write_text(f"# mine\n{text}", encoding="utf-8")
    assert main(command) == 0, "the same options, written otherwise"
    begun.write_text(text.replace("judge: null\n", "seeds: 2\n"), encoding="utf-8")
    capsys.readouterr()
    assert main(command) == 2
    version = "a new folder, or the version of physgen that began this one"
    words = "judge is None here and was not an option there; seeds is 2 there and is not an option here"
    assert f"allowed: {version} ({words})" in capsys.readouterr().err
    assert main([*command, "n=9"]) == 2
    assert "a new folder, or one begun with the same options (" in capsys.readouterr().err


def test_an_option_that_is_kept_only_where_it_is_set_is_neither_gone_nor_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("physgen.experiments.content.run.run_content", lambda *_: None)
    command = ["benchmark", "content", f"out={tmp_path}"]
    assert main([*command, "search=[4]"]) == 0
    capsys.readouterr()
    assert main(command) == 2
    assert "begun with the same options (search is [4] there and None here)" in capsys.readouterr().err
