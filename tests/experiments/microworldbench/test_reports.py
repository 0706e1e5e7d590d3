"""Reports of recorded results: upstream's Markdown, intervals, differences, agreement, the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from microworldbench.benchdata import NAMES, evaluated, perfect, small_benchmark
from physgen.experiments.cli.dispatch import main
from physgen.experiments.microworldbench import read_rubrics, score
from physgen.experiments.microworldbench.pages.markdown import report
from physgen.experiments.microworldbench.scoring.compare import difference, fleiss_kappa, interval

TASKS, RUBRICS = small_benchmark(60)
GOOD, POOR = [1, 1, 1, 1, 0], [1, 0, 1, 0, 0]


def flips(seed: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    return [evaluated(i, *rng.integers(2, size=(3, 5)).tolist()) for i in range(1, 61)]


def test_markdown_has_upstream_s_tables() -> None:
    cards = {
        "poor": score([evaluated(i, POOR) for i in (1, 2, 3)], RUBRICS, TASKS),
        "good": score([evaluated(i, GOOD) for i in (1, 2, 3, 4)], RUBRICS, TASKS),
        "none": score([], RUBRICS, TASKS),
    }
    text = report(cards)
    assert "| Model | Valid Tasks | Total Tasks | Coverage |" in text
    assert "| good | 4 | 60 | 6.7% |" in text
    table = text[text.index("## Table 1") : text.index("## Table 2")].splitlines()
    assert table[2] == "| Model | Average | Organ-level | Cellular-level | Subcellular-level |"
    assert table[4:7] == [
        "| good | 100.0 | 100.0 | 100.0 | 100.0 |",
        "| poor | 44.4 | 44.4 | 44.4 | 44.4 |",
        "| none | 0.0 | 0.0 | 0.0 | 0.0 |",
    ]
    assert "| Model | Average | Scientific | Visual | Instruction |" in text
    assert "- Cellular-level: 100.00 (2 tasks)" in text


def test_a_paired_interval_is_narrower_than_the_difference_of_two() -> None:
    first = score(flips(0), RUBRICS, TASKS, "corrected")
    better = [
        evaluated(i["index"], *([*i[f"{n}_eval"]["parsed_result"]["scores"][:4], 0] for n in NAMES))  # type: ignore[index]
        for i in flips(0)
    ]
    second = score(better, RUBRICS, TASKS, "corrected")
    paired, count = difference(second, first)
    assert count == 60
    assert paired.estimate == pytest.approx(second.average - first.average)
    assert 0 < paired.low < paired.estimate < paired.high
    separate = interval(second, "average").high - interval(first, "average").low
    assert paired.high < separate


def test_differences_are_of_shared_tasks_only() -> None:
    first = score([evaluated(i, GOOD) for i in range(1, 31)], RUBRICS, TASKS, "corrected")
    second = score([evaluated(i, POOR) for i in range(21, 61)], RUBRICS, TASKS, "corrected")
    paired, count = difference(first, second)
    assert count == 10
    assert paired.estimate == pytest.approx(100 - 1.2 / 2.7 * 100)


def test_kappa_of_a_published_example_with_two_answers() -> None:
    """Ten criteria, three raters; by hand: P = 2/3, shares 0.5, so kappa = (2/3 - 1/2) / (1/2)."""
    rows = [[1, 1, 1]] * 3 + [[0, 0, 0]] * 2 + [[1, 1, 0]] * 1 + [[1, 0, 0]] * 4
    assert fleiss_kappa(rows) == pytest.approx((2 / 3 - 0.5) / 0.5)


def test_kappa_of_coins_is_zero_and_of_one_answer_unknown() -> None:
    rows = np.random.default_rng(0).integers(2, size=(20_000, 2)).tolist()
    assert abs(fleiss_kappa(rows)) < 0.02
    assert np.isnan(fleiss_kappa([[1, 1], [1, 1]]))
    assert np.isnan(fleiss_kappa([]))


@pytest.mark.parametrize("mode", ["upstream", "corrected"])
def test_recorded_results_on_the_command_line(tmp_path: Path, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    rubrics = read_rubrics(RUBRICS)
    hostile = "<script>alert(1)</script>"
    models = {"best": perfect(rubrics), hostile.replace("/", "-"): flips(1), "broken": {"index": 1}}
    for name, results in models.items():
        (tmp_path / f"{name}_result.json").write_text(json.dumps(results))
    for name, content in {"tasks": TASKS, "rubrics": RUBRICS}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = ",".join(f"'{path}'" for path in sorted(tmp_path.glob("*_result.json")))
    out = tmp_path / "out"
    options = [f"tasks={tmp_path / 'tasks.json'}", f"rubrics={tmp_path / 'rubrics.json'}", f"mode={mode}", f"out={out}"]
    assert main(["benchmark", "score", f"results=[{files}]", *options]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["models"]["best"]["average"] == 100.0
    assert any("broken" in note for note in metrics["notes"])
    assert ("broken" in metrics["models"]) == (mode == "corrected")
    assert metrics["references"]["perfect"]["instruction"] == (80.0 if mode == "upstream" else 100.0)
    page = (out / "report.html").read_text()
    assert hostile.replace("/", "-") not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"""(src|href)=["']?http""", page)
    for text in ("coin flip", "perfect", "Paired differences", "Veo3", "77.2", "60 of 60", "tasks scored"):
        assert text in page
    details = (out / "details" / f"{hostile.replace('/', '-')}.html").read_text()
    assert hostile.replace("/", "-") not in details
    assert details.count("<h2 id=") == 60
    assert str(out) in capsys.readouterr().out
    again = ["benchmark", "score", "results=[]", *options]
    assert main(again) == 2


def test_459_tasks_from_a_recorded_run(shared: Path, tmp_path: Path) -> None:
    folder = shared / "microworldbench"
    rubrics = read_rubrics(folder / "MWBenchRubrics_norm.json")
    (tmp_path / "model_result.json").write_text(json.dumps(perfect(rubrics)))
    options = [f"data={folder}", f"results=[{tmp_path / 'model_result.json'}]", f"out={tmp_path / 'out'}"]
    assert main(["benchmark", "score", *options]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["models"]["model"]["valid_tasks"] == 459


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "allowed: doctor, fetch, generate, protocol, rules, score"),
        (["scroe"], "did you mean 'score'"),
        (["score", "fetch"], "action="),
        (["score", "mode=both"], "upstream, corrected"),
        (["score", "repeats=0"], "repeats=0"),
        (["score"], "videos=[]"),
        (["score", "results=[no_result.json]"], "no such file"),
        (["score", "results=[a/m_result.json,b/m_result.json]"], "different names"),
        (["score", "judge=oracle"], "openai, perfect, random, replay"),
        (["score", "videos=[.]", "judge=replay"], "judge.source"),
    ],
)
def test_bad_commands(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, content in {"tasks": TASKS, "rubrics": RUBRICS}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = [f"tasks={tmp_path / 'tasks.json'}", f"rubrics={tmp_path / 'rubrics.json'}", f"out={tmp_path / 'out'}"]
    assert main(["benchmark", *arguments, *files]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
