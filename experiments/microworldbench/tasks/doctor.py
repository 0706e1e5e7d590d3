"""Every defect of the published files, and what is done about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, LEVELS

Where = tuple[int, str, str]
"""Task, dimension and criterion; the last two may be empty."""

CONTROLLED = re.compile(
    r"\bavoid|\bcontrol|\bminimi[sz]|\bprevent|\bsuppress|\bmust not\b|\bdo(es)? not\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Defect:
    """One kind of defect, where it is, and what each mode does about it."""

    name: str
    where: tuple[Where, ...]
    upstream: str
    corrected: str


def diagnose(tasks: Sequence[Any], rubrics: Sequence[Any], raw: Sequence[Any]) -> list[Defect]:
    """Defects of the three parsed files: tasks, rubrics with the weights of the score, rubrics as first published.

    >>> block = {"d11": "Avoid flicker", "s11": "-1", "w11": "0"}
    >>> rubrics = [{"index": 1, "rubrics_visual": block}]
    >>> [defect.name for defect in diagnose([{"index": 1, "final_label": "Organ-level"}], rubrics, rubrics)][:2]
    ['malformed keys, d11 for d1', 'not five criteria']
    """
    blocks = list(_blocks(rubrics))
    criteria = [(i, d, n, block) for i, d, block in blocks for n in _numbers(block)]
    penalties = [(i, d, n, str(b.get(f"d{n}"))) for i, d, n, b in criteria if b.get(f"s{n}") == "-1"]
    virtues = {(i, d, n) for i, d, n, text in penalties if text.startswith("Avoid")}
    first = {(i, d): block for i, d, block in _blocks(raw)}
    weights = {(i, d, n): (first[i, d].get(f"w{n}"), b.get(f"w{n}")) for i, d, n, b in criteria if (i, d) in first}
    found = [
        Defect(
            "malformed keys, d11 for d1",
            tuple((i, d, "") for i, d, b in blocks if any(int(n) > 9 for n in _numbers(b))),
            "shows the judge an empty list, counts nothing",
            "criteria are taken by position",
        ),
        Defect(
            "not five criteria",
            tuple((i, d, "") for i, d, b in blocks if len(_numbers(b)) != 5),
            "as it is",
            "as it is: scores are shares of what the rubric holds",
        ),
        Defect(
            "weight written as text",
            tuple((i, d, n) for i, d, n, b in criteria if isinstance(b.get(f"w{n}"), str)),
            "read as a number",
            "read as a number",
        ),
        Defect(
            "merit of weight 0",
            tuple((i, d, n) for i, d, n, b in criteria if b.get(f"s{n}") == "+1" and not float(b.get(f"w{n}", 0))),
            "judged, counts nothing",
            "judged, counts nothing: weights are not invented (rubrics=MWBenchRubrics.json has none of 0)",
        ),
        Defect(
            "penalty of weight 0",
            tuple((i, d, n) for i, d, n, b in criteria if b.get(f"s{n}") == "-1" and not float(b.get(f"w{n}", 0))),
            "judged, counts nothing",
            "judged, counts nothing: weights are not invented (rubrics=MWBenchRubrics.json has none of 0)",
        ),
        Defect(
            "equal first weights, different final ones",
            tuple(_uneven(weights)),
            "as it is",
            "as it is",
        ),
        Defect(
            "penalty worded as a virtue, 'Avoid …'",
            tuple(sorted(virtues)),
            "the judge is asked whether the penalty is met",
            "the judge is asked whether the fault is in the video, however it is worded",
        ),
        Defect(
            "penalty that speaks of a fault as controlled",
            tuple((i, d, n) for i, d, n, t in penalties if (i, d, n) not in virtues and CONTROLLED.search(t)),
            "the judge is asked whether the penalty is met",
            "the judge is asked whether the fault is in the video, however it is worded",
        ),
        Defect(
            "task text under keys that the released evaluator does not read",
            tuple((entry["index"], "", "") for entry in raw if "任务" not in entry),
            "the judge sees no task and no requirement",
            "task and requirement come from the task file",
        ),
        Defect(
            "task text differs between files",
            tuple(_differing(tasks, rubrics, raw)),
            "as it is",
            "the task file's is used",
        ),
        Defect(
            "task without a known level",
            tuple((entry["index"], "", "") for entry in tasks if entry.get("final_label") not in LEVELS),
            "counts in no level",
            "counts in no level",
        ),
        Defect(
            "task that not all three files have",
            tuple((i, "", "") for i in sorted(_partial(tasks, rubrics, raw))),
            "ignored, or of unknown level",
            "ignored, or of unknown level",
        ),
    ]
    return [defect for defect in found if defect.where]


def _blocks(rubrics: Sequence[Any]) -> Iterable[tuple[int, str, Mapping[str, Any]]]:
    for entry in rubrics:
        for dimension in DIMENSIONS:
            yield entry["index"], dimension, entry.get(f"rubrics_{dimension}") or {}


def _numbers(block: Mapping[str, Any]) -> list[str]:
    return [key[1:] for key in block if key[:1] == "s" and key[1:].isdecimal()]


def _uneven(weights: Mapping[Where, tuple[Any, Any]]) -> list[Where]:
    """Criteria of a dimension whose final weight is not that of most criteria with the same first weight."""
    tally: dict[tuple[str, float], dict[float, int]] = {}
    for (_, dimension, _), (first, final) in weights.items():
        counts = tally.setdefault((dimension, float(first)), {})
        counts[float(final)] = counts.get(float(final), 0) + 1
    usual = {key: max(counts, key=lambda weight: counts[weight]) for key, counts in tally.items()}
    return [place for place, (first, final) in weights.items() if usual[place[1], float(first)] != float(final)]


def _differing(tasks: Sequence[Any], rubrics: Sequence[Any], raw: Sequence[Any]) -> list[Where]:
    texts: dict[int, set[tuple[Any, Any]]] = {}
    for entry in (*tasks, *rubrics, *raw):
        pair = (entry.get("任务", entry.get("task")), entry.get("具体要求", entry.get("requirement")))
        if any(pair):
            texts.setdefault(entry["index"], set()).add(pair)
    return [(index, "", "") for index, found in sorted(texts.items()) if len(found) > 1]


def _partial(*files: Sequence[Any]) -> set[int]:
    held = [{entry["index"] for entry in file} for file in files]
    return set.union(*held) - set.intersection(*held)
