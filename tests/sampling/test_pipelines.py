"""Guidance in the real pipelines, with tiny random weights: hard latents, decoding, the network's derivatives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import diffusers as d
import pytest
import torch
from torch import Tensor

from physgen.constraints import Constraint, Equality, MassConservation, Observed
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import DPS, Correction, Guidance, NoiseSearch, Particles, Projection, X0Gradient
from physgen.observables import ColourMap
from physgen.sampling import guide

GRID = Grid(spacing=(2.0, 2.0), dt=0.5)
DYE = ColourMap([(0.05, 0.88, 0.15)], background=(0.04, 0.04, 0.04), species=("dye",))
COGVIDEOX = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
Linear = Callable[[Sequence[int]], Constraint]


@dataclass
class World:
    pipe: Any
    latents: tuple[int, ...]
    arguments: dict[str, Any]

    def __post_init__(self) -> None:
        self.pipe.set_progress_bar_config(disable=True)
        for model in (self.pipe.transformer, getattr(self.pipe, "transformer_2", None), self.pipe.vae):
            if model is not None:
                model.eval()

    def sample(self, **arguments: Any) -> Any:
        defaults = {
            "height": 16,
            "width": 16,
            "num_frames": 9,
            "num_inference_steps": 4,
            "output_type": "latent",
            "generator": torch.Generator().manual_seed(0),
        }
        return self.pipe(**{**defaults, **self.arguments, **arguments}).frames


def embeds(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def prompts(width: int, mask: bool = False) -> dict[str, Tensor]:
    positive, negative = embeds(2, 1, 8, width)
    masks = {
        name: torch.ones(1, 8, dtype=torch.bool) for name in ("prompt_attention_mask", "negative_prompt_attention_mask")
    }
    return {"prompt_embeds": positive, "negative_prompt_embeds": negative, **(masks if mask else {})}


def wan_transformer() -> Any:
    return d.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=32,
        ffn_dim=32,
        num_layers=1,
        rope_max_seq_len=32,
    )


def wan(scheduler: Any = None, **components: Any) -> World:
    vae = d.AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    pipe = d.WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        scheduler=scheduler
        or d.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        transformer=wan_transformer(),
        **components,
    )
    return World(pipe, (16, 3, 2, 2), {**prompts(32), "guidance_scale": 5.0})


def wan_2_2() -> World:
    world = wan(transformer_2=wan_transformer(), boundary_ratio=0.875)
    world.arguments["guidance_scale_2"] = 3.0
    return world


def hunyuan() -> World:
    transformer = d.HunyuanVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size=1,
        patch_size_t=1,
        guidance_embeds=True,
        text_embed_dim=16,
        pooled_projection_dim=8,
        rope_axes_dim=(2, 4, 4),
    )
    vae = d.AutoencoderKLHunyuanVideo(
        latent_channels=4,
        down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
    )
    pipe = d.HunyuanVideoPipeline(
        text_encoder=None,
        tokenizer=None,
        transformer=transformer,
        vae=vae,
        scheduler=d.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=None,
        tokenizer_2=None,
    )
    pooled, negative_pooled = embeds(2, 1, 8)
    arguments = {
        **prompts(16, mask=True),
        "pooled_prompt_embeds": pooled,
        "negative_pooled_prompt_embeds": negative_pooled,
        "true_cfg_scale": 4.0,
    }
    return World(pipe, (4, 3, 2, 2), arguments)


def cogvideox(scheduler: Any) -> World:
    transformer = d.CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=16,
        num_layers=1,
        sample_width=2,
        sample_height=2,
        sample_frames=9,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=8,
    )
    vae = d.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    pipe = d.CogVideoXPipeline(
        tokenizer=None, text_encoder=None, vae=vae, transformer=transformer, scheduler=scheduler(**COGVIDEOX)
    )
    return World(pipe, (3, 4, 2, 2), {**prompts(16), "guidance_scale": 6.0, "use_dynamic_cfg": True})


def ltx() -> World:
    transformer = d.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        caption_channels=16,
    )
    vae = d.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
    )
    pipe = d.LTXPipeline(
        scheduler=d.FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, shift_terminal=0.1
        ),
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        transformer=transformer,
    )
    arguments = {**prompts(16, mask=True), "guidance_scale": 3.0, "height": 32, "width": 64}
    return World(pipe, (4, 8), arguments)


WORLDS: dict[str, Callable[[], World]] = {
    "wan": wan,
    "wan-2.2": wan_2_2,
    "hunyuan": hunyuan,
    "cogvideox-ddim": lambda: cogvideox(d.CogVideoXDDIMScheduler),
    "cogvideox-dpm": lambda: cogvideox(d.CogVideoXDPMScheduler),
    "ltx": ltx,
}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    torch.manual_seed(0)
    return WORLDS[request.param]()


class ThroughNetwork(X0Gradient):
    """Keeps x0_hat, and the product of a fixed cotangent with its derivative by x_t."""

    through_network = True

    def __init__(self, constraint: Constraint) -> None:
        super().__init__([constraint])
        self.seen: list[tuple[float, Tensor, Tensor, Tensor]] = []

    def correction(self, x0_hat: Tensor, **arguments: Any) -> Correction:
        x_t, sigma = arguments["x_t"], arguments["sigma"]
        for _ in range(2):
            (product,) = torch.autograd.grad(x0_hat, x_t, cotangent(x0_hat), retain_graph=True)
        self.seen.append((sigma, x_t.detach(), x0_hat.detach(), product))
        return Correction(x0_hat.detach(), {}, 0.0, 0)


class CalledAgain(X0Gradient):
    """Compares what the network predicts when it is called again with what the pipeline made of its first call."""

    through_network = True
    jacobian = "forward"

    def __init__(self, constraint: Constraint) -> None:
        super().__init__([constraint])
        self.seen: list[tuple[Tensor, float, float]] = []

    def correction(self, x0_hat: Tensor, **arguments: Any) -> Correction:
        predict, x_t, step = arguments["predict"], arguments["x_t"], 1e-2
        assert not x_t.requires_grad
        same = float((predict(x_t) - x0_hat).abs().max() / x0_hat.abs().max())
        along = embeds(*x_t.shape)
        difference = (predict(x_t + step * along) - predict(x_t - step * along)) / (2 * step)
        self.seen.append((x_t, same, float((difference * cotangent(x_t)).sum())))
        return Correction(x0_hat, {}, 0.0, 0)


def cotangent(like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(11))


# --- what comes out


def test_latents_satisfy_a_linear_set(world: World, linear_set: Linear) -> None:
    constraint = linear_set(world.latents)
    plain = world.sample()
    with guide(world.pipe, Projection([constraint])) as log:
        latents = world.sample()
    assert latents.shape == (1, *world.latents)
    assert (latents - constraint.project(latents, None)).abs().max() <= 1e-5 * latents.abs().max()
    assert (plain - constraint.project(plain, None)).abs().max() > 1e-2
    assert len(log.steps) == 4
    assert torch.equal(world.sample(), plain)


def test_the_corrected_latents_come_out(world: World, scripted: Callable[[Tensor], Any]) -> None:
    target = 3 * embeds(1, *world.latents)
    with guide(world.pipe, scripted(target)):
        latents = world.sample()
    assert (latents - target).abs().max() <= 1e-5 * target.abs().max()


def test_the_network_runs_without_a_graph_unless_asked(world: World, linear_set: Linear) -> None:
    """Peak memory of a process says little at this size; whether the transformer keeps its activations says all."""
    graphs: list[bool] = []
    models = [
        model for model in (world.pipe.transformer, getattr(world.pipe, "transformer_2", None)) if model is not None
    ]
    for model in models:
        model.proj_out.register_forward_hook(lambda *call: graphs.append(call[2].requires_grad))
    with guide(world.pipe, X0Gradient([linear_set(world.latents)])):
        world.sample()
    assert graphs
    assert not any(graphs)
    graphs.clear()
    with guide(world.pipe, ThroughNetwork(linear_set(world.latents))):
        latents = world.sample()
    assert graphs
    assert all(graphs)
    assert not latents.requires_grad
    for model in models:
        assert all(p.requires_grad and p.grad is None for p in model.parameters())
        assert "forward" not in model.__dict__


# --- decoding


@pytest.mark.parametrize("name", ["wan", "hunyuan", "cogvideox-ddim", "cogvideox-dpm"])
def test_the_decoded_video_satisfies_the_constraint(name: str) -> None:
    torch.manual_seed(0)
    world, mass = WORLDS[name](), MassConservation()
    with guide(world.pipe, Projection([mass]), observable=DYE, grid=GRID) as log:
        video = world.sample(output_type="pt").permute(0, 2, 1, 3, 4)
    assert mass.residual(DYE(video), GRID).abs().max() <= 1e-6
    assert all(entry.correction_norm > 0 for entry in log.steps)


@pytest.mark.parametrize("name", ["wan", "hunyuan", "cogvideox-ddim"])
def test_guidance_decodes_as_the_pipeline_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The residual at the first step of one is that of the video that the unguided pipeline decodes."""
    torch.manual_seed(0)
    world, mass, decoded = WORLDS[name](), MassConservation(), []
    with monkeypatch.context() as patch:
        patch.setattr(world.pipe.video_processor, "postprocess_video", lambda video, **_: decoded.append(video))
        world.sample(output_type="pt", num_inference_steps=1)
    expected = float(mass.residual(DYE((decoded[0] + 1) / 2), GRID).square().mean().sqrt())
    with guide(world.pipe, X0Gradient([mass]), observable=DYE, grid=GRID) as log:
        world.sample(output_type="pt", num_inference_steps=1)
    assert log.steps[0].residual["mass"] == pytest.approx(expected, rel=1e-4)


