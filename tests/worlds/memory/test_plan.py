"""Predicted memory against the CPU's allocator, extrapolation, and that what cannot fit is refused before loading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from tiny_pipelines import save_tiny_pipeline

from physgen.constraints import MassConservation
from physgen.drawn import Request, draw
from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.speed.memory import peak_bytes
from physgen.experiments.speed.worlds import measured
from physgen.guidance import DPS, Composition, ConditionalMean, Guidance, Projection
from physgen.sampling.decoding.decoder import decode
from physgen.worlds import load_world, world_spec
from physgen.worlds.memory.activations import decoding, step
from physgen.worlds.memory.architecture import on_meta
from physgen.worlds.memory.plan import RESERVE, Planner, require_fit
from physgen.worlds.memory.trace import traced

PROMPT = "a cell divides"
MASS = [MassConservation()]
SMALL: dict[str, Any] = {"height": 32, "width": 32, "num_frames": 9}
#: billions of parameters that the publishers state
PUBLISHED = {
    ("wan2.1-t2v-1.3b", "transformer"): 1.42,
    ("wan2.1-t2v-14b", "transformer"): 14.29,
    ("wan2.2-ti2v-5b", "transformer"): 5.0,
    ("wan2.1-i2v-14b", "transformer"): 16.4,
    ("wan2.1-i2v-14b", "image_encoder"): 0.632,
    ("wan2.2-i2v-a14b", "transformer"): 14.29,
    ("hunyuanvideo", "transformer"): 12.8,
    ("cogvideox-5b", "transformer"): 5.57,
    ("wan2.1-t2v-14b", "vae"): 0.127,
    ("wan2.1-t2v-14b", "text_encoder"): 5.68,
    ("cogvideox-5b", "text_encoder"): 4.76,
}


def transformer(device: str) -> Any:
    with torch.device(device):
        model = diffusers.WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=32, ffn_dim=256, num_layers=2, text_dim=16
        )
    return model.eval().requires_grad_(False)


def autoencoder(device: str) -> Any:
    with torch.device(device):
        return diffusers.AutoencoderKLWan(base_dim=16).eval().requires_grad_(False)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("side", [8, 32])
def test_a_step_holds_what_the_allocator_counts(side: int, graph: bool) -> None:
    torch.manual_seed(0)
    model = transformer("cpu")

    def work() -> object:
        with torch.set_grad_enabled(graph):
            x = torch.zeros(1, 16, 3, side, side, requires_grad=graph)
            return model(x, torch.zeros(1), torch.zeros(1, 8, 16), return_dict=False)

    inputs = 4 * (16 * 3 * side**2 + 1 + 8 * 16)
    predicted = step(transformer("meta"), (16, 3, side, side), 8, {}, graph).peak + inputs
    assert predicted == pytest.approx(peak_bytes(work), rel=0.02)


@pytest.mark.slow
def test_a_decode_holds_what_the_allocator_counts_less_scratch() -> None:
    """oneDNN's convolutions take 20 to 40 MB of scratch here, whatever the size."""
    torch.manual_seed(0)
    vae, z = autoencoder("cpu"), torch.randn(1, 16, 7, 8, 12).requires_grad_()
    measured = peak_bytes(lambda: torch.autograd.grad(decode(vae, z).sum(), z))
    predicted = decoding(autoencoder("meta"), (16, 7, 8, 12), graph=True).peak
    assert 0 < measured - predicted < 45 << 20


@pytest.mark.slow
def test_more_frames_are_extrapolated() -> None:
    """From 3 and 5 latent frames to 11."""
    vae = autoencoder("meta")
    z = torch.empty(1, 16, 11, 4, 4, device="meta", requires_grad=True)
    followed = traced(lambda: torch.autograd.grad(decode(vae, z).sum(), z)).peak
    assert decoding(vae, (16, 11, 4, 4), graph=True).peak == pytest.approx(followed, rel=0.1)


@pytest.mark.slow
def test_tiles_are_extrapolated() -> None:
    vae = autoencoder("meta")
    vae.enable_tiling(64, 64, 48, 48)
    z = torch.empty(1, 16, 2, 10, 14, device="meta", requires_grad=True)
    followed = traced(lambda: torch.autograd.grad(decode(vae, z).sum(), z)).peak
    canvas = 2 * 3 * 5 * 80 * 112 * 4
    assert decoding(vae, (16, 2, 10, 14), graph=True).peak + canvas == pytest.approx(followed, rel=0.1)


@pytest.mark.parametrize("name", sorted({world for world, _ in PUBLISHED}))
def test_architectures_are_the_published_ones(name: str) -> None:
    models = on_meta(world_spec(name))
    assert all(p.is_meta for model in models.values() for p in model.parameters())
    for (world, part), billions in PUBLISHED.items():
        if world == name:
            assert sum(p.numel() for p in models[part].parameters()) / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline("wan2.1-t2v-1.3b", tmp_path_factory.mktemp("plan") / "wan")


