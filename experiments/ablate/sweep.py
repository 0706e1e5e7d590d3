"""A grid of runs: launch what is not finished, however often, and say what failed."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from physgen.experiments.ablate.options import AblateConfig, options_of
from physgen.experiments.runs.failures import Failure, read_failure
from physgen.experiments.runs.manifest import write_manifest

log = logging.getLogger(__name__)


class RunsFailed(Exception):
    """Runs of a sweep that did not finish; the others did, and stay."""


@dataclass(frozen=True)
class Planned:
    """One run of a sweep: its overrides and its folder."""

    overrides: tuple[str, ...]
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
        return "physgen ablate " + " ".join(map(shlex.quote, self.overrides))


@dataclass(frozen=True)
class Sweep:
    """The grid over ``hydra.sweeper.params`` and the command line, first key slowest."""

    context: HydraContext
    launcher: Launcher
    config: DictConfig

    def run(self) -> None:
        """Make every run that is not finished.

        A launcher that fails as a whole (a killed worker takes joblib's pool along) is started again for what
        is left, as long as that becomes less.

        Raises:
            RunsFailed: at the end, with the reason and the command of each run that failed.
        """
        write_manifest(Path(self.config.runs), self.name, [(one.folder, one.overrides) for one in self.planned])
        for one in self.planned:
            Failure.forget(one.folder)
        log.info(
            "%s: %d runs, %d finished before", self.name, len(self.planned), sum(one.finished for one in self.planned)
        )
        while missing := [one for one in self.planned if one.open]:
            try:
                self.launcher.launch([list(one.overrides) for one in missing], initial_job_idx=0)
            except Exception as error:
                log.warning("the launcher stopped: %s", next(iter(str(error).splitlines()), repr(error)))
            if sum(one.open for one in self.planned) == len(missing):
                break
        self.report()

    @property
    def name(self) -> str:
        """Name of the experiment, ``sweep`` for one without a file."""
        return str(OmegaConf.select(self.config, "hydra.runtime.choices.experiment") or "sweep")

    @cached_property
    def jobs(self) -> list[list[str]]:
        """Overrides of every point of the grid."""
        axes = self.config.hydra.sweeper.params or {}
        arguments = [f"{key}={value}" for key, value in axes.items()] + list(self.config.hydra.overrides.task)
        parsed = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(arguments)
        (jobs,) = BasicSweeper.split_arguments(parsed, None)
        return jobs

    @cached_property
    def planned(self) -> list[Planned]:
        """Every run of the grid, each folder once."""
        found: dict[Path, Planned] = {}
        arms: dict[tuple[str, ...], AblateConfig] = {}
        for job in self.jobs:
            (seed,) = [one for one in job if one.startswith("seed=")] or [f"seed={self.config.seed}"]
            arm = tuple(one for one in job if one != seed)
            if arm not in arms:  # composing takes a tenth of a second
                arms[arm] = self.composed(job)
            folder = replace(arms[arm], seed=int(seed.removeprefix("seed="))).folder
            found.setdefault(folder, Planned(tuple(job), folder))
        return list(found.values())

    def composed(self, job: list[str]) -> AblateConfig:
        """Options of one run, as a launcher composes them."""
        config = self.context.config_loader.load_sweep_config(self.config, job)
        OmegaConf.set_struct(config, False)
        config.pop("hydra")
        return options_of(config)

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
