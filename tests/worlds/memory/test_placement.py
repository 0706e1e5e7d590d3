"""Offloading, tiles and attention kernels under guidance, as far as a CPU can tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sampling.test_pipelines import wan
from tiny_pipelines import save_tiny_pipeline
from torch import Tensor

from physgen import guide
from physgen.constraints import MassConservation
from physgen.errors import InvalidArgument
from physgen.guidance import DPS, Guidance, Projection
from physgen.sampling.network import networks
from physgen.sampling.rows import LivingRows, called_with
from physgen.worlds import World, load_world, world_spec
from physgen.worlds.loading import load
from physgen.worlds.memory.placement import check_placement, place

SIZE: dict[str, Any] = {"height": 32, "width": 32, "num_frames": 9, "steps": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline("wan2.1-t2v-1.3b", tmp_path_factory.mktemp("placed") / "wan")


def placed(folder: Path, **options: Any) -> World:
    spec = replace(world_spec("wan2.1-t2v-1.3b", str(folder)), **{**SIZE, "tiling": False, **options})
    world = load(replace(spec, tiling=False, attention=None), "cpu")
    place(world.pipe, spec, "cpu")
    world.pipe.set_progress_bar_config(disable=True)
    return world


def guided(world: World, guidance: Guidance | None = None) -> Tensor:
    mass, observable, grid = MassConservation(), world.observable("a cell"), world.grid("a cell")
    with guide(world.pipe, guidance or Projection([mass]), observable=observable, grid=grid) as log:
        video = world.sample("a cell divides", seed=0)
    assert log.steps
    assert log.dropped == 0
    assert mass.residual(observable(video), grid).abs().max() <= 1e-6
    return video


@pytest.mark.parametrize("offload", ["model", "group"])
def test_offloading_changes_nothing(folder: Path, offload: str) -> None:
    assert torch.equal(guided(placed(folder, offload=offload)), guided(placed(folder)))


def test_the_decode_of_a_guidance_calls_the_autoencoder_to_the_device(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = placed(folder, offload="model")
    called, hook = [], world.pipe.vae._hf_hook
    forward = hook.pre_forward

    def counted(module: Any, *arguments: Any, **options: Any) -> Any:
        called.append(module)
        return forward(module, *arguments, **options)

    monkeypatch.setattr(hook, "pre_forward", counted)
    guided(world)
    assert len(called) == SIZE["steps"] + 1
    assert all(module is world.pipe.vae for module in called)


def test_sequential_offloading_takes_every_weight_off() -> None:
    """Running is for a GPU: accelerate's hooks fail where the device and the host are the same memory."""
    pipe = place(wan().pipe, replace(world_spec("wan2.1-t2v-1.3b"), offload="sequential", tiling=False), "cpu")
    assert all(p.is_meta for model in (pipe.vae, pipe.transformer) for p in model.parameters())


@pytest.mark.parametrize("offload", ["model", "group"])
def test_the_network_is_not_differentiated_while_its_weights_are_away(folder: Path, offload: str) -> None:
    world = placed(folder, offload=offload)
    with (
        pytest.raises(InvalidArgument, match="offloaded WanTransformer3DModel"),
        guide(world.pipe, DPS([MassConservation()]), observable=world.observable("a"), grid=world.grid("a")),
    ):
        pass


@pytest.mark.parametrize("offload", ["model", "group"])
def test_the_network_is_called_again_while_its_weights_come_and_go(folder: Path, offload: str) -> None:
    """The same video as without offloading."""
    guidance = DPS([MassConservation()], jacobian="forward", terminal=True)
    videos = [guided(placed(folder, offload=how), guidance) for how in ("none", offload)]
    torch.testing.assert_close(videos[1], videos[0])


def test_every_call_of_a_pipeline_is_seen_though_its_hooks_are_made_anew(folder: Path) -> None:
    """At the end of each, diffusers takes accelerate's hooks off and puts them on again."""
    world, counted = placed(folder, offload="model"), LivingRows()
    observable, grid = world.observable("a cell"), world.grid("a cell")
    guidance = DPS([MassConservation()], jacobian="forward")
    with (
        called_with(counted, networks(world.pipe)),
        guide(world.pipe, guidance, observable=observable, grid=grid) as log,
    ):
        for times in (1, 2):
            world.sample("a cell divides", seed=0)
            assert counted.evaluations == 8 * times  # 2 steps, 2 branches, each called once more
    assert len(log.steps) == 4


@pytest.mark.slow
def test_tiles_are_guided(folder: Path) -> None:
    world = placed(folder, tiling=True)
    world.pipe.vae.enable_tiling(16, 16, 8, 8)
    assert world.pipe.vae.use_tiling
    assert not torch.equal(guided(world), guided(placed(folder)))


def test_attention_is_that_of_the_world(folder: Path) -> None:
    world = placed(folder, attention="_native_math")
    assert world.pipe.transformer.blocks[0].attn1.processor._attention_backend.value == "_native_math"
    guided(world)
    world.pipe.transformer.set_attention_backend("native")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"offload": "disk"}, "none, model, sequential, group"),
        ({"attention": "flashy"}, "native"),
        ({"attention": "flash"}, "flash-attn"),
        ({"attention": "flash_hub"}, "native"),
    ],
)
def test_unknown_placements(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        check_placement(replace(world_spec("microverse"), **options))


def test_an_autoencoder_without_tiles() -> None:
    world = load_world("micro", device="cpu")
    with pytest.raises(InvalidArgument, match="MicroAutoencoder has none"):
        place(world.pipe, replace(world.spec, tiling=True), "cpu")
