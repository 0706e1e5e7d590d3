"""What a file adds to the weights, low-rank products and differences, as trainers name them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.worlds.checkpoints.names import translated
from physgen.worlds.checkpoints.strength import Strength

KEY = re.compile(
    r"(?P<module>.+)\.(lora[._](?P<half>A|B|down|up)(\.\w+)?\.(?P<kind>weight|bias)"
    r"|(?P<other>alpha|diff|diff_b|diff_m))"
)
HALVES = {"A": "A", "down": "A", "B": "B", "up": "B"}


@dataclass(frozen=True)
class Term:
    """An addition to one weight: ``scale`` times the product of the tensors of these keys, or times the only one."""

    keys: tuple[str, ...]
    scale: float = 1.0

    def delta(self, tensors: Mapping[str, Tensor], shape: torch.Size) -> Tensor:
        """The addition in float32, in the shape of the weight."""
        left, *right = (tensors[key].float() for key in self.keys)
        for factor in right:
            left = left.flatten(1) @ factor.flatten(1)
        return self.scale * left.reshape(shape)

    def check(self, tensors: Mapping[str, Tensor], shape: torch.Size) -> None:
        """Refuse an addition that has not the shape of the weight ``[out, in, ...]``.

        Raises:
            InvalidArgument: two ranks, the shape of another layer.
        """
        first, *right = (tensors[key] for key in self.keys)
        shapes = ", ".join(f"{key} {list(tensors[key].shape)}" for key in reversed(self.keys))
        for a in right:
            if a.ndim < 2 or first.ndim < 2 or not 0 < len(a) == math.prod(first.shape[1:]):
                raise InvalidArgument("checkpoint", shapes, "lora_A [r, in] and lora_B [out, r] of one rank r > 0")
        added = (len(first), right[0][0].numel()) if right else tuple(first.shape)
        if added != ((shape[0], math.prod(shape[1:])) if right else tuple(shape)):
            raise InvalidArgument(
                "checkpoint", shapes, f"a LoRA of this architecture: the layer's weight here is {list(shape)}"
            )


@dataclass(frozen=True)
class Layer:
    """What a file adds to one layer: its name in the file, its name in diffusers, the keys by part."""

    name: str
    module: str
    parts: Mapping[str, str]

    def terms(
        self, tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], strengths: Iterable[Strength]
    ) -> Iterator[tuple[str, Term]]:
        """Weights of the transformer and what is added to them.

        Raises:
            InvalidArgument: half a pair, two ranks, the shape of another layer, two scales.
        """
        weight, bias = f"{self.module}.weight", f"{self.module}.bias"
        alone = {
            "diff": weight if weight in shapes else self.module,
            "diff_b": bias,
            "diff_m": translated(f"{self.name}.modulation", shapes),
        }
        found = [(alone[part], Term((key,))) for part, key in self.parts.items() if part in alone]
        if weight in shapes and not self.parts.keys() <= alone.keys():
            if missing := {"A", "B"} - self.parts.keys():
                there = next(key for part, key in self.parts.items() if part not in alone)
                raise InvalidArgument("checkpoint", there, f"pairs lora_A and lora_B: lora_{min(missing)} is not there")
            pair = Term((self.parts["B"], self.parts["A"]))
            pair.check(tensors, shapes[weight])
            pair = replace(pair, scale=self._scale(tensors, strengths))
            found.append((weight, pair))
            if "B.bias" in self.parts:
                found.append((bias, Term((self.parts["B.bias"],), pair.scale)))
        for name, term in found:
            if name in shapes:
                term.check(tensors, shapes[name])
                yield name, term

    def _scale(self, tensors: Mapping[str, Tensor], strengths: Iterable[Strength]) -> float:
        """The factor of B A, from the file's alpha and what is written beside the tensors; 1 without either."""
        rank = len(tensors[self.parts["A"]])
        stated = {strength.source: strength.scale((self.name, self.module), rank) for strength in strengths}
        if "alpha" in self.parts:
            alpha = tensors[self.parts["alpha"]]
            if alpha.numel() != 1:
                raise InvalidArgument("checkpoint", self.parts["alpha"], "a scalar")
            stated[self.parts["alpha"]] = alpha.item() / rank
        first = next(iter(stated.values()), 1.0)
        if not all(math.isclose(value, first, rel_tol=1e-2) for value in stated.values()):  # bfloat16 rounds to 0.4 %
            said = ", ".join(f"{value:g} by {source}" for source, value in stated.items())
            raise InvalidArgument("checkpoint", f"{self.name}: B A times {said}", "one scale")
        return first


def layers_of(names: Mapping[str, str], shapes: Mapping[str, torch.Size]) -> list[Layer]:
    """Layers that a file adds to, from the keys' names without prefixes, by key; other keys are left out.

    >>> names = {"a": "q.lora_A.default.weight", "b": "q.lora_up.weight", "c": "q.diff_b", "d": "q.weight"}
    >>> layers_of(names, {})
    [Layer(name='q', module='q', parts={'A': 'a', 'B': 'b', 'diff_b': 'c'})]
    """
    found: dict[str, dict[str, str]] = {}
    for key, name in names.items():
        if match := KEY.fullmatch(name):
            part = match["other"] or HALVES[match["half"]] + ("" if match["kind"] == "weight" else ".bias")
            found.setdefault(match["module"], {})[part] = key
    return [
        Layer(name, translated(f"{name}.weight", shapes).removesuffix(".weight"), parts)
        for name, parts in found.items()
    ]
