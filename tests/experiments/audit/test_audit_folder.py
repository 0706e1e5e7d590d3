"""A folder of captioned clips is measured as its clips are one by one; what is broken is listed and stops nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from captioned_clips import BROKEN, PROMPTS, add_broken, make_folder

from physgen.experiments.audit.folder.parallel import in_parallel
from physgen.experiments.cli.dispatch import main
from physgen.video import Video, write_mp4, write_tiff


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def audit(folder: Path, out: Path, *options: str) -> int:
    return main(["audit", str(folder), "world=microverse", f"out={out}", *options])


def check_audit(folder: Path, out: Path, clips: int) -> None:
    """``clips`` clips, every other one fading, and the broken ones of `add_broken`."""
    skipped = {item["name"]: item["reason"] for item in load(out / "skipped.json")}
    assert skipped.keys() == {*(f"videos/{name}" for name in BROKEN), f"record {clips + 6}", f"record {clips + 7}"}
    assert "no such file" in skipped["videos/missing.mp4"]
    assert "ending in" in skipped["videos/video.txt"]
    assert "a second time" in skipped[f"record {clips + 7}"]
    metrics = load(out / "metrics.json")
    assert (metrics["clips"], metrics["measured"], metrics["skipped"]) == (clips + 5, clips, 7)
    found = load(out / "thresholds.json")["thresholds"]["mass"]
    assert {level: of["clips"] for level, of in found.items()} == {
        "all": clips,
        "organ": -(-clips // 3),
        "cellular": -(-(clips - 1) // 3),
        "subcellular": clips // 3,
    }
    assert found["all"]["satisfied"] == 0.5
    for name in ("residual_rms", "residual_max"):
        values = sorted(record["constraints"]["mass"][name] for record in records(out) if record["constraints"])
        for quantile, of in found["all"][name]["quantiles"].items():
            assert of["estimate"] == values[int(float(quantile) * clips + 1 - 1e-9) - 1]
            assert of["low"] is None or of["low"] <= of["estimate"]
            assert of["high"] is None or of["high"] >= of["estimate"]
    assert "videos/truncated.mp4" in (out / "report.html").read_text(encoding="utf-8")


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "clips.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_folder(tmp_path_factory.mktemp("corpus"), clips=20)
    add_broken(folder)
    return folder


@pytest.fixture(scope="module")
def audited(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audit")
    assert audit(folder, out, "processes=2") == 0
    return out


def test_twenty_clips_and_five_broken_ones(folder: Path, audited: Path) -> None:
    check_audit(folder, audited, clips=20)


@pytest.mark.slow
def test_two_hundred_clips_and_five_broken_ones(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "corpus", clips=200), tmp_path / "audit"
    add_broken(folder)
    assert audit(folder, out, "processes=2") == 0
    check_audit(folder, out, clips=200)
    tail = load(out / "thresholds.json")["thresholds"]["mass"]["all"]["residual_max"]["quantiles"]["0.95"]
    assert tail["low"] < tail["estimate"] < tail["high"]


def test_a_clip_has_the_residual_that_it_has_alone(folder: Path, audited: Path, tmp_path: Path) -> None:
    files = [f"videos/{index}.mp4" for index in (0, 1)]
    alone = tmp_path / "alone"
    assert main(["audit", *(str(folder / file) for file in files), "observable=intensity", f"out={alone}"]) == 0
    together = {record["source"]["video"]: record for record in records(audited)}
    for file, measured in zip(files, load(alone / "metrics.json")["files"], strict=True):
        for name in ("residual_rms", "residual_max"):
            found = together[file]["constraints"]["mass"][name]
            assert found == pytest.approx(measured["constraints"]["mass"][name], rel=1e-12)


@pytest.mark.slow
def test_audit_that_was_killed_goes_on(folder: Path, audited: Path, tmp_path: Path) -> None:
    """The last clip is long: every other one is on disk before it is done."""
    long = tmp_path / "long.mp4"
    ramp = torch.linspace(0, 1, 48 * 48).view(1, 1, 48, 48).expand(3000, 3, 48, 48)
    write_mp4(long, Video(ramp), fps=25)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "videos").symlink_to(folder / "videos")
    listed = load(folder / "metadata.json")[:-2]
    extra = {"video": str(long), "prompt": PROMPTS[0]}
    (corpus / "metadata.json").write_text(json.dumps([*listed, extra]), encoding="utf-8")
    out = tmp_path / "out"
    log = out / "clips.jsonl"
    command = [sys.executable, "-m", "physgen", "audit", str(corpus), "world=microverse", f"out={out}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= 20):
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (out / "metrics.json").exists()
    torn = log.read_bytes()[:-30]  # as if it had been killed within a line
    log.write_bytes(torn)
    assert audit(corpus, out) == 0
    lines = log.read_bytes().splitlines()
    assert log.read_bytes().startswith(torn)
    assert len(lines) == len(listed) + 2  # every clip once, and the torn line
    del lines[len(torn.splitlines()) - 1]
    whole = {record["source"]["video"]: record for record in records(audited)}
    found = {record["source"]["video"]: record for record in map(json.loads, lines)}
    assert {video: record["constraints"] for video, record in found.items() if video in whole} == {
        video: record["constraints"] for video, record in whole.items()
    }
    assert load(out / "metrics.json")["measured"] == 21
    for _ in range(600):
        if not any(is_running(pid) for pid in workers):
            break
        time.sleep(0.1)
    assert not any(is_running(pid) for pid in workers)


@pytest.mark.slow
def test_an_audit_that_was_killed_before_its_first_clip_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = make_folder(tmp_path / "corpus", clips=1), tmp_path / "out"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("physgen.experiments.audit.folder.run.read_records", interrupt)
        assert audit(folder, out) == 130
    (out / "clips.jsonl").unlink(missing_ok=True)
    assert [path.name for path in out.glob("[!.]*")] == ["config.yaml"]
    assert audit(folder, out) == 0
    assert load(out / "metrics.json")["measured"] == 1


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_finished_audit_measures_only_what_changed(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "corpus", clips=4), tmp_path / "out"
    (folder / "videos" / "3.mp4").rename(tmp_path / "3.mp4")
    assert audit(folder, out) == 0
    assert load(out / "metrics.json")["measured"] == 3
    (tmp_path / "3.mp4").rename(folder / "videos" / "3.mp4")
    assert audit(folder, out) == 0
    assert load(out / "metrics.json")["measured"] == 4
    assert [record["source"]["video"] for record in records(out)].count("videos/3.mp4") == 2
    assert len(records(out)) == 5


@pytest.mark.slow
def test_an_item_that_kills_its_process_is_the_only_one_lost() -> None:
    items = [int(signal.SIGKILL), 0, 0]
    results = list(in_parallel(Killer, items, processes=1))
    assert sorted(results) == [(0, True), (0, True), (int(signal.SIGKILL), None)]


class Killer:
    """Sends a signal to its own process; 0 is none."""

    def __call__(self, number: int) -> bool:
        os.kill(os.getpid(), number)
        return True


@pytest.mark.slow
def test_one_constraint_that_fails_leaves_the_others(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "corpus", clips=1), tmp_path / "out"
    options = ["constraint=[mass,gray_scott]", "observable=intensity"]
    assert audit(folder, out, *options) == 0
    assert load(out / "thresholds.json")["thresholds"].keys() == {"mass"}
    assert load(out / "skipped.json")[0]["reason"].startswith("gray_scott: ")


@pytest.mark.slow
def test_tiff_clips_and_given_levels(tmp_path: Path) -> None:
    video = torch.rand(3, 3, 8, 8, generator=torch.manual_seed(0))
    write_tiff(tmp_path / "a.tif", Video(video, spacing=(2.0, 2.0), dt=0.5))
    (tmp_path / "metadata.csv").write_text("file_name,caption,level\na.tif,a heart,tissue\n", encoding="utf-8")
    assert audit(tmp_path, tmp_path / "out") == 0
    assert load(tmp_path / "out" / "thresholds.json")["thresholds"]["mass"].keys() == {"all", "tissue"}
    assert records(tmp_path / "out")[0]["units"] == {"length": "µm", "time": "s", "mass": "a.u. µm²"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["processes=0"], "processes=0: allowed: at least 1"),
        (["boundary=round"], "boundary='round'"),
        (["spacing=[1,2,3]"], "spacing"),
        (["world.level=planet"], "world.level='planet'"),
        (["tolerance=-1"], "tolerance"),
        (["observable=colour"], "observable"),
    ],
)
def test_options_are_checked_before_any_clip(
    folder: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(folder, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folder_of_other_options_is_refused(folder: Path, audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(folder, audited, "tolerance=0.5") == 2
    assert "same options" in capsys.readouterr().err


def test_nothing_to_measure_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metadata.json").write_text('[{"video": "a.mp4", "prompt": "a cell"}]', encoding="utf-8")
    assert audit(tmp_path, tmp_path / "out") == 2
    assert "skipped.json" in capsys.readouterr().err
    assert [item["name"] for item in load(tmp_path / "out" / "skipped.json")] == ["a.mp4"]
