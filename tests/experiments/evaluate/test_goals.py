"""Goals are read from where they stand, and distances by prompt see content that is mixed up."""

import numpy as np
import pytest

from physgen.experiments.evaluate import goals, reports
from physgen.simulators import GRAMMARS

FAMILIES = tuple(GRAMMARS)


def figure(value: float) -> dict[str, float]:
    return {"estimate": value, "low": value, "high": value}


def result(value: float, jitter: float) -> dict[str, dict]:
    """Every figure of unguided videos is the same; reconstructions tremble by so much more than the simulator."""
    names = {"family", "attributes", "count", "direction", "pattern"}
    arm = {
        "recognised": {name: figure(value) for name in names},
        "content": {"right": {name: figure(value) for name in ("count", "direction")}, "empty": figure(1 - value)},
        "laws": {name: figure(value) for name in ("phase_steps_legal", "phases_in_order")}
        | {"cell_area_drift": figure(1 - value)},
    }
    arms = {"simulator": 0.05, "reconstruction": 0.05 + jitter, "unguided": 0.5}
    one = {part: dict.fromkeys(arms, found) for part, found in arm.items()}
    one["rendering"] = {name: {"jitter_px": figure(still)} for name, still in arms.items()}
    return dict.fromkeys(FAMILIES, one)


def test_all_goals_are_met_by_a_perfect_world_and_none_by_a_bad_one():
    good, bad = goals.reached(result(1.0, 0.0), FAMILIES), goals.reached(result(0.5, 0.3), FAMILIES)
    assert all(row["met"] for row in good)
    assert not any(row["met"] for row in bad)
    names = [row["goal"] for row in good]
    assert len(set(names)) == len(names)
    assert {"count of dye, judge", "count of vesicles, instrument", "direction of vessel, judge", "empty"} <= {*names}
    (jitter,) = (row for row in bad if row["goal"].startswith("jitter"))
    assert jitter["reached"] == pytest.approx(0.3)
    assert [row[-1] for row in goals.table(bad).rows] == ["no"] * len(bad)


def test_a_goal_at_its_bound_is_met():
    rows = {row["goal"]: row for row in goals.reached(result(0.995, 0.1), FAMILIES)}
    assert rows["family, judge"]["met"]
    assert rows["empty"]["met"] == (1 - 0.995 <= 0.005)


def test_distance_by_prompt_sees_content_that_goes_with_another_prompt():
    rng = np.random.default_rng(0)
    classes = [i % 2 for i in range(64)]
    truth, same, other = (
        np.array([4.0 * (c if right else 1 - c) for c in classes])[:, None] + 0.1 * rng.normal(size=(64, 3))
        for right in (True, True, False)
    )
    for plain in (True, False):
        alike, mixed = (reports.distance(x, truth, classes, plain, 0) for x in (same, other))
        assert alike["low"] < 0.05 < mixed["low"]
        assert mixed["p_value"] < 0.01
        assert alike["p_value"] > 0.05


def test_prompts_that_are_alone_do_not_break_a_distance():
    x = np.random.default_rng(0).normal(size=(5, 2))
    assert np.isfinite(reports.distance(x, x + 0.1, ["a", "a", "b", "b", "c"], False, 0)["estimate"])
