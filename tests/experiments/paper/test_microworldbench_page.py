"""The tables of ``docs/results/microworldbench.md``, and of README from it, are what the committed scores say."""

from __future__ import annotations

import re

import pytest
from typed_tables import ROOT, agrees, documented, interval, numbers, page, section, tables

from physgen.experiments.paper.results.scores import Scores

PAGE = "results/microworldbench"
POINTS = ("average", "scientific", "visual", "instruction", "not imposed")
ARMS = {
    "unguided + projection": "afterwards",
    "best of 4, by content": "best of 4",
    "unguided, projected onto its laws afterwards": "afterwards",
    "guided and projected": "guided",
    "guided + projection": "guided",
    "best of 4, guided + projection": "best of 4, guided",
    "best of 4, guided and projected": "best of 4, guided",
    "particles, guided + projection": "particles, guided",
    "particles, guided and projected": "particles, guided",
    "best of 4, pruned early, projected": "pruned best of 4 + projection",
}


def arm(label: str) -> str:
    return ARMS.get(label, label)


def known(entry: dict[str, float]) -> tuple[float, ...]:
    """With its bounds, where points of each task were kept."""
    return interval(entry) if "low" in entry else (entry["estimate"],)


@pytest.mark.parametrize(
    ("heading", "file", "count"),
    [
        ("## What the micro task set says", "micro/instruments-scores", 179),
        ("## What the micro task set said of version 1", "micro-1/instruments-scores", 44),
    ],
)
def test_points_and_paired_differences(heading: str, file: str, count: int) -> None:
    data, compared = documented(file), 0
    points, differences, *_ = tables(section(PAGE, heading))
    for row in points:
        for name in set(POINTS) & set(row):
            if row[name] != "–":
                assert agrees(row[name], known(data[arm(row[""])][name])), (row[""], name)
                compared += 1
    for row in differences:
        first, second = row[""].split(" − ")
        for name in set(POINTS) & set(row):
            entry = data["differences"][f"{arm(first)} - {arm(second)}"][name]
            assert agrees(row[name], known(entry)), (row[""], name)
            compared += 1
    assert compared == count


def test_points_by_family() -> None:
    scores, compared = Scores(documented("micro/instruments-scores")), 0
    *_, average, free = tables(section(PAGE, "## What the micro task set says"))
    for table, mark in ((average, "average"), (free, "not imposed")):
        for row in table:
            for heading, cell in list(row.items())[1:]:
                family, _ = heading.split(" ")
                assert heading == f"{family} ({len(scores.families[family])})"
                assert agrees(cell, [scores.points(family, arm(row[""]), mark).value]), (row[""], family, mark)
                compared += 1
    assert compared == 2 * 14 * 9


def test_evaluations_and_points_in_the_readme() -> None:
    text, found = (ROOT / "README.md").read_text(encoding="utf-8"), documented("micro/instruments-scores")
    cost = numbers("tasks")
    (rows,) = (table for table in tables(text) if "evaluations" in table[0])
    assert len(rows) == 10
    for row in [*rows, *tables(section(PAGE, "## What the micro task set says"))[0]]:
        name = arm(row[""])
        known = [cost[f"{name}.evaluations"].value] if f"{name}.evaluations" in cost else []
        assert agrees(row["evaluations"], known), row
    for row in rows:
        for heading, mark in (("average score", "average"), ("by criteria that no arm imposes", "not imposed")):
            known = list(interval(found[arm(row[""])][mark]))
            cell = row[heading]
            assert cell == "–" or agrees(cell, known if "[" in cell else known[:1]), (row[""], heading)


@pytest.mark.parametrize("name", ["../README", "results/index", PAGE])
def test_what_laws_and_choices_are_worth_in_sentences(name: str) -> None:
    differences = documented("micro/instruments-scores")["differences"]
    law = differences["afterwards - unguided"]["average"]
    choice = differences["pruned best of 4 + projection - afterwards"]["average"]
    text = page(name)
    (first,) = set(re.findall(r"worth (26 \[[^]]+\]) points", text))
    assert agrees(first, interval(law))
    (second,) = set(re.findall(r"(?:adds|adds to the projection) (2\.6 \[[^]]+\])", text))
    assert agrees(second, interval(choice))


def test_faults_that_instruments_find() -> None:
    found = documented("micro-1/instruments-prove")["sensitivity"]
    (rows,) = tables(section(PAGE, "## Are the instruments right?"))
    for row in rows:
        for heading, read in (("simulator", "simulator"), ("then reconstructed", "reconstruction")):
            named = (row["planted fault"], row["instrument"])
            mine = [one for one in found[read] if (one["kind"], one["instrument"]) == named]
            shares = [*(one["estimate"] for one in mine), mine[-1]["low"], mine[-1]["high"]]
            assert agrees(row[f"found: {heading}"], shares), named
            assert agrees(row["strengths"], [one["strength"] for one in mine]), named
            assert {row["n"]} == {str(one["n"]) for one in mine}, named
    assert len(rows) == 29
