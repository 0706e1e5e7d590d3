"""Runs of an experiment in one tidy table: a row for each number of each run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import physgen
from physgen.errors import InvalidArgument
from physgen.experiments.runs.manifest import read_manifest
from physgen.experiments.runs.tracking import numbers

#: numbers of ``metrics.json`` that describe the run and measure nothing
NOT_MEASURED = ("seed", "version", "git_sha")


@dataclass
class Collected:
    """Rows of what was set and measured in each run, feature vectors by run, and what is wrong.

    A row is ``{run, version, git_sha, world_label, <what was set>, seed, metric, value}``.
    """

    experiment: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    features: dict[str, list[float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def collect(runs: Path, experiment: str) -> Collected:
    """Read every run that the experiment's manifest names; what cannot be read is named in ``problems``.

    Raises: InvalidArgument for an experiment without a manifest, or without a single run that can be read.
    """
    manifest = read_manifest(runs / f"{experiment}.json")
    found = Collected(experiment)
    axes = sorted({key for one in manifest["runs"] for key in one["set"]})
    for one in manifest["runs"]:
        try:
            metrics = read_metrics(runs / one["run"])
        except InvalidArgument as error:
            found.problems.append(f"{one['run']} ({settings(one['set'])}): not {error.allowed}")
            continue
        about = {"run": one["run"], "version": metrics["version"], "git_sha": metrics["git_sha"]}
        about |= {"world_label": metrics.get("world")}
        about |= {axis: one["set"].get(axis, "") for axis in axes} | {"seed": metrics["seed"]}
        features = metrics.pop("features", [])
        if features:
            found.features[one["run"]] = features
        for name, value in measured(metrics).items():
            found.rows.append({**about, "metric": name, "value": value})
    if not found.rows:
        raise InvalidArgument("sweep", experiment, f"runs that finished: {'; '.join(found.problems[:3])}")
    return found


def settings(values: Mapping[str, str]) -> str:
    """What was set, as it was typed.

    >>> settings({"law": "mass", "seed": "3"})
    'law=mass seed=3'
    """
    return " ".join(f"{key}={value}" for key, value in values.items())


def measured(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a run, lists of one number as that number.

    >>> measured({"seed": 1, "nfe": 2, "constants": {"diffusion": {"D_c": [3.0]}}})
    {'nfe': 2.0, 'constants/diffusion/D_c': 3.0}
    """
    return {name: value for name, value in numbers(single(metrics)).items() if name not in NOT_MEASURED}


def single(node: Any) -> Any:
    """The same with every list of one element replaced by that element."""
    if isinstance(node, Mapping):
        return {key: single(value) for key, value in node.items()}
    return single(node[0]) if isinstance(node, list) and len(node) == 1 else node


def read_metrics(folder: Path) -> dict[str, Any]:
    """``metrics.json`` of a finished run of this version.

    Raises: InvalidArgument for a run that is missing, half-written, or of another version.
    """
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        version = metrics["version"]
        metrics["seed"], metrics["git_sha"]
    except FileNotFoundError as error:
        raise InvalidArgument("run", folder.name, "a finished run (this one has no metrics.json)") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument("run", folder.name, "a whole metrics.json (this one is cut or foreign)") from error
    if version != physgen.__version__:
        raise InvalidArgument("run", folder.name, f"version {physgen.__version__} (this one is {version})")
    return dict(metrics)
