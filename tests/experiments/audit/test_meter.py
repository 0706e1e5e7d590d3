"""Whatever is wrong with a clip is said in one line, and never raised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from physgen.experiments.audit.folder.meter import Meter
from physgen.experiments.cli.config import configure, typed
from physgen.experiments.cli.schema import AuditConfig
from physgen.video import Video, write_mp4, write_tiff
from physgen.video.captioned import Clip

NOISE = torch.rand(4, 3, 16, 16, generator=torch.manual_seed(0))


@pytest.fixture(scope="module")
def meter() -> Meter:
    return Meter(typed(configure("audit", ["world=microverse"]), AuditConfig))


def clip(path: Path, prompt: str | None = "a beating heart", level: str | None = None) -> Clip:
    return Clip("1", path.name, path, prompt, level)


def cut(path: Path) -> None:
    write_mp4(path, Video(NOISE.repeat(10, 1, 1, 1)), 8)
    path.write_bytes(path.read_bytes()[:-400])


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("a.mp4", lambda path: path.touch(), "complete, readable mp4"),
        ("a.mp4", lambda path: path.write_bytes(b"\0" * 5000), "complete, readable mp4"),
        ("a.mp4", lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "complete, readable mp4"),
        ("a.mp4", cut, "complete, readable mp4"),
        ("a.mp4", lambda path: path.mkdir(), "no such file"),
        ("a.mp4", lambda path: None, "no such file"),
        ("a\0.mp4", lambda path: None, "no such file"),
        ("a.pdf", lambda path: path.touch(), "ending in"),
        ("a.mp4", lambda path: write_mp4(path, Video(NOISE[:1]), 8), "frames=1"),
        ("a.tif", lambda path: path.write_text("not a video"), "complete, readable tif"),
        ("a.tif", lambda path: write_tiff(path, Video(NOISE / 0)), "NaN or Inf"),
        ("a.npz", lambda path: np.savez(path, pixels=NOISE.numpy()), "frames or video"),
    ],
)
def test_broken_clips(tmp_path: Path, meter: Meter, name: str, write: Callable[[Path], object], reason: str) -> None:
    write(tmp_path / name)
    found = meter(clip(tmp_path / name))
    assert found["constraints"] == {}
    assert reason in found["error"]
    assert "\n" not in found["error"]


def test_level_is_given_or_in_the_prompt(tmp_path: Path, meter: Meter) -> None:
    write_mp4(tmp_path / "a.mp4", Video(NOISE), 8)
    levels = [meter(clip(tmp_path / "a.mp4", *given))["level"] for given in ((), ("a heart", "tissue"), (None,))]
    assert levels == ["organ", "tissue", None]


def test_constraints_of_one_class_are_told_apart(tmp_path: Path) -> None:
    options = ["world=microverse", "constraint=[diffusion,fisher_kpp]"]
    write_tiff(tmp_path / "a.tif", Video(NOISE))
    found = Meter(typed(configure("audit", options), AuditConfig))(clip(tmp_path / "a.tif"))
    assert found["constraints"].keys() == {"diffusion", "fisher_kpp"}
