"""Every arm under every law in numbers: violation, distance to truth, recognition, cost, against a free baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physgen.experiments.measure.distances import Discrepancy, median_bandwidth
from physgen.experiments.measure.intervals import Interval, bootstrap, mean_interval
from physgen.experiments.measure.paired import compare
from physgen.experiments.paper.results.numbers import Number, median_interval
from physgen.experiments.paper.results.results import Array
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

UNGUIDED, FREE = "none", "afterwards"
#: fewer videos have no distance to others
LEAST = 8


@dataclass(frozen=True)
class Summary:
    """One arm under one law; ``distance`` is MMD^2 to simulator videos, ``excess`` that less the free baseline's.

    ``violation`` is a median, ``time`` a median ratio to the unguided run of the same seed, ``empty`` the share of
    videos that show nothing.
    """

    law: str
    guidance: str
    violation: Number
    cut: Number
    distance: Number
    excess: Number
    attributes: Number
    feasible: Number
    time: Number
    empty: Number

    @property
    def numbers(self) -> dict[str, Number]:
        """By name, as ``LAW.ARM.NAME``."""
        return {f"{self.law}.{self.guidance}.{key}": x for key, x in vars(self).items() if isinstance(x, Number)}


def summaries(spec: FigureSpec, store: Store) -> list[Summary]:
    """Every law and guidance that the figure's runs have; the simulator's videos are those of ``options.reference``.

    Raises: InvalidArgument for runs that are missing or of another version.
    """
    sweep, arms = spec.arms(store)
    by_name = {(arm.set["law"], arm.set["guidance"]): arm for arm in arms}
    found = []
    for (law, guidance), arm in by_name.items():
        free, unguided, n = by_name[law, FREE], by_name[law, UNGUIDED], len(arm.runs)
        reference = truth(spec, store, law)
        violation, before = (sweep.column(one, f"violation/{law}") for one in (arm, unguided))
        ratio = sweep.column(arm, "wall_time_s") / sweep.column(unguided, "wall_time_s")
        found.append(
            Summary(
                law,
                guidance,
                Number.of(median_interval(violation), arm.runs, n),
                Number(float(np.median(before) / np.median(violation)), arm.runs + unguided.runs, n),
                Number(distance(sweep.features(arm), reference), arm.runs, n),
                Number.of(excess(sweep.features(arm), sweep.features(free), reference), arm.runs + free.runs, n),
                Number.of(mean_interval(sweep.column(arm, "quality/attributes")), arm.runs, n),
                Number(float(np.mean(sweep.column(arm, f"feasible/{law}"))), arm.runs, n),
                Number.of(median_interval(ratio), arm.runs + unguided.runs, n),
                Number(float(np.mean(sweep.column(arm, "quality/empty"))), arm.runs, n),
            )
        )
    return found


def truth(spec: FigureSpec, store: Store, law: str) -> Array:
    """Feature vectors of the simulator's videos of the same prompts."""
    reference = spec.options["reference"]
    sweep = store.sweep(reference["sweep"])
    where = {"source": "simulator", "law": reference.get(law, law)}
    return sweep.features(sweep.arm(where, range(spec.seeds)))


def distance(mine: Array, reference: Array) -> float:
    """Unbiased MMD^2, NaN for few videos."""
    return discrepancy(mine, reference)() if len(mine) >= LEAST else np.nan


def excess(mine: Array, free: Array, reference: Array) -> Interval:
    """MMD^2 less the free baseline's, prompts resampled together."""
    if len(mine) < LEAST:
        return Interval(np.nan, np.nan, np.nan)
    first, second = discrepancy(mine, reference), discrepancy(free, reference)
    return bootstrap(lambda rows: first(rows) - second(rows), len(mine))


def discrepancy(mine: Array, reference: Array) -> Discrepancy:
    """With the bandwidth of the reference, as everywhere."""
    return Discrepancy.gaussian(mine, reference, median_bandwidth(reference))


def tests(spec: FigureSpec, store: Store) -> dict[tuple[str, str], float]:
    """Holm's p of every arm's violation against the unguided one's, paired, corrected over the arms of its law."""
    sweep, arms = spec.arms(store)
    found = {}
    for law in dict.fromkeys(arm.set["law"] for arm in arms):
        metric = f"violation/{law}"
        rows = [
            {"run": run, "seed": seed, "arm": arm.set["guidance"], "metric": metric, "value": value}
            for arm in arms
            if arm.set["law"] == law
            for seed, (run, value) in enumerate(zip(arm.runs, sweep.column(arm, metric), strict=True))
        ]
        for one in compare(rows, metric, axis="arm", baseline=UNGUIDED):
            found[law, one.arm] = one.p_holm
    return found
