"""`upstream` against an oracle that is a plain reading of the notes on the released scorer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microworldbench.benchdata import LEVELS, NAMES, evaluated, perfect, small_benchmark
from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench import read_rubrics, read_tasks, score

TASKS, RUBRICS = small_benchmark(6)

answer: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, True, False, 1.0, 0.0, 0.5, 2, -1, "1", "0", "", None, math.nan, [1], {}]
)
answers = (
    st.lists(answer, max_size=13) | st.dictionaries(st.sampled_from(["1", "a"]), answer) | st.text("01", max_size=6)
)
broken = st.sampled_from([3, 0, 2.5, True, False, None, math.nan])
scores = st.one_of(answers, answers, answers, broken)
parsed = st.fixed_dictionaries({"scores": scores}) | st.sampled_from([None, {}, [], [1], "text", {"reasoning": "none"}])
evaluation: st.SearchStrategy[Any] = st.fixed_dictionaries({"parsed_result": parsed}) | st.sampled_from(
    [None, {}, "", "text", [], [1], 7, 0]
)
index = st.sampled_from([1, 2, 3, 4, 5, 6, 6, 5, 7, 0, "3", 3.0, True, None, math.nan, 2.5])
item = st.fixed_dictionaries(
    {}, optional={"index": index, **{f"{name}_eval": evaluation for name in NAMES}}
) | st.builds(evaluated, index, answers, answers, answers)
results = st.lists(item, max_size=8)
sound = st.builds(evaluated, index, *[st.lists(answer, max_size=13)] * 3)

weight = st.sampled_from(["1.0", "1.", "2", 0.5, 0.0, "0.5", 1, 3])
sign = st.sampled_from(["+1", "+1", "+1", "-1"])
number = st.sampled_from([1, 2, 3, 4, 5, 9, 11, 22, 55])


@st.composite
def rubric_files(draw: st.DrawFn) -> list[dict[str, Any]]:
    def criteria() -> dict[str, Any]:
        numbers = draw(st.lists(number, unique=True, min_size=1, max_size=5))
        return {f"{k}{n}": v for n in numbers for k, v in (("d", "text"), ("s", draw(sign)), ("w", draw(weight)))}

    return [{"index": i, **{f"rubrics_{name}": criteria() for name in NAMES}} for i in range(1, 7)]


class Crash(Exception):
    """The released scorer fails on these results."""


def oracle(results: Any, rubrics: list[dict[str, Any]], tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """The rules, in the order and the words of the notes."""
    if not isinstance(results, list):
        raise Crash
    totals: list[float] = []
    by_dimension: dict[str, list[float]] = {name: [] for name in NAMES}
    by_level: dict[str, list[float]] = {level: [] for level in LEVELS}
    for result in results:
        place = next((r for r in rubrics if "index" in result and r["index"] == result["index"]), None)
        if place is None:
            continue
        raws, maxima = [], []
        for name in NAMES:
            evaluation = result.get(f"{name}_eval")
            if not evaluation:
                break
            if not isinstance(evaluation, dict):
                raise Crash
            parsed = evaluation.get("parsed_result")
            if not parsed:
                break
            if not isinstance(parsed, dict):
                raise Crash
            scores = parsed.get("scores")
            if not scores:
                break
            if isinstance(scores, bool | int | float):
                raise Crash
            raw = best = 0.0
            criteria = place[f"rubrics_{name}"]
            for position, value in enumerate(list(scores)):
                n = position + 1
                if f"s{n}" in criteria:
                    weight = float(criteria[f"w{n}"])
                    merit = criteria[f"s{n}"] == "+1"
                    if value == 1:
                        raw = raw + weight if merit else raw - weight
                    if merit:
                        best = best + weight
            raws.append(raw)
            maxima.append(best)
        if len(raws) < 3:
            continue
        total = share(raws[0] + raws[1] + raws[2], maxima[0] + maxima[1] + maxima[2])
        totals.append(total)
        for name, raw, best in zip(NAMES, raws, maxima, strict=True):
            by_dimension[name].append(share(raw, best))
        level = next((t["final_label"] for t in tasks if t["index"] == result["index"]), None)
        if level in by_level:
            by_level[level].append(total)
    return {
        "average": mean(totals),
        **{name: mean(by_dimension[name]) for name in NAMES},
        "levels": {level: mean(values) for level, values in by_level.items()},
        "valid_tasks": len(totals),
    }


def share(raw: float, best: float) -> float:
    return max(0.0, raw / best * 100) if best > 0 else 0.0


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def figures(results: Any, rubrics: Any = RUBRICS, tasks: Any = TASKS) -> dict[str, Any]:
    card = score(results, rubrics, tasks, mode="upstream")
    return {name: getattr(card, name) for name in ("average", *NAMES, "levels", "valid_tasks")}


@settings(max_examples=400, deadline=None)
@given(results)
@pytest.mark.slow
def test_upstream_is_the_oracle_or_raises_where_it_crashes(results: list[Any]) -> None:
    try:
        expected = oracle(results, RUBRICS, TASKS)
    except Crash:
        with pytest.raises(ValueError, match="released scorer"):
            figures(results)
    else:
        assert figures(results) == expected


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(sound, min_size=1, max_size=8), rubric_files())
def test_upstream_is_the_oracle_for_any_rubrics(results: list[Any], rubrics: list[dict[str, Any]]) -> None:
    assert figures(results, rubrics) == oracle(results, rubrics, TASKS)


@pytest.mark.parametrize(
    "results",
    [
        {"1": 2},
        7,
        None,
        ["text"],
        [None],
        [{"index": [1]}],
        [evaluated(1, 5)],
        [evaluated(1, True)],
        [{"index": 1, "scientific_eval": {"parsed_result": [1, 0]}}],
        [{"index": 1, "scientific_eval": "1"}],
    ],
)
def test_what_crashes_the_released_scorer_is_an_error(results: Any) -> None:
    with pytest.raises(ValueError, match="released scorer"):
        score(results, RUBRICS, TASKS, "upstream")


def test_a_dimension_that_is_open_hides_what_follows() -> None:
    assert score([{"index": 1, "scientific_eval": None, "visual_eval": 7}], RUBRICS, TASKS).valid_tasks == 0


def test_hand_counted_task() -> None:
    card = score([evaluated(1, [1, 0, 1, 0, 1], [0, 0, 0, 0, 1], [1, 1])], RUBRICS, TASKS)
    assert card.scientific == pytest.approx((1.0 + 0.2 - 0.5) / 2.7 * 100)
    assert card.visual == 0.0
    assert card.instruction == 100.0
    assert card.average == pytest.approx((0.7 - 0.5 + 1.5) / (2.7 + 2.7 + 1.5) * 100)
    assert (card.n_tasks, card.scored, card.criteria) == (6, 12, 90)
    assert [task.index for task in card.per_task] == [1]


def test_published_data_give_the_known_reference_rows(shared: Path) -> None:
    folder = shared / "microworldbench"
    rubrics, tasks = read_rubrics(folder / "MWBenchRubrics_norm.json"), read_tasks(folder / "finaltasks.json")
    card = score(perfect(rubrics), rubrics, tasks)
    assert card.valid_tasks == card.n_tasks == 459
    assert card.average == 100.0
    assert card.instruction == pytest.approx(409 / 459 * 100)
    assert round(card.instruction, 1) == 89.1
    assert score(perfect(rubrics), rubrics, tasks, "corrected").instruction == 100.0


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="upstream, corrected"):
        score([], RUBRICS, TASKS, "both")
