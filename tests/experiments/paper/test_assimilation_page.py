"""The tables of ``docs/results/assimilation.md`` are typed by hand: each cell is what the committed records say."""

from __future__ import annotations

import re

import numpy as np
import pytest
from typed_tables import agrees, documented, numbers, section, tables

from physgen.experiments.assimilate.arms import BOTH, INSIDE
from physgen.experiments.assimilate.table import column
from physgen.experiments.paper.results.assimilation import FAMILIES, OBSERVATIONS, errors
from physgen.experiments.paper.results.numbers import Number

PAGE = "results/assimilation"
FILE = "micro/assimilation"
SAMPLERS = {
    "`DPS`": "DPS, new noise 0",
    "`DPS`, new noise 0.3": "DPS, new noise 0.3",
    "`DPS`, new noise 0.9": "DPS, new noise 0.9",
    "`DPS`, forward, new noise 0.9": "DPS, forward, new noise 0.9",
}
MOVIES = {"blood vessels": "vessels", "beads in water": "beads"}
CONSTANTS = {"dye, D": ("dye", "log_D_"), "growth, D": ("growth", "log_D_"), "growth, r": ("growth", "log_r")}


def bounds(number: Number) -> tuple[float, float, float]:
    assert number.low is not None
    assert number.high is not None
    return number.value, number.low, number.high


@pytest.mark.parametrize("family", FAMILIES)
def test_errors(family: str) -> None:
    rows = tables(section(PAGE, "## Error on what is hidden"))[FAMILIES.index(family)]
    assert {row[""] for row in rows} == {one["arm"] for one in documented(FILE) if one["family"] == family}
    for row in rows:
        for observation in OBSERVATIONS:
            found = errors(documented(FILE), family, observation, row[""])
            assert agrees(row[observation], [found.mean()] if len(found) else []), (row[""], observation)


def test_gains() -> None:
    found = numbers("joined")
    rows = tables(section(PAGE, "## Error on what is hidden"))[4]
    assert len(rows) == found["lawful"].value
    for row in rows:
        case = row[""].replace(", ", ".")
        for key, cell in zip(("free", "either"), list(row.values())[1:], strict=True):
            gain, _ = cell.split(" (")
            assert agrees(gain, bounds(found[f"{case}.{key}"])), (case, key)


def test_all_prompts_together() -> None:
    found, page_ = numbers("joined"), section(PAGE, "# Results: what information is worth")
    (printed,) = re.findall(r"then joined has ([^]]*\]) of", page_)
    assert agrees(printed, bounds(found["against free"]))
    counts = (found["beyond either"].value, found["cases"].value, found["beyond free"].value)
    assert counts == (6, 20, 12)
    assert all(words in page_ for words in ("six of these beyond", "In all 20 cases", "in 12 of them this is beyond"))


def test_law_on_the_way() -> None:
    (printed,) = re.findall(r"Its error is ([^]]*\]) of", section(PAGE, "## The law on the way"))
    assert agrees(printed, bounds(numbers("joined")["inside"]))


def test_where_the_law_on_the_way_helps_and_harms() -> None:
    def ratios(*seen: str) -> list[float]:
        mine, other = (
            np.concatenate([errors(documented(FILE), family, one, arm) for family in ("dye", "growth") for one in seen])
            for arm in (INSIDE, BOTH)
        )
        return list(mine / other)

    text = section(PAGE, "## The law on the way")
    (forecasts, start) = (ratios("forecast"), ratios("start"))
    (printed,) = re.findall(r"Forecasts become worse \((\S+); nine of twelve\), .* better \((\S+), most", text)
    assert agrees(printed[0], [float(np.exp(np.mean(np.log(forecasts))))])
    assert agrees(printed[1], [float(np.exp(np.mean(np.log(start))))])
    assert sum(one > 1 for one in forecasts) == 9
    assert sorted(start)[1] < 0.7 < 0.8 < sorted(start)[2]


def test_bands() -> None:
    found = numbers("bands")
    (rows, exact) = tables(section(PAGE, "## How sure it is"))
    for row in rows:
        for family in FAMILIES:
            names = [f"{family}.{row['']}.{key}" for key in ("wide90", "cover90")]
            assert agrees(row[family], [found[name].value for name in names if name in found]), names
    known = numbers("seen")
    assert len(exact) == 6
    for row in exact:
        arm = SAMPLERS.get(row[""], row[""])
        held = row["in 90 % bands of 16 samples"]
        assert agrees(row["SW2"], bounds(known[f"{arm}.sw2"])), arm
        assert agrees(row["error of the mean"], [known[f"{arm}.mean"].value]), arm
        assert agrees(row["spread / exact"], [known[f"{arm}.spread"].value]), arm
        assert agrees(held, bounds(known[f"{arm}.cover90"])), arm


def test_constants_objects_and_time() -> None:
    constants, objects = tables(section(PAGE, "## Constants, objects, time"))
    for row in constants:
        for heading, (family, prefix) in CONSTANTS.items():
            mine = [one for one in documented(FILE) if one["family"] == family]
            (key,) = {key for one in mine for key in one if key.startswith(prefix)}
            parts = [[one for one in mine if one["observation"] == seen] for seen in OBSERVATIONS]
            values = np.concatenate([column(part, row[""], key) for part in parts])
            assert agrees(row[heading], [float(np.nanmedian(values))]), (row[""], heading)
    assert len(objects) == 14
    for row in objects:
        some = [one for one in documented(FILE) if one["arm"] == row[""]]
        for heading in ("missed", "invented", "seconds"):
            cell = row["seconds a sample" if heading == "seconds" else heading]
            assert agrees(cell, [float(np.mean([one[heading] for one in some]))]), (row[""], heading)


def test_real_movies() -> None:
    found, movie, compared = numbers("real"), "", 0
    (rows,) = tables(section(PAGE, "## Real movies"))
    for row in rows:
        movie = row["movie"] or movie
        for observation in ("half", "pixels", "forecast"):
            number = found[f"{MOVIES.get(movie, movie)}.{row['']}.{observation}"]
            assert agrees(row[observation], bounds(number)), (movie, row[""], observation)
            compared += 1
    assert compared == 3 * 14


def test_real_movies_of_version_1() -> None:
    compared = 0
    _, rows, _ = tables(section(PAGE, "## Real movies with version 1"))
    for row in rows:
        movie, piece, observation = row["RMSE on what is hidden (CRPS)"].split(", ")
        for arm, cell in list(row.items())[1:]:
            wanted = ("frap" if movie == "bleaching" else movie, observation, arm)
            mine = [
                one
                for one in documented("micro-1/real-movies")
                if (one["movie"], one["observation"], one["arm"]) == wanted
                and (one["index"] % 10000 == 1) == (piece == "second piece")
            ]
            keys = ("rmse", "crps") if "(" in cell else ("rmse",)
            assert agrees(cell, [one[key] for one in mine for key in keys]), (wanted, piece)
            compared += bool(cell)
    assert compared == 4 * 6 + 2 * 4 + 2 * 2
