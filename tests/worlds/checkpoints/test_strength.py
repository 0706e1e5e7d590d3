"""A LoRA works at the strength that its trainer gave it, wherever the file keeps that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from diffusers import WanPipeline
from safetensors.torch import load_file, save_file
from tiny_pipelines import native_name, save_full, save_lora
from tiny_wan import output, tiny
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.worlds import load_checkpoint

CASES = Path(__file__).parent / "cases"
LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]
Q = "blocks.0.attn1.to_q"
#: what peft lets a trainer say about the scale
CONFIGS: dict[str, dict[str, Any]] = {
    "alpha": {"lora_alpha": 16},
    "rslora": {"lora_alpha": 8, "use_rslora": True},
    "patterns": {
        "lora_alpha": 2,
        "alpha_pattern": {"to_k": 12, r"blocks.0.attn1.to_q": 20},
        "rank_pattern": {"to_v": 2, r"attn2\.to_out\.0": 3},
    },
}


@pytest.mark.parametrize(
    ("case", "scale", "loaded"),
    [
        ("lora_meta_alpha.safetensors", 4, 2),
        ("plainpeft", 4, 2),
        ("plainpeft/pytorch_lora_weights.safetensors", 4, 2),
        ("lora_peft.safetensors", 1, 2),
        ("lora_kohya.safetensors", 1, 3),
        ("lora_diffb.safetensors", 1, 4),
    ],
)
def test_files_with_known_scales(case: str, scale: float, loaded: int) -> None:
    pipe, plain = tiny(), tiny()
    report = load_checkpoint(pipe, CASES / case)
    file = CASES / case
    state = load_file(file / "pytorch_lora_weights.safetensors" if file.is_dir() else file)
    halves = {"lora_down" in key or "lora_A" in key: value for key, value in state.items() if value.ndim == 2}
    for name, weight in pipe.transformer.state_dict().items():
        before = plain.transformer.state_dict()[name]
        torch.testing.assert_close(
            weight, before + scale * halves[False] @ halves[True] if name == f"{Q}.weight" else before
        )
    assert (report.scales, len(report.loaded), report.unused) == ((scale,), loaded, ())


def trained(config: dict[str, Any]) -> Any:
    """A pipeline whose transformer carries a LoRA of peft with some effect."""
    pipe = tiny()
    pipe.transformer.add_adapter(peft.LoraConfig(r=4, target_modules=LAYERS, **config))
    randomise(pipe.transformer)
    return pipe


def randomise(network: Any) -> None:
    torch.manual_seed(5)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)


def assert_same(ours: Any, theirs: Any) -> None:
    """Both compute the same, and not what the network computes without the checkpoint."""
    assert (output(ours) - output(theirs)).abs().max() <= 2e-5 * output(theirs).abs().max()
    assert (output(ours) - output(tiny())).abs().max() > 1e-2 * output(theirs).abs().max()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_header_that_diffusers_writes(config: dict[str, Any], tmp_path: Path) -> None:
    from diffusers.utils import convert_state_dict_to_diffusers

    theirs = trained(config)
    layers = convert_state_dict_to_diffusers(peft.get_peft_model_state_dict(theirs.transformer))
    about = {**theirs.transformer.peft_config["default"].to_dict(), "target_modules": LAYERS}
    WanPipeline.save_lora_weights(tmp_path, layers, transformer_lora_adapter_metadata=about)
    ours, reader = tiny(), tiny()
    load_checkpoint(ours, tmp_path)
    assert_same(ours, theirs)
    reader.load_lora_weights(tmp_path / "pytorch_lora_weights.safetensors")
    assert_same(ours, reader)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_one_network_saved_by_diffusers(config: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = trained(config), tiny()
    theirs.transformer.save_lora_adapter(tmp_path)
    load_checkpoint(ours, tmp_path)
    assert_same(ours, theirs)


@pytest.mark.parametrize("config", [*CONFIGS.values(), {"lora_alpha": 8, "lora_bias": True}], ids=[*CONFIGS, "bias"])
def test_a_folder_that_peft_wrote(config: dict[str, Any], tmp_path: Path) -> None:
    theirs = peft.get_peft_model(tiny().transformer, peft.LoraConfig(r=4, target_modules=LAYERS, **config))
    randomise(theirs)
    theirs.save_pretrained(str(tmp_path))
    ours = tiny()
    load_checkpoint(ours, tmp_path)
    assert_same(ours, theirs)


def test_patterns_in_the_names_of_wans_own_code(tmp_path: Path) -> None:
    ours, theirs = tiny(), tiny()
    pairs = save_lora(tmp_path / "adapter_model.safetensors", ours.transformer)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 4, "alpha_pattern": {"self_attn.q": 8}}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert load_checkpoint(ours, tmp_path).scales == (1, 2)
    for name, (a, b) in pairs.items():
        theirs.transformer.get_parameter(name).data += (2 if name == f"{Q}.weight" else 1) * b @ a
    assert_same(ours, theirs)


def kohya(file: Path, transformer: Any, prefix: str = "lora_unet_") -> dict[str, Tensor]:
    """A LoRA of every layer in kohya's names, each with an alpha of its own."""
    save_lora(file, transformer)
    state = {}
    for count, (key, value) in enumerate(load_file(file).items()):
        module, _, half = key.partition(".lora_")
        flat = prefix + module.replace(".", "_")
        state[f"{flat}.lora_{'down' if half.startswith('A') else 'up'}.weight"] = value
        state.setdefault(f"{flat}.alpha", torch.tensor(1.0 + count))
    save_file(state, file, metadata={"ss_network_dim": "4", "ss_network_alpha": "16.0"})
    return state


