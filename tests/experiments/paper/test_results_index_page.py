"""The table of ``docs/results/index.md`` is typed by hand: each cell is what the committed file says."""

from __future__ import annotations

from typed_tables import agrees, documented, section, tables

ROWS = {
    "mass drift": "mass_drift",
    "heat-equation residual": "heat_in_range",
    "MMD² to simulator videos": "mmd2",
    "empty or uniform samples": "degenerate",
}


def test_what_guidance_does() -> None:
    arms = documented("micro/mass")["arms"]
    (rows,) = tables(section("results/index", "## What guidance does in the embedded world"))
    assert [row[""] for row in rows] == list(ROWS)
    for row in rows:
        for heading, cell in list(row.items())[1:]:
            found = arms["afterwards" if heading == "unguided + projection" else heading][ROWS[row[""]]]["estimate"]
            assert agrees(cell, [100 * found if "%" in cell else found]), (row[""], heading)
