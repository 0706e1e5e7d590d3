"""The content benchmark: replayed arms are the real ones, tables compare what may be compared, runs resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_world import SIZES

from physgen.drawn import GUIDED, UNGUIDED, Request, draw
from physgen.experiments.cli.config import configure, typed
from physgen.experiments.cli.dispatch import main
from physgen.experiments.content.arms import PRUNED, Scouted, best_of, prune, scout
from physgen.experiments.content.power import detectable, discordant, needed
from physgen.experiments.content.questions import QUESTIONS, estimators, scorers
from physgen.experiments.content.table import tables
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.runs.progress import Record
from physgen.experiments.sample.options import SampleConfig
from physgen.guidance import BestOfN, OfVideo, PrunedBestOfN
from physgen.worlds.loading import load

STEPS = 10


def test_an_arm_that_is_chosen_among_the_candidates_is_the_one_that_is_drawn(tiny: Path) -> None:
    config = typed(configure("sample", [f"world.path={tiny}", *SIZES, "prompt=x"]), SampleConfig)
    world, (prompt,) = load(config.world, "cpu"), prompts("dye", 1, "held_out", 41)
    world.pipe.set_progress_bar_config(disable=True)
    rewards = {"red": OfVideo(lambda video: 100 * video[:, 0].flatten(1).mean(1), "red", ("colour",))}
    found = scout(world, prompt, rewards, STEPS)
    request = Request(prompt.caption, prompt.seed, STEPS)
    assert found.evaluations == 2 * STEPS
    for arm, (n, levels, left) in PRUNED.items():
        choice = prune(found, arm, "red", STEPS)
        drawn = draw(world, request, PrunedBestOfN(n, rewards, levels=levels, left=left), arms=[GUIDED]).guided
        assert drawn
        assert drawn.log.particles
        assert drawn.nfe == choice.evaluations
        assert drawn.log.particles.decodes + 1 == choice.decodes
        torch.testing.assert_close(drawn.video[0], found.videos[choice.candidate], rtol=0, atol=1e-4)
    for n in (2, 4):
        best = best_of(found, n, "red")
        drawn = draw(world, request, BestOfN(n=n, rewards=rewards), arms=[GUIDED]).guided
        assert drawn
        assert (drawn.nfe, n) == (best.evaluations, best.decodes)
        torch.testing.assert_close(drawn.video[0], found.videos[best.candidate], rtol=0, atol=1e-4)


def test_a_candidate_that_is_dropped_early_cannot_come_out() -> None:
    early = {level: {"r": [0.0, 1.0, 2.0, 3.0]} for level in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)}
    found = Scouted(torch.zeros(4, 3, 1, 1, 1), early, {"r": [9.0, 8.0, 5.0, 4.0]}, 60)
    assert best_of(found, 4, "r").candidate == 0
    chosen = {arm: prune(found, arm, "r", 30).candidate for arm in PRUNED}
    assert list(chosen.values()) == [3, 3, 1, 1]


def record(question: str, index: int, arm: str, reward: str | None, right: dict[str, bool]) -> Record:
    about = {"question": question, "index": index, "caption": "", "arm": arm, "reward": reward, "degenerate": None}
    return {**about, "imposed": [reward] if reward else [], "evaluations": 60, "decodes": 1, "right": right}


def test_differences_are_paired_and_only_by_disjoint_estimators() -> None:
    question, made = "growth.count", []
    names = estimators(question)
    for index in range(8):
        made.append(record(question, index, UNGUIDED, None, dict.fromkeys(names, index < 4)))
        made.append(record(question, index, "best of 2", "count", dict.fromkeys(names, index < 6)))
        early = {
            f"{level:g}": {name: [0.0, 1.0, 0.0, 0.0] for name in names} for level in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
        }
        final = {name: [0.0, 1.0, 0.0, 0.0] for name in names}
        made.append({"question": question, "index": index, "arm": "early", "early": early, "final": final})
    arms, differences, early_rows = tables(made)
    assert any("1 (imposed)" in str(cell) or "0.75 (imposed)" in str(cell) for row in arms.rows for cell in row)
    assert (
        [row[3] for row in differences.rows] == scorers(question, "count") == ["count_by_components", "count_by_judge"]
    )
    for row in differences.rows:
        assert row[4].estimate == 0.25  # type: ignore[union-attr]
        assert row[4].low <= 0.25 <= row[4].high  # type: ignore[union-attr]
    assert early_rows.rows[0][2] == 1.0
    assert early_rows.rows[0][-2:] == [0.25, pytest.approx(0.5)]


def test_every_question_has_a_score_that_no_reward_of_it_shares() -> None:
    for question in QUESTIONS:
        for reward in estimators(question):
            assert scorers(question, reward), reward


def test_power_is_that_of_a_simulation() -> None:
    """McNemar's test without continuity correction on 4,000 experiments of the size that is said to be needed."""
    n, pairs = needed(0.1, discordant(0.7, 0.1)), discordant(0.7, 0.1)
    generator = torch.manual_seed(0)
    kind = torch.multinomial(
        torch.tensor([(pairs + 0.1) / 2, (pairs - 0.1) / 2, 1 - pairs]), 4000 * n, replacement=True, generator=generator
    ).view(4000, n)
    won, lost = (kind == 0).sum(1).double(), (kind == 1).sum(1).double()
    seen = ((won - lost).abs() / (won + lost).sqrt() > 1.959964).double().mean()
    assert 0.77 < float(seen) < 0.83
    assert detectable(n, 0.7) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["questions=[blood.speed]"], "blood.direction, blood.count"),
        (["questions=[]"], "different ones of"),
        (["n=1"], "n=1"),
        (["particles=[1]"], "2 or more"),
        (["steps=[2,2]"], "different whole numbers"),
    ],
)
def test_bad_options(options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "content", *options, f"out={tmp_path / 'run'}"]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    command = ["benchmark", "content", "questions=[growth.count]", "n=2", "particles=[]", "steps=[]", "processes=1"]
    out = tmp_path / "run"
    assert main([*command, f"out={out}"]) == 0
    first, second = sorted((out / "records").glob("*.json"))
    whole, changed = (out / "content.json").read_text("utf-8"), first.stat().st_mtime_ns
    second.unlink()
    assert main([*command, f"out={out}"]) == 0
    assert first.stat().st_mtime_ns == changed
    again = json.loads((out / "content.json").read_text("utf-8"))
    assert again["records"] == json.loads(whole)["records"]
    assert again["early"] == json.loads(whole)["early"]
    alone = [one for one in again["records"] if one["arm"] == "unguided"]
    assert [len(digits) for one in alone for digits in one["right"].values()] == [2, 2, 2]
    assert "Power" in (out / "content.md").read_text("utf-8")
