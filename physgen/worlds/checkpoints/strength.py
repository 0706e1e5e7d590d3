"""How strong a LoRA is, where its trainer wrote that down beside the tensors."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument

SIDECAR = "adapter_config.json"
#: entries of a header that hold a configuration of peft: diffusers', finetrainers'
ENTRIES = ("lora_adapter_metadata", "lora_config")
#: ways to start a LoRA that change the weights under it as well
CHANGES_BASE = ("pissa", "olora", "corda", "loftq")


@dataclass(frozen=True)
class Strength:
    """The scale of B A in one configuration of peft.

    alpha / r, with rsLoRA alpha / sqrt(r)

    Source: Hu et al. (2021), LoRA, arXiv:2106.09685, section 4.1; Kalajdzievski (2023), arXiv:2312.03732.
    """

    source: str
    config: Mapping[str, Any]

    def scale(self, names: Iterable[str], rank: int) -> float:
        """The scale of a layer of this rank, found by any of its names.

        Raises:
            InvalidArgument: another rank than that of the tensors.

        >>> Strength("x", {"r": 4, "lora_alpha": 16, "use_rslora": True}).scale(["blocks.0.attn1.to_q"], 4)
        8.0
        """
        layer = list(names)
        stated = self._of_layer("rank_pattern", layer, self.config.get("r", rank))
        if stated != rank:
            raise InvalidArgument("checkpoint", f"{self.source}: r={stated} of {layer[0]}", f"the tensors' rank {rank}")
        alpha = self._of_layer("alpha_pattern", layer, self.config["lora_alpha"])
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def _of_layer(self, patterns: str, names: Iterable[str], otherwise: Any) -> Any:
        found = (value for pattern, value in self._patterns(patterns) if named(pattern, names))
        return next(found, otherwise)

    def _patterns(self, patterns: str) -> Iterable[tuple[str, Any]]:
        return (self.config.get(patterns) or {}).items()

    def check_patterns(self, names: Iterable[str]) -> None:
        """Refuse a rank or an alpha of layers that this LoRA has not.

        Raises:
            InvalidArgument: a pattern that fits no name.
        """
        layers = list(names)
        for patterns in ("rank_pattern", "alpha_pattern"):
            for pattern, value in self._patterns(patterns):
                if not named(pattern, layers):
                    got = f"{self.source}: {patterns} {pattern}={value}"
                    raise InvalidArgument("checkpoint", got, f"layers of this LoRA: {layers[0]}, ...")


def named(pattern: str, names: Iterable[str]) -> bool:
    """Whether a pattern of peft fits a layer's name, or the end of it.

    >>> named("to_q", ["blocks.0.attn1.to_q"]), named("blocks.1", ["blocks.0.attn1.to_q"])
    (True, False)
    """
    return any(re.fullmatch(rf"(.*\.)?({pattern})", name) for name in names)


def stated_strengths(file: Path, header: Mapping[str, str]) -> list[Strength]:
    """What the file's header and the ``adapter_config.json`` beside it say.

    Raises:
        InvalidArgument: a configuration that cannot be read, of another method than LoRA, or without ``lora_alpha``.
    """
    texts = {f"{file.name}, {entry}": header[entry] for entry in ENTRIES if entry in header}
    if (sidecar := file.parent / SIDECAR).is_file():
        texts[SIDECAR] = sidecar.read_text(encoding="utf-8")
    return [Strength(source, config) for source, text in texts.items() if (config := _read_config(source, text))]


def _read_config(source: str, text: str) -> dict[str, Any]:
    """The configuration of the transformer's LoRA; empty where there is none."""
    try:
        config: dict[str, Any] = dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise InvalidArgument("checkpoint", source, f"a JSON object ({error})") from error
    if any("." in name for name in config):  # diffusers writes which model each entry is about
        own = "transformer."
        config = {name.removeprefix(own): value for name, value in config.items() if name.startswith(own)}
    if not config:
        return {}
    if config.get("peft_type", "LORA") != "LORA" or config.get("use_dora"):
        raise InvalidArgument("checkpoint", f"{source}: {config.get('peft_type')}", "a LoRA (no DoRA, LoHa, LoKr)")
    if str(config.get("init_lora_weights")).startswith(CHANGES_BASE):
        got = f"{source}: init_lora_weights={config['init_lora_weights']}"
        raise InvalidArgument("checkpoint", got, "a LoRA of unchanged weights; peft can convert it when it saves")
    for patterns in ("rank_pattern", "alpha_pattern"):
        if not isinstance(config.get(patterns) or {}, dict):
            raise InvalidArgument("checkpoint", f"{source}: {patterns}={config[patterns]!r}", "numbers by layer")
    for name, value in [("lora_alpha", config.get("lora_alpha")), *(config.get("alpha_pattern") or {}).items()]:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InvalidArgument("checkpoint", f"{source}: {name}={value!r}", "a finite number")
    return config


def check_header(file: Path, header: Mapping[str, str], ranks: Iterable[int]) -> None:
    """Refuse a header that speaks of an alpha in another form, unless it is the rank of every layer: B A itself.

    Raises:
        InvalidArgument: a scale that would be left out.

    >>> check_header(Path("x.safetensors"), {"ss_network_alpha": "4.0"}, [4, 4])
    """
    for name, value in header.items():
        if "alpha" in name and any(value.removesuffix(".0") != str(rank) for rank in ranks):
            raise InvalidArgument(
                "checkpoint", f"{file}: {name}={value} in the header", "a LoRA that keeps its scale in tensors (.alpha)"
            )