@pytest.mark.slow
def test_offloading_needs_less_and_the_error_says_which(folder: Path) -> None:
    spec = replace(world_spec("wan2.1-t2v-1.3b", str(folder)), tiling=False, **SMALL)
    planner = Planner(spec, Projection([MassConservation()]), spec.observable(PROMPT))
    peaks = {offload: planner.plan(offload, tiling=False).peak for offload in ("none", "model", "sequential")}
    assert peaks["none"] > peaks["model"] >= peaks["sequential"]
    assert [phase.name for phase in planner.plan().phases] == ["prompt", "step", "guidance", "decode", "projection"]
    spec.offload = "none"
    with pytest.raises(InvalidArgument, match=r"extrapolated.*what would fit: world\.offload=model"):
        require_fit(planner, peaks["model"] + RESERVE, "memory")
    assert require_fit(planner, peaks["none"] + RESERVE, "memory").offload == "none"


@pytest.mark.slow
def test_differentiating_the_network_needs_more(folder: Path) -> None:
    spec = replace(world_spec("wan2.1-t2v-1.3b", str(folder)), **SMALL)
    observable, mass = spec.observable(PROMPT), [MassConservation()]
    plain, network = (Planner(spec, guidance, observable) for guidance in (Projection(mass), DPS(mass)))
    assert network.plan().peak > plain.plan().peak
    assert {plan.offload for plan in network.alternatives(1 << 40)} == {"none", "sequential"}


@pytest.mark.parametrize(
    ("guidance", "evaluations", "ways_back"),
    [
        (None, 2, 0),
        (Projection(MASS), 2, 0),
        (DPS(MASS, jacobian="forward"), 4, 0),
        (DPS(MASS), 2, 2),
        (ConditionalMean(MASS, steps=3, jacobian="forward"), 8, 0),
        (ConditionalMean(MASS, steps=3), 2, 6),
        (Composition([DPS(MASS, jacobian="forward"), Projection(MASS)]), 4, 0),
    ],
)
def test_evaluations_of_a_guided_step(guidance: Guidance | None, evaluations: int, ways_back: int) -> None:
    """With classifier-free guidance the embedded world calls its network twice."""
    plan = Planner(world_spec("micro"), guidance).plan()
    assert (plan.evaluations, plan.ways_back) == (evaluations, ways_back)


def test_evaluations_are_those_that_happen() -> None:
    world = load_world("micro")
    for jacobian in ("forward", "backward"):
        guidance = DPS([MassConservation()], jacobian=jacobian)
        drawn = draw(world, Request(PROMPT, seed=0, steps=2), guidance, arms=["guided"]).guided
        assert drawn is not None
        assert drawn.nfe == 2 * Planner(world.spec, guidance).plan().evaluations


@pytest.mark.slow
def test_the_forward_jacobian_needs_less_than_the_backward_one() -> None:
    """Of the embedded world, measured: 42 of 63 MB."""
    peaks = measured()
    assert peaks["unguided"] < peaks["DPS, forward"] <= 0.7 * peaks["DPS, backward"]


@pytest.mark.slow
def test_what_cannot_fit_is_refused_before_anything_is_loaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diffusers.WanPipeline, "from_pretrained", lambda *_, **__: pytest.fail("allocated"))
    size = [f"world.{name}={value}" for name, value in SMALL.items()]
    command = ["sample", f"pipeline={folder}", "world=wan2.1-t2v-1.3b", f"prompt={PROMPT}", f"out={tmp_path / 'out'}"]
    assert main([*command, *size, "constraint=mass", "memory=1"]) == 2
    error = capsys.readouterr().err
    assert "memory='1.0 GiB" in error
    assert error.count("\n") == 1
    assert main([*command, *size, "constraint=mass", "plan=true", "memory=4"]) == 0
    printed = capsys.readouterr().out
    assert "fits 4 GiB: world.offload=none world.tiling=false" in printed
    assert "never measured on a GPU" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("world.height=40", "multiples of 16"),
        ("world.num_frames=10", "1 more than a multiple of 4"),
        ("memory=0", "GiB of the device"),
        ("device=cuda:99", "which are here"),
        ("device=gpu", "cuda:1"),
    ],
)
def test_bad_options(change: str, says: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = [f"world.{name}={value}" for name, value in SMALL.items() if name not in change]
    command = ["sample", f"pipeline={folder}", "world=wan2.1-t2v-1.3b", f"prompt={PROMPT}"]
    assert main([*command, *size, change]) == 2
    assert says in capsys.readouterr().err
