"""Every law with every guidance, in numbers."""

from __future__ import annotations

from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.results.summary import FREE, UNGUIDED, Summary, summaries, tests
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS, LAWS

#: factor by which the median violation falls where a law is hard
HARD = 100
COLUMNS = (
    "law",
    "sampler",
    "violation",
    "p (Holm)",
    "empty",
    "in order",
    "MMD²",
    "less projected afterwards",
    "attributes",
    "time",
)


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an arm; in words, which arms are nearer to the simulator than the free baseline, and which farther."""
    found, p_values = summaries(spec, store), tests(spec, store)
    numbers = {"n": Number(spec.seeds, (spec.sweep,), spec.seeds)}
    rows = []
    for one in found:
        numbers |= one.numbers
        p = "–" if one.guidance == UNGUIDED else written(p_values[one.law, one.guidance])
        excess = "–" if one.guidance == FREE else one.excess.text
        law = LAWS[one.law] if one.guidance == UNGUIDED else ""
        figures = (
            one.violation.text,
            p,
            one.empty.text,
            one.feasible.text,
            one.distance.text,
            excess,
            one.attributes.text,
            "1" if one.guidance == UNGUIDED else one.time.text,
        )
        rows.append((law, ARMS[one.guidance].name, *figures))
    return Made(numbers, words=words(found), columns=COLUMNS, rows=tuple(rows))


def words(found: list[Summary]) -> dict[str, str]:
    """Arms beyond the interval, as lists that the text quotes: those of the distance, and those that cut nothing."""
    laws = [[one for one in found if one.law == law] for law in dict.fromkeys(one.law for one in found)]
    hard = [[one for one in law if one.cut.value > HARD] for law in laws]
    others = [one for one in found if one.guidance not in (UNGUIDED, FREE)]
    return {
        "lowest": listed([min(law, key=lambda one: one.violation.value) for law in laws]),
        "cheapest": listed([min(law, key=lambda one: one.time.value) for law in hard if law]),
        "nearer": listed([one for one in others if (one.excess.high or 0) < 0]),
        "farther": listed([one for one in others if (one.excess.low or 0) > 0]),
        "raised": listed([one for one in others if one.cut.value < 1]),
    }


def listed(found: list[Summary]) -> str:
    """Samplers and laws in one phrase.

    >>> listed([])
    'none'
    """
    return ", ".join(f"{ARMS[one.guidance].name} under {LAWS[one.law]}" for one in found) or "none"
