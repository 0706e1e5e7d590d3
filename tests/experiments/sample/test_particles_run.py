"""Particles from the command line and by `draw`: one video, and a record of which one it is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_world import SIZES

from physgen.constraints import MassConservation
from physgen.drawn import ANOTHER, draw
from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import configure, typed
from physgen.experiments.cli.dispatch import main
from physgen.experiments.sample.options import SampleConfig
from physgen.guidance import BestOfN, Particles, X0Gradient
from physgen.worlds import Request, World
from physgen.worlds.loading import load
from physgen.worlds.memory.plan import Planner

PROMPT = "one drop of red dye diffusing quickly in water"


@pytest.fixture(scope="module")
def world(tiny: Path) -> World:
    config = typed(configure("sample", [f"world.path={tiny}", *SIZES, "prompt=x"]), SampleConfig)
    return load(config.world, "cpu")


def test_the_run_says_which_particle_it_is(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["guidance.resample=[0.1,0.4]", "guidance.prune=[3,2]", "guidance.inside=afterwards", "compare=true"]
    places = [f"world.path={tiny}", *SIZES, f"out={tmp_path / 'run'}"]
    assert main(["sample", *places, f"prompt={PROMPT}", "constraint=mass", "guidance=particles", *options]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    particles = metrics["particles"]
    assert particles["left"] == [3, 2]
    assert metrics["nfe"] == particles["evaluations"] == 2 * (4 + 3 + 2)
    assert particles["rewards"]["mass"][particles["selected"][0]] == max(particles["rewards"]["mass"])
    assert particles["founders"][0] in range(4)
    assert metrics["terminal"]["residual_after"]["mass"] < 1e-6
    (said,) = (note for note in metrics["notes"] if note.startswith("the video is the particle that began"))
    assert said in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    assert [len(line["ancestors"]) for line in lines if "ancestors" in line] == [3, 2]
    assert (tmp_path / "run" / "afterwards.tif").is_file()


def test_an_arm_of_a_sweep(tiny: Path, tmp_path: Path) -> None:
    places = [f"world.path={tiny}", *SIZES, f"runs={tmp_path}", "tracker=none"]
    assert main(["ablate", "-m", *places, "law=mass", "guidance=best_of_4,particles", "seed=0"]) == 0
    found = [json.loads(path.read_text("utf-8")) for path in tmp_path.glob("run-*/metrics.json")]
    assert [one["nfe"] for one in found] == [24, 24]
    assert sorted(one["particles"] is None for one in found) == [False, True]


def test_with_an_observation_what_keeps_to_it_is_inside(tiny: Path, tmp_path: Path) -> None:
    from physgen.experiments.draw.observed import ObservedConfig
    from physgen.experiments.draw.physics import physics_of
    from physgen.video import Video, write_tiff

    write_tiff(tmp_path / "seen.tif", Video(torch.rand(1, 3, 32, 32), spacing=(2.0, 2.0), dt=0.5))
    config: Any = typed(
        configure(
            "sample", [f"world.path={tiny}", *SIZES, f"prompt={PROMPT}", "constraint=mass", "guidance=particles"]
        ),
        SampleConfig,
    )
    seen = ObservedConfig(str(tmp_path / "seen.tif"), [0], None, 0.0, False)
    physics = physics_of(config.world, Request(PROMPT, 0), config.constraint, config.guidance, observed=seen)
    assert isinstance(physics.guidance, Particles)
    assert list(physics.guidance.rewards) == ["mass"]
    assert list(physics.guidance.constraints) == ["mass", "observed"]


def test_particles_begin_where_the_best_of_n_begins(world: World) -> None:
    """With equal rewards at every level, the best of the finished ones is the best of as many draws."""
    law, request = MassConservation(), Request(PROMPT, seed=3, steps=3)
    best = draw(world, request, BestOfN(law, n=3), arms=["guided"]).guided
    calls: list[int] = []

    def late(fields: torch.Tensor) -> torch.Tensor:
        calls.append(len(fields))
        return -law.loss(fields, world.grid(PROMPT)) if len(calls) > 1 else torch.zeros(len(fields))

    found = draw(world, request, Particles(3, late, resample=(0.4,)), arms=["guided"]).guided
    assert best
    assert found
    assert found.nfe == best.nfe == 18
    torch.testing.assert_close(found.video, best.video, rtol=0, atol=1e-4)
    alone = world.sample(PROMPT, seed=3 + ANOTHER, steps=3)
    together = world.sample(PROMPT, seed=3, also=[3 + ANOTHER], steps=3)
    torch.testing.assert_close(together[1:], alone, rtol=0, atol=1e-4)


def test_draws_reproduce_and_rewards_without_a_law_have_no_projection(world: World) -> None:
    particles = Particles(4, {"red": lambda fields: fields.flatten(1).mean(1)}, temperature=1e-3)
    request = Request(PROMPT, seed=5, steps=4)
    first, again = (draw(world, request, particles) for _ in range(2))
    assert list(first.arms) == ["unguided", "guided"]
    assert first.guided
    assert again.guided
    assert torch.equal(first.guided.video, again.guided.video)


def test_the_memory_of_all_particles_is_planned(tiny: Path) -> None:
    config = typed(configure("sample", [f"world.path={tiny}", *SIZES, "prompt=x"]), SampleConfig)
    observable, law = config.world.observable(PROMPT), MassConservation()
    one, four = (
        {phase.name: phase.activations for phase in Planner(config.world, guidance, observable).plan().phases}
        for guidance in (X0Gradient(law), Particles(4, law))
    )
    assert four["step"] == 4 * one["step"]
    assert four["guidance"] == one["guidance"]  # rewards are measured one sample at a time


def test_what_is_no_single_video_is_refused(world: World) -> None:
    with pytest.raises(InvalidArgument, match="select=False"):
        draw(world, Request(PROMPT, seed=0), Particles(2, MassConservation(), select=False))


def test_an_unknown_guidance_inside(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = [f"world.path={tiny}", *SIZES, f"out={tmp_path / 'run'}", f"prompt={PROMPT}", "constraint=mass"]
    assert main(["sample", *places, "guidance=particles", "guidance.inside=nothing"]) == 2
    assert "guidance.inside='nothing'" in capsys.readouterr().err
