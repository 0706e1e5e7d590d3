"""Checkpoints change what the network computes as the formula says, and every key is accounted for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_pipelines import save_full, save_lora, wan_a14b_pipe
from tiny_wan import output, tiny

from physgen.errors import InvalidArgument
from physgen.worlds import load_checkpoint

PREFIXES = ["", "pipe.dit.", "model.diffusion_model.", "diffusion_model."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_lora_is_the_update_by_hand(prefix: str, alpha: float, tmp_path: Path) -> None:
    ours, by_hand = tiny(), tiny()
    pairs = save_lora(tmp_path / "lora.safetensors", ours.transformer, prefix=prefix)
    plain = output(ours)
    report = load_checkpoint(ours, tmp_path / "lora.safetensors", alpha)
    for name, (a, b) in pairs.items():
        by_hand.transformer.get_parameter(name).data += alpha * b @ a
    assert (output(ours) - output(by_hand)).abs().max() <= 1e-6 * output(by_hand).abs().max()
    assert (output(ours) - plain).abs().max() > 1e-2 * plain.abs().max()
    assert (report.kind, len(report.loaded), report.unused) == ("lora", 2 * len(pairs), ())
    assert len(pairs) == 10


def test_lora_is_what_diffusers_and_peft_compute(tmp_path: Path) -> None:
    """With the prefix that diffusers' own converter asks for, and its adapter left beside the weights."""
    ours, theirs = tiny(), tiny()
    save_lora(tmp_path / "lora.safetensors", ours.transformer, prefix="diffusion_model.")
    load_checkpoint(ours, tmp_path / "lora.safetensors", 0.5)
    named = load_file(tmp_path / "lora.safetensors")
    theirs.load_lora_weights({k.replace(".default", ""): v for k, v in named.items()}, adapter_name="lora")
    theirs.set_adapters("lora", 0.5)
    assert (output(ours) - output(theirs)).abs().max() <= 1e-5 * output(theirs).abs().max()


def test_alpha_in_the_file_is_divided_by_the_rank(tmp_path: Path) -> None:
    ours, by_hand = tiny(), tiny()
    pairs = save_lora(tmp_path / "lora.safetensors", ours.transformer)
    state = load_file(tmp_path / "lora.safetensors")
    state["blocks.0.self_attn.q.alpha"] = torch.tensor(2.0)
    save_file(state, tmp_path / "lora.safetensors")
    assert "blocks.0.self_attn.q.alpha" in load_checkpoint(ours, tmp_path / "lora.safetensors").loaded
    for name, (a, b) in pairs.items():
        by_hand.transformer.get_parameter(name).data += (0.5 if name == "blocks.0.attn1.to_q.weight" else 1) * b @ a
    assert (output(ours) - output(by_hand)).abs().max() <= 1e-6 * output(by_hand).abs().max()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_full_weights_replace_the_weights(prefix: str, tmp_path: Path) -> None:
    ours, trained = tiny(), tiny(seed=1)
    save_full(tmp_path / "full.safetensors", trained.transformer, prefix)
    report = load_checkpoint(ours, tmp_path / "full.safetensors")
    assert torch.equal(output(ours), output(trained))
    assert (report.kind, report.unused) == ("full", ())
    assert len(report.loaded) == len(trained.transformer.state_dict())


def test_diffusers_names_load_as_they_are(tmp_path: Path) -> None:
    ours, trained = tiny(), tiny(seed=1)
    save_file(trained.transformer.state_dict(), tmp_path / "full.safetensors")
    load_checkpoint(ours, tmp_path / "full.safetensors")
    assert torch.equal(output(ours), output(trained))


def test_bfloat16_is_rounded_once(tmp_path: Path) -> None:
    ours, exact = tiny(), tiny()
    ours.transformer.to(torch.bfloat16)
    exact.transformer.load_state_dict(ours.transformer.state_dict())
    save_lora(tmp_path / "lora.safetensors", ours.transformer)
    for pipe in (ours, exact):
        load_checkpoint(pipe, tmp_path / "lora.safetensors")
    for name, weight in exact.transformer.state_dict().items():
        assert torch.equal(ours.transformer.state_dict()[name], weight.bfloat16()), name


def test_a_header_that_begins_like_a_pickle(tmp_path: Path) -> None:
    pipe, file = tiny(), tmp_path / "lora.safetensors"
    save_lora(file, pipe.transformer)
    state = load_file(file)
    for length in range(0, 300, 4):
        save_file(state, file, metadata={"notes": "x" * length})
        if file.read_bytes()[0] == 0x80:
            break
    assert file.read_bytes()[0] == 0x80
    assert load_checkpoint(pipe, file).kind == "lora"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_narrow_numbers(dtype: torch.dtype, tmp_path: Path) -> None:
    ours, by_hand = tiny(), tiny()
    pairs = save_lora(tmp_path / "lora.safetensors", ours.transformer)
    state = {key: value.to(dtype) for key, value in load_file(tmp_path / "lora.safetensors").items()}
    save_file(state, tmp_path / "lora.safetensors")
    load_checkpoint(ours, tmp_path / "lora.safetensors")
    for name, (a, b) in pairs.items():
        by_hand.transformer.get_parameter(name).data += b.to(dtype).float() @ a.to(dtype).float()
    assert (output(ours) - output(by_hand)).abs().max() <= 1e-6 * output(by_hand).abs().max()
    state["blocks.0.ffn.2.lora_B.default.weight"][3, 1] = torch.nan
    save_file(state, tmp_path / "lora.safetensors")
    with pytest.raises(InvalidArgument, match=r"NaN or Inf in blocks\.0\.ffn\.2\.lora_B"):
        load_checkpoint(ours, tmp_path / "lora.safetensors")