@pytest.mark.parametrize("prefix", ["lora_unet_", "lora_unet__"])
def test_names_of_kohya_against_diffusers(prefix: str, tmp_path: Path) -> None:
    ours, theirs = tiny(), tiny()
    state = kohya(tmp_path / "lora.safetensors", ours.transformer, prefix)
    report = load_checkpoint(ours, tmp_path / "lora.safetensors")
    theirs.load_lora_weights({key.replace("unet__", "unet_"): value for key, value in state.items()})
    assert_same(ours, theirs)
    assert (len(report.loaded), report.unused) == (len(state), ())


def distilled(file: Path, transformer: Any) -> dict[str, Tensor]:
    """A step-distilled LoRA: pairs with alphas and ``.diff_b`` on linear layers, ``.diff`` on norms, ``.diff_m``."""
    pairs = save_lora(file, transformer, prefix="diffusion_model.")
    generator = torch.Generator().manual_seed(3)
    state = {}
    for key, value in load_file(file).items():
        state[key.replace("lora_A.default", "lora_down").replace("lora_B.default", "lora_up")] = value
    for name in (name.removesuffix(".weight") for name in pairs):
        native = f"diffusion_model.{native_name(name)}"
        state[f"{native}.alpha"] = torch.tensor(2.0, dtype=torch.float16)
        state[f"{native}.diff_b"] = (
            torch.randn(len(transformer.get_parameter(f"{name}.bias")), generator=generator) / 10
        )
    save_file(state, file)
    return state


def test_differences_of_biases_against_diffusers(tmp_path: Path) -> None:
    ours, theirs = tiny(), tiny()
    state = distilled(tmp_path / "lora.safetensors", ours.transformer)
    assert load_checkpoint(ours, tmp_path / "lora.safetensors", 0.7).scales == (0.5,)
    theirs.load_lora_weights(state, adapter_name="lora")
    theirs.set_adapters("lora", 0.7)
    assert_same(ours, theirs)


def test_differences_that_diffusers_leaves_out(tmp_path: Path) -> None:
    """Of norms, modulations, the head, a convolution: summed by hand."""
    ours, theirs = tiny(), tiny()
    weights = theirs.transformer.state_dict()
    differences = {
        "blocks.0.norm3.diff": "blocks.0.norm2.weight",
        "blocks.0.norm3.diff_b": "blocks.0.norm2.bias",
        "blocks.0.self_attn.norm_q.diff": "blocks.0.attn1.norm_q.weight",
        "blocks.0.diff_m": "blocks.0.scale_shift_table",
        "head.diff_m": "scale_shift_table",
        "head.head.diff": "proj_out.weight",
        "time_projection.1.diff_b": "condition_embedder.time_proj.bias",
        "patch_embedding.diff": "patch_embedding.weight",
    }
    torch.manual_seed(4)
    state = {key: torch.randn_like(weights[name]) / 10 for key, name in differences.items()}
    convolution = weights["patch_embedding.weight"]
    state["patch_embedding.lora_down.weight"] = torch.randn(2, *convolution.shape[1:]) / 10
    state["patch_embedding.lora_up.weight"] = torch.randn(len(convolution), 2, 1, 1, 1)
    save_file({f"diffusion_model.{key}": value for key, value in state.items()}, tmp_path / "lora.safetensors")
    report = load_checkpoint(ours, tmp_path / "lora.safetensors", 0.5)
    for key, name in differences.items():
        weights[name] += 0.5 * state[key]
    up, down = state["patch_embedding.lora_up.weight"], state["patch_embedding.lora_down.weight"]
    convolution += 0.5 * torch.einsum("or,rithw->oithw", up[:, :, 0, 0, 0], down)
    assert_same(ours, theirs)
    assert (report.kind, len(report.loaded), report.unused) == ("lora", len(state), ())


