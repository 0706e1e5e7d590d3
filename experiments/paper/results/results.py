"""Committed results of sweeps, checked: every run that a figure needs is there once, whole, and of one version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.errors import InvalidArgument
from physgen.experiments.paper.results.worlds import Worlds
from physgen.experiments.runs.collect import settings
from physgen.experiments.runs.manifest import read_manifest
from physgen.experiments.runs.tables import query

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """Runs of one combination of settings, a run a seed, in the order of the seeds."""

    set: Mapping[str, str]
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """Results of one sweep in a folder: ``NAME.json`` lists its runs, ``NAME.parquet`` holds their numbers."""

    folder: Path
    name: str
    version: str

    @cached_property
    def planned(self) -> dict[str, dict[str, str]]:
        """What was set in each run, by its id.

        Raises: InvalidArgument for a sweep without a manifest.
        """
        return {one["run"]: dict(one["set"]) for one in read_manifest(self.folder / f"{self.name}.json")["runs"]}

    @cached_property
    def values(self) -> dict[tuple[str, str], float]:
        """Every number by run and metric.

        Raises: InvalidArgument for two runs of one id that differ, and for a run of another version of physgen or of
            another world than ``worlds.yaml`` says.
        """
        found: dict[tuple[str, str], float] = {}
        rows, worlds = self.rows(""), Worlds.read(self.folder)
        for label in {row.get("world_label") for row in rows}:
            worlds.check(self.name, label)
        for row in rows:
            if row["version"] != self.version:
                raise InvalidArgument("run", row["run"], f"version {self.version} (this one is {row['version']})")
            value = np.nan if row["value"] is None else float(row["value"])
            known = found.setdefault((row["run"], row["metric"]), value)
            if known != value and not np.isnan([known, value]).all():
                raise InvalidArgument("run", row["run"], f"one value of {row['metric']} (here {known} and {value})")
        return found

    @cached_property
    def finished(self) -> frozenset[str]:
        """Ids of the runs that have numbers."""
        return frozenset(run for run, _ in self.values)

    @cached_property
    def commits(self) -> Counter[str]:
        """How many of its runs were made at each commit, of those that were made in a checkout."""
        by_run = {row["run"]: row["git_sha"] for row in self.rows("")}
        return Counter(sha for sha in by_run.values() if sha)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Rows of ``NAME.KIND.parquet``, of ``NAME.parquet`` for no kind."""
        return query("SELECT * FROM found", found=self.folder / f"{self.name}{kind and '.' + kind}.parquet")

    def arm(self, where: Mapping[str, str], seeds: Sequence[int]) -> Arm:
        """The runs with these settings, one for each seed.

        Raises: InvalidArgument naming the run that is missing, the seeds that the sweep does not have, or the settings
            in which two runs of one seed differ.
        """
        by_seed: dict[int, str] = {}
        for run, set_ in self.planned.items():
            if all(set_.get(key, "") == value for key, value in where.items()):
                other = by_seed.setdefault(int(set_["seed"]), run)
                if other != run and int(set_["seed"]) in seeds:
                    raise self._two_runs(where, other, run)
        absent = [seed for seed in seeds if seed not in by_seed]
        if absent:
            has = f"seeds that {self.name} has: {', '.join(map(str, sorted(by_seed))) or 'none'}"
            raise InvalidArgument("seeds", f"{absent} of {settings(where)}", has)
        for seed in seeds:
            if by_seed[seed] not in self.finished:
                what = f"{by_seed[seed]} ({settings(self.planned[by_seed[seed]])})"
                raise InvalidArgument("run", what, f"a run in {self.name}.parquet (this one is missing)")
        return Arm(where, tuple(by_seed[seed] for seed in seeds))

    def _two_runs(self, where: Mapping[str, str], *runs: str) -> InvalidArgument:
        """Which settings tell two runs of one seed apart."""
        one, other = (self.planned[run] for run in runs)
        apart = sorted(key for key in {**one, **other} if one.get(key, "") != other.get(key, ""))
        said = " and ".join(f"{key} ({one.get(key, '')!r} and {other.get(key, '')!r})" for key in apart) or "no setting"
        what = f"one run a seed: {' and '.join(runs)}, both of seed={one['seed']}, differ in {said}"
        return InvalidArgument("runs", settings(where), what)

    def column(self, arm: Arm, metric: str) -> Array:
        """One number of each run of an arm; NaN where a run has none."""
        return np.array([self.values.get((run, metric), np.nan) for run in arm.runs])

    @cached_property
    def _vectors(self) -> dict[str, list[float]]:
        return {row["run"]: row["vector"] for row in self.rows("features")}

    def features(self, arm: Arm) -> Array:
        """The judge's feature vectors ``[N, F]``.

        Raises: InvalidArgument for a run without one.
        """
        missing = [run for run in arm.runs if run not in self._vectors]
        if missing:
            raise InvalidArgument("run", missing[0], f"a run in {self.name}.features.parquet")
        return np.array([self._vectors[run] for run in arm.runs])
