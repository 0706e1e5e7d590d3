"""Guidance of pipelines with latents laid out in other ways: UNets, pictures, channels last."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import diffusers as d
import pytest
import torch
from PIL import Image
from tiny_pipelines import wan_ti2v_pipe
from torch import Tensor

from physgen.constraints import Equality, MassConservation
from physgen.errors import InvalidArgument
from physgen.guidance import DPS, Guidance, Projection, X0Gradient
from physgen.sampling import guide
from physgen.sampling.decoding.layout import denormalise, normalise
from sampling.test_pipelines import DYE, GRID, embeds, prompts, wan

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")  # diffusers with numpy 2


@dataclass
class Layout:
    pipe: Any
    arguments: dict[str, Any]
    images: bool = False

    def sample(self, **arguments: Any) -> Tensor:
        """[B, 3, T, H, W] in [0, 1]"""
        self.pipe.set_progress_bar_config(disable=True)
        for name in ("unet", "transformer", "vae"):
            if getattr(self.pipe, name, None) is not None:
                getattr(self.pipe, name).eval()
        defaults = {"num_inference_steps": 3, "output_type": "pt", "generator": torch.Generator().manual_seed(0)}
        result = self.pipe(**{**defaults, **self.arguments, **arguments})
        return result.images.unsqueeze(2) if self.images else result.frames.transpose(1, 2)


def picture_vae(**arguments: Any) -> Any:
    return d.AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        **arguments,
    )


def unet(cls: Any, **arguments: Any) -> Any:
    sizes = {"block_out_channels": (8, 8), "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 8}
    blocks = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    return cls(**{**sizes, **blocks, "cross_attention_dim": 16, **arguments})


def animatediff() -> Layout:
    base = unet(d.UNet2DConditionModel, attention_head_dim=4)
    adapter = d.MotionAdapter(
        block_out_channels=(8, 8), motion_layers_per_block=1, motion_norm_num_groups=4, motion_num_attention_heads=2
    )
    pipe = d.AnimateDiffPipeline(
        vae=picture_vae(),
        text_encoder=None,
        tokenizer=None,
        unet=base,
        motion_adapter=adapter,
        scheduler=d.DDIMScheduler(clip_sample=False, beta_schedule="linear", steps_offset=1),
    )
    positive, negative = embeds(2, 1, 8, 16)
    sizes = {"height": 16, "width": 16, "num_frames": 4, "guidance_scale": 3.0}
    return Layout(pipe, {**sizes, "prompt_embeds": positive, "negative_prompt_embeds": negative})


def stable_diffusion() -> Layout:
    pipe = d.StableDiffusionPipeline(
        vae=picture_vae(),
        text_encoder=None,
        tokenizer=None,
        unet=unet(d.UNet2DConditionModel, attention_head_dim=4),
        scheduler=d.DDIMScheduler(clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    positive, negative = embeds(2, 1, 8, 16)
    sizes = {"height": 16, "width": 16, "guidance_scale": 3.0}
    return Layout(pipe, {**sizes, "prompt_embeds": positive, "negative_prompt_embeds": negative}, images=True)


def stable_video_diffusion() -> Layout:
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16, projection_dim=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            image_size=224, patch_size=56,
        )
    )  # fmt: skip
    pipe = d.StableVideoDiffusionPipeline(
        vae=d.AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4
        ),
        image_encoder=encoder,
        unet=d.UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            sample_size=8,
            in_channels=8,
            out_channels=4,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=16,
            num_attention_heads=8,
            projection_class_embeddings_input_dim=96,
            addition_time_embed_dim=32,
        ),
        scheduler=d.EulerDiscreteScheduler(prediction_type="v_prediction", use_karras_sigmas=True),
        feature_extractor=CLIPImageProcessor(crop_size=224, size=224),
    )
    sizes = {"height": 16, "width": 16, "num_frames": 2, "min_guidance_scale": 2.0, "max_guidance_scale": 2.0}
    return Layout(pipe, {**sizes, "image": Image.new("RGB", (16, 16), (40, 160, 60))})


def latte() -> Layout:
    pipe = d.LattePipeline(
        tokenizer=None,
        text_encoder=None,
        vae=picture_vae(),
        transformer=d.LatteTransformer3DModel(
            sample_size=8, num_layers=1, patch_size=2, attention_head_dim=4, num_attention_heads=2, caption_channels=16,
            in_channels=4, cross_attention_dim=8, out_channels=8, attention_bias=True, activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000, norm_type="ada_norm_single", norm_elementwise_affine=False, video_length=4,
        ),
        scheduler=d.DDIMScheduler(clip_sample=False),
    )  # fmt: skip
    positive, negative = embeds(2, 1, 8, 16)
    sizes = {"height": 16, "width": 16, "video_length": 4, "guidance_scale": 3.0, "clean_caption": False}
    return Layout(pipe, {**sizes, "prompt": None, "prompt_embeds": positive, "negative_prompt": None,
                         "negative_prompt_embeds": negative, "decode_chunk_size": 14})  # fmt: skip


def kandinsky() -> Layout:
    pipe = d.Kandinsky5T2VPipeline(
        transformer=d.Kandinsky5Transformer3DModel(
            in_visual_dim=4, in_text_dim=16, in_text_dim2=16, time_dim=16, out_visual_dim=4, patch_size=(1, 2, 2),
            model_dim=16, ff_dim=32, num_text_blocks=1, num_visual_blocks=1, axes_dims=(4, 6, 6),
        ),
        vae=d.AutoencoderKLHunyuanVideo(
            latent_channels=4, block_out_channels=(8,) * 4, layers_per_block=1, norm_num_groups=4,
            down_block_types=("HunyuanVideoDownBlock3D",) * 4, up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        ),
        text_encoder=None, tokenizer=None, text_encoder_2=None, tokenizer_2=None,
        scheduler=d.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )  # fmt: skip
    positive, negative = embeds(2, 1, 8, 16)
    pooled, negative_pooled = embeds(2, 1, 16)
    lengths = torch.tensor([0, 8], dtype=torch.int32)
    return Layout(pipe, {
        "height": 16, "width": 16, "num_frames": 9, "guidance_scale": 3.0,
        "prompt_embeds_qwen": positive, "prompt_embeds_clip": pooled, "prompt_cu_seqlens": lengths,
        "negative_prompt_embeds_qwen": negative, "negative_prompt_embeds_clip": negative_pooled,
        "negative_prompt_cu_seqlens": lengths,
    })  # fmt: skip


LAYOUTS = {f.__name__: f for f in (animatediff, stable_diffusion, stable_video_diffusion, latte, kandinsky)}
each = pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)


def brightness() -> Equality:
    return Equality(lambda fields: fields.mean((1, 2, 3, 4)) - 0.1, "brightness")


@each
def test_guidance_decodes_as_the_pipeline_does(make: Callable[[], Layout]) -> None:
    torch.manual_seed(0)
    layout = make()
    plain = layout.sample(num_inference_steps=1)
    law = brightness()
    expected = float(law.residual(DYE(plain), GRID).abs())
    with guide(layout.pipe, X0Gradient([law]), observable=DYE, grid=GRID) as log:
        layout.sample(num_inference_steps=1)
    assert log.steps[0].residual["brightness"] == pytest.approx(expected, rel=0.02, abs=1e-4)


@each
def test_what_comes_out_satisfies_the_law(make: Callable[[], Layout]) -> None:
    torch.manual_seed(0)
    layout = make()
    plain = layout.sample()
    with guide(layout.pipe, Projection([brightness()]), observable=DYE, grid=GRID) as log:
        video = layout.sample()
    assert video.shape == plain.shape
    assert float(brightness().residual(DYE(plain), GRID).abs()) > 1e-3
    assert float(brightness().residual(DYE(video), GRID).abs()) <= 1e-5
    assert all(step.correction_norm > 0 for step in log.steps)
    assert torch.equal(layout.sample(), plain)


@each
def test_gradients_go_through_the_network(make: Callable[[], Layout]) -> None:
    torch.manual_seed(0)
    layout = make()
    with guide(layout.pipe, DPS([brightness()]), observable=DYE, grid=GRID) as log:
        layout.sample()
    assert len(log.steps) == 3
    assert log.dropped == 0
    assert all(step.correction_norm > 0 for step in log.steps)


@pytest.mark.parametrize("guidance", [X0Gradient([brightness()]), Projection([brightness()])], ids=["", "terminal"])
def test_a_video_of_other_frames_than_the_law_saw_is_refused(guidance: Guidance) -> None:
    """VACE puts latents of its pictures before those of the video, and takes them off before it decodes."""
    torch.manual_seed(0)
    parts = wan().pipe.components
    transformer = d.WanVACETransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
        text_dim=32, freq_dim=32, ffn_dim=32, num_layers=2, rope_max_seq_len=32, vace_layers=[0], vace_in_channels=96,
    )  # fmt: skip
    pipe = d.WanVACEPipeline(tokenizer=None, text_encoder=None, vae=parts["vae"], scheduler=parts["scheduler"],
                             transformer=transformer)  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    picture = Image.new("RGB", (16, 16), (255, 255, 255))
    arguments = {**prompts(32), "height": 16, "width": 16, "num_frames": 9, "num_inference_steps": 1}
    with (
        pytest.raises(InvalidArgument, match="latents of 13 frames for a video of 9"),
        guide(pipe, guidance, observable=DYE, grid=GRID),
    ):
        pipe(reference_images=[picture], **arguments, output_type="pt")


@pytest.mark.parametrize("name", ["Kandinsky5I2VPipeline", "SkyReelsV2DiffusionForcingPipeline"])
def test_pipelines_of_which_the_scheduler_has_a_part_are_refused_before_anything_runs(name: str) -> None:
    parts = kandinsky().pipe.components
    pipe = type(name, (SimpleNamespace,), {})(**parts)
    with (
        pytest.raises(InvalidArgument, match=f"{name}.*whole video"),
        guide(pipe, X0Gradient([MassConservation()]), observable=DYE, grid=GRID),
    ):
        pass


def test_the_certificate_is_about_latents_with_the_picture_that_the_pipeline_puts_back() -> None:
    torch.manual_seed(0)
    parts = {name: part for name, part in wan_ti2v_pipe().components.items() if name != "transformer_2"}
    pipe = d.WanImageToVideoPipeline(**{**parts, "image_encoder": None, "image_processor": None}, expand_timesteps=True)
    pipe.set_progress_bar_config(disable=True)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    arguments = {**prompts(32), "height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 2}
    law = Equality(lambda latents: latents.mean((1, 2, 3, 4)) - 0.3, "mean")
    with guide(pipe, Projection([law])) as log:
        latents = pipe(image=picture, **arguments, output_type="latent").frames
    violated = float(law.residual(latents.double(), None).abs().max())
    assert log.certificate["mean"].residual_max == pytest.approx(violated, rel=1e-6)
    assert not log.certificate["mean"].satisfied


def test_an_image_that_stays_latent_is_left_alone() -> None:
    layout = stable_diffusion()
    with (
        pytest.warns(UserWarning, match="no video was decoded"),
        guide(layout.pipe, Projection([brightness()]), observable=DYE, grid=GRID),
    ):
        layout.pipe(**layout.arguments, output_type="latent", num_inference_steps=2)


def test_mean_and_deviation_of_latents_may_be_buffers_of_the_autoencoder() -> None:
    vae = d.AutoencoderKLLTX2Video(
        latent_channels=8, block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 3,
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 4,
    )  # fmt: skip
    vae.latents_mean.fill_(0.5)
    vae.latents_std.fill_(2.0)
    latents = torch.ones(1, 8, 1, 1, 1)
    assert torch.equal(denormalise(vae, latents), 2.5 * latents)
    assert torch.equal(normalise(vae, 2.5 * latents), latents)


def test_flux_is_refused_before_anything_runs() -> None:
    pipe = d.FluxPipeline(
        scheduler=d.FlowMatchEulerDiscreteScheduler(), vae=picture_vae(), text_encoder=None, tokenizer=None,
        text_encoder_2=None, tokenizer_2=None, transformer=None,
    )  # fmt: skip
    with (
        pytest.raises(InvalidArgument, match="packs its latents"),
        guide(pipe, X0Gradient([MassConservation()]), observable=DYE, grid=GRID),
    ):
        pass
