"""Worlds that draw from a picture or a movie: given to the pipeline, kept to by the law, refused in one line."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from sampling.test_pipelines import CalledAgain, ThroughNetwork, cotangent, embeds
from tiny_pipelines import PIPELINES, STARTED, save_tiny_pipeline
from torch import Tensor

from physgen import guide
from physgen.constraints import MassConservation, Observed
from physgen.drawn import Request
from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.draw.observed import ObservedConfig
from physgen.experiments.draw.physics import physics_of
from physgen.guidance import DPS, X0Gradient
from physgen.sampling import encode_frames
from physgen.worlds import World, world_spec
from physgen.worlds.loading import load
from physgen.worlds.start import with_start

PROMPT, TI2V = "a cell divides", "wan2.2-ti2v-5b"
SIZE = {"height": 32, "width": 32, "num_frames": 9, "steps": 3}
NAMES = (*STARTED, TI2V)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("started")
    return {name: save_tiny_pipeline(name, root / name) for name in NAMES}


def movie(seed: int = 0) -> Tensor:
    return torch.rand(3, 9, 32, 32, generator=torch.Generator().manual_seed(seed))


def opened(folders: dict[str, Path], name: str, start: Tensor | None, **changes: Any) -> World:
    spec = replace(world_spec(name, str(folders[name])), **{**SIZE, **changes})
    world = load(with_start(spec, start), "cpu", start)
    world.pipe.set_progress_bar_config(disable=True)
    return world


@pytest.mark.parametrize("name", NAMES)
def test_the_video_depends_on_what_it_starts_from(folders: dict[str, Path], name: str) -> None:
    first, again, other = (opened(folders, name, movie(seed)).sample(PROMPT, seed=0) for seed in (0, 0, 1))
    assert first.shape == (1, 3, 9, 32, 32)
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_laws_are_imposed_on_it(folders: dict[str, Path], name: str) -> None:
    world, mass = opened(folders, name, movie()), MassConservation()
    observable, grid = world.observable(PROMPT), world.grid(PROMPT)
    plain = mass.residual(observable(world.sample(PROMPT, seed=0)), grid).abs().max()
    guidance = X0Gradient([mass], start=0.6, terminal=True)
    with guide(world.pipe, guidance, observable=observable, grid=grid) as log:
        video = world.sample(PROMPT, seed=0)
    assert mass.residual(observable(video), grid).abs().max() <= 1e-6 < plain
    assert log.steps
    assert log.dropped == 0


def test_a_first_frame_alone_changes_the_class_and_a_prompt_alone_does_not(folders: dict[str, Path]) -> None:
    assert type(opened(folders, TI2V, None).pipe).__name__ == "WanPipeline"
    assert type(opened(folders, TI2V, movie()[:, :1]).pipe).__name__ == "WanImageToVideoPipeline"


@pytest.mark.parametrize(("name", "start"), [("wan2.2-i2v-a14b", None), ("wan2.1-v2v-1.3b", movie()[:, :5])])
def test_a_world_without_what_it_starts_from(folders: dict[str, Path], name: str, start: Tensor | None) -> None:
    with pytest.raises(InvalidArgument, match=f"observed=FILE.*: {name} starts from one"):
        opened(folders, name, start).sample(PROMPT, seed=0)


# --- latents that the pipeline fixes itself


class Seen(X0Gradient):
    """Keeps the estimates that the law is measured on."""

    def __init__(self) -> None:
        super().__init__([MassConservation()])
        self.fields: list[Tensor] = []

    def correction(self, x0_hat: Tensor, **arguments: Any) -> Any:
        decode = arguments["decode"]

        def kept(z: Tensor) -> Tensor:
            self.fields.append(decode(z).detach())
            return decode(z)

        return super().correction(x0_hat, **{**arguments, "decode": kept})


def test_guidance_sees_the_frame_that_the_network_sees(folders: dict[str, Path]) -> None:
    """The scheduler's own first latent frame is never used, and is no part of the video."""
    world, guidance = opened(folders, TI2V, movie(), dtype={"default": "float32"}), Seen()
    observable, grid = world.observable(PROMPT), world.grid(PROMPT)
    with guide(world.pipe, guidance, observable=observable, grid=grid) as log:
        video = world.sample(PROMPT, seed=0)
    first = observable(video)[:, :, 0]
    assert all(torch.allclose(fields[:, :, 0], first, atol=1e-4) for fields in guidance.fields)
    assert all(entry.dropped == 0 and entry.correction_norm > 0 for entry in log.steps)
    known = encode_frames(world.pipe, movie()[None, :, :1], 9)
    assert not known[:, :, 0].isnan().any()


