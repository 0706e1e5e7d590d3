"""`corrected`: every rubric counts, an answer that is none is left out and named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microworldbench.benchdata import NAMES, evaluated, perfect, small_benchmark
from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench import read_results, read_rubrics, read_tasks, score, write_results

TASKS, RUBRICS = small_benchmark(6)
GOOD = [1, 1, 1, 1, 0]


def corrected(results: Any) -> Any:
    return score(results, RUBRICS, TASKS, "corrected")


def test_malformed_rubrics_count() -> None:
    assert score([evaluated(5, GOOD)], RUBRICS, TASKS, "upstream").instruction == 0.0
    assert corrected([evaluated(5, GOOD)]).instruction == 100.0


@pytest.mark.parametrize("odd", ["1", "yes", 2, -1, 0.5, None, math.nan, math.inf, [1], {"score": 1}])
def test_an_answer_off_the_menu_is_unscored(odd: Any) -> None:
    card = corrected([evaluated(1, [odd, 1, 1, 1, 0], GOOD, GOOD)])
    assert card.scientific == card.average == 100.0
    assert card.scored == 14
    assert "task 1: 1 answers unscored" in card.notes


def test_an_unscored_fault_is_no_fault_and_no_merit() -> None:
    card = corrected([evaluated(1, [1, 0, 1, 0, None])])
    assert card.scientific == pytest.approx(1.2 / 2.7 * 100)


@pytest.mark.parametrize("given", [[1, 1], [1] * 6, [], "11111", 5, {"1": 1}, None])
def test_a_list_that_does_not_fit_is_unscored_as_a_whole(given: Any) -> None:
    card = corrected([evaluated(1, given, GOOD, GOOD), evaluated(2, GOOD)])
    assert card.valid_tasks == 1
    assert card.average == 100.0
    assert "task 1: 5 answers unscored, task not scored" in card.notes


def test_indices() -> None:
    card = corrected([evaluated(i, GOOD) for i in ("3", None, True, 99, [1], math.nan, 2.5)] + ["text", None])
    assert card.valid_tasks == 0
    assert math.isnan(card.average)
    assert sum("unknown index" in note for note in card.notes) == 9
    assert any(note.startswith("6 tasks without a result") for note in card.notes)


def test_the_last_of_duplicates_counts() -> None:
    card = corrected([evaluated(1, [0] * 5), evaluated(1.0, GOOD)])
    assert (card.valid_tasks, card.average) == (1, 100.0)
    assert "task 1: more than one result, the last counts" in card.notes


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda x: (
            st.lists(x, max_size=6)
            | st.dictionaries(
                st.sampled_from(["index", "scores", "parsed_result", *(f"{name}_eval" for name in NAMES)]), x
            )
        ),
        max_leaves=30,
    ).filter(lambda x: not isinstance(x, str))
)
def test_anything_at_all_is_scored_without_a_crash(results: Any) -> None:
    card = corrected(results)
    assert math.isnan(card.average) or 0 <= card.average <= 100


def test_modes_agree_on_whole_answers_to_sound_rubrics() -> None:
    results = [evaluated(i, [1, 0, 1, 1, i % 2], GOOD, [0, 1, 0, 1, 1]) for i in (1, 2, 3, 4, 6)]
    ours, theirs = corrected(results), score(results, RUBRICS, TASKS, "upstream")
    for name in ("average", *NAMES):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12)


def test_result_files_go_round(tmp_path: Path) -> None:
    path = tmp_path / "model_result.json"
    results = perfect(read_rubrics(RUBRICS))
    write_results(path, results[::-1])
    assert read_results(path) == (results, [])
    assert score(path, RUBRICS, TASKS) == score(results, RUBRICS, TASKS)


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_a_cut_file_gives_what_is_before_the_cut(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "model_result.json"
    whole = [evaluated(i, GOOD) for i in range(1, 6)]
    text = json.dumps(whole, indent=1)
    path.write_text(text[: text.index(f'"index": {cut + 1}') if cut < 5 else -3])
    with pytest.raises(InvalidArgument, match="complete JSON"):
        score(path, RUBRICS, TASKS, "upstream")
    card = score(path, RUBRICS, TASKS, "corrected")
    assert card.valid_tasks == min(cut, 4)
    assert f"the first {min(cut, 4)} results were read" in card.notes[0]


@pytest.mark.parametrize("source", [{"index": 1}, [{"index": "1"}], ["text"], [{}], "", 5])
def test_files_that_are_none_are_refused(source: Any, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(source))
    for read in (read_tasks, read_rubrics):
        with pytest.raises(InvalidArgument):
            read(path)


@pytest.mark.parametrize("field", [{"w1": "heavy"}, {"w1": None}, {"s1": "plus"}])
def test_a_rubric_without_a_number_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="index=3"):
        read_rubrics([{"index": 3, "rubrics_visual": {"d1": "text", "s1": "+1", "w1": 1.0} | field}])


def test_a_file_of_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model_result.json"
    path.write_bytes(b'[{"index": 1, "note": "\xff\xfe"}]')
    with pytest.raises(InvalidArgument, match="complete JSON"):
        score(path, RUBRICS, TASKS, "upstream")
    assert score(path, RUBRICS, TASKS, "corrected").valid_tasks == 0


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        corrected(tmp_path / "none_result.json")
