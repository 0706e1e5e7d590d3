"""Weights and tasks for a dry run: the classes of MicroVerse-1.3B with random weights, a few megabytes.

``python -m physgen.experiments.microworldbench.protocol.tiny FOLDER`` writes ``FOLDER/wan`` (a diffusers folder),
``FOLDER/step-1.safetensors`` (a LoRA in the names of MicroVerse's trainer) and ``FOLDER/data`` (tasks and rubrics).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from safetensors.torch import save_file
from transformers import T5TokenizerFast, UMT5Config, UMT5EncoderModel

from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, RAW_RUBRICS, RUBRICS, TASKS

#: level, and text: a law is imposed in the first and the third, one is measured in the second, the last has none
TASKS_AND_LEVELS = (
    ("Cellular-level", "mitosis of a single cell, from prophase to telophase"),
    ("Organ-level", "the heart beats"),
    ("Cellular-level", "mitosis of a cell in a dish"),
    ("Subcellular-level", "two proteins meet"),
)
CRITERIA = (
    ("The phases of mitosis come in their order", "+1", 1.0),
    ("The picture is sharp", "+1", 0.5),
    ("The picture flickers", "-1", 0.5),
)
HEADS, HEAD, TEXT, FEED, RANK = 2, 12, 32, 32, 4


def write_tiny(folder: Path) -> None:
    """Write a pipeline, a checkpoint and the benchmark's files."""
    torch.manual_seed(0)
    words = sorted({word.strip(",") for _, text in TASKS_AND_LEVELS for word in text.split()})
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -1.0) for word in words)]
    text = UMT5Config(vocab_size=len(pieces), d_model=TEXT, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    network: dict[str, Any] = {"num_attention_heads": HEADS, "attention_head_dim": HEAD, "num_layers": 1}
    widths: dict[str, Any] = {"text_dim": TEXT, "freq_dim": 32, "ffn_dim": FEED, "rope_max_seq_len": 32}
    coder: dict[str, Any] = {"base_dim": 8, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    transformer = WanTransformer3DModel(in_channels=16, out_channels=16, **network, **widths)
    for weight in transformer.parameters():  # the output layer starts at zero
        torch.nn.init.normal_(weight, std=0.2)
    WanPipeline(
        tokenizer=T5TokenizerFast(vocab=pieces, extra_ids=0),
        text_encoder=UMT5EncoderModel(text),
        transformer=transformer,
        vae=AutoencoderKLWan(temperal_downsample=[False, True, True], **coder),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
    ).save_pretrained(folder / "wan")
    save_file(lora(), folder / "step-1.safetensors")
    (folder / "data").mkdir(exist_ok=True)
    for name, content in files().items():
        (folder / "data" / name).write_text(json.dumps(content), encoding="utf-8")


def lora() -> dict[str, torch.Tensor]:
    """A LoRA of the layers that MicroVerse trains, in the names of DiffSynth."""
    width = HEADS * HEAD
    shapes = {f"{kind}_attn.{part}": (width, width) for kind in ("self", "cross") for part in "qkvo"}
    shapes |= {"ffn.0": (width, FEED), "ffn.2": (FEED, width)}
    found = {}
    for name, (reads, gives) in shapes.items():
        found[f"blocks.0.{name}.lora_A.default.weight"] = torch.randn(RANK, reads)
        found[f"blocks.0.{name}.lora_B.default.weight"] = torch.randn(gives, RANK) / 10
    return found


def files() -> dict[str, list[dict[str, Any]]]:
    """Tasks and rubrics in the form of the benchmark's files."""
    block = {
        f"{key}{n}": value
        for n, criterion in enumerate(CRITERIA, 1)
        for key, value in zip("dsw", criterion, strict=True)
    }
    numbered = list(enumerate(TASKS_AND_LEVELS, 1))
    tasks = [{"index": n, "final_label": level, "任务": text, "具体要求": ""} for n, (level, text) in numbered]
    rubrics = [{"index": n, **{f"rubrics_{name}": block for name in DIMENSIONS}} for n, _ in numbered]
    return {TASKS: tasks, RUBRICS: rubrics, RAW_RUBRICS: rubrics}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="physgen.experiments.microworldbench.protocol.tiny", description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    write_tiny(arguments.folder)
    print(arguments.folder)
