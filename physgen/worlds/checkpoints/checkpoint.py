"""Fine-tuned weights of a Wan transformer: DiffSynth's LoRA and full files, every key accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.grid import finite
from physgen.worlds.checkpoints.file import latest, read_tensors
from physgen.worlds.checkpoints.lora import check_update, updates

PREFIXES = ("pipe.dit.", "model.diffusion_model.", "diffusion_model.", "transformer.")
SHOWN = 5


@dataclass(frozen=True)
class LoadReport:
    """What a checkpoint was (``lora`` or ``full``), the keys that were loaded and those that were not."""

    kind: str
    loaded: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        left = f"; left over: {listed(self.unused)}" if self.unused else ""
        return f"{self.kind} checkpoint: {len(self.loaded)} tensors loaded{left}"


@dataclass(frozen=True)
class Plan:
    """A checkpoint that fits: the file's tensors by the name of the weight that they replace or, LoRA, add to."""

    report: LoadReport
    tensors: Mapping[str, Tensor]
    targets: Mapping[str, Any]

    def check_alpha(self, alpha: float) -> float:
        """The weight of a LoRA; a full checkpoint has none, and is refused any but 1."""
        if self.report.kind == "full" and alpha != 1:
            raise InvalidArgument("alpha", alpha, "1 with a full checkpoint")
        return finite("alpha", alpha, "a finite number")


def load_checkpoint(pipe: Any, path: str | Path, alpha: float = 1.0, *, trust_pickle: bool = False) -> LoadReport:
    """Load a LoRA or full checkpoint into the pipeline's Wan transformer.

    W <- W + alpha B A  (LoRA, summed in float32)    or    W <- the file's W

    ``path`` is a .safetensors file, a .safetensors.index.json of shards, or a folder of ``step-N`` or ``epoch-N`` of
    which the largest N is taken. Names are Wan's own or diffusers', with or without a prefix such as ``pipe.dit.``. The
    weights change only after everything was found in order.

    Raises:
        InvalidArgument: nothing to load, keys of another architecture, half a pair, two ranks, LoRA beside full
            weights, a missing weight, NaN or Inf, a broken file, a pickle that is not trusted, a pipeline without a
            Wan transformer or with two.

    Source: Hu et al. (2021), LoRA, arXiv:2106.09685, equation 3; names as written by DiffSynth-Studio.
    """
    transformer: Any = getattr(pipe, "transformer", None)
    if type(transformer).__name__ != "WanTransformer3DModel" or getattr(pipe, "transformer_2", None) is not None:
        raise InvalidArgument("pipe", type(pipe).__name__, "a pipeline with one WanTransformer3DModel")
    shapes = {name: weight.shape for name, weight in transformer.state_dict().items()}
    plan = plan_checkpoint(path, shapes, trust_pickle=trust_pickle)
    apply_plan(transformer, plan, alpha)
    return plan.report


@torch.no_grad()
def apply_plan(transformer: torch.nn.Module, plan: Plan, alpha: float) -> None:
    """Change the weights, in their own precision and where they are."""
    factor = plan.check_alpha(alpha)
    weights = transformer.state_dict()
    for name, target in plan.targets.items():
        weight = weights[name]
        if plan.report.kind == "full":
            weight.copy_(plan.tensors[target])
        else:
            weight.copy_(weight.float() + factor * target.delta(plan.tensors).to(weight.device))


def plan_checkpoint(path: str | Path, shapes: Mapping[str, torch.Size], *, trust_pickle: bool = False) -> Plan:
    """Match a checkpoint with the weights of a transformer, by diffusers' names, without allocating any.

    Raises: as `load_checkpoint`.
    """
    file = latest(Path(path))
    tensors = read_tensors(file, trust_pickle=trust_pickle)
    names = {key: key.removeprefix(next(filter(key.startswith, PREFIXES), "")) for key in tensors}
    if len(set(names.values())) < len(names):
        raise InvalidArgument("checkpoint", str(file), "every weight once: some are there under two prefixes")
    low_rank = updates((name, key) for key, name in names.items())
    in_low_rank = {key for update in low_rank.values() for key in update.keys.values()}
    full = {translated(name, shapes): key for key, name in names.items() if key not in in_low_rank}
    targets: dict[str, Any] = {name: key for name, key in full.items() if name in shapes}
    if low_rank and targets:
        raise InvalidArgument(
            "checkpoint", str(file), f"a LoRA or full weights, not both: it holds {listed(targets.values())} as well"
        )
    if low_rank:
        layers = {translated(f"{module}.weight", shapes): update for module, update in low_rank.items()}
        targets = {name: update for name, update in layers.items() if name in shapes}
        loaded = {key for update in targets.values() for key in update.keys.values()}
    else:
        loaded = set(targets.values())
    unused = [key for key in tensors if key not in loaded]
    if not loaded:
        raise InvalidArgument("checkpoint", str(file), f"keys of a Wan transformer; left over: {listed(unused)}")
    if low_rank:
        for name, update in targets.items():
            check_update(update, tensors, shapes[name])
    else:
        check_full(str(file), targets, tensors, shapes)
    parts = {name.partition(".")[0] for name in shapes}
    foreign = [key for key in unused if translated(names[key], shapes).partition(".")[0] in parts]
    if foreign:
        raise InvalidArgument("checkpoint", str(file), f"a file of this architecture; left over: {listed(foreign)}")
    check_values(str(file), {key: tensors[key] for key in sorted(loaded)})
    return Plan(LoadReport("lora" if low_rank else "full", tuple(sorted(loaded)), tuple(unused)), tensors, targets)


def check_full(
    file: str, targets: Mapping[str, str], tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]
) -> None:
    """Refuse full weights that do not fill the transformer."""
    for name, key in targets.items():
        if tensors[key].shape != shapes[name]:
            got = f"{key} {list(tensors[key].shape)}"
            raise InvalidArgument("checkpoint", got, f"a file of this architecture: the weight is {list(shapes[name])}")
    if missing := [name for name in shapes if name not in targets]:
        raise InvalidArgument("checkpoint", file, f"every weight of the transformer; missing: {listed(missing)}")


def check_values(file: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse integers, NaN and Inf."""
    for key, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise InvalidArgument("checkpoint", f"{key} {tensor.dtype}", "floating point tensors")
        narrow = tensor.element_size() == 1  # float8 has no order in torch
        if not torch.stack((tensor.float() if narrow else tensor).aminmax()).isfinite().all():
            raise InvalidArgument("checkpoint", f"{file}: NaN or Inf in {key}", "finite weights")


def translated(name: str, shapes: Mapping[str, torch.Size]) -> str:
    """Diffusers' name of a weight that Wan's own code names; a name that the transformer has is left alone.

    >>> translated("blocks.0.self_attn.q.weight", {})
    'blocks.0.attn1.to_q.weight'
    """
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    if name in shapes or "motion_encoder" in name or "face_adapter" in name:  # of Wan-Animate, whose values it reads
        return name
    return next(iter(convert_wan_transformer_to_diffusers({name: None})))


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more.

    >>> listed("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
