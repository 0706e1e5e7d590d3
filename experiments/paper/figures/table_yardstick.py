"""What each distance sees of an error that was planted in true videos: its power."""

from __future__ import annotations

from statistics import mean

from physgen.experiments.paper.results.numbers import Made, Number, written
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = "docs/micro/yardstick.json"
ERRORS = {
    "nothing": "nothing",
    "wrong count in 25 %": "wrong count in a quarter",
    "wrong direction in 25 %": "wrong direction in a quarter",
    "empty in 5 %": "a twentieth is empty",
    "jitter of 0.25 px": "jitter of a quarter of a pixel",
    "constant x1.5": "constant one and a half times",
    "blur of 0.7 px": "blur",
}
METRICS = {
    "pooled MMD, judge": "pooled, features",
    "conditional MMD, judge": "conditional, features",
    "conditional MMD, content": "content",
    "conditional MMD, motion": "motion",
    "conditional MMD, rendering": "rendering",
    "attributes recognised": "attributes",
    "instruments, what is asked": "instruments, asked",
    "instruments, picture": "instruments, picture",
}


def make(spec: FigureSpec, store: Store) -> Made:
    """A row an error, a column a metric: shares for the smaller and the larger number of videos."""
    data = store.documented("micro/yardstick")
    sizes = sorted({one["n"] for one in data["records"]})
    numbers = {"repetitions": Number(data["repetitions"], (SOURCE,)), "pool": Number(data["pool"], (SOURCE,))}
    numbers |= {f"n{index}": Number(size, (SOURCE,)) for index, size in enumerate(sizes)}
    rows = []
    for error, label in ERRORS.items():
        cells = []
        for metric, short in METRICS.items():
            shares = []
            for index, size in enumerate(sizes):
                told = [
                    one["told"] / one["repetitions"]
                    for one in data["records"]
                    if (one["error"], one["metric"], one["n"]) == (error, metric, size)
                ]
                numbers[f"{label}.{short}.{index}"] = Number(mean(told), (SOURCE,), data["repetitions"])
                shares.append(written(round(mean(told), 2)))
            cells.append(" / ".join(shares))
        rows.append((label, *cells))
    return Made(numbers, columns=("planted", *METRICS.values()), rows=tuple(rows))
