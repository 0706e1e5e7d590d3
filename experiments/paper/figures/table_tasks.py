"""The micro task set by instruments: what laws are worth, and what the autoencoder leaves to reach."""

from __future__ import annotations

from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.scores import tasks_of, videos_of
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = "docs/micro-1/instruments-scores.json"
ARMS = {
    "simulator": "simulator",
    "reconstruction": "reconstruction",
    "unguided": "unguided",
    "afterwards": "projected afterwards",
    "guided": "guided in the last steps",
    "coin flip": "coin flip",
}
MARKS = ("average", "scientific", "visual", "instruction")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an arm: averages over tasks, share of criteria answered, videos that are too faint."""
    data = store.documented("micro-1/instruments-scores")
    tasks = tasks_of(data)
    numbers = {"tasks": Number(tasks, (SOURCE,)), "videos": Number(videos_of(data), (SOURCE,))}
    for name, marks in data["differences"].items():
        numbers |= {f"{name}.{mark}": Number.read(marks[mark], SOURCE, tasks) for mark in MARKS}
    rows = []
    for arm, label in ARMS.items():
        one = data[arm]
        numbers |= {f"{arm}.{mark}": Number.read(one[mark], SOURCE, tasks) for mark in MARKS}
        for criterion, met in one["met"].items():
            numbers[f"{arm}.met.{criterion}"] = Number(met["share"], (SOURCE,), met["n"])
        faint = "–"
        if arm != "coin flip":
            presence = one["met"]["presence"]
            numbers[f"{arm}.faint"] = Number(round((1 - presence["share"]) * presence["n"]), (SOURCE,), presence["n"])
            faint = str(numbers[f"{arm}.faint"].value)
        rows.append((label, *(numbers[f"{arm}.{mark}"].text for mark in MARKS), written(one["coverage"]), faint))
    return Made(numbers, columns=("arm", *map(str.capitalize, MARKS), "answered", "faint"), rows=tuple(rows))
