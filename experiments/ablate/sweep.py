"""A grid of runs: launch what is not finished, however often, and say what failed."""

from __future__ import annotations

import logging
import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from physgen.errors import InvalidArgument
from physgen.experiments.ablate.options import AblateConfig, options_of
from physgen.experiments.ablate.text import check_text
from physgen.experiments.cli.search import search_flags
from physgen.experiments.runs.failures import Failure, read_failure
from physgen.experiments.runs.locks import holder
from physgen.experiments.runs.manifest import extend_manifest, manifest_row, split
from physgen.experiments.runs.weights import weights_digest

log = logging.getLogger(__name__)
NAMES = "one name of letters, digits, '_', '-', '+' and '.'"
#: seconds between looks at runs that another driver is making
WAIT = 0.5


class RunsFailed(Exception):
    """Runs of a sweep that did not finish; the others did, and stay."""


@dataclass(frozen=True)
class Planned:
    """One run of a sweep: its overrides, the choice of each group, its world and the weights, and its folder."""

    overrides: tuple[str, ...]
    choices: Mapping[str, Any]
    world: str
    weights: str | None
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether it was run to its end, by whatever sweep."""
        return (self.folder / "metrics.json").is_file()

    @property
    def open(self) -> bool:
        """Whether it is neither finished nor failed."""
        return not self.finished and read_failure(self.folder) is None

    @property
    def command(self) -> str:
        """What runs it alone."""
        return "physgen ablate " + " ".join(map(shlex.quote, [*search_flags(), *self.overrides]))


@dataclass(frozen=True)
class Sweep:
    """The grid over ``hydra.sweeper.params`` and the command line, first key slowest."""

    context: HydraContext
    launcher: Launcher
    config: DictConfig

    def run(self) -> None:
        """Make every run that is not finished.

        Runs that another driver is making are left to it, and made here if it dies. A launcher that fails as a whole
        (a killed worker takes joblib's pool along) is started again for what is left, as long as that becomes less.

        Raises:
            InvalidArgument: for a ``glob`` that nothing is named like.
            RunsFailed: at the end, with the reason and the command of each run that failed.
        """
        if not self.planned:
            raise InvalidArgument(
                "options", " ".join(self.config.hydra.overrides.task), "a glob(…) that some choice is named like"
            )
        rows = [
            manifest_row(one.folder.name, one.world, one.overrides, one.choices, one.weights) for one in self.planned
        ]
        extend_manifest(Path(self.config.runs) / f"{self.name}.json", rows)
        for one in self.planned:
            if holder(one.folder) is None:
                Failure.forget(one.folder)
        finished = sum(one.finished for one in self.planned)
        count = f"{len(self.planned)} run{'s' if len(self.planned) != 1 else ''}"
        log.info("%s: %s, %d finished before", self.name, count, finished)
        lost: list[Planned] = []
        while missing := [one for one in self.planned if one.open and one not in lost]:
            free = [one for one in missing if holder(one.folder) is None]
            if not free:
                self.wait(missing)
                continue
            try:
                self.launcher.launch([list(one.overrides) for one in free], initial_job_idx=0)
            except Exception as error:
                log.warning("the launcher stopped: %s", next(iter(str(error).splitlines()), repr(error)))
            if all(one.open and holder(one.folder) is None for one in free):
                lost += free
        self.report()

    def wait(self, held: list[Planned]) -> None:
        """Until another driver is done with one of the runs that it holds."""
        names = {name for one in held if (name := holder(one.folder))}
        count = f"{len(held)} runs are" if len(held) != 1 else "1 run is"
        log.info("%s: %s being made by %s", self.name, count, ", ".join(sorted(names)) or "another driver")
        while all(one.open and holder(one.folder) for one in held):
            time.sleep(WAIT)

    @property
    def name(self) -> str:
        """The name that was given, else the experiment's, ``sweep`` for one without a file.

        Raises: InvalidArgument for a name that is no name of a file.
        """
        name = str(self.config.name or OmegaConf.select(self.config, "hydra.runtime.choices.experiment") or "sweep")
        if not re.fullmatch(r"\w[\w.+-]*", name):
            raise InvalidArgument("name", name, NAMES)
        return name

    @cached_property
    def jobs(self) -> list[list[str]]:
        """Overrides of every point of the grid."""
        axes = self.config.hydra.sweeper.params or {}
        arguments = [f"{key}={value}" for key, value in axes.items()]
        for argument in arguments:
            check_text(argument)
        arguments += self.config.hydra.overrides.task
        parsed = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(arguments)
        (jobs,) = BasicSweeper.split_arguments(parsed, None)
        return jobs

    @cached_property
    def planned(self) -> list[Planned]:
        """Every run of the grid, each folder once; points of the grid that are the same run are named."""
        found: dict[Path, Planned] = {}
        points: dict[Path, list[str]] = {}
        arms: dict[tuple[str, ...], tuple[AblateConfig, dict[str, Any]]] = {}
        for job in self.jobs:
            seeds = [one for one in job if split(one)[0] == "seed"]
            seed = split(seeds[-1])[1] if seeds else str(self.config.seed)
            arm = tuple(one for one in job if one not in seeds)
            if arm not in arms or not seed.isdecimal():  # composing takes a tenth of a second
                arms[arm] = self.composed(job)
            options, choices = arms[arm]
            folder = (replace(options, seed=int(seed)) if seed.isdecimal() else options).folder
            weights = weights_digest(options.world.path, options.world.checkpoint)
            found.setdefault(folder, Planned(tuple(job), choices, options.world.label, weights, folder))
            points.setdefault(folder, []).append(" ".join(job))
        for same in points.values():
            if len(same) > 1:
                log.info("%d points are the same run: %s", len(same), "; ".join(same))
        return list(found.values())

    def composed(self, job: list[str]) -> tuple[AblateConfig, dict[str, Any]]:
        """Options of one run, as a launcher composes them, and the choice of each group."""
        config = self.context.config_loader.load_sweep_config(self.config, job)
        choices = OmegaConf.to_container(config.hydra.runtime.choices)
        assert isinstance(choices, dict)
        OmegaConf.set_struct(config, False)
        config.pop("hydra")
        options = options_of(config)
        for name, entry in options.constraint.items():
            if "_target_" not in entry:
                allowed = f"fitted, or with a law whose constants these are: law={name} or constraint={name}"
                raise InvalidArgument("constants", choices.get("constants"), allowed)
        return options, {str(key): value for key, value in choices.items()}

    def report(self) -> None:
        """Raise `RunsFailed` if any run is not finished."""
        lines = []
        for one in self.planned:
            if not one.finished:
                failure = read_failure(one.folder)
                reason = failure.error if failure else "never finished: its worker was killed"
                lines.append(f"{reason}\n  {one.command}")
        if lines:
            raise RunsFailed(f"{len(lines)} of {len(self.planned)} runs failed:\n" + "\n".join(lines))
