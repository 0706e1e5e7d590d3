"""Rewards by name: truth is right, planted errors are wrong, disjoint means disjoint, bad names are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_world import SIZES
from torch import Tensor

from physgen.constraints import Count, Permanence, PhaseOrder
from physgen.experiments.cli.dispatch import main
from physgen.experiments.content.asked import asked_of
from physgen.experiments.content.estimators import LAWS, REWARDS
from physgen.experiments.content.rewards import AUTO, is_right, readings_of, rewards_of, scores, shared
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.experiments.draw.references import simulate
from physgen.experiments.evaluate.yardstick.planted import COUNT, DIRECTION, variants
from physgen.simulators import GRAMMARS
from physgen.simulators.captions import Split
from physgen.worlds import world_spec

SPEC = world_spec("micro")
MEASURED = [name for name, one in REWARDS.items() if "judge" not in one.uses]
JUDGED = [name for name, one in REWARDS.items() if "judge" in one.uses]


def truth(prompt: Prompt) -> Tensor:
    return simulate(prompt, SPEC, [11, prompt.seed])[0]


def verdicts(family: str, names: list[str], split: Split) -> dict[str, list[bool]]:
    """What estimators say of eight simulated videos, of different combinations where there are as many."""
    found: dict[str, list[bool]] = {}
    for prompt in prompts(family, 56, split, 31)[3::7]:
        asked = asked_of(prompt.caption, SPEC)
        for name, value in scores(truth(prompt), asked, names).items():
            if (right := is_right(name, value)) is not None:
                found.setdefault(name, []).append(right)
    return found


@pytest.mark.parametrize("family", GRAMMARS)
@pytest.mark.parametrize("names", [MEASURED, JUDGED], ids=["measured", "judged"])
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_every_estimator_finds_simulated_videos_right(family: str, names: list[str], split: Split) -> None:
    """The judge has seen held-out combinations often, and few others: it might know them without looking."""
    found = verdicts(family, names, split)
    assert found
    for name, right in found.items():
        assert sum(right) >= len(right) - 1, name


def test_every_attribute_of_every_caption_has_an_estimator_and_one_that_is_disjoint() -> None:
    for family, kinds in GRAMMARS.items():
        for prompt in prompts(family, 8, "held_out", 37):
            asked = asked_of(prompt.caption, SPEC)
            for attribute in kinds[prompt.attributes["kind"]].values:
                able = [name for name, one in REWARDS.items() if one.content == attribute and one.applies(asked)]
                assert any(not shared([one], other) for one in able for other in able), (prompt.caption, attribute)
            assert {"count", "colour"} & set(asked.visible) <= set(rewards_of([AUTO], asked).rewards)


@pytest.mark.parametrize("family", ["dye", "growth", "vessel", "beads", "sheet", "vesicles"])
def test_an_estimator_finds_what_was_not_asked_for_wrong(family: str) -> None:
    """The video of a caption, said to be one of another caption with one other word."""
    wrong: dict[str, list[bool]] = {}
    for prompt in prompts(family, 4, "held_out", 38):
        video, grammar = truth(prompt), GRAMMARS[family][prompt.attributes["kind"]]
        for attribute, values in grammar.values.items():
            for word in set(values) - {prompt.attributes[attribute]}:
                asked = asked_of(grammar.templates[0].format(**{**prompt.attributes, attribute: word}), SPEC)
                if attribute not in asked.visible:
                    continue
                names = [name for name in MEASURED if REWARDS[name].content == attribute]
                for name, value in scores(video, asked, names).items():
                    wrong.setdefault(name, []).append(not is_right(name, value))
    assert len(wrong) >= 2
    for name, found in wrong.items():
        assert sum(found) >= len(found) - 1, name


def test_beads_that_drift_are_not_brownian_by_any_estimator() -> None:
    for prompt in prompts("beads", 3, "held_out", 39):
        asked, video = asked_of(prompt.caption, SPEC), truth(prompt)
        drifting = torch.stack([video[:, t].roll(2 * t, 2) for t in range(video.shape[1])], 1)
        for name in ("brownian", "brownian_by_correlation"):
            (still,), (moved,) = (scores(one, asked, [name]).values() for one in (video, drifting))
            assert is_right(name, still), name
            assert not is_right(name, moved), name


@pytest.mark.parametrize(
    ("family", "error", "content"),
    [
        ("growth", COUNT, "count"),
        ("blood", DIRECTION, "direction"),
        ("vessel", DIRECTION, "direction"),
        ("beads", COUNT, "count"),
        ("vesicles", COUNT, "count"),
    ],
)
@pytest.mark.parametrize("estimators", [MEASURED, JUDGED], ids=["measured", "judged"])
def test_every_estimator_finds_a_planted_error_wrong_and_prefers_the_truth(
    family: str, error: str, content: str, estimators: list[str]
) -> None:
    names = [name for name in estimators if REWARDS[name].content == content]
    wrong, tried = dict.fromkeys(names, 0), 0
    for prompt in prompts(family, 8, "held_out", 32):
        planted, asked = variants(prompt, 5), asked_of(prompt.caption, SPEC)
        if error not in planted:
            continue
        tried += 1
        good, bad = truth(prompt), planted[error]
        for name, value in scores(bad, asked, names).items():
            wrong[name] += not is_right(name, value)
            assert scores(good, asked, [name])[name] > value, name
    assert tried >= 4
    assert all(count >= tried - 1 for count in wrong.values()), wrong


def test_phases_out_of_order_are_wrong_by_both() -> None:
    (prompt,) = prompts("mitosis", 1, "held_out", 33)
    asked, video = asked_of(prompt.caption, SPEC), truth(prompt)
    for name in ("phases", "phases_by_judge"):
        (forward,), (backward,) = (scores(one, asked, [name]).values() for one in (video, video.flip(1)))
        assert is_right(name, forward)
        assert not is_right(name, backward)
        assert forward > backward


@pytest.mark.parametrize(("family", "speed"), [("blood", "fast"), ("vessel", "fast"), ("beads", "quickly")])
def test_objects_that_are_cut_out_cost_permanence(family: str, speed: str) -> None:
    """In one frame there is what is there most of the time: of what moves fast nothing."""
    fast = [prompt for prompt in prompts(family, 8, "held_out", 34) if prompt.attributes["speed"] == speed]
    assert len(fast) >= 2
    for prompt in fast[:2]:
        asked, video = asked_of(prompt.caption, SPEC), truth(prompt)
        faulty = video.clone()
        faulty[:, 12] = video.median(1).values
        for name in ("permanence", "permanence_by_assignment"):
            (whole,), (cut,) = (scores(one, asked, [name]).values() for one in (video, faulty))
            assert cut < whole - 0.02, name


@pytest.mark.parametrize("family", GRAMMARS)
def test_an_empty_video_is_never_right(family: str) -> None:
    for prompt in prompts(family, 2, "held_out", 35):
        black = torch.zeros(3, SPEC.num_frames, SPEC.height, SPEC.width)
        for name, value in scores(black, asked_of(prompt.caption, SPEC), MEASURED).items():
            assert is_right(name, value) is not True, name


@pytest.mark.parametrize("family", ["dye", "growth", "gray_scott", "blood", "vessel", "beads", "sheet"])
def test_what_stands_still_is_neither_slow_nor_gentle(family: str) -> None:
    moving = {"direction", "speed", "strength", "brownian", "pattern"}
    names = [name for name in MEASURED if REWARDS[name].content in moving]
    for prompt in prompts(family, 2, "held_out", 40):
        video = truth(prompt)
        still = scores(video[:, :1].expand_as(video), asked_of(prompt.caption, SPEC), names)
        assert still
        assert not any(is_right(name, value) for name, value in still.items()), still


def test_rewards_of_other_text_read_what_its_words_say() -> None:
    """The video of a caption, said in words that are none: colours and judge are unknown, count and flow are read."""
    (prompt,) = [p for p in prompts("blood", 8, "held_out", 36) if p.attributes["direction"] == "right"][:1]
    for words, right in (("A single T cell drifts to the right", True), ("A single T cell drifts to the left", False)):
        asked = asked_of(words, world_spec("microverse"))
        chosen = rewards_of(["auto"], asked).rewards
        assert list(chosen) == ["count", "direction"]
        (value,) = chosen["direction"](truth(prompt)[None]).tolist()
        assert is_right("direction", value) is right
    big = torch.nn.functional.interpolate(truth(prompt), scale_factor=(4, 4), mode="bilinear")[None]
    assert chosen["direction"](big).item() == pytest.approx(value, abs=0.1)
    assert asked_of("cells move to the left and to the right", SPEC).direction is None


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("a cell never moves to the left", None),
        ("the cell sits to the left of the nucleus", None),
        ("to the left of the frame stands a cell", None),
        ("the camera pans to the right over cells", None),
        ("no cell swims to the right", None),
        ("a cell moves left and right", None),
        ("a cell crawls up to the wall", None),
        ("a cell moves right", "right"),
        ("a cell moves right to left", "left"),
        ("left-to-right motion of a cell", "right"),
        ("a cell in the upper left swims towards the right", "right"),
        ("a cell climbs up", "up"),
        ("cells drift slowly down", "down"),
        ("cells drift to the left, not to the right", "left"),
        ("a cell does not stop but moves upwards", "up"),
        ("a cell that moves from right to left", "left"),
    ],
)
def test_a_direction_is_that_of_what_moves(text: str, direction: str | None) -> None:
    assert asked_of(text, SPEC).direction == direction


def test_punctuation_changes_nothing_of_a_caption() -> None:
    for prompt in (one for family in GRAMMARS for one in prompts(family, 4, "held_out", 3)):
        assert asked_of(f"{prompt.caption.capitalize()}.", SPEC) == asked_of(prompt.caption, SPEC)
        assert asked_of(prompt.caption, SPEC).subject is not None


def test_a_score_is_imposed_where_it_shares_an_estimator_with_a_law() -> None:
    dividing, drops = (prompts(family, 1, "held_out", 0)[0] for family in ("mitosis", "dye"))
    for prompt, law, reading, other in (
        (dividing, PhaseOrder(), "phases", "phases_by_judge"),
        (drops, Count(2), "count_by_components", "count"),
    ):
        asked = asked_of(prompt.caption, SPEC)
        found = readings_of(truth(prompt), asked, [reading], [], [law])
        assert (found[reading]["imposed"], found[other]["imposed"]) == (True, False)
    assert shared([], "permanence_by_assignment", [Permanence(3.0)]) == ("assignment",)
    assert {part for parts in LAWS.values() for part in parts} <= {
        part for one in REWARDS.values() for part in one.uses
    }


def test_a_score_is_imposed_where_it_shares_an_estimator() -> None:
    assert shared(["count"], "count_by_components") == ()
    assert shared(["count_by_judge"], "direction_by_judge") == ("judge",)
    for content in {one.content for one in REWARDS.values()} - {"attributes"}:
        names = [name for name, one in REWARDS.items() if one.content == content]
        assert any(not shared([one], other) for one in names for other in names), content


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["rewards=[directoin]", "guidance=pruned"], "did you mean 'direction'?"),
        (["rewards=[phases]", "guidance=pruned"], "of this prompt count, count_by_components"),
        (["rewards=[count,count]", "guidance=pruned"], "each name once"),
        (["rewards=[auto,count]", "guidance=pruned"], "auto alone"),
        (["rewards=3", "guidance=pruned"], "a list such as"),
        (["rewards=[count]"], "particles and pruned choose"),
        (["rewards=[count]", "guidance=projection", "constraint=mass"], "particles and pruned choose"),
        (["rewards=[count]", "guidance=best_of_4"], "guidance=pruned chooses among draws here"),
        (["rewards=[count]", "guidance=pruned", "constraint=count", "constraint.count.count=2"], "no constraint has"),
        (["rewards=[count]", "guidance=pruned", "guidance.left=[5,1]"], "prune"),
    ],
)
def test_bad_rewards_are_one_line_before_anything_is_drawn(
    options: list[str], words: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"world.path={tiny}", *SIZES, f"out={tmp_path / 'run'}"]
    assert main(["sample", *places, "prompt=two drops of red dye diffusing slowly in water", *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_says_what_it_was_chosen_by_and_what_others_read(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"world.path={tiny}", *SIZES, f"out={tmp_path / 'run'}", "compare=true"]
    options = ["guidance=pruned", "rewards=[count,direction]", "guidance.inside=afterwards", "constraint=mass"]
    assert main(["sample", *places, "prompt=two drops of red dye diffusing slowly in water", *options]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert "rewards: direction is left out" in capsys.readouterr().out
    assert list(metrics["particles"]["rewards"]) == ["count"]
    assert metrics["terminal"]["residual_after"]["mass"] < 1e-6
    assert (
        metrics["nfe"] == metrics["particles"]["evaluations"] == 2 * (4 + 1 + 1)
    )  # both levels are after the first of three steps
    assert metrics["particles"]["decodes"] == 4 + 1
    imposed = {name: one["imposed"] for name, one in metrics["content"]["guided"].items()}
    assert imposed == {"count": True, "count_by_components": False}
    assert not any(one["imposed"] for one in metrics["content"]["unguided"].values())


def test_arms_of_a_sweep_are_scored_alike_and_only_those_that_choose_impose(tiny: Path, tmp_path: Path) -> None:
    places = [f"world.path={tiny}", *SIZES, f"runs={tmp_path}", "tracker=none", "family=dye"]
    arms = ["guidance=none,projection,best_of_4,pruned", "rewards=[count]", "constraint=mass", "seed=0"]
    assert main(["ablate", "-m", *places, *arms]) == 0
    found = [json.loads(path.read_text("utf-8")) for path in tmp_path.glob("run-*/metrics.json")]
    assert sorted(one["nfe"] for one in found) == [6, 6, 12, 24]
    assert sorted(one["content"]["count"]["imposed"] for one in found) == [False, False, True, True]
    assert main(["ablate", "-m", *places, "guidance=none", "rewards=[cuont]", "seed=0"]) == 2
