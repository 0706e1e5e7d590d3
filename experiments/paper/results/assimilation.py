"""Errors of the assimilation benchmark, by family, observation and arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from physgen.experiments.assimilate.table import Array, column

SOURCE = "docs/micro/assimilation.json"
#: in the order of print; the first two have a law that model and observation are joined with
FAMILIES = ("dye", "growth", "blood", "mitosis")
OBSERVATIONS = ("half", "pixels", "start", "light", "forecast")


def errors(records: Sequence[dict[str, Any]], family: str, observation: str, arm: str, key: str = "rmse") -> Array:
    """A figure of every prompt; none where the arm did not run.

    >>> one = {"family": "dye", "observation": "half", "arm": "model", "index": 0, "rmse": 0.5}
    >>> errors([one], "dye", "half", "model").tolist(), errors([one], "dye", "half", "ECI").tolist()
    ([0.5], [])
    """
    mine = [one for one in records if (one["family"], one["observation"]) == (family, observation)]
    return column(mine, arm, key)
