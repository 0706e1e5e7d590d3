"""The micro task set: what laws are worth, what choosing by content is worth beside them, and what it costs."""

from __future__ import annotations

from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.content.arms import CANDIDATES
from physgen.experiments.content.arms import PRUNED as PRUNED_ARMS
from physgen.experiments.instruments.scores.arms import (
    ARMS,
    BEST,
    BEST_GUIDED,
    CHOSEN,
    MORE,
    PARTICLES,
    PRUNED,
    PRUNING,
    THEN,
    TOGETHER,
)
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.scores import MARKS, MODEL, SOURCE, Scores
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.guidance import PrunedBestOfN
from physgen.worlds import world_spec

LABELS = {
    AFTERWARDS: UNGUIDED + THEN,
    GUIDED: "guided and projected",
    BEST_GUIDED: "best of 4, guided and projected",
    TOGETHER: "particles, guided and projected",
}
#: paired differences that are shown
SHOWN = (
    (MORE, UNGUIDED),
    (BEST, UNGUIDED),
    (BEST, MORE),
    (PRUNED, BEST),
    (PARTICLES, BEST),
    (AFTERWARDS, UNGUIDED),
    (GUIDED, AFTERWARDS),
    (BEST + THEN, AFTERWARDS),
    (PRUNED + THEN, AFTERWARDS),
    (PARTICLES + THEN, BEST + THEN),
    (BEST_GUIDED, GUIDED),
    (TOGETHER, BEST_GUIDED),
    (TOGETHER, PARTICLES + THEN),
)
COLUMNS = ("arm", "evaluations", "Average", "Not imposed", "counts right", "empty", "faint")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an arm, and a row a paired difference."""
    scores, cost = Scores.read(store), evaluations()
    data = scores.data
    scored = {arm: data[arm]["per_task"].keys() for arm in ARMS}
    numbers = {
        "tasks": Number(scores.tasks, (SOURCE,)),
        "videos": Number(scores.videos, (SOURCE,)),
        "seeds": Number(scores.seeds, (SOURCE,)),
        "counted": Number(data[UNGUIDED]["met"]["count"]["n"], (SOURCE,)),
        "families": Number(len(scores.families), ("tasks.json",)),
        **{f"goal.{mark}": Number(spec.options["goals"][mark], ("figures.yaml",)) for mark in MARKS},
    }
    rows: list[tuple[str, ...]] = []
    for arm in ARMS:
        numbers |= {f"{arm}.{mark}": Number.read(data[arm][mark], SOURCE, len(scored[arm])) for mark in MARKS}
        for criterion, met in data[arm]["met"].items():
            numbers[f"{arm}.met.{criterion}"] = Number(met["share"], (SOURCE,), met["n"])
        if arm in cost:
            numbers[f"{arm}.evaluations"] = Number(cost[arm], ("conf/world/micro.yaml",))
        points = (numbers[f"{arm}.{mark}"].text for mark in MARKS)
        count = written(numbers[f"{arm}.met.count"].value)
        faint = 1 - data[arm]["met"]["presence"]["share"]
        for name, found in (("empty", data[arm]["empty"]["share"]), ("faint", faint)):
            numbers[f"{arm}.{name}"] = Number(round(found, 3), (SOURCE,), scores.videos)
        shown = (numbers[f"{arm}.{name}"].text for name in ("empty", "faint"))
        rows.append((LABELS.get(arm, arm), written(cost[arm]) if arm in cost else "–", *points, count, *shown))
    rows.append(("paired differences", "", "", "", "", "", ""))
    for first, second in SHOWN:
        name, both = f"{first} - {second}", len(scored[first] & scored[second])
        entry = data["differences"][name]
        numbers |= {f"{name}.{mark}": Number.read(entry[mark], SOURCE, both) for mark in MARKS}
        label = f"{LABELS.get(first, first)} − {LABELS.get(second, second)}"
        rows.append((label, "", *(numbers[f"{name}.{mark}"].text for mark in MARKS), "", "", ""))
    numbers |= best(numbers)
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))


def evaluations() -> dict[str, float | int]:
    """Of the network, for a video of each arm of the model, relative to one sample."""
    begin, levels, left = PRUNED_ARMS[PRUNING]
    pruned = PrunedBestOfN(begin, lambda video: video, levels=levels, left=left).cost(world_spec("micro").steps)
    chosen = {BEST: CANDIDATES, PARTICLES: CANDIDATES, PRUNED: pruned}
    then = {arm + THEN: chosen[arm] for arm in CHOSEN}
    return {
        UNGUIDED: 1,
        MORE: 4,
        AFTERWARDS: 1,
        GUIDED: 1,
        **chosen,
        **then,
        BEST_GUIDED: CANDIDATES,
        TOGETHER: CANDIDATES,
    }


def best(numbers: dict[str, Number]) -> dict[str, Number]:
    """The most that any arm of the model has, of each mark and of each criterion."""
    prefix = f"{UNGUIDED}."
    names = [name.removeprefix(prefix) for name in numbers if name.startswith(prefix)]
    return {
        f"best.{name}": max((numbers[f"{arm}.{name}"] for arm in MODEL), key=lambda one: one.value)
        for name in names
        if name in MARKS or name.startswith("met.")
    }
