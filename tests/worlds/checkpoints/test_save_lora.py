"""A LoRA trained with peft is written in DiffSynth's names, and read back to the same network."""

from __future__ import annotations

from pathlib import Path

import peft
import pytest
from safetensors.torch import load_file
from tiny_wan import output, tiny

from physgen.errors import InvalidArgument
from physgen.worlds import load_checkpoint
from physgen.worlds.checkpoints.save_lora import save_lora

LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]


@pytest.mark.parametrize("alpha", [4, 10])
def test_written_and_read_is_the_same_network(alpha: int, tmp_path: Path) -> None:
    trained, fresh = tiny(), tiny()
    trained.transformer.add_adapter(peft.LoraConfig(r=4, lora_alpha=alpha, target_modules=LAYERS))
    for name, parameter in trained.transformer.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    plain, file = output(fresh), save_lora(trained.transformer, tmp_path / "lora.safetensors")
    report = load_checkpoint(fresh, file)
    assert (report.kind, report.unused) == ("lora", ())
    assert (output(fresh) - output(trained)).abs().max() <= 1e-5 * output(trained).abs().max()
    assert (output(trained) - plain).abs().max() > 1e-2 * plain.abs().max()
    assert {"blocks.0.self_attn.q.lora_A.default.weight", "blocks.0.ffn.2.lora_B.default.weight"} <= set(
        load_file(file)
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["lora.safetensors"]


def test_what_cannot_be_named_is_refused(tmp_path: Path) -> None:
    pipe = tiny()
    with pytest.raises(InvalidArgument, match="adapter"):
        save_lora(pipe.transformer, tmp_path / "lora.safetensors")
    pipe.transformer.add_adapter(peft.LoraConfig(r=2, target_modules=["proj_out"]))
    with pytest.raises(InvalidArgument, match="proj_out"):
        save_lora(pipe.transformer, tmp_path / "lora.safetensors")
    assert not list(tmp_path.iterdir())