def test_packed_latents_are_refused_before_anything_runs() -> None:
    with (
        pytest.raises(InvalidArgument, match="LTXPipeline, which packs its latents"),
        guide(ltx().pipe, X0Gradient([MassConservation()]), observable=DYE, grid=GRID),
    ):
        pass


@pytest.mark.parametrize("guidance", [Projection([MassConservation()]), Particles(2, MassConservation())])
def test_laws_of_amounts_are_none_of_latents(guidance: Guidance) -> None:
    with pytest.raises(InvalidArgument, match=r"observable=None.*mass cannot be read off"), guide(wan().pipe, guidance):
        pass


def test_padded_frames_are_refused_before_anything_runs() -> None:
    world = cogvideox(d.CogVideoXDDIMScheduler)
    world.pipe.transformer.register_to_config(patch_size_t=2)
    with (
        pytest.raises(InvalidArgument, match="patch_size_t"),
        guide(world.pipe, X0Gradient([MassConservation()]), observable=DYE, grid=GRID),
    ):
        pass


# --- through the network


@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_derivative_by_the_latents_is_the_transformers(guidance_scale: float, linear_set: Linear) -> None:
    """Against the transformer called by hand, both branches, u + w (c - u)."""
    torch.manual_seed(0)
    world, guidance = wan(), ThroughNetwork(linear_set((16, 3, 2, 2)))
    with guide(world.pipe, guidance):
        world.sample(guidance_scale=guidance_scale)
    timesteps = world.pipe.scheduler.timesteps
    assert len(guidance.seen) == len(timesteps) == 4
    for t, (sigma, seen, x0_hat, product) in zip(timesteps, guidance.seen, strict=True):
        x_t = seen.clone().requires_grad_()
        conditional, unconditional = (
            world.pipe.transformer(x_t, t.expand(1), world.arguments[name], return_dict=False)[0]
            for name in ("prompt_embeds", "negative_prompt_embeds")
        )
        velocity = unconditional + guidance_scale * (conditional - unconditional)
        reference = x_t - sigma * velocity
        (expected,) = torch.autograd.grad(reference, x_t, cotangent(x_t))
        assert (x0_hat - reference).abs().max() <= 1e-5 * reference.abs().max()
        assert (product - expected).abs().max() <= 1e-5 * expected.abs().max()
        assert (expected - cotangent(x_t)).abs().max() > 1e-2


