"""The tables of ``docs/results/micro.md`` that are typed by hand are what the committed files say."""

from __future__ import annotations

import re
from statistics import median
from typing import Any

import pytest
from typed_tables import ROOT, agrees, documented, interval, page, section, tables

from physgen.experiments.instruments.flow.arms import FAMILIES
from physgen.experiments.instruments.flow.run import column
from physgen.experiments.instruments.flow.table import share
from physgen.experiments.microworldbench.tasks.data import read_rubrics
from physgen.experiments.microworldbench.tasks.named import named_tasks

PAGE = "results/micro"
#: what the rows of the old and the new world are read from
READ = {
    "Gray-Scott: pattern, judge": ("gray_scott", "recognised", "unguided", "pattern"),
    "blood: direction, judge": ("blood", "recognised", "unguided", "direction"),
    "blood: speed, judge": ("blood", "recognised", "unguided", "speed"),
    "growth: count, judge": ("growth", "recognised", "unguided", "count"),
    "dye: count, judge": ("dye", "recognised", "unguided", "count"),
    "mitosis: phases in order, judge": ("mitosis", "laws", "unguided", "phases_in_order"),
    "mitosis: the same of reconstructions": ("mitosis", "laws", "reconstruction", "phases_in_order"),
    "dye: taken for dye, judge": ("dye", "recognised", "unguided", "family"),
    "dye: drift of mass": ("dye", "laws", "unguided", "mass_drift"),
    "growth: residual of Fisher-KPP": ("growth", "laws", "unguided", "fisher_kpp_fitted"),
    "Gray-Scott: residual of the flow map": ("gray_scott", "laws", "unguided", "flow_map"),
    "blood: drift of the cells' area": ("blood", "laws", "unguided", "cell_area_drift"),
}


def test_old_against_new() -> None:
    (rows,) = (table for table in tables(section(PAGE, "## Quality")) if "version 1" in table[0])
    assert [row[""] for row in rows] == list(READ)
    for row in rows:
        for version, file in (("version 1", "micro-1/quality"), ("version 2", "micro/quality")):
            found: Any = documented(file)["families"]
            for key in READ[row[""]]:
                found = found[key]
            known = interval(found)
            assert agrees(row[version], known if "[" in row[version] else known[:1]), (row[""], version)


def test_goals_are_counted() -> None:
    met = sum(goal["met"] for goal in documented("micro/quality")["goals"])
    assert met == 9
    assert "Nine of the 24 goals are reached." in page(PAGE)


@pytest.mark.parametrize("family", FAMILIES)
def test_points_of_flows(family: str) -> None:
    data = documented(f"micro/{family}")
    records = data["records"]
    points, differences, met = tables(section(PAGE, f"### {family.capitalize()}"))
    free = {name: column(records, "unguided", name) for name in ("seconds", "nfe")}
    for row in points:
        arm = row[""]
        for name in ("all criteria", "not imposed", "imposed"):
            assert agrees(row[name], interval(data["arms"][arm][name])), (arm, name)
        if row["MMD², 10⁻³"] != "–":
            assert agrees(row["MMD², 10⁻³"], [1000 * x for x in interval(data["distances"][arm]["mmd2"])]), arm
        for name, key in (("evaluations", "nfe"), ("time", "seconds")):
            if row[name] != "–":
                assert agrees(row[name], [median(column(records, arm, key) / free[key])]), (arm, name)
        projected = column(records, arm, "law")
        if row["not projected"] != "–":
            assert row["not projected"] == f"{int((1 - projected).sum())} of {len(projected)}"
    for row in differences:
        pair = row[""].replace(" − ", " - ")
        for name in ("all criteria", "not imposed", "imposed"):
            assert agrees(row[name], interval(data["differences"][pair][name])), (pair, name)
        assert agrees(row["MMD², 10⁻³"], [1000 * x for x in interval(data["distances"][pair]["mmd2"])]), pair
    tasks = {one["task"] for one in records}
    rubric = next(one for one in read_rubrics(named_tasks("micro")[1]) if one.index in tasks)
    for row in met:
        (_, criterion), *cells = row.items()
        for arm, cell in cells:
            assert agrees(cell, [share(records, rubric, arm, criterion)]), (criterion, arm)


def points(family: str, arm: str, name: str = "all criteria") -> float:
    return documented(f"micro/{family}")["arms"][arm][name]["estimate"]


def test_sentences_about_flows() -> None:
    text, readme = section(PAGE, "### What it says"), (ROOT / "README.md").read_text("utf-8")
    of = {family: documented(f"micro/{family}") for family in FAMILIES}
    both = "guided + projection"
    for family, pattern in (("vessel", r"82 each: (\S+ \[[^]]+\]) and"), ("blood", r"82 each: .* and (\S+ \[[^]]+\])")):
        (printed,) = re.findall(pattern, text)
        assert agrees(printed, interval(of[family]["differences"][f"{both} - projected"]["all criteria"])), family
    for arm, numbers in (
        ("unguided", (36, 26)),
        (both, (94, 91)),
        ("projected", (82, 82)),
        ("best of 8 + projection", (79, 83)),
    ):
        assert tuple(round(points(family, arm)) for family in ("blood", "vessel")) == numbers, arm
    assert "takes blood from 36 points to 94 and vessels that bend or split from 26 to 91" in readme
    assert "Projected alone both have 82; the best of eight draws, projected, has 79 and 83" in readme
    for family, pair, pattern in (
        ("vessel", "guided - unguided", r"MMD² lower by (\S+ \[[^]]+\]), of"),
        ("vessel", f"{both} - projected", r"than projected ones \(by (\S+ \[[^]]+\])\)"),
        ("blood", "projected - unguided", r"away from the truth \(by (\S+ \[[^]]+\])\)"),
        ("blood", f"{both} - projected", r"nearer than that \(by (\S+ \[[^]]+\])\)"),
    ):
        (printed,) = re.findall(pattern, text)
        entry = of[family]["distances"][pair]["mmd2"]
        found = interval(entry) if entry["estimate"] > 0 else [-entry["estimate"], -entry["high"], -entry["low"]]
        assert agrees(printed, found), (family, pair)
    for arm, faulty in {"unguided": 17, "guided": 1}.items():
        seen = [one["answers"]["permanence"] for one in of["vessel"]["records"] if one["arm"] == arm]
        assert (sum(seen), len(seen)) == (faulty, 24)
