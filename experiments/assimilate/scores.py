"""How near the samples of an arm are to what was there, and how well they know it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from skimage.measure import label
from torch import Tensor

from physgen.ensemble import INFLATION, Ensemble, crps
from physgen.experiments.assimilate.cases import Case
from physgen.experiments.assimilate.observations import Observation

LEVELS = (0.5, 0.9)
#: an object is where the fields are above this part of the truth's largest value, and its pixels at least
ABOVE, PIXELS = 0.3, 9
#: part of an object that the other one has to cover
COVERED = 0.5


def scores(
    case: Case, asked: Observation, fields: Float[Tensor, "M S T H W"], inflation: float = INFLATION
) -> dict[str, Any]:
    """Of samples, at the values that are asked: errors in the unit of the fields, coverage as shares.

    ``rmse`` is that of the mean, ``single`` the mean over samples of their own; ``skill`` the spread over the error of
    the mean, 1 where they match; ``cover`` and ``wide`` are shares of true values within `Ensemble.band` and
    `Ensemble.wide_band`; ``missed`` and ``invented`` are objects in the first, middle and last frame.
    """
    truth, where = case.truth[0], asked.asked
    error = fields.mean(0) - truth
    found: dict[str, Any] = {
        "rmse": _rms(error[where]),
        "single": float(np.mean([_rms((one - truth)[where]) for one in fields])),
        "crps": float(crps(fields[:, where], truth[where]).mean()),
        "missed": _unmatched(truth, fields.mean(0), float(truth.max())),
        "invented": _unmatched(fields.mean(0), truth, float(truth.max())),
    }
    if len(fields) > 1:
        ensemble = Ensemble(fields[:, where])
        count = len(fields)
        found["spread"] = _rms(ensemble.spread)
        found["skill"] = found["spread"] * math.sqrt(1 + 1 / count) / max(found["rmse"], 1e-12)
        for level in LEVELS:
            low, high = ensemble.band(level)
            held = (truth[where] >= low) & (truth[where] <= high)
            found[f"cover{100 * level:.0f}"] = float(held.double().mean())
            found[f"due{100 * level:.0f}"] = ensemble.coverage(level)
            low, high = Ensemble(fields).wide_band(level, inflation)
            held = (truth >= low) & (truth <= high)
            found[f"wide{100 * level:.0f}"] = float(held[where].double().mean())
    return found | _constants(case, fields)


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())


def _unmatched(fields: Tensor, other: Tensor, largest: float) -> int:
    """Objects of the first fields that the other ones do not show."""
    count = 0
    for frame in (0, fields.shape[1] // 2, fields.shape[1] - 1):
        mine, theirs = ((one[:, frame].sum(0) > ABOVE * largest).numpy() for one in (fields, other))
        objects = label(mine)
        sizes = np.bincount(objects.ravel())[1:]
        seen = np.bincount(objects.ravel(), weights=theirs.ravel(), minlength=len(sizes) + 1)[1:]
        count += int(((sizes >= PIXELS) & (seen < COVERED * sizes)).sum())
    return count


def _constants(case: Case, fields: Tensor) -> dict[str, float]:
    """|log theta / theta*| of each constant, the median over species and samples; theta* is fitted to the truth."""
    if case.law is None or not case.law.fitted:
        return {}
    truth = case.law.fit(case.truth.double(), case.grid).values
    found = case.law.fit(fields.double(), case.grid).values
    result = {}
    for name, true in truth.items():
        off = [abs(math.log(value / true[0])) for value in found[name] if value > 0 and true[0] > 0]
        if off:
            result[f"log_{name}"] = float(np.median(off))
    return result
