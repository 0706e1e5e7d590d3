"""The tables of ``docs/results/micro.md`` that are typed by hand are what the committed files say."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from statistics import mean, median
from typing import Any

from typed_tables import agrees, documented, interval, page, section, tables

PAGE = "results/micro"
BLOOD = "## What the law of transport does to blood"
JUDGE = ("judge: direction", "judge: speed", "judge: count")
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


@cache
def drawn() -> dict[str, list[dict[str, Any]]]:
    """Records of the blood benchmark by arm."""
    found = defaultdict(list)
    for one in documented("micro-1/blood")["records"]:
        found[one["arm"]].append(one)
    return found


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


def test_points_of_blood() -> None:
    data = documented("micro-1/blood")
    points, differences, *_ = tables(section(PAGE, BLOOD))
    noise = {(one["task"], one["seed"]): one["seconds"] for one in drawn()["unguided"]}
    for row in points:
        arm = row[""]
        for name in ("all criteria", "not imposed", "imposed"):
            assert agrees(row[name], interval(data["arms"][arm][name])), (arm, name)
        for name in JUDGE:
            assert agrees(row[name], interval(data["arms"][arm][name])[:1]), (arm, name)
        if row["time, of unguided"] != "-":
            ratio = median(one["seconds"] / noise[one["task"], one["seed"]] for one in drawn()[arm])
            assert agrees(row["time, of unguided"], [ratio]), arm
        if row["not projected"] != "-":
            assert row["not projected"] == f"{sum(not one['law'] for one in drawn()[arm])} of {len(drawn()[arm])}"
    for row in differences:
        for name, cell in list(row.items())[1:]:
            entry = data["differences"][row[""].replace(" − ", " - ")][name]
            assert agrees(cell, interval(entry)), (row[""], name)


def test_criteria_of_blood() -> None:
    *_, met, percentiles = tables(section(PAGE, BLOOD))
    for row in met:
        (_, criterion), *cells = row.items()
        for arm, cell in cells:
            given = [one["answers"][criterion] for one in drawn()[arm] if one["answers"][criterion] is not None]
            share = mean(given)
            # a fault that is seen is answered with 1
            faulty = criterion in ("appearance", "vanishing", "flicker", "clipping", "noise", "presence")
            assert agrees(cell, [1 - share if faulty else share]), (criterion, arm)
    for row in percentiles:
        (_, criterion), *cells = row.items()
        for arm, cell in cells:
            read = [one["ranks"].get(criterion) for one in drawn()[arm]]
            assert agrees(cell, [mean(one for one in read if one is not None)]), (criterion, arm)
