"""Criteria that measure what was imposed: a law holds in the guided arms by construction, and says nothing there."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from physgen.experiments.microworldbench.scoring.corrected import answers
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, Criterion, Rubric


@dataclass(frozen=True)
class Speaks:
    """How a criterion speaks of a law: the instruments that measure it, and words."""

    instruments: frozenset[str]
    words: re.Pattern[str]


def _speaks(instruments: str, *words: str) -> Speaks:
    return Speaks(frozenset(instruments.split()), re.compile(rf"\b(?:{'|'.join(words)})", re.IGNORECASE))


_GROWTH = (r"prolifer", r"grow(s|th|ing)?\b", r"spread", r"expan(d|sion)")
#: by the name of a law in ``conf/constraint``
SPEAKING = {
    "mass": _speaks("mass", r"conserv", r"\bmass\b", r"amounts?\b", r"concentration"),
    "continuity": _speaks("mass", r"conserv", r"continu(ity|ous flow)", r"flow"),
    "diffusion": _speaks("mass reaction_diffusion arrow extrema speed", r"diffus", r"gradient", r"concentration"),
    "fisher_kpp": _speaks("reaction_diffusion arrow bounds speed progression", *_GROWTH),
    "gray_scott": _speaks("reaction_diffusion arrow bounds pattern", r"pattern", r"reaction"),
    "kinetics": _speaks("reaction_diffusion arrow", r"kinetic", r"reaction", r"concentration", r"binding"),
    "phase_order": _speaks(
        "phase_order phases",
        r"(pro|prometa|meta|ana|telo)phase",
        r"cytokines[ie]s",
        r"(phases?|stages?)\b",
        r"mito(sis|tic)",
        r"(sequence|order|chronolog\w+|temporal\w*) of",
    ),
    "transport": _speaks(
        "transport steadiness lanes lost direction speed", r"flow", r"transport", r"velocit", r"stream"
    ),
    "permanence": _speaks("permanence appearance vanishing lost", r"appear", r"vanish", r"persist", r"continuity"),
    "static": _speaks("static steadiness jumps", r"static\b", r"stationary", r"stab(le|ility)", r"still\b"),
    "periodic": _speaks("periodic", r"period", r"rhythm", r"beat", r"pulsat", r"contract", r"frequen"),
    "progression": _speaks("progression arrow", *_GROWTH, r"gradual", r"progress", r"increas", r"decreas", r"shrink"),
    "count": _speaks("number count", r"count\b", r"number", r"single\b", r"\b(one|two|three|four|five|six)\b"),
}


def speaks_of(criterion: Criterion, laws: Collection[str]) -> bool:
    """Whether a criterion measures one of these laws: by its instrument where it names one, else by its words.

    >>> criterion = Criterion(1, "Metaphase comes before anaphase", 1, 1.0)
    >>> speaks_of(criterion, ["phase_order"]), speaks_of(criterion, ["static"])
    (True, False)
    """
    known = [SPEAKING[law] for law in laws if law in SPEAKING]
    if criterion.measure:
        return any(criterion.measure in one.instruments for one in known)
    return any(one.words.search(criterion.text) for one in known)


def without_imposed(
    results: Sequence[Mapping[str, Any]], rubrics: Mapping[int, Rubric], imposed: Mapping[int, Collection[str]]
) -> list[dict[str, Any]]:
    """Results in which the criteria that measure what was imposed on a task are unscored."""
    found = []
    for result in results:
        item = deepcopy(dict(result))
        laws = imposed.get(item["index"], ())
        for dimension in DIMENSIONS if laws else ():
            criteria = rubrics[item["index"]].criteria[dimension]
            evaluation = item.get(f"{dimension}_eval")
            given = answers(evaluation, len(criteria))
            if evaluation and any(answer is not None for answer in given):
                kept = [None if speaks_of(c, laws) else a for c, a in zip(criteria, given, strict=True)]
                evaluation["parsed_result"]["scores"] = kept
        found.append(item)
    return found


def met(
    results: Sequence[Mapping[str, Any]], rubrics: Mapping[int, Rubric], imposed: Mapping[int, Collection[str]]
) -> dict[bool, list[int]]:
    """In the tasks with an imposed law, 1 or 0 for each criterion that was met (a fault: that was not seen).

    Those that measure what was imposed are under True, the others under False.
    """
    found: dict[bool, list[int]] = {True: [], False: []}
    for result in results:
        laws = imposed.get(result["index"], ())
        for dimension in DIMENSIONS if laws else ():
            criteria = rubrics[result["index"]].criteria[dimension]
            for criterion, answer in zip(
                criteria, answers(result.get(f"{dimension}_eval"), len(criteria)), strict=True
            ):
                if answer is not None:
                    found[speaks_of(criterion, laws)].append(int(answer == (criterion.sign > 0)))
    return found
