"""The folder of committed results: sweeps as parquet, benchmarks as JSON, frames as NPZ, those of the documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.errors import InvalidArgument
from physgen.experiments.paper.results.results import Sweep
from physgen.experiments.paper.results.worlds import Worlds
from physgen.experiments.runs.tables import query


@dataclass(frozen=True)
class Store:
    """What a folder holds, each sweep read once; every run in it must be of ``version``, and of one world's version.

    Everything is refused that ``worlds.yaml`` does not let figures read, see `Worlds.check`; they read the version
    that this file names.
    """

    folder: Path
    version: str
    _sweeps: dict[str, Sweep] = field(default_factory=dict)

    @cached_property
    def worlds(self) -> Worlds:
        """Which version of the embedded world each file was made with."""
        return Worlds.read(self.folder)

    def sweep(self, name: str) -> Sweep:
        """A sweep; what else is wrong with it shows when it is read."""
        self.worlds.check(name)
        return self._sweeps.setdefault(name, Sweep(self.folder, name, self.version))

    def records(self, name: str) -> list[dict[str, Any]]:
        """Records of a benchmark in ``NAME.json``.

        Raises: InvalidArgument for a file that is missing, cut, or of another version.
        """
        return list(self.wrapped(name)["records"])

    def wrapped(self, name: str) -> dict[str, Any]:
        """The whole of ``NAME.json``: ``records``, and the ``version`` and ``git_sha`` that they were made with.

        Raises: InvalidArgument, see `records`.
        """
        path = self.folder / f"{name}.json"
        try:
            data = dict(json.loads(path.read_text(encoding="utf-8")))
            version, _ = data["version"], data["records"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidArgument("results", str(path), "a file of `physgen paper export`") from error
        if version != self.version:
            raise InvalidArgument("results", str(path), f"version {self.version} (this one is {version})")
        self.worlds.check(name, data.get("world"))
        return data

    def documented(self, name: str) -> Any:
        """What ``docs/NAME.json`` holds: results that a page of the documentation shows as well.

        Raises: InvalidArgument for a file that is missing, cut, or of another version than it should be.
        """
        path = self.folder / "docs" / f"{name}.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidArgument("results", str(path), "a file of results in docs/results") from error
        about = data if isinstance(data, dict) else {}
        version = about.get("version", self.version)
        if version != self.version:
            raise InvalidArgument("results", str(path), f"version {self.version} (this one is {version})")
        self.worlds.check(f"docs/{name}", about.get("world"))
        return data

    def frames(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Frames ``[N, H, W, 3]`` of the runs that are shown."""
        self.worlds.check("frames")
        path = self.folder / "frames.npz"
        if not path.is_file():
            raise InvalidArgument("results", str(path), "a file of `physgen paper export`")
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of ``NAME.parquet``."""
        self.worlds.check(name)
        return query("SELECT * FROM found", found=self.folder / f"{name}.parquet")

    @staticmethod
    def one(rows: Mapping[str, dict[str, Any]], run: str) -> dict[str, Any]:
        """The row of a run.

        Raises: InvalidArgument for a run without one.
        """
        if run not in rows:
            raise InvalidArgument("run", run, "one that was exported: `physgen paper export`")
        return rows[run]
