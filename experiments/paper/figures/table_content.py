"""Content: what was asked for and no law imposes, by what laws and what choices leave of it."""

from __future__ import annotations

from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.draw.references import RECONSTRUCTION
from physgen.experiments.instruments.scores.arms import BEST, PARTICLES, THEN
from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.scores import SOURCE, Scores
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

#: criteria of the task set that ask for content, instruments answer
ASKED = ("count", "colour", "pattern", "orientation", "direction", "speed", "strength", "outcome", "permanence")
ARMS = {
    RECONSTRUCTION: "reconstruction",
    UNGUIDED: "unguided",
    AFTERWARDS: "projected",
    GUIDED: "guided",
    BEST: "best of 4",
    PARTICLES: "particles",
    PARTICLES + THEN: "particles, projected",
}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a criterion: shares of videos that meet it."""
    data = Scores.read(store).data
    numbers: dict[str, Number] = {}
    rows = []
    for name in ASKED:
        for arm in ARMS:
            met = data[arm]["met"][name]
            numbers[f"{name}.{arm}"] = Number(met["share"], (SOURCE,), met["n"])
        shares = [written(numbers[f"{name}.{arm}"].value) for arm in ARMS]
        rows.append((name, str(numbers[f"{name}.{UNGUIDED}"].n), *shares))
    return Made(numbers, columns=("what is met", "videos", *ARMS.values()), rows=tuple(rows))
