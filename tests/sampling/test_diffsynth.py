"""DiffSynth's own pipeline, tiny: guided as diffusers' with the same weights, and left as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers as d
import pytest
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers
from PIL import Image
from tiny_pipelines import save_lora, t5
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from physgen.constraints import MassConservation, Observed
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import DPS, Afterwards, Guidance, Particles, Projection, Replacement, X0Gradient
from physgen.observables import Intensity
from physgen.sampling import encode_frames, guide
from physgen.sampling.diffsynth import Autoencoder
from physgen.worlds import load_checkpoint
from sampling.test_pipelines import embeds

pytest.importorskip("diffsynth")

from diffsynth.models.wan_video_dit import WanModel
from diffsynth.models.wan_video_text_encoder import HuggingfaceTokenizer, WanTextEncoder
from diffsynth.models.wan_video_vae import VideoVAE38_, VideoVAE_, WanVideoVAE, WanVideoVAE38
from diffsynth.pipelines.wan_video import WanVideoPipeline

GRID = Grid(spacing=(2.0, 2.0), dt=0.5)
GREY = Intensity()
STEPS, PROMPT, CFG = 4, "a cell divides", 2.0
TINY_VAE = {"dim": 4, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2}


def tiny_vae() -> Any:
    vae = WanVideoVAE.__new__(WanVideoVAE)  # whose size is fixed
    torch.nn.Module.__init__(vae)
    vae.mean, vae.std, vae.upsampling_factor, vae.z_dim = embeds(16) / 4, 1 + embeds(16).abs(), 8, 16
    vae.scale = [vae.mean, 1 / vae.std]
    vae.model = VideoVAE_(**TINY_VAE).eval().requires_grad_(False)
    for weight in vae.model.parameters():  # smoother, so that a rounding stays one through several steps
        weight.mul_(0.5)
    return vae


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    t5(UMT5EncoderModel, UMT5Config, 32)["tokenizer"].save_pretrained(folder)
    return HuggingfaceTokenizer(name=str(folder), seq_len=8, clean="whitespace")


@pytest.fixture
def pipe(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    found = WanVideoPipeline(device="cpu", torch_dtype=torch.float32)
    found.dit = WanModel(24, 16, 32, 16, 32, 32, 1e-6, (1, 2, 2), 2, 1, has_image_input=False).eval()
    for weight in found.dit.parameters():
        weight.data.normal_(std=0.1)
    found.vae, found.tokenizer = tiny_vae(), tokenizer
    found.text_encoder = WanTextEncoder(vocab=16, dim=32, dim_attn=32, dim_ffn=32, num_heads=2, num_layers=1).eval()
    return found


def sample(pipe: Any, **options: Any) -> Tensor:
    """The float video [1, 3, T, H, W] in [-1, 1]."""
    defaults = {
        "height": 16,
        "width": 16,
        "num_frames": 9,
        "num_inference_steps": STEPS,
        "seed": 3,
        "tiled": False,
        "cfg_scale": CFG,
    }
    quiet = {"output_type": "floatpoint", "progress_bar_cmd": lambda steps: steps}
    found: Tensor = pipe(PROMPT, negative_prompt="a heart", **{**defaults, **quiet, **options})
    return found


def in_diffusers(pipe: Any) -> Any:
    """The pipeline of diffusers with the same weights, and the arguments of the same call."""
    transformer = d.WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=32,
        ffn_dim=32,
        num_layers=1,
        cross_attn_norm=True,
    )
    transformer.load_state_dict(convert_wan_transformer_to_diffusers(dict(pipe.dit.state_dict())))
    vae = d.AutoencoderKLWan(
        base_dim=4,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=2,
        temperal_downsample=[False, True, True],
        latents_mean=pipe.vae.mean.tolist(),
        latents_std=pipe.vae.std.tolist(),
    )
    vae.load_state_dict(convert_wan_vae_to_diffusers(dict(pipe.vae.model.state_dict())))
    scheduler = d.FlowMatchEulerDiscreteScheduler(shift=5.0)
    other = d.WanPipeline(
        tokenizer=None, text_encoder=None, vae=vae.eval(), scheduler=scheduler, transformer=transformer.eval()
    )
    other.set_progress_bar_config(disable=True)
    return other


@torch.no_grad()
def sample_in_diffusers(other: Any, pipe: Any, **options: Any) -> Tensor:
    unit = next(unit for unit in pipe.units if type(unit).__name__ == "WanVideoUnit_PromptEmbedder")
    noise = pipe.generate_noise((1, 16, 3, 2, 2), seed=3)
    sigmas = torch.linspace(1, 0, STEPS + 1)[:-1].tolist()
    other.scheduler.set_timesteps = lambda *_, device=None, **__: type(other.scheduler).set_timesteps(
        other.scheduler, sigmas=sigmas, device=device
    )
    frames = other(
        prompt_embeds=unit.encode_prompt(pipe, PROMPT),
        negative_prompt_embeds=unit.encode_prompt(pipe, "a heart"),
        latents=noise,
        height=16,
        width=16,
        num_frames=9,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        output_type="pt",
        **options,
    ).frames
    found: Tensor = 2 * frames.permute(0, 2, 1, 3, 4) - 1
    return found


def fields(video: Tensor) -> Tensor:
    return GREY(video / 2 + 0.5)


def seen() -> Observed:
    values = torch.full((1, 9, 16, 16), torch.nan)
    values[:, 0, :, :8] = 0.5 + embeds(16, 8) / 50
    return Observed(values, noise=0.002)


GUIDANCES: dict[str, Any] = {
    "x0_gradient": lambda: X0Gradient([MassConservation()]),
    "backward": lambda: DPS(seen(), jacobian="backward"),
    "forward": lambda: DPS(seen(), jacobian="forward"),
    "terminal": lambda: Projection([MassConservation()], start=0.5),
}


def test_unguided_inside_is_bitwise_as_outside(pipe: Any) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        pipe.to(dtype)
        plain = sample(pipe)
        with guide(pipe, Afterwards([MassConservation()], terminal=False), observable=GREY, grid=GRID) as log:
            inside = sample(pipe)
        assert torch.equal(plain, inside)
        assert [entry.step for entry in log.steps] == [STEPS - 1]
        assert log.steps[0].residual["mass"] > 0


def test_unguided_is_that_of_diffusers(pipe: Any) -> None:
    assert torch.allclose(sample(pipe), sample_in_diffusers(in_diffusers(pipe), pipe), atol=1e-5)


@pytest.mark.parametrize("name", GUIDANCES)
def test_guided_is_that_of_diffusers(pipe: Any, name: str) -> None:
    plain, other = sample(pipe), in_diffusers(pipe)
    with guide(pipe, GUIDANCES[name](), observable=GREY, grid=GRID) as log:
        ours = sample(pipe)
    with guide(other, GUIDANCES[name](), observable=GREY, grid=GRID) as expected:
        theirs = sample_in_diffusers(other, pipe)
    assert (ours - plain).abs().max() > 1e-3
    assert (ours - theirs).abs().max() <= 1e-5
    for found, wanted in zip(log.steps, expected.steps, strict=True):
        assert found.sigma == pytest.approx(wanted.sigma, abs=1e-6)
        assert found.residual == pytest.approx(wanted.residual, rel=1e-3)


def test_the_finished_video_is_hard_in_float(pipe: Any) -> None:
    mass = MassConservation()
    with guide(pipe, Projection([mass]), observable=GREY, grid=GRID) as log:
        video = sample(pipe)
        pictures = sample(pipe, output_type="quantized")
    assert video.dtype == torch.float32
    assert (
        mass.residual(fields(video), GRID).abs().max() <= 1e-6 < mass.residual(fields(sample(pipe)), GRID).abs().max()
    )
    assert log.terminal is not None
    assert log.terminal.certificate["mass"].satisfied
    assert len(pictures) == 9


@pytest.mark.parametrize("options", [{}, {"cfg_merge": True}, {"cfg_scale": 1.0}])
def test_every_way_of_classifier_free_guidance(pipe: Any, options: dict[str, Any]) -> None:
    videos = []
    for jacobian in ("backward", "forward"):
        with guide(pipe, DPS(seen(), jacobian=jacobian), observable=GREY, grid=GRID) as log:
            videos.append(sample(pipe, **options))
        assert all(entry.dropped == 0 and entry.correction_norm > 0 for entry in log.steps)
    assert not torch.equal(*videos)


def test_a_lora_of_its_own_is_in_place(pipe: Any, tmp_path: Path) -> None:
    other, plain = in_diffusers(pipe), sample(pipe)
    save_lora(tmp_path / "step-1.safetensors", other.transformer)
    pipe.load_lora(pipe.dit, str(tmp_path / "step-1.safetensors"), verbose=0)
    load_checkpoint(other, tmp_path / "step-1.safetensors")
    assert (sample(pipe) - plain).abs().max() > 1e-4
    with guide(pipe, GUIDANCES["backward"](), observable=GREY, grid=GRID):
        ours = sample(pipe)
    with guide(other, GUIDANCES["backward"](), observable=GREY, grid=GRID):
        theirs = sample_in_diffusers(other, pipe)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_everything_is_as_before_also_after_an_error(pipe: Any) -> None:
    pipe.dit.requires_grad_(True)

    def state() -> tuple[Any, ...]:
        trainable = [weight.requires_grad for weight in pipe.dit.parameters()]
        return (
            type(pipe.scheduler),
            pipe.model_fn,
            dict(vars(pipe.vae)),
            dict(vars(pipe.dit)),
            set(vars(pipe)),
            trainable,
        )

    before, plain = state(), sample(pipe)
    guidance = DPS([MassConservation()], terminal=True)
    with guide(pipe, guidance, observable=GREY, grid=GRID):
        assert state() != before
        sample(pipe)
    assert state() == before
    with pytest.raises(ZeroDivisionError), guide(pipe, guidance, observable=GREY, grid=GRID):
        raise ZeroDivisionError
    assert state() == before
    assert torch.equal(sample(pipe), plain)


def test_new_noise_and_known_latents(pipe: Any) -> None:
    frame = fields(sample(pipe, seed=8))[:, :, :1].expand(-1, 3, -1, -1, -1)
    latents = encode_frames(pipe, frame, 9)
    expected = encode_frames(in_diffusers(pipe), frame, 9)
    assert torch.allclose(latents.nan_to_num(9), expected.nan_to_num(9), atol=1e-4)
    kept: list[Tensor] = []
    step = type(pipe.scheduler).step
    for eta in (0.0, 0.9):
        with guide(pipe, Replacement(latents, renoise=eta), generator=torch.Generator().manual_seed(0)) as log:
            guided = type(pipe.scheduler)
            assert guided.step is not step
            kept.append(sample(pipe))
        assert len(log.steps) == STEPS
    decoded = pipe.vae.decode(latents[:, :, :1], device="cpu")
    assert all(torch.allclose(video[:, :, :1], decoded, atol=1e-4) for video in kept)
    assert not torch.allclose(kept[0], kept[1], atol=1e-3)


@pytest.mark.parametrize("size", [(2, 2), (32, 54)])
def test_its_decode_has_the_values_of_its_own_tiled_or_not(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    vae, z = tiny_vae(), embeds(1, 16, 1, *size) / 4
    ours = Autoencoder(vae).decode_unclamped(z / vae.scale[1].view(1, -1, 1, 1, 1) + vae.mean.view(1, -1, 1, 1, 1))
    theirs = vae.decode(z, device="cpu", tiled=True, tile_size=(30, 52), tile_stride=(15, 26))
    assert torch.allclose(ours.clamp(-1, 1), theirs, atol=1e-4)


def test_the_decode_of_wan_2_2() -> None:
    torch.manual_seed(0)
    vae = WanVideoVAE38.__new__(WanVideoVAE38)
    torch.nn.Module.__init__(vae)
    vae.mean, vae.std, vae.upsampling_factor = torch.zeros(4), torch.ones(4), 16
    vae.model = VideoVAE38_(dim=4, z_dim=4, dec_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1).eval()
    z = embeds(1, 4, 3, 2, 2)
    theirs = vae.model.decode(z, [vae.mean, vae.std])
    assert torch.allclose(Autoencoder(vae).decode_unclamped(z), theirs, atol=1e-5)


@pytest.mark.parametrize("guidance", [X0Gradient([MassConservation()]), DPS([MassConservation()])])
def test_laws_see_the_picture_that_the_pipeline_starts_from(pipe: Any, guidance: Guidance) -> None:
    torch.manual_seed(0)
    pipe.dit = WanModel(
        24,
        16,
        32,
        16,
        32,
        32,
        1e-6,
        (1, 2, 2),
        2,
        1,
        has_image_input=False,
        seperated_timestep=True,
        require_vae_embedding=False,
        require_clip_embedding=False,
        fuse_vae_embedding_in_latents=True,
    ).eval()
    picture = Image.fromarray((255 * torch.rand(16, 16, 3)).byte().numpy())
    seen: list[Tensor] = []

    class Kept(Intensity):
        def __call__(self, video: Tensor) -> Tensor:
            seen.append(video.detach()[:, :, 0])
            return super().__call__(video)

    with guide(pipe, guidance, observable=Kept(), grid=GRID) as log:
        video = sample(pipe, input_image=picture)
    assert len(log.steps) == STEPS
    assert log.dropped == 0
    decoded = [frame for frame in seen if frame.shape[-2:] == (16, 16)]
    assert len(decoded) >= STEPS
    assert all(torch.allclose(frame.clamp(0, 1), video[:, :, 0] / 2 + 0.5, atol=1e-4) for frame in decoded)


def test_what_is_refused(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def entered(guidance: Guidance) -> None:
        with guide(pipe, guidance, observable=GREY, grid=GRID):
            pass

    with pytest.raises(InvalidArgument, match="one video at a time"):
        entered(Particles(2, MassConservation()))
    monkeypatch.setattr(pipe, "vram_management_enabled", True)
    with pytest.raises(InvalidArgument, match="offloaded Network"):
        entered(DPS([MassConservation()]))
    monkeypatch.setattr(pipe, "scheduler", d.DDIMScheduler())
    with pytest.raises(InvalidArgument, match="FlowMatchScheduler in a pipeline of DiffSynth"):
        entered(X0Gradient([MassConservation()]))
