"""Tables of the content benchmark: shares that are right by a disjoint estimator, and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physgen.drawn import UNGUIDED
from physgen.experiments.content.arms import CANDIDATES, LEVELS, PRUNED
from physgen.experiments.content.power import power_table
from physgen.experiments.content.questions import estimators, scorers
from physgen.experiments.measure.intervals import Array, mean_interval
from physgen.experiments.measure.tables import Cell, Table, publish
from physgen.experiments.runs.progress import Record
from physgen.experiments.runs.records import origin, write_json_atomic
from physgen.worlds import WorldSpec

if TYPE_CHECKING:
    from physgen.experiments.content.job import ContentConfig

#: arm -> the arms that cost as much, or more
EQUAL = {
    "best of 2": (UNGUIDED, "steps x2"),
    "best of 4": (UNGUIDED, "steps x4"),
    **dict.fromkeys(PRUNED, (UNGUIDED, "steps x2", "best of 2", "best of 4")),
    "particles, 2": (UNGUIDED, "best of 2"),
    "particles, 4": (UNGUIDED, "best of 4"),
    "noise search, 4": (UNGUIDED, "best of 2", "best of 4"),
}


def report(records: Sequence[Record], config: ContentConfig, spec: WorldSpec, out: Path) -> None:
    """Write ``content.json`` and ``content.md``, and print the tables."""
    parts = by_question(records)
    table = early_table(parts)
    early = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    captions = {
        question: [one["caption"] for one in part if one["arm"] == UNGUIDED] for question, part in parts.items()
    }
    about = {**origin(spec), "n": config.n, "seed": config.seed, "captions": captions}
    short = [row for part in parts.values() for row in in_short(part)]
    write_json_atomic(out / "content.json", {**about, "records": short, "early": early})
    publish(out / "content.md", [power_table(config.n), *tables(records)])


def by_question(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records of each question, prompts in their order."""
    parts: dict[str, list[Record]] = {one["question"]: [] for one in records}
    for one in sorted(records, key=lambda one: one["index"]):
        parts[one["question"]].append(one)
    return parts


def in_short(records: Sequence[Record]) -> list[Record]:
    """A record of each question, arm and reward, with a digit a prompt: ``{"right": {"count": "1011…"}, …}``.

    ``degenerate`` says of which videos this is so, and why.
    """
    groups: dict[tuple[str, str, str | None], list[Record]] = {}
    for one in records:
        if one["arm"] != "early":
            groups.setdefault((one["question"], one["arm"], one["reward"]), []).append(one)
    return [
        {
            **dict(zip(("question", "arm", "reward"), group, strict=True)),
            "imposed": rows[0]["imposed"],
            **{key: float(np.mean([one[key] for one in rows])) for key in COSTS},
            "degenerate": {str(row): one["degenerate"] for row, one in enumerate(rows) if one["degenerate"]},
            "right": {name: digits(one["right"][name] for one in rows) for name in rows[0]["right"]},
        }
        for group, rows in groups.items()
    ]


def digits(of: Iterable[bool]) -> str:
    """A digit for each.

    >>> digits([True, False, True])
    '101'
    """
    return "".join(str(int(one)) for one in of)


def tables(records: Sequence[Record]) -> list[Table]:
    """Arms of every question, then paired differences, then what early estimates are worth."""
    parts = by_question(records)
    arms = [arms_table(question, part) for question, part in parts.items()]
    return [*arms, differences(parts), early_table(parts)]


def column(records: Sequence[Record], arm: str, reward: str | None, scorer: str) -> Array:
    """1 where the scorer finds the video of an arm right, prompt by prompt in their order."""
    rows = [one for one in records if one["arm"] == arm and one["reward"] == reward]
    return np.array([one["right"][scorer] for one in sorted(rows, key=lambda one: one["index"])], float)


