"""The micro task set on the second world: what choosing by content is worth, beside laws, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.content.arms import CANDIDATES
from physgen.experiments.content.arms import PRUNED as PRUNED_ARMS
from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR
from physgen.experiments.instruments.scores.arms import ARMS, BEST, CHOSEN, MORE, PARTICLES, PRUNED, PRUNING, THEN
from physgen.experiments.instruments.scores.scores import FREE
from physgen.experiments.instruments.subject import subject_of
from physgen.experiments.measure.distances import mean_interval
from physgen.experiments.microworldbench.tasks.data import read_tasks
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.scores import seeds_of, tasks_of, videos_of
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.guidance import PrunedBestOfN
from physgen.worlds import world_spec

FILE = "micro/instruments-scores"
SOURCE = f"docs/{FILE}.json"
MARKS = ("average", FREE)
MODEL = [arm for arm in ARMS if arm not in (SIMULATOR, RECONSTRUCTION)]
LABELS = {AFTERWARDS: UNGUIDED + THEN, GUIDED: "guided in the last steps"}
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
)
COLUMNS = ("arm", "evaluations", "Average", "Not imposed", "counts right")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an arm, and a row a paired difference."""
    data, cost = store.documented(FILE), evaluations()
    scored = {arm: data[arm]["per_task"].keys() for arm in ARMS}
    numbers = {
        "tasks": Number(tasks_of(data), (SOURCE,)),
        "unscored": Number(len(scored[SIMULATOR] - set.intersection(*map(set, scored.values()))), (SOURCE,)),
        "videos": Number(videos_of(data), (SOURCE,)),
        "seeds": Number(seeds_of(data), (SOURCE,)),
        "counted": Number(data[UNGUIDED]["met"]["count"]["n"], (SOURCE,)),
        "world": Number(store.worlds.figures or 0, ("figures.yaml",)),
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
        rows.append((LABELS.get(arm, arm), written(cost[arm]) if arm in cost else "–", *points, count))
    rows.append(("paired differences", "", "", "", ""))
    for first, second in SHOWN:
        name, both = f"{first} - {second}", len(scored[first] & scored[second])
        entry = data["differences"][name]
        numbers |= {f"{name}.{mark}": Number.read(entry[mark], SOURCE, both) for mark in MARKS}
        label = f"{LABELS.get(first, first)} − {LABELS.get(second, second)}"
        rows.append((label, "", *(numbers[f"{name}.{mark}"].text for mark in MARKS), ""))
    numbers |= best(numbers) | by_family(data)
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))


def evaluations() -> dict[str, float | int]:
    """Of the network, for a video of each arm of the model, relative to one sample."""
    begin, levels, left = PRUNED_ARMS[PRUNING]
    pruned = PrunedBestOfN(begin, lambda video: video, levels=levels, left=left).cost(world_spec("micro").steps)
    chosen = {BEST: CANDIDATES, PARTICLES: CANDIDATES, PRUNED: pruned}
    return {UNGUIDED: 1, MORE: 4, AFTERWARDS: 1, GUIDED: 1, **chosen, **{arm + THEN: chosen[arm] for arm in CHOSEN}}


def best(numbers: dict[str, Number]) -> dict[str, Number]:
    """The most that any arm of the model has, of each mark and of each criterion."""
    prefix = f"{UNGUIDED}."
    names = [name.removeprefix(prefix) for name in numbers if name.startswith(prefix)]
    return {
        f"best.{name}": max((numbers[f"{arm}.{name}"] for arm in MODEL), key=lambda one: one.value)
        for name in names
        if name in MARKS or name.startswith("met.")
    }


def by_family(data: dict[str, Any]) -> dict[str, Number]:
    """Points of all criteria, of each family: unguided, and the most that any arm of the model has."""
    families: dict[str, list[str]] = {}
    for task in read_tasks(named_tasks("micro")[0]):
        if subject := subject_of(task.task):
            families.setdefault(subject.family, []).append(str(task.index))
    numbers = {"families": Number(len(families), ("tasks.json",))}
    for family, tasks in families.items():
        points = {arm: [data[arm]["per_task"].get(task, np.nan) for task in tasks] for arm in MODEL}
        found = {arm: mean_interval(np.array(values)[np.isfinite(values)]) for arm, values in points.items()}
        most = max(found.values(), key=lambda one: one.estimate)
        numbers[f"{family}.unguided"] = Number.of(found[UNGUIDED], (SOURCE,), len(tasks))
        numbers[f"{family}.best"] = Number.of(most, (SOURCE,), len(tasks))
    return numbers
