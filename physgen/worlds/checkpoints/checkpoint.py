"""Fine-tuned weights of a Wan transformer: what is added to them or replaces them, every key accounted for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from physgen.arguments import finite
from physgen.errors import InvalidArgument
from physgen.worlds.checkpoints.file import latest, read_tensors
from physgen.worlds.checkpoints.lora import Layer, Term, layers_of
from physgen.worlds.checkpoints.names import plain_names, translated
from physgen.worlds.checkpoints.strength import check_header, stated_strengths

SHOWN = 5
#: names of tensors that scale a whole file
SCALE = re.compile(r"[^.]*(alpha|scale)[^.]*")


@dataclass(frozen=True)
class LoadReport:
    """What a checkpoint was, the keys that were loaded and those that were not.

    ``lora`` adds to the weights, ``full`` replaces them; ``scales`` are the factors of B A that the file asks for.
    """

    kind: str
    loaded: tuple[str, ...]
    unused: tuple[str, ...]
    scales: tuple[float, ...] = ()

    def __str__(self) -> str:
        scales = f", B A times {listed(f'{scale:g}' for scale in self.scales)}" if self.scales else ""
        left = f"; left over: {listed(self.unused)}" if self.unused else ""
        return f"{self.kind} checkpoint: {len(self.loaded)} tensors loaded{scales}{left}"


@dataclass(frozen=True)
class Plan:
    """A checkpoint that fits: the file's tensors, and which replace or are added to each weight."""

    report: LoadReport
    tensors: Mapping[str, Tensor]
    replaced: Mapping[str, str]
    added: Mapping[str, list[Term]]

    def check_alpha(self, alpha: float) -> float:
        """The weight of a LoRA; a full checkpoint has none, and is refused any but 1."""
        if self.report.kind == "full" and alpha != 1:
            raise InvalidArgument("alpha", alpha, "1 with a full checkpoint")
        return finite("alpha", alpha, "a finite number")


def load_checkpoint(pipe: Any, path: str | Path, alpha: float = 1.0, *, trust_pickle: bool = False) -> LoadReport:
    """Load a LoRA or full checkpoint into the pipeline's Wan transformer.

    W <- W + alpha (s B A + D)  (LoRA, summed in float32)    or    W <- the file's W

    ``path`` is a .safetensors file, a .safetensors.index.json of shards, a folder of ``step-N`` or ``epoch-N`` of
    which the largest N is taken, or a folder that peft wrote. Names are Wan's own, diffusers' or kohya's, with or
    without a prefix such as ``pipe.dit.``. The scale s is the one that the file asks for, in its tensors, in its header
    or in the ``adapter_config.json`` beside it, else 1; D are differences (``.diff``, ``.diff_b``, ``.diff_m``). The
    weights change only after everything was found in order.

    Raises:
        InvalidArgument: nothing to load, keys of another architecture, half a pair, two ranks, a scale that is stated
            twice or that cannot be applied, LoRA beside full weights, a missing weight, NaN or Inf, a broken file, a
            pickle that is not trusted, a pipeline without a Wan transformer or with two, or one offloaded by layers.

    Source: Hu et al. (2021), LoRA, arXiv:2106.09685, equation 3; names as written by DiffSynth-Studio, diffusers,
    peft, kohya's musubi-tuner and LightX2V.
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
    """Change the weights, in their own precision and where they are.

    Raises:
        InvalidArgument: weights that are taken off, whose copies would be changed.
    """
    factor = plan.check_alpha(alpha)
    weights = transformer.state_dict()
    if any(weight.is_meta for weight in weights.values()):
        allowed = "a pipeline whose weights are in memory: load the checkpoint before sequential offloading"
        raise InvalidArgument("pipe", f"{type(transformer).__name__} on the meta device", allowed)
    for name, key in plan.replaced.items():
        weights[name].copy_(plan.tensors[key])
    for name, terms in plan.added.items():
        weight = weights[name]
        delta = torch.stack([term.delta(plan.tensors, weight.shape) for term in terms]).sum(0)
        weight.copy_(weight.float() + factor * delta.to(weight.device))


def plan_checkpoint(path: str | Path, shapes: Mapping[str, torch.Size], *, trust_pickle: bool = False) -> Plan:
    """Match a checkpoint with the weights of a transformer, by diffusers' names, without allocating any.

    Raises: as `load_checkpoint`.
    """
    file = latest(Path(path))
    tensors, header = read_tensors(file, trust_pickle=trust_pickle)
    names = plain_names(tensors, shapes)
    if len(set(names.values())) < len(names):
        raise InvalidArgument("checkpoint", str(file), "every weight once: some are there under two prefixes")
    layers = layers_of(names, shapes)
    of_layers = {key for layer in layers for key in layer.parts.values()}
    full = {translated(name, shapes): key for key, name in names.items() if key not in of_layers}
    replaced = {name: key for name, key in full.items() if name in shapes}
    if layers and replaced:
        raise InvalidArgument(
            "checkpoint", str(file), f"a LoRA or full weights, not both: it holds {listed(replaced.values())} as well"
        )
    added, scales = plan_additions(file, header, layers, tensors, shapes) if layers else ({}, ())
    loaded = {*replaced.values(), *(key for terms in added.values() for term in terms for key in term.keys)}
    loaded |= {layer.parts["alpha"] for layer in layers if "alpha" in layer.parts and layer.parts.get("A") in loaded}
    unused = [key for key in tensors if key not in loaded]
    if not loaded:
        raise InvalidArgument("checkpoint", str(file), f"keys of a Wan transformer; left over: {listed(unused)}")
    if replaced:
        check_full(str(file), replaced, tensors, shapes)
    parts = {name.partition(".")[0] for name in shapes}
    foreign = [key for key in unused if translated(names[key], shapes).partition(".")[0] in parts]
    if foreign:
        understood = "a file of this architecture, full or LoRA (no DoRA, LoHa, LoKr)"
        raise InvalidArgument("checkpoint", str(file), f"{understood}; left over: {listed(foreign)}")
    if left := [key for key in unused if SCALE.fullmatch(key)]:
        raise InvalidArgument("checkpoint", f"{file}: {listed(left)}", "scales that belong to a layer of the file")
    check_values(str(file), {key: tensors[key] for key in sorted(loaded)})
    report = LoadReport("lora" if added else "full", tuple(sorted(loaded)), tuple(unused), scales)
    return Plan(report, tensors, replaced, added)


def plan_additions(
    file: Path,
    header: Mapping[str, str],
    layers: Sequence[Layer],
    tensors: Mapping[str, Tensor],
    shapes: Mapping[str, torch.Size],
) -> tuple[dict[str, list[Term]], tuple[float, ...]]:
    """What is added to each weight, and the factors of B A among it.

    Raises: as `load_checkpoint`, what is about a LoRA.
    """
    strengths = stated_strengths(file, header)
    added: dict[str, list[Term]] = {}
    for layer in layers:
        for name, term in layer.terms(tensors, shapes, strengths):
            added.setdefault(name, []).append(term)
    pairs = [term for terms in added.values() for term in terms if len(term.keys) == 2]
    for strength in strengths:
        strength.check_patterns(name for layer in layers for name in (layer.name, layer.module))
    if not strengths:
        alphas = {layer.parts["A"] for layer in layers if {"A", "alpha"} <= layer.parts.keys()}
        check_header(file, header, [len(tensors[pair.keys[1]]) for pair in pairs if pair.keys[1] not in alphas])
    return added, tuple(sorted({pair.scale for pair in pairs}))


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


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more.

    >>> listed("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
