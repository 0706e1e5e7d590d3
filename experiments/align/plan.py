"""What `physgen align` would cost, before any weights are loaded: evaluations, floating-point operations, memory."""

from __future__ import annotations

from typing import Any

import torch
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from physgen.experiments.align.cost import BACK, Cost
from physgen.experiments.align.options import DATA, PREFERENCE, AlignConfig, is_micro
from physgen.experiments.finetune.train import LAYERS
from physgen.experiments.measure.tables import Cell, Table
from physgen.worlds import WorldSpec
from physgen.worlds.memory.architecture import configurations, latent_shape, on_meta, text_length
from physgen.worlds.memory.plan import RESERVE, Planner, size
from physgen.worlds.memory.trace import traced

GIB = 2**30
#: bytes of an optimised parameter: value, gradient, two moments, average, in float32
OPTIMISED = 20
#: floating-point operations a second that a card may sustain; an assumption, to be replaced by what yours does
SUSTAINED = 1e14


def show_plan(config: AlignConfig) -> None:
    """Print what every arm costs, and the memory of drawing and of a training step."""
    spec = config.world
    operations, memory, parameters = training_step(spec, config.lora.rank)
    drawing = Planner(spec).plan()
    arms: list[list[Cell]] = []
    for name in config.arms:
        cost = planned(config, name)
        flop = float(cost.total) * operations
        arms.append([name, str(cost.evaluations), str(cost.trained), flop / 1e15, flop / SUSTAINED / 3600])
    rows: list[list[Cell]] = [
        ["operations of an evaluation, 10¹²", operations / 1e12],
        ["parameters of the LoRA, millions", parameters / 1e6],
        ["peak of drawing, GiB", drawing.peak / GIB],
        ["peak of a training step, one sample at a time, GiB", memory / GIB],
        ["kept for the card itself, GiB", RESERVE / GIB],
    ]
    console = Console(highlight=False, soft_wrap=True)
    assumed = f"hours at {SUSTAINED / 1e12:.0f}·10¹² operations a second"
    columns = ["arm", "evaluations", f"with a way back (each counts {BACK})", "operations, 10¹⁵", assumed]
    Table(f"{spec.name}: one seed, {config.rounds} rounds, extrapolated", columns, arms).show(console)
    Table(f"{spec.name}: drawing {drawing}; training with checkpoints, extrapolated", ["", "value"], rows).show(console)


def planned(config: AlignConfig, arm: str) -> Cost:
    """What making an arm takes for one seed, its held-out videos not counted."""
    a_video = config.world.steps * (2 if config.world.guidance_scale > 1 else 1)
    drawn = 0 if arm == DATA else config.samples * a_video
    passes = config.lora.schedule.steps * config.lora.batch
    training = Cost(2 * passes, 2 * passes) if arm == PREFERENCE else Cost(0, passes)
    rounds = [Cost(drawn) + training for _ in range(config.rounds)]
    return sum(rounds, Cost())


def training_step(spec: WorldSpec, rank: int) -> tuple[float, int, int]:
    """Operations of an evaluation, peak bytes of a training step with one sample, and parameters of the LoRA.

    The transformer runs on the meta device, with a LoRA, there and back; blocks are computed again on the way back in
    worlds beyond the embedded one. Weights and the optimiser's tensors are counted in; scratch memory is not.
    """
    from peft import LoraConfig

    model = on_meta(spec)["transformer"]
    weights = size(model)
    latents, text = latent_shape(spec, configurations(spec)), (text_length(spec), model.config.text_dim)
    inputs: dict[str, Any] = {
        "hidden_states": torch.empty(1, *latents, device="meta", dtype=model.dtype),
        "timestep": torch.empty(1, device="meta"),
        "encoder_hidden_states": torch.empty(1, *text, device="meta", dtype=model.dtype),
    }
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**inputs, return_dict=False)
    model.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LAYERS))
    parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    if not is_micro(spec):
        model.enable_gradient_checkpointing()

    def step() -> None:
        model(**inputs, return_dict=False)[0].float().square().mean().backward()

    peak = traced(step).peak
    return float(counter.get_total_flops()), weights + OPTIMISED * parameters + peak, parameters