def test_derivatives_leave_the_fixed_frame_out(folders: dict[str, Path]) -> None:
    world = opened(folders, TI2V, movie(), dtype={"default": "float32"}, guidance_scale=1.0)
    law = Observed(embeds(16, 3, 2, 2), noise=1.0)
    graph, again = ThroughNetwork(law), CalledAgain(law)
    for guidance in (graph, again):
        with guide(world.pipe, guidance):
            world.sample(PROMPT, seed=0)
    for (x_t, same, product), (_, _, _, exact) in zip(again.seen, graph.seen, strict=True):
        assert same <= 1e-5
        along = embeds(*x_t.shape)
        assert product == pytest.approx(float((exact * along).sum()), abs=1e-3 * float(exact.norm() * along.norm()))
        assert torch.allclose(exact[:, :, :1], cotangent(x_t)[:, :, :1], atol=1e-6)
        assert not torch.allclose(exact[:, :, 1:], cotangent(x_t)[:, :, 1:], atol=1e-3)


@pytest.mark.parametrize("jacobian", ["backward", "forward"])
def test_what_is_seen_later_moves_the_rest(folders: dict[str, Path], jacobian: str) -> None:
    world = opened(folders, TI2V, movie(), dtype={"default": "float32"})
    observable, grid = world.observable(PROMPT), world.grid(PROMPT)
    plain = world.sample(PROMPT, seed=0)
    values = torch.full((1, 9, 32, 32), math.nan)
    values[:, 8] = 0.5
    with guide(world.pipe, DPS(Observed(values), jacobian=jacobian), observable=observable, grid=grid) as log:
        video = world.sample(PROMPT, seed=0)
    assert torch.allclose(video[:, :, 0], plain[:, :, 0], atol=1e-4)
    errors = [float((observable(x)[:, 0, 8] - 0.5).square().mean()) for x in (plain, video)]
    assert errors[1] < errors[0]
    assert all(entry.dropped == 0 for entry in log.steps)


# --- the command


def write(path: Path, *shape: int) -> Path:
    values = (255 * np.random.default_rng(0).random(shape)).astype(np.uint8)
    tifffile.imwrite(path, values, photometric="minisblack")
    return path


def run(folders: dict[str, Path], name: str, *arguments: str) -> int:
    size = [f"world.{option}={value}" for option, value in SIZE.items()]
    return main(["sample", f"world={name}", f"pipeline={folders[name]}", f"prompt={PROMPT}", *size, *arguments])


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_starts_from_what_was_observed(folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    shape = (9, 32, 32) if name == "wan2.1-v2v-1.3b" else (32, 32)
    out, file = tmp_path / "out", write(tmp_path / "seen.tif", *shape)
    assert run(folders, name, f"observed={file}", "observed.noise=0.2", "device=cpu", f"out={out}") == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["constraints"]["observed"]["satisfied"] or name != TI2V
    steps = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert all(step["dropped"] == 0 and "observed" in step["residual"] for step in steps)


@pytest.mark.parametrize(
    ("name", "shape", "says"),
    [
        ("wan2.1-i2v-14b", None, "observed=None: allowed: a picture of the whole first frame"),
        ("wan2.1-i2v-14b", "late", "observed=None: allowed: a picture of the whole first frame"),
        ("wan2.1-v2v-1.3b", (3, 32, 32), "observed='3 whole frames': allowed: a movie of all frames"),
    ],
)
def test_a_world_that_cannot_start_is_one_line(
    folders: dict[str, Path], name: str, shape: Any, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observed = []
    if shape is not None:
        file = write(tmp_path / "seen.tif", *((32, 32) if shape == "late" else shape))
        observed = [f"observed={file}", *(["observed.frames=[4]"] if shape == "late" else [])]
    assert run(folders, name, *observed, f"out={tmp_path / 'out'}") == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_the_pipelines_that_start_from_text_are_as_they_were() -> None:
    for name in PIPELINES:
        spec = world_spec(name)
        assert with_start(spec, None) == spec
        assert spec.saved_as is None


# --- how an observation is kept to


@pytest.mark.parametrize(
    ("name", "scheduler", "jacobian", "renoise"),
    [
        ("micro", {}, "backward", 0.9),
        ("micro", {"_class_name": "UniPCMultistepScheduler"}, "backward", 0.0),
        ("micro", {"stochastic_sampling": True}, "backward", 0.0),
        ("microverse", {}, "forward", 0.9),
        ("wan2.1-t2v-14b", {}, "forward", 0.0),
        ("hunyuanvideo", {}, "forward", 0.9),
    ],
)
def test_the_jacobian_goes_by_the_size_and_new_noise_by_the_scheduler(
    name: str, scheduler: dict[str, Any], jacobian: str, renoise: float, tmp_path: Path
) -> None:
    spec = world_spec(name)
    spec = replace(spec, scheduler={**spec.scheduler, **scheduler}, name="any", height=32, width=32, num_frames=9)
    spec.path = spec.path or str(Path(str(files("physgen.worlds"))) / "micro" / "weights") if name == "micro" else None
    values = (255 * np.random.default_rng(0).random((32, 32, 3))).astype(np.uint8)
    tifffile.imwrite(tmp_path / "frame.tif", values, photometric="rgb")
    config = ObservedConfig(str(tmp_path / "frame.tif"), None, None, 0.1, False)
    physics = physics_of(spec, Request("a drop of dye", 0), {}, {"_target_": None}, observed=config)
    assert isinstance(physics.guidance, DPS)
    assert (physics.guidance.jacobian, physics.guidance.renoise) == (jacobian, renoise)
