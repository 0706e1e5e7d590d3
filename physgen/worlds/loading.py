"""From the files of a world to one that draws: everything is checked first, nothing is downloaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.worlds.checkpoints.checkpoint import LoadReport, Plan, apply_plan, plan_checkpoint
from physgen.worlds.checkpoints.weights import check_whole, find_weights, pipeline_class, read_index
from physgen.worlds.memory.architecture import check_size
from physgen.worlds.memory.placement import check_placement, place
from physgen.worlds.spec import WorldSpec
from physgen.worlds.world import World


@dataclass(frozen=True)
class Checked:
    """Files of a world that fit together: the pipeline's folder and class, precisions, scheduler, checkpoint."""

    folder: Path
    pipeline: Any
    dtype: dict[str, torch.dtype]
    scheduler: Any
    plan: Plan | None

    def load(self, spec: WorldSpec) -> tuple[Any, LoadReport | None]:
        """The pipeline on the CPU, with its checkpoint, and what was loaded of that."""
        quiet_loading()
        pipe = self.pipeline.from_pretrained(self.folder, dtype=self.dtype, local_files_only=True, use_safetensors=True)
        if spec.scheduler:
            changes = {name: value for name, value in spec.scheduler.items() if name != "_class_name"}
            scheduler = self.scheduler or type(pipe.scheduler)
            pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **changes)
        pipe.set_progress_bar_config(disable=None, leave=False)
        if self.plan:
            apply_plan(pipe.transformer, self.plan, spec.checkpoint_alpha)
        return pipe, self.plan.report if self.plan else None


def load(spec: WorldSpec, device: str | None = None, start: Tensor | None = None) -> World:
    """Load the weights of a world, and the checkpoint on top, after both were checked without allocating either.

    ``start`` are first frames ``[3, n, H, W]`` in [0, 1], for a world that draws from them.

    Raises: as `check`; InvalidArgument for a device that has no such name.
    """
    try:
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise InvalidArgument("device", device, "cpu, cuda, cuda:1, ...") from error
    pipe, report = check(spec).load(spec)
    here = spec if where.type != "cpu" else replace(spec, offload="none")  # there is nothing to take weights off
    return World(spec, place(pipe, here, where), report, start)


def check(spec: WorldSpec) -> Checked:
    """Find the weights and the checkpoint of a world and see that they are whole and fit, without allocating either.

    Raises:
        MissingWeights: weights that are not there, or not whole.
        InvalidArgument: a folder of another pipeline, a checkpoint that is missing or does not fit, a size that its
            models cannot draw, less than one step, a dtype, a scheduler, an offloading or an attention that does not
            exist.
    """
    import diffusers

    check_placement(spec)
    folder = find_weights(spec)
    module, _, name = spec.pipeline.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    if cls is diffusers.DiffusionPipeline:
        cls = pipeline_class(folder)
    elif (found := read_index(folder).get("_class_name")) not in {
        spec.saved_as,
        *(base.__name__ for base in cls.__mro__),
    }:
        raise InvalidArgument("pipeline", f"{folder}: {found}", f"{name} in world={spec.name}")
    check_whole(folder)
    check_size(spec)
    if spec.steps < 1:
        raise InvalidArgument("world.steps", spec.steps, "at least 1")
    dtype: dict[str, Any] = {part: getattr(torch, text, None) for part, text in spec.dtype.items()}
    if not all(isinstance(value, torch.dtype) for value in dtype.values()):
        raise InvalidArgument("world.dtype", spec.dtype, "names of torch, float32, float16 or bfloat16")
    scheduler = spec.scheduler.get("_class_name")
    if scheduler is not None and not hasattr(diffusers, scheduler):
        raise InvalidArgument("world.scheduler._class_name", scheduler, "a scheduler of diffusers")
    return Checked(folder, cls, dtype, getattr(diffusers, scheduler or "", None), _plan(spec, folder))


def _plan(spec: WorldSpec, folder: Path) -> Plan | None:
    from diffusers import WanTransformer3DModel

    if not spec.checkpoint:
        if spec.needs_checkpoint:
            allowed = "one of its checkpoints, checkpoint=FILE or checkpoint=FOLDER"
            raise InvalidArgument("checkpoint", spec.checkpoint, allowed)
        if spec.checkpoint_alpha != 1:
            raise InvalidArgument("alpha", spec.checkpoint_alpha, "1 without checkpoint=LORA, whose weight it is")
        return None
    index = read_index(folder)
    if index.get("transformer") != ["diffusers", "WanTransformer3DModel"] or index.get("transformer_2", [None])[0]:
        raise InvalidArgument("checkpoint", spec.checkpoint, "none: checkpoints are for one WanTransformer3DModel")
    with torch.device("meta"):
        model = WanTransformer3DModel.from_config(WanTransformer3DModel.load_config(folder / "transformer"))
    shapes = {name: weight.shape for name, weight in model.state_dict().items()}
    plan = plan_checkpoint(spec.checkpoint, shapes, trust_pickle=spec.trust_pickle)
    plan.check_alpha(spec.checkpoint_alpha)
    return plan


def quiet_loading() -> None:
    """No progress bars for reading a few files; sampling keeps its own."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
