"""The first table of ``docs/results/moving.md`` is typed by hand: each cell is what the committed records say."""

from __future__ import annotations

import json
import re
from statistics import median

from typed_tables import ROOT, agrees, section


def test_laws_where_the_truth_is_known() -> None:
    records = json.loads((ROOT / "paper/results/laws.json").read_text(encoding="utf-8"))["records"]
    text = section("results/moving", "## Laws where the truth is known")
    rows = re.findall(r"^\| `(\w+).*?` .*?\| (.+) \|$", text, re.M)
    assert [law.lower() for law, _ in rows] == list(dict.fromkeys(one["law"] for one in records))
    for law, cells in rows:
        exact, exact_residual, simulator, simulator_residual, alarms, found = cells.split(" | ")
        held = 0
        for kind, cell, residual in (
            ("exact", exact, exact_residual),
            ("simulator", simulator, simulator_residual),
            ("planted", found, None),
        ):
            some = [one for one in records if (one["law"], one["kind"]) == (law.lower(), kind)]
            right = sum(one["holds"] is (kind != "planted") for one in some)
            assert cell.startswith(f"{right} of {len(some)}"), (law, kind)
            if residual is not None:
                held += right
                assert agrees(residual, [median(one["residual"] for one in some)]), (law, kind)
        assert alarms.startswith(f"{32 - held} "), law
