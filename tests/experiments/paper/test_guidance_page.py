"""The constants of ``docs/results/guidance.md`` that were measured on version 2 are what the committed records say."""

from __future__ import annotations

import pytest
from typed_tables import agrees, numbers, section, tables

ARMS = {
    "prompt alone": "unguided",
    "unguided, projected afterwards": "afterwards",
    "`Projection`": "projection",
    "simulator": "simulator",
}


@pytest.mark.slow
def test_constants_measured_back() -> None:
    found = numbers("recovery")
    (rows,) = tables(section("results/guidance", "### Constants that a prompt cannot express"))
    assert [row[""] for row in rows] == list(ARMS)
    for row in rows:
        arm = ARMS[row[""]]
        for dial in ("D", "front speed", "F"):
            slope, one = row[f"{dial}: slope"], found[f"{dial}.{arm}.slope"]
            assert one.low is not None
            assert one.high is not None
            known = (one.value, one.low, one.high)
            assert agrees(slope, known if "[" in slope else known[:1]), (arm, dial)
            assert agrees(row[f"{dial}: R²"], [found[f"{dial}.{arm}.r2"].value]), (arm, dial)
