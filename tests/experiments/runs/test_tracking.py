"""Trackers, those that are installed; what is not installed is said."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import choice
from physgen.experiments.runs.tracking import tracked

SETTINGS = {"seed": 0, "guidance": {"start": 0.5}}
RECORDS = [({"residual": {"mass": 0.5}}, 0), ({"residual": {"mass": 0.25}}, 1), ({"violation": {"mass": 0.1}}, None)]


def track(name: str, **options: Any) -> None:
    with tracked(choice("tracker", name) | options, "run-0", SETTINGS) as tracker:
        assert tracker is not None
        for record, step in RECORDS:
            tracker.log(record, step=step)


def test_none() -> None:
    with tracked(choice("tracker", "none"), "run-0", SETTINGS) as tracker:
        assert tracker is None


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track("tensorboard", folder=str(tmp_path))
    events = EventAccumulator(str(tmp_path / "run-0"))
    events.Reload()
    assert [event.value for event in events.Scalars("residual/mass")] == [0.5, 0.25]
    assert [round(event.value, 6) for event in events.Scalars("violation/mass")] == [0.1]


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="pip install wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    track("wandb")
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio", reason="pip install trackio")
    track("trackio")
    assert list(tmp_path.rglob("*.db"))


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "wandb":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.delitem(__import__("sys").modules, "wandb", raising=False)
    monkeypatch.setattr("physgen.experiments.runs.packages.import_module", without)
    with pytest.raises(InvalidArgument, match="pip install wandb"), tracked(choice("tracker", "wandb"), "r", SETTINGS):
        pass