def test_keys_of_other_models_are_left_over(tmp_path: Path) -> None:
    pipe = tiny()
    save_lora(tmp_path / "lora.safetensors", pipe.transformer)
    extra = {"pipe.vae.decoder.weight": torch.ones(2), "global_step": torch.ones(1)}
    save_file({**load_file(tmp_path / "lora.safetensors"), **extra}, tmp_path / "lora.safetensors")
    report = load_checkpoint(pipe, tmp_path / "lora.safetensors")
    assert sorted(report.unused) == ["global_step", "pipe.vae.decoder.weight"]
    assert set(report.loaded) | set(report.unused) == set(load_file(tmp_path / "lora.safetensors"))
    assert "left over: " in str(report)


@pytest.mark.parametrize("name", ["step-{}.safetensors", "epoch-{}.safetensors", "step-{}/model.safetensors"])
def test_the_latest_is_the_largest_number(name: str, tmp_path: Path) -> None:
    for number in (2, 10, 9):
        file = tmp_path / name.format(number)
        file.parent.mkdir(exist_ok=True)
        save_full(file, tiny(seed=number).transformer)
    pipe = tiny()
    load_checkpoint(pipe, tmp_path)
    assert torch.equal(output(pipe), output(tiny(seed=10)))


def test_a_trusted_pickle_loads(tmp_path: Path) -> None:
    ours, trained = tiny(), tiny(seed=1)
    torch.save(trained.transformer.state_dict(), tmp_path / "full.pt")
    load_checkpoint(ours, tmp_path / "full.pt", trust_pickle=True)
    assert torch.equal(output(ours), output(trained))


class Exploit:
    """A pickle that would write a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_a_trusted_pickle_runs_nothing(tmp_path: Path) -> None:
    torch.save({"x": Exploit(tmp_path / "written")}, tmp_path / "exploit.pt")
    with pytest.raises(InvalidArgument, match="tensors and nothing else"):
        load_checkpoint(tiny(), tmp_path / "exploit.pt", trust_pickle=True)
    assert not (tmp_path / "written").exists()


def test_requests_that_cannot_be_met(tmp_path: Path) -> None:
    pipe = tiny()
    save_full(tmp_path / "full.safetensors", pipe.transformer)
    with pytest.raises(InvalidArgument, match="alpha"):
        load_checkpoint(pipe, tmp_path / "full.safetensors", 0.5)
    with pytest.raises(InvalidArgument, match="alpha"):
        load_checkpoint(pipe, tmp_path / "full.safetensors", float("nan"))
    with pytest.raises(InvalidArgument, match="one WanTransformer3DModel"):
        load_checkpoint(wan_a14b_pipe(), tmp_path / "full.safetensors")
    shutil.copy(tmp_path / "full.safetensors", tmp_path / "step-1.safetensors")
    shutil.copy(tmp_path / "full.safetensors", tmp_path / "epoch-1.safetensors")
    with pytest.raises(InvalidArgument, match="two runs"):
        load_checkpoint(pipe, tmp_path)


def test_weights_that_are_taken_off_are_refused(tmp_path: Path) -> None:
    """Sequential offloading keeps them elsewhere, and what is written to the meta device is lost."""
    pipe = tiny()
    save_lora(tmp_path / "lora.safetensors", pipe.transformer)
    pipe.enable_sequential_cpu_offload(device="cpu")
    with pytest.raises(InvalidArgument, match="before sequential offloading"):
        load_checkpoint(pipe, tmp_path / "lora.safetensors")


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    pipe = tiny()
    save_full(tmp_path / "whole.safetensors", pipe.transformer)
    state = load_file(tmp_path / "whole.safetensors")
    (tmp_path / "whole.safetensors").unlink()
    shards = {
        "model-00001-of-00002.safetensors": sorted(state)[::2],
        "model-00002-of-00002.safetensors": sorted(state)[1::2],
    }
    for name, keys in shards.items():
        save_file({key: state[key] for key in keys}, tmp_path / name)
    weight_map = {key: name for name, keys in shards.items() for key in keys}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    other = tiny(1)
    report = load_checkpoint(other, tmp_path)
    assert report.kind == "full"
    assert len(report.loaded) == len(state)
    for name, weight in other.transformer.state_dict().items():
        assert torch.equal(weight, pipe.transformer.state_dict()[name])
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InvalidArgument, match="missing: model-00002-of-00002"):
        load_checkpoint(other, index)
    index.write_text('{"weight_map": 3}')
    with pytest.raises(InvalidArgument, match="weight_map"):
        load_checkpoint(other, index)