def arms_table(question: str, records: Sequence[Record]) -> Table:
    """Cost and shares right of each arm and reward, ``imposed`` by an estimator that is a part of the reward."""
    names = estimators(question)
    made = [one for one in records if one["arm"] != "early"]
    pairs = list(dict.fromkeys((one["arm"], one["reward"]) for one in made))
    rows: list[list[Cell]] = []
    for arm, reward in sorted(pairs, key=lambda pair: pair[1] or ""):
        mine = [one for one in made if (one["arm"], one["reward"]) == (arm, reward)]
        row: list[Cell] = [arm, reward or "-", *(float(np.mean([one[key] for one in mine])) for key in COSTS)]
        for name in names:
            share = float(column(made, arm, reward, name).mean())
            row.append(f"{share:.3g} (imposed)" if name in mine[0]["imposed"] else share)
        rows.append([*row, float(sum(one["degenerate"] is not None for one in mine))])
    count = len({one["index"] for one in made})
    heads = ["arm", "chosen by", *COSTS, *(f"right by {name}" for name in names), "degenerate"]
    return Table(f"{question}: {count} held-out prompts", heads, rows)


COSTS = ("evaluations", "decodes")


def differences(parts: dict[str, list[Record]]) -> Table:
    """Share right of an arm minus that of another at the same cost or more, with 95 % intervals over prompts."""
    rows: list[list[Cell]] = []
    for question, records in parts.items():
        made = [one for one in records if one["arm"] != "early"]
        for reward in estimators(question):
            for arm, others in EQUAL.items():
                for other in others:
                    base = None if other == UNGUIDED or other.startswith("steps") else reward
                    found: list[Cell] = []
                    for scorer in scorers(question, reward):
                        mine, theirs = column(made, arm, reward, scorer), column(made, other, base, scorer)
                        if len(mine) and len(theirs) == len(mine):
                            found += [scorer, mean_interval(mine - theirs)]
                            rows.append([question, reward, f"{arm} − {other}", *found[-2:]])
    return Table(
        "Paired differences of the share right, by disjoint estimators",
        ["question", "chosen by", "arms", "scored by", "difference"],
        rows,
    )


def early_table(parts: dict[str, list[Record]]) -> Table:
    """How often the two, and the one, that are best by an early estimate hold one that is best in the end.

    By chance as many as the last column says.
    """
    rows: list[list[Cell]] = []
    for question, records in parts.items():
        kept = [one for one in records if one["arm"] == "early"]
        for reward in estimators(question):
            cells: list[Cell] = []
            for left in (1, 2):
                cells += [
                    float(
                        np.mean(
                            [_holds(one["early"][f"{level:g}"][reward], one["final"][reward], left) for one in kept]
                        )
                    )
                    for level in LEVELS
                ]
            by_chance = [_by_chance(one["final"][reward], left) for left in (1, 2) for one in kept]
            rows.append(
                [
                    question,
                    reward,
                    *cells,
                    float(np.mean(by_chance[: len(kept)])),
                    float(np.mean(by_chance[len(kept) :])),
                ]
            )
    heads = [f"{left} at {level:g}" for left in (1, 2) for level in LEVELS]
    return Table(
        f"Early estimates: share of prompts in which those kept of {CANDIDATES} hold one that is best in the end",
        ["question", "reward", *heads, "1 by chance", "2 by chance"],
        rows,
    )


def _holds(early: Sequence[float], final: Sequence[float], left: int) -> bool:
    kept = np.argsort(-np.array(early), kind="stable")[:left]
    return bool(np.array(final)[kept].max() >= max(final))


def _by_chance(final: Sequence[float], left: int) -> float:
    """Probability that `left` candidates drawn at random hold one of the best.

    >>> _by_chance([0.0, 1.0, 1.0, 0.0], 1), round(_by_chance([0.0, 1.0, 0.0, 0.0], 2), 3)
    (0.5, 0.5)
    """
    worse = int((np.array(final) < max(final)).sum())
    missing = 1.0
    for k in range(left):
        missing *= max(worse - k, 0) / (len(final) - k)
    return 1.0 - missing
