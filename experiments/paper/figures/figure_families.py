"""Points of the micro task set by family: what laws are worth in each, and what choosing adds."""

from __future__ import annotations

from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.draw.references import RECONSTRUCTION
from physgen.experiments.instruments.flow.arms import FAMILIES
from physgen.experiments.instruments.scores.arms import BEST, BEST_GUIDED, PARTICLES, THEN, TOGETHER
from physgen.experiments.instruments.scores.scores import FREE
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.scores import MARKS, MODEL, Scores
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, legend, sized

SHOWN = {
    RECONSTRUCTION: ("reconstruction", GREY, "|"),
    UNGUIDED: ("unguided", BLACK, "o"),
    AFTERWARDS: ("projected afterwards", BLUE, "v"),
    GUIDED: ("guided and projected", VERMILION, "s"),
    BEST + THEN: ("best of 4, projected", ORANGE, "D"),
    PARTICLES + THEN: ("4 particles, projected", PURPLE, "*"),
    BEST_GUIDED: ("best of 4, guided and projected", SKY, "X"),
    TOGETHER: ("4 particles, guided and projected", GREEN, "P"),
}
TITLES = {"average": "all criteria", FREE: "criteria that no arm imposes or chooses by"}
#: pairs whose differences the text gives
PAIRED = (
    (AFTERWARDS, UNGUIDED),
    (GUIDED, AFTERWARDS),
    (GUIDED, UNGUIDED),
    (BEST + THEN, AFTERWARDS),
    (BEST_GUIDED, GUIDED),
    (TOGETHER, BEST_GUIDED),
    (TOGETHER, GUIDED),
    (TOGETHER, PARTICLES + THEN),
)
#: pairs that are compared without what flows as well, of which it makes up much
WITHOUT = ((GUIDED, AFTERWARDS), (BEST + THEN, AFTERWARDS), (BEST_GUIDED, GUIDED), (TOGETHER, BEST_GUIDED))


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a family, a panel a kind of points."""
    scores = Scores.read(store)
    picture = sized(3.6)
    panels = picture.subplots(1, len(MARKS), sharey=True)
    numbers = {
        "n": Number(min(map(len, scores.families.values())), ("tasks.json",)),
        "most": Number(max(map(len, scores.families.values())), ("tasks.json",)),
    }
    for axes, mark in zip(panels, MARKS, strict=True):
        for height, family in enumerate(scores.families):
            found = {arm: scores.points(family, arm, mark) for arm in (*MODEL, RECONSTRUCTION)}
            numbers |= {f"{family}.{arm}.{mark}": number for arm, number in found.items()}
            numbers[f"{family}.best.{mark}"] = max((found[arm] for arm in MODEL), key=lambda one: one.value)
            for first, second in PAIRED:
                name = f"{family}.{first} - {second}.{mark}"
                numbers[name] = scores.difference(family, first, second, mark)
            for row, (arm, (label, colour, marker)) in enumerate(SHOWN.items()):
                one, y = found[arm], height + 0.11 * (row - 3.5)
                axes.plot([one.low, one.high], [y, y], color=colour, linewidth=0.9)
                named = label if height == 0 else None
                size = 8 if marker == "|" else 4.5
                axes.plot([one.value], [y], marker, color=colour, markersize=size, label=named, linestyle="none")
        for edge in range(1, len(scores.families)):
            axes.axhline(edge - 0.5, color="#dddddd", linewidth=0.5)
        axes.set(xlim=(-2, 102), xlabel="points of 100", title=TITLES[mark])
    for first, second in WITHOUT:
        for mark in MARKS:
            name = f"without flows.{first} - {second}.{mark}"
            numbers[name] = scores.difference_without(FAMILIES, first, second, mark)
    names = [family.replace("gray_scott", "Gray-Scott") for family in scores.families]
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    legend(picture, panels[0], 3)
    return Made(numbers=numbers, picture=picture)
