"""Which runs an experiment is made of, and what was set in each: ``RUNS/EXPERIMENT.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import physgen
from physgen.errors import InvalidArgument
from physgen.experiments.runs.records import write_json_atomic

#: what is the same in every run, or does not change it
COMMON = ("experiment", "runs", "hydra/launcher")


def write_manifest(runs: Path, experiment: str, planned: Iterable[tuple[Path, Sequence[str]]]) -> None:
    """Replace the manifest of an experiment by the runs that it now plans."""
    runs.mkdir(parents=True, exist_ok=True)
    listed = [
        {"run": folder.name, "set": {key: value for key, value in map(split, overrides) if key not in COMMON}}
        for folder, overrides in planned
    ]
    write_json_atomic(runs / f"{experiment}.json", {"version": physgen.__version__, "runs": listed})


def split(override: str) -> tuple[str, str]:
    """Key and value of ``key=value``, without the ``+`` that adds a key.

    >>> split("+guidance.start=0.5")
    ('guidance.start', '0.5')
    """
    key, _, value = override.partition("=")
    return key.lstrip("+"), value


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest in a file.

    Raises:
        InvalidArgument: there is none, or it is not whole.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        assert [(one["run"], one["set"].items()) for one in manifest["runs"]]
    except FileNotFoundError as error:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none yet"
        raise InvalidArgument(
            "sweep", path.name.removesuffix(".json"), f"one that was run in {path.parent}: {known}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise InvalidArgument("manifest", str(path), "a whole file, as `physgen ablate` writes it") from error
    return manifest
