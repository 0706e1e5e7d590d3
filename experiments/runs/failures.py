"""What went wrong in a run, kept in its folder until it is tried again."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from physgen.experiments.runs.records import write_json_atomic

FILE = "failure.json"


@dataclass(frozen=True)
class Failure:
    """One line, and where it came from."""

    error: str
    trace: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """From an exception being handled."""
        line = " ".join(str(error).split()) or type(error).__name__
        return cls(line, "".join(traceback.format_exception(error)))

    def write(self, folder: Path) -> None:
        """Keep it."""
        write_json_atomic(folder / FILE, asdict(self))

    @staticmethod
    def forget(folder: Path) -> None:
        """Let the run be tried again."""
        (folder / FILE).unlink(missing_ok=True)


def read_failure(folder: Path) -> Failure | None:
    """The failure of a run, if it failed."""
    try:
        return Failure(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
