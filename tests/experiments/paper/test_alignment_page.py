"""The tables of ``docs/results/alignment.md`` are what the committed file says."""

from __future__ import annotations

import re

import pytest
from typed_tables import agrees, documented, interval, numbers, page, section, tables

from physgen.experiments.paper.figures.table_aligned import MODELS, ROWS
from physgen.experiments.paper.results.numbers import Number

PAGE = "results/alignment"
LABELS = {label: key for key, label in ROWS.items()}
COLUMNS = {f"`{name}`" if name != "best of N" else name: name for name in MODELS}


def test_what_was_accepted() -> None:
    (rows,) = tables(section(PAGE, "## What was accepted"))
    samples = documented("micro/alignment")["samples"]
    assert len(rows) == 5
    for row in rows:
        name = row[""].strip("`")
        arm, round_ = ("aligned", 1) if name == "base" else (name, 2)
        found = {one["seed"]: one for one in samples if one["arm"] == arm and one["round"] == round_}
        assert agrees(row["of 64, by training seed"], [one["accepted"] for _, one in sorted(found.items())])
        assert agrees(row["degenerate"], [one["degenerate"] for _, one in sorted(found.items())])


@pytest.mark.parametrize(("heading", "arm"), [("## As drawn", "unguided"), ("## Projected afterwards", "afterwards")])
def test_figures(heading: str, arm: str) -> None:
    data, compared = documented("micro/alignment"), 0
    (rows,) = tables(section(PAGE, heading))
    for row in rows:
        key = LABELS[row[""]]
        for column, cell in list(row.items())[1:]:
            if column in ("base", "simulator"):
                known = data["models"][arm].get(column, {}).get(key)
                assert cell == "" if known is None else agrees(cell, [known["estimate"]]), (row[""], column)
            else:
                known = data["differences"][arm][f"{COLUMNS[column]} - base"][key]
                assert agrees(cell, interval(known)), (row[""], column)
                compared += 1
    assert compared == len(rows) * len(MODELS)


def test_words() -> None:
    found, text = numbers("aligned"), section(PAGE, "# Results: a world that learns from its own samples")
    assert agrees(
        *said(
            text,
            r"is better: (\S+ \[[^]]+\]) of the instruments fewer find a fault",
            found["unguided.aligned - best of N.faults"],
        )
    )
    assert agrees(*said(text, r"violation (\S+ \[[^]]+\])", found["unguided.aligned - random.violation: transport"]))
    assert agrees(*said(text, r"faults (\S+ \[[^]]+\])\)", found["unguided.aligned - random.faults"]))
    assert "best of ten" in text
    by_seed = documented("micro/alignment")["seeds"]["unguided"]["aligned - base"].values()
    (faults, violations) = re.findall(r"base is (\S+, \S+ and \S+) in faults, and (\S+, \S+ and \S+) in", page(PAGE))[0]
    assert agrees(faults, [one["faults"]["estimate"] for one in by_seed])
    assert agrees(violations, [one["violation: transport"]["estimate"] for one in by_seed])
    assert found["draws"].value == 10
    assert found["making"].value == 17280
    assert found["making, videos"].value == 288
    assert agrees(*said(text, r"untouched world (\S+) of", found["accepted.base"]))


def said(text: str, pattern: str, number: Number) -> tuple[str, list[float]]:
    """The cell that a sentence prints, and what it should be."""
    (cell,) = re.findall(pattern, text)
    bounds = [] if "[" not in cell or number.low is None or number.high is None else [number.low, number.high]
    return cell, [number.value, *bounds]
