"""One clip: what its constraints' residuals are, or why they cannot be had."""

from __future__ import annotations

from typing import Any

import torch

from physgen.audit import check_video, measure
from physgen.constraints import Constraint
from physgen.experiments.audit.fields import check_pace, read_fields, why_doubtful, why_nothing
from physgen.experiments.cli.schema import AuditConfig
from physgen.experiments.cli.target import build
from physgen.places import named_as_in_file
from physgen.video.captioned import Clip
from physgen.worlds.levels import level_of


class Meter:
    """Constraints as instruments for one clip after the other; made once in each process."""

    def __init__(self, config: AuditConfig) -> None:
        torch.set_num_threads(1)
        self.config = config
        self.constraints: dict[str, Constraint] = {
            name: build(Constraint, spec) for name, spec in config.constraint.items()
        }

    def __call__(self, clip: Clip) -> dict[str, Any]:
        """Level, residuals and fitted constants by constraint; ``error`` says what could not be had and why."""
        prompt = self.config.prompt or clip.prompt
        level = clip.level or self.config.world.level or (level_of(prompt) if prompt else None)
        found: dict[str, Any] = {"level": level, "constraints": {}, "error": None}
        try:
            self._measure(clip, prompt, found)
        except Exception as error:  # whatever is wrong with one clip, the others are measured
            found["error"] = reason(error)
        return found

    def _measure(self, clip: Clip, prompt: str | None, found: dict[str, Any]) -> None:
        read = read_fields(clip.path, self.config, prompt, self._reads_dye, self.constraints.values())
        fields, grid = read.values, read.grid
        check_video(fields)
        found |= {"frames": list(fields.shape[2:]), "units": read.units, "scale": read.scale, "notes": read.notes}
        failures, nothing = [], why_nothing(read, self.constraints)
        for name, constraint in self.constraints.items():
            try:
                check_pace(clip.path, read, self.config, {name: constraint})
                with named_as_in_file(read.part.places):
                    doubt = why_doubtful(read, {name: constraint})[name]
                    tolerance, why = self.config.tolerance, nothing[name]
                    report = measure(fields, constraint, grid, tolerance=tolerance, nothing=why, doubt=doubt)
                found["constraints"][name] = report.as_json()
            except Exception as error:  # another constraint may well be measured on this clip
                failures.append(f"{name}: {reason(error)}")
        found["error"] = "; ".join(failures) or None

    def _reads_dye(self, prompt: str | None) -> bool:
        return self.config.observable == "dye" or (self.config.observable == "auto" and prompt is not None)


def reason(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