def test_derivative_with_both_branches_in_one_batch(linear_set: Linear) -> None:
    """CogVideoX: variance preserving, v-prediction, dynamic guidance scale; x_t of flow matching."""
    torch.manual_seed(0)
    world, guidance = cogvideox(d.CogVideoXDDIMScheduler), ThroughNetwork(linear_set((3, 4, 2, 2)))
    scales: list[float] = []

    def keep(pipe: Any, *_: Any) -> dict[str, Any]:
        scales.append(pipe.guidance_scale)
        return {}

    with guide(world.pipe, guidance):
        world.sample(callback_on_step_end=keep)
    embeddings = torch.cat([world.arguments["negative_prompt_embeds"], world.arguments["prompt_embeds"]])
    for t, w, (sigma, seen, x0_hat, product) in zip(world.pipe.scheduler.timesteps, scales, guidance.seen, strict=True):
        a = float(world.pipe.scheduler.alphas_cumprod[t]) ** 0.5
        b = (1 - a * a) ** 0.5
        assert sigma == pytest.approx(b / (a + b))
        x_t = seen.clone().requires_grad_()
        sample = (a + b) * x_t
        u, c = world.pipe.transformer(torch.cat([sample] * 2), embeddings, t.expand(2), return_dict=False)[0].chunk(2)
        reference = a * sample - b * (u + w * (c - u))
        (expected,) = torch.autograd.grad(reference, x_t, cotangent(x_t))
        assert (x0_hat - reference).abs().max() <= 1e-5 * reference.abs().max()
        assert (product - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
def test_derivative_where_the_scheduler_scales_the_input(linear_set: Linear) -> None:
    """CogVideoX with an Euler scheduler: variance exploding, the transformer sees sample / sqrt(sigma^2 + 1)."""
    torch.manual_seed(0)
    world, guidance = cogvideox(d.CogVideoXDDIMScheduler), ThroughNetwork(linear_set((3, 4, 2, 2)))
    world.pipe.scheduler = scheduler = d.EulerDiscreteScheduler(prediction_type="v_prediction")
    with guide(world.pipe, guidance):
        world.sample(guidance_scale=1.0, use_dynamic_cfg=False)
    for t, k, (_, seen, _, product) in zip(scheduler.timesteps, scheduler.sigmas, guidance.seen, strict=False):
        x_t = seen.clone().requires_grad_()
        sample, length = (1 + k) * x_t, (k**2 + 1) ** 0.5
        v = world.pipe.transformer(sample / length, world.arguments["prompt_embeds"], t.expand(1), return_dict=False)[0]
        (expected,) = torch.autograd.grad(sample / length**2 - k / length * v, x_t, cotangent(x_t))
        assert (product - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
@pytest.mark.parametrize("name", ["wan", "cogvideox-ddim", "cogvideox-euler"])
def test_the_network_called_again_predicts_the_same_and_has_the_derivative_of_the_graph(
    name: str, linear_set: Linear
) -> None:
    """<w, J u> by a central difference of calls is <J^T w, u> by reverse mode, whether J is symmetric or not."""
    torch.manual_seed(0)
    world = WORLDS["wan" if name == "wan" else "cogvideox-ddim"]()
    if name == "cogvideox-euler":
        world.pipe.scheduler = d.EulerDiscreteScheduler(prediction_type="v_prediction")
    again, graph = CalledAgain(linear_set(world.latents)), ThroughNetwork(linear_set(world.latents))
    options = {"use_dynamic_cfg": False} if name == "cogvideox-euler" else {}
    with guide(world.pipe, again):
        latents = world.sample(**options)
    with guide(world.pipe, graph):
        assert torch.equal(world.sample(**options), latents)
    assert len(again.seen) == len(graph.seen) == 4
    for (x_t, same, product), (_, _, _, exact) in zip(again.seen, graph.seen, strict=True):
        assert same <= 1e-5
        expected = float((exact * embeds(*x_t.shape)).sum())
        size = float(exact.norm() * embeds(*x_t.shape).norm())
        assert product == pytest.approx(expected, abs=1e-3 * size)


def test_observed_latents_cost_one_more_evaluation_a_step() -> None:
    torch.manual_seed(0)
    world = wan()
    calls: list[None] = []
    world.pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(None))
    plain = world.sample()
    free = len(calls)
    values = plain[0] + embeds(*world.latents)
    mask = torch.zeros(world.latents, dtype=torch.bool)
    mask[:, 0] = True
    with guide(world.pipe, DPS(Observed(values, mask, 0.5), jacobian="forward")) as log:
        found = world.sample()
    assert len(calls) - free == 2 * free
    assert all(entry.correction_norm > 0 for entry in log.steps)
    deviations = [Observed(values, mask, 0.5).describe(x, None)["deviation"][0] for x in (plain, found)]
    assert deviations[1] < deviations[0]


def test_a_batch_has_its_own_derivatives(linear_set: Linear) -> None:
    torch.manual_seed(0)
    world, guidances = cogvideox(d.CogVideoXDDIMScheduler), [ThroughNetwork(linear_set((3, 4, 2, 2))) for _ in range(2)]
    latents = embeds(2, *world.latents)
    for guidance, start in zip(guidances, (latents, latents[:1]), strict=True):
        batch = {name: world.arguments[name].expand(len(start), -1, -1) for name in prompts(16)}
        with guide(world.pipe, guidance):
            world.sample(latents=start.clone(), num_inference_steps=1, **batch)
    first = [guidance.seen[0][3] - cotangent(guidance.seen[0][3]) for guidance in guidances]
    assert first[0].shape[0] == 2
    assert torch.allclose(guidances[0].seen[0][2][:1], guidances[1].seen[0][2], atol=1e-5)


def test_bfloat16_branches_are_told_apart(linear_set: Linear) -> None:
    torch.manual_seed(0)
    world, guidance = wan(), ThroughNetwork(linear_set((16, 3, 2, 2)))
    world.pipe.to(torch.bfloat16)
    with guide(world.pipe, guidance):
        latents = world.sample()
    assert len(guidance.seen) == 4
    assert all(product.isfinite().all() for *_, product in guidance.seen)
    assert latents.isfinite().all()


def test_a_call_is_made_again_under_the_autocast_of_the_first() -> None:
    """Guidance moves the sample of a bfloat16 run as it does that of a float32 run."""
    torch.manual_seed(0)
    world = wan(d.FlowMatchEulerDiscreteScheduler(shift=3.0))
    for parameter in world.pipe.transformer.parameters():
        parameter.data.normal_(std=0.2)
    law = Equality(lambda latents: latents[:, 0].mean((1, 2, 3)) - 0.3, "mean")
    moves = []
    for mixed in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            plain = world.sample(num_inference_steps=1)
            with guide(world.pipe, DPS([law], jacobian="forward")):
                moves.append((world.sample(num_inference_steps=1) - plain).flatten())
    assert torch.nn.functional.cosine_similarity(moves[0], moves[1], dim=0) > 0.95
    assert float(moves[1].norm() / moves[0].norm()) == pytest.approx(1, abs=0.1)


def test_steps_that_are_not_guided_keep_no_graph(linear_set: Linear) -> None:
    torch.manual_seed(0)
    world, graphs = wan(), []
    world.pipe.transformer.proj_out.register_forward_hook(lambda *call: graphs.append(call[2].requires_grad))
    guidance = ThroughNetwork(linear_set((16, 3, 2, 2)))
    guidance.start = 0.75
    with guide(world.pipe, guidance):
        world.sample(guidance_scale=1.0)
    assert graphs == [True, False, False, True]  # before the first step its place in the schedule is not known
    assert len(guidance.seen) == 1


def test_rescaled_guidance_is_refused(linear_set: Linear) -> None:
    torch.manual_seed(0)
    world = ltx()
    with (
        pytest.raises(InvalidArgument, match=r"LTXPipeline.*rescaling"),
        guide(world.pipe, ThroughNetwork(linear_set(world.latents))),
    ):
        world.sample(guidance_rescale=0.7)


def test_a_transformer_that_sees_something_else_is_refused(linear_set: Linear) -> None:
    world = wan()
    scheduler, x = world.pipe.scheduler, embeds(1, *world.latents)
    scheduler.set_timesteps(2)
    with guide(world.pipe, ThroughNetwork(linear_set(world.latents))):
        with pytest.raises(InvalidArgument, match="call their network"):
            scheduler.step(x, scheduler.timesteps[0], x)
        output = world.pipe.transformer(x + embeds(1, *world.latents).flip(0, 1), torch.ones(1), embeds(1, 8, 32))[0]
        with pytest.raises(InvalidArgument, match="sees the latents"):
            scheduler.step(output, scheduler.timesteps[0], x)


@pytest.mark.parametrize(
    "make",
    [
        lambda law: DPS([law]),
        lambda law: DPS([law], jacobian="forward"),
        lambda law: NoiseSearch(lambda fields: fields.mean((1, 2, 3, 4)), iterations=1, euler_steps=2),
    ],
    ids=["backward", "forward", "search"],
)
def test_a_run_that_was_interrupted_leaves_no_call_behind(make: Callable[[Constraint], Guidance]) -> None:
    """In the second branch of classifier-free guidance; the next run is that of a pipeline that never failed."""
    torch.manual_seed(0)
    world = wan(d.FlowMatchEulerDiscreteScheduler(shift=3.0))
    calls = 0

    def interrupt(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    with guide(world.pipe, make(Equality(lambda latents: latents.mean((1, 2, 3, 4)) - 0.3))):
        expected = world.sample(num_inference_steps=2, generator=torch.Generator().manual_seed(1))
        hook = world.pipe.transformer.register_forward_pre_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            world.sample(num_inference_steps=2, generator=torch.Generator().manual_seed(2))
        hook.remove()
        assert torch.equal(world.sample(num_inference_steps=2, generator=torch.Generator().manual_seed(1)), expected)


@pytest.mark.parametrize(
    "guidance",
    [
        DPS([Equality(lambda latents: latents)], jacobian="forward"),
        NoiseSearch(lambda latents: latents),
        Particles(2, lambda latents: latents),
    ],
    ids=["forward", "search", "particles"],
)
def test_a_cache_that_answers_for_another_call_is_refused(guidance: Guidance) -> None:
    world = wan()
    broadcast = d.PyramidAttentionBroadcastConfig(cross_attention_block_skip_range=2, current_timestep_callback=int)
    world.pipe.transformer.enable_cache(broadcast)
    with pytest.raises(InvalidArgument, match="WanTransformer3DModel with a cache"), guide(world.pipe, guidance):
        pass


def test_pipeline_without_transformer_is_refused(linear_set: Linear) -> None:
    world = wan()
    world.pipe.transformer = None
    with (
        pytest.raises(InvalidArgument, match="transformer"),
        guide(world.pipe, ThroughNetwork(linear_set(world.latents))),
    ):
        pass


# --- callbacks


def test_a_guidance_is_no_callback(linear_set: Linear) -> None:
    world = wan()
    guidance = Projection([linear_set(world.latents)])
    with pytest.raises(TypeError, match="not callable"):
        world.sample(callback_on_step_end=guidance)


def test_fields_that_the_observable_does_not_give(linear_set: Linear) -> None:
    world = wan()
    two = MassConservation(inflow=[[1.0], [-1.0]])
    with (
        pytest.raises(InvalidArgument, match="inflow"),
        guide(world.pipe, X0Gradient([two]), observable=DYE, grid=GRID),
    ):
        world.sample()
