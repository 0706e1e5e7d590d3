"""The noise search from the command line, its rewards with a derivative, and its arm of the content benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_world import SIZES

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import configure, typed
from physgen.experiments.cli.dispatch import main
from physgen.experiments.content.arms import draw_search
from physgen.experiments.content.asked import asked_of
from physgen.experiments.content.estimators import REWARDS
from physgen.experiments.content.rewards import as_reward, scores
from physgen.experiments.draw.observed import ObservedConfig
from physgen.experiments.draw.physics import Physics, physics_of
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.draw.references import simulate
from physgen.experiments.sample.options import SampleConfig
from physgen.guidance import DPS, Assimilation, Composition, Guidance, NoiseSearch, OfVideo, Particles
from physgen.worlds import Request, world_spec
from physgen.worlds.loading import load
from physgen.worlds.memory.plan import Planner

PROMPT = "prompt=two drops of red dye diffusing slowly in water"
SPEC = world_spec("micro")


def places(tiny: Path, tmp_path: Path) -> list[str]:
    return [f"world.path={tiny}", *SIZES, f"out={tmp_path / 'run'}"]


def test_a_run_says_what_was_found_and_what_it_cost(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["guidance=noise_search", "guidance.iterations=2", "constraint=mass", "compare=true"]
    assert main(["sample", *places(tiny, tmp_path), PROMPT, *options]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    search = metrics["search"]
    mass = [step["mass"][0] for step in search["rewards"]]
    assert mass == sorted(mass)
    assert len(search["kept"]) == 2
    assert metrics["nfe"] == 2 * 3 + search["evaluations"]
    assert search["decodes"] == 3
    (said,) = (note for note in metrics["notes"] if "moves of the noise were kept" in note)
    assert said in capsys.readouterr().out
    assert metrics["particles"] is None


def test_the_law_is_imposed_inside_and_none_is_searched_without_a_reward(tiny: Path, tmp_path: Path) -> None:
    options = ["guidance=noise_search", "guidance.iterations=1", "guidance.inside=afterwards", "constraint=mass"]
    assert main(["sample", *places(tiny, tmp_path), PROMPT, *options]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert metrics["terminal"]["residual_after"]["mass"] < 1e-6


def test_what_was_observed_is_kept_to_from_the_noise_that_was_found(tiny: Path, tmp_path: Path) -> None:
    """Each of several samples has its own search; new noise would make the found one no matter."""
    np.save(tmp_path / "seen.npy", np.random.default_rng(0).random((1, 32, 32)).astype(np.float32))
    observed = [f"observed={tmp_path / 'seen.npy'}", "observed.noise=0.2"]
    options = ["guidance=noise_search", "guidance.iterations=2", "constraint=mass", "samples=2", *observed]
    assert main(["sample", *places(tiny, tmp_path), PROMPT, *options]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert metrics["search"]["rewards"][-1].keys() == {"mass"}
    assert len(metrics["search"]["kept"]) == 2
    steps = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    assert [list(step["residual"]) for step in steps] == [["observed"]] * 3
    assert len(list((tmp_path / "run" / "samples").glob("*.tif"))) == 2


def beside_an_observation(options: list[str], tiny: Path, folder: Path) -> Physics:
    np.save(folder / "seen.npy", np.random.default_rng(0).random((1, 32, 32)).astype(np.float32))
    config: Any = typed(configure("sample", [f"world.path={tiny}", *SIZES, "prompt=x", *options]), SampleConfig)
    seen = ObservedConfig(str(folder / "seen.npy"), [0], None, 0.1, False)
    request = Request("two colonies of golden bacteria spread fast", 0)
    return physics_of(config.world, request, config.constraint, config.guidance, observed=seen)


@pytest.mark.parametrize("law", ["fisher_kpp", "mass"])
def test_without_guidance_a_law_beside_an_observation_is_only_measured(law: str, tiny: Path, tmp_path: Path) -> None:
    found = beside_an_observation(["guidance=none", f"constraint={law}"], tiny, tmp_path)
    assert found.guidance
    assert list(found.guidance.constraints) == ["observed"]
    assert list(found.constraints) == ["observed", law]


@pytest.mark.parametrize("chosen", [["guidance=dps"], ["guidance=afterwards"], ["guidance.start=0.5"]])
def test_what_has_no_effect_beside_an_observation_is_refused(chosen: list[str], tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="with another law or rewards, which it is for; what was observed and"):
        beside_an_observation([*chosen, "constraint=fisher_kpp"], tiny, tmp_path)


@pytest.mark.parametrize(
    ("options", "kind", "renoise"),
    [
        (["guidance=noise_search", "constraint=fisher_kpp"], NoiseSearch, 0.0),
        (["guidance=particles", "constraint=fisher_kpp"], Particles, 0.9),
        (["guidance=particles", "guidance.renoise=0.0", "constraint=mass"], Particles, 0.9),  # that of copies
        (["guidance=projection", "constraint=fisher_kpp"], Assimilation, 0.9),
        (["guidance=augmented_lagrangian", "constraint=mass"], Composition, 0.9),
        (["guidance=augmented_lagrangian", "constraint=mass", "guidance.renoise=0.0"], Composition, 0.0),
        (["guidance=noise_search"], DPS, 0.9),
    ],
)
def test_the_guidance_that_was_asked_for_acts_beside_an_observation(
    options: list[str], kind: type[Guidance], renoise: float, tiny: Path, tmp_path: Path
) -> None:
    found = beside_an_observation(options, tiny, tmp_path).guidance
    assert found
    assert type(found) is kind
    assert (found.parts[1] if len(found.parts) > 1 else found).renoise == renoise
    assert "observed" in found.constraints


def test_an_arm_of_a_sweep(tiny: Path, tmp_path: Path) -> None:
    options = [f"world.path={tiny}", *SIZES, f"runs={tmp_path}", "tracker=none", "law=mass", "seed=0"]
    assert main(["ablate", "-m", *options, "guidance=none,noise_search"]) == 0
    found = [json.loads(path.read_text("utf-8")) for path in tmp_path.glob("run-*/metrics.json")]
    assert sorted("search" in one for one in found) == [False, True]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["rewards=[count]"], "rewards='count': allowed: rewards with a derivative"),
        (["constraint=mass", "guidance.inside=afterwards", "observed=FRAME"], "guidance.inside='afterwards'"),
        (["constraint=mass", "guidance.inside=particles"], "inside='Particles'"),
        (["constraint=mass", "guidance.iterations=-1"], "iterations=-1"),
        (["constraint=mass", "guidance.angel=1"], "angle"),
    ],
)
def test_bad_options_are_one_line_before_anything_is_drawn(
    options: list[str], words: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "seen.npy", np.random.default_rng(0).random((1, 32, 32)).astype(np.float32))
    options = [option.replace("FRAME", str(tmp_path / "seen.npy")) for option in options]
    assert main(["sample", *places(tiny, tmp_path), PROMPT, "guidance=noise_search", *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_memory_of_the_way_back_is_planned(tiny: Path) -> None:
    config = typed(configure("sample", [f"world.path={tiny}", *SIZES, "prompt=x"]), SampleConfig)
    observable = config.world.observable("one drop of red dye diffusing quickly in water")
    red = OfVideo(lambda video: video[:, 0].flatten(1).mean(1), "red")
    plain, searched = (
        {phase.name: phase.activations for phase in Planner(config.world, guidance, observable).plan().phases}
        for guidance in (None, NoiseSearch(red))
    )
    assert searched["step"] > 1.5 * plain["step"]
    assert searched["guidance"] > plain["decode"]


@pytest.mark.parametrize("family", ["blood", "growth"])
def test_what_the_judge_says_is_the_same_with_its_derivative_and_prefers_the_truth(family: str) -> None:
    """Values are those of the readings one by one; the derivative is that of central differences."""
    own, other = (p for p in prompts(family, 2, "held_out", 51))
    asked = asked_of(own.caption, SPEC)
    videos = torch.cat([simulate(prompt, SPEC, [11, prompt.seed]) for prompt in (own, other)])
    names = [name for name, one in REWARDS.items() if one.soft and one.applies(asked)]
    assert {"attributes", "likelihood"} < set(names)
    for name in names:
        reward = as_reward(name, asked)
        alone = [scores(video, asked, [name])[name] for video in videos]
        torch.testing.assert_close(reward(videos), torch.tensor(alone, dtype=torch.float64), rtol=1e-4, atol=1e-4)
        if name == "likelihood":
            assert alone[0] > alone[1]
            assert alone[0] <= 0
    assert not as_reward("count", asked).differentiable
    video = (0.05 + 0.9 * videos[:1]).requires_grad_()
    soft = REWARDS["likelihood"].soft
    assert soft
    (gradient,) = torch.autograd.grad(soft(video, asked).sum(), video)
    direction, h = gradient / gradient.norm(), 0.02
    ends = [float(soft(video.detach() + sign * h * direction, asked)) for sign in (1, -1)]
    assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(float(gradient.norm()), rel=0.1)


def test_the_arm_of_the_benchmark_counts_ways_back_as_evaluations(tiny: Path) -> None:
    config = typed(configure("sample", [f"world.path={tiny}", *SIZES, "prompt=x"]), SampleConfig)
    world, (prompt,) = load(config.world, "cpu"), prompts("dye", 1, "held_out", 41)
    world.pipe.set_progress_bar_config(disable=True)
    red = OfVideo(lambda video: 100 * video[:, 0].flatten(1).mean(1), "red", ("colour",))
    video, choice = draw_search(world, prompt, red, 1)
    assert video.shape[0] == 1
    assert choice.evaluations == round(2 * world.spec.steps * NoiseSearch(red, iterations=1).cost(world.spec.steps))
    assert choice.decodes == 2 + 1