def test_a_scale_that_is_said_twice_alike(tmp_path: Path) -> None:
    shutil.copy(CASES / "lora_meta_alpha.safetensors", tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4, "lora_alpha": 16}')
    assert load_checkpoint(tiny(), tmp_path).scales == (4,)


def header(**config: Any) -> dict[str, str]:
    return {"lora_adapter_metadata": json.dumps({f"transformer.{name}": value for name, value in config.items()})}


@pytest.mark.parametrize(
    ("metadata", "beside", "extra", "says"),
    [
        (header(r=4, lora_alpha=16), '{"r": 4, "lora_alpha": 8}', {}, r"times 4 by .*, 2 by adapter_config.json"),
        (header(r=4, lora_alpha=16), None, {"blocks.0.attn1.to_q.alpha": 2.0}, "times 4 by .*0.5 by blocks"),
        (header(r=8, lora_alpha=16), None, {}, "r=8 .*allowed: the tensors' rank 4"),
        (header(r=4), None, {}, "lora_alpha=None"),
        (header(r=4, lora_alpha="16"), None, {}, "lora_alpha='16'"),
        (header(r=4, lora_alpha=float("nan")), None, {}, "lora_alpha=nan"),
        (header(r=4, lora_alpha=4, alpha_pattern={"to_k": 8}), None, {}, "alpha_pattern to_k=8"),
        (header(r=4, lora_alpha=4, rank_pattern=[8]), None, {}, "rank_pattern"),
        (header(r=4, lora_alpha=4, use_dora=True), None, {}, "no DoRA"),
        (header(r=4, lora_alpha=4, init_lora_weights="pissa_niter_4"), None, {}, "unchanged weights"),
        ({"lora_adapter_metadata": "[1"}, None, {}, "a JSON object"),
        (None, '{"peft_type": "LOHA"}', {}, "LOHA"),
        ({"ss_network_alpha": "1.0", "ss_network_dim": "4"}, None, {}, "ss_network_alpha=1.0 in the header"),
        ({"lora_alpha": "16"}, None, {}, "lora_alpha=16 in the header"),
        (None, None, {"network_alpha": 8.0}, "network_alpha.*scales that belong to a layer"),
        (None, None, {"blocks.0.attn1.to_k.alpha": 8.0}, "lora_A is not there"),
        (None, None, {"blocks.0.attn1.to_q.lora_magnitude_vector": 1.0}, "no DoRA, LoHa, LoKr.*magnitude"),
        (None, None, {"lora_unet_blocks_9_self_attn_q.alpha": 1.0}, "layers of this transformer after lora_unet_"),
    ],
)
def test_a_scale_that_cannot_be_applied_is_refused(
    metadata: dict[str, str] | None, beside: str | None, extra: dict[str, float], says: str, tmp_path: Path
) -> None:
    pipe = tiny()
    before = {name: weight.clone() for name, weight in pipe.transformer.state_dict().items()}
    state = load_file(CASES / "lora_meta_alpha.safetensors")
    state |= {key: torch.tensor(value) for key, value in extra.items()}
    save_file(state, tmp_path / "lora.safetensors", metadata=metadata)
    if beside:
        (tmp_path / "adapter_config.json").write_text(beside)
    with pytest.raises(InvalidArgument, match=says):
        load_checkpoint(pipe, tmp_path / "lora.safetensors")
    assert all(torch.equal(weight, before[name]) for name, weight in pipe.transformer.state_dict().items())


@pytest.mark.parametrize("value", ["4", "4.0"])
def test_an_alpha_in_the_header_that_is_the_rank(value: str, tmp_path: Path) -> None:
    state = load_file(CASES / "lora_peft.safetensors")
    save_file(state, tmp_path / "lora.safetensors", metadata={"ss_network_alpha": value, "ss_network_dim": "4"})
    assert load_checkpoint(tiny(), tmp_path / "lora.safetensors").scales == (1,)


def test_full_weights_state_no_scale(tmp_path: Path) -> None:
    save_full(tmp_path / "full.safetensors", tiny(seed=1).transformer)
    assert load_checkpoint(tiny(), tmp_path / "full.safetensors").scales == ()
