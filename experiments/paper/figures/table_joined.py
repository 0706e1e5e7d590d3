"""What model and law are worth together: against what knows both only at the end, and against either alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from physgen.experiments.assimilate.arms import BEST, BETWEEN, BOTH, FREE, INSIDE, LAW, MODEL
from physgen.experiments.assimilate.table import less
from physgen.experiments.measure.intervals import mean_interval
from physgen.experiments.paper.results.assimilation import FAMILIES, OBSERVATIONS, SOURCE, errors
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

#: what stands for either arm in print
SHORT = {FREE: "unguided", BEST: "best of 2", MODEL: "model", LAW: "law", BETWEEN: "interpolation"}
#: cases that are counted: all; those whose gain over the free arms is above, or below, zero; those where the model
#: without a law has more error than they have; those with a law
COUNTED = (
    *("cases", "beyond free", "worse than free", "model above free"),
    *("lawful", "better than either", "beyond either"),
)
COLUMNS = (
    "family",
    "seen",
    "free",
    "interpolation",
    "law alone",
    "model",
    "model and law",
    "less error than the better free arm",
    "less error than the better of model and law",
)


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a family and observation; of families without a law the model against interpolation and the free arms."""
    records = store.documented("micro/assimilation")
    numbers: dict[str, Number] = {}
    rows, counts = [], dict.fromkeys(COUNTED, 0)
    for family in FAMILIES:
        for observation in OBSERVATIONS:
            name = f"{family}.{observation}"
            lawful = bool(len(errors(records, family, observation, BOTH)))
            mine = BOTH if lawful else MODEL
            shown = [number(records, family, observation, arm) for arm in (BETWEEN, LAW, MODEL, BOTH)]
            free, gain = compared(records, family, observation, mine, (FREE, BEST))
            either, other = compared(records, family, observation, mine, (MODEL, LAW) if lawful else (BETWEEN,))
            numbers |= {f"{name}.free": gain, f"{name}.either": other}
            for arm, one in zip((BETWEEN, LAW, MODEL, BOTH), shown, strict=True):
                if one is not None:
                    numbers[f"{name}.{arm}"] = one
            counts["cases"] += 1
            counts["beyond free"] += (gain.low or 0) > 0
            counts["worse than free"] += (gain.high or 0) < 0
            counts["model above free"] += compared(records, family, observation, MODEL, (FREE, BEST))[1].value < 0
            counts["lawful"] += lawful
            counts["better than either"] += lawful and other.value > 0
            counts["beyond either"] += lawful and (other.low or 0) > 0
            best = number(records, family, observation, free)
            cells = [written(one.value) if one else "–" for one in (best, *shown)]
            rows.append(
                (
                    family if observation == OBSERVATIONS[0] else "",
                    observation,
                    *cells,
                    f"{gain.text} ({SHORT[free]})",
                    f"{other.text} ({SHORT[either]})",
                )
            )
    numbers |= {key: Number(int(count), (SOURCE,)) for key, count in counts.items()}
    numbers["inside"] = over(records, INSIDE, BOTH)
    numbers |= {f"inside.{seen}": over(records, INSIDE, BOTH, (seen,)) for seen in OBSERVATIONS}
    numbers["against free"] = against_free(records)
    prompts = len(errors(records, FAMILIES[0], OBSERVATIONS[0], MODEL))
    numbers |= {
        "n": Number(prompts, (SOURCE,)),
        "false alarms": Number(false_alarms(prompts), ("bootstrap of normal samples",)),
    }
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))


def over(records: Sequence[dict[str, Any]], arm: str, other: str, observations: Sequence[str] = OBSERVATIONS) -> Number:
    """Error of an arm over that of another: geometric mean over prompts, and over what is seen of each."""
    by_prompt: list[float] = []
    for family in FAMILIES:
        cases = [[errors(records, family, seen, one) for one in (arm, other)] for seen in observations]
        if ratios := [np.log(mine / its) for mine, its in cases if len(mine) and len(its)]:
            by_prompt += np.mean(ratios, axis=0).tolist()
    return geometric(by_prompt)


def against_free(records: Sequence[dict[str, Any]]) -> Number:
    """Error of model and law (without a law: of the model) over that of the better free arm of each case."""
    by_prompt: list[float] = []
    for family in FAMILIES:
        ratios = []
        for seen in OBSERVATIONS:
            both = errors(records, family, seen, BOTH)
            mine = both if len(both) else errors(records, family, seen, MODEL)
            free = min((errors(records, family, seen, arm) for arm in (FREE, BEST)), key=lambda one: float(one.mean()))
            ratios.append(np.log(mine / free))
        by_prompt += np.mean(ratios, axis=0).tolist()
    return geometric(by_prompt)


def geometric(logarithms: Sequence[float]) -> Number:
    """Mean ratio and its interval, from the logarithms of ratios."""
    found = mean_interval(np.array(logarithms))
    ratio, low, high = np.exp([found.estimate, found.low, found.high]).tolist()
    return Number(ratio, (SOURCE,), len(logarithms), low, high)


def false_alarms(n: int, repetitions: int = 2000) -> float:
    """Share of 95 % bootstrap intervals of the mean of ``n`` normal values that exclude the true mean.

    >>> false_alarms(4) > 2 * false_alarms(64)
    True
    """
    values = np.random.default_rng(0).standard_normal((repetitions, n))
    found = [mean_interval(each) for each in values]
    return float(np.mean([one.low > 0 or one.high < 0 for one in found]))


def number(records: Sequence[dict[str, Any]], family: str, observation: str, arm: str) -> Number | None:
    """Mean error of an arm, None where it did not run."""
    found = errors(records, family, observation, arm)
    return Number(float(found.mean()), (SOURCE,), len(found)) if len(found) else None


def compared(
    records: Sequence[dict[str, Any]], family: str, observation: str, arm: str, others: Sequence[str]
) -> tuple[str, Number]:
    """The better of others, and how much less error the arm has, as a share."""
    mine = errors(records, family, observation, arm)
    best = min(others, key=lambda other: float(errors(records, family, observation, other).mean()))
    return best, Number.of(less(mine, errors(records, family, observation, best)), (SOURCE,), len(mine))
