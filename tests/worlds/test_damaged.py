"""Damaged checkpoints and weights: one clear error, nothing allocated, nothing changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from tiny_pipelines import save_full, save_lora, save_tiny_pipeline
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.worlds import MissingWeights, WorldSpec, load_checkpoint, world_spec
from physgen.worlds.checkpoints.weights import find_weights
from physgen.worlds.loading import load

State = dict[str, Tensor]
Q = "blocks.0.self_attn.q.lora_{}.default.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline("microverse", tmp_path_factory.mktemp("damaged") / "wan")


@pytest.fixture(scope="module")
def pipe(folder: Path) -> Any:
    return diffusers.WanPipeline.from_pretrained(folder)


def without(*keys: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if k not in keys}


def changed(key: str, change: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    return lambda state: {**state, key: change(state[key])}


def renamed(old: str, new: str) -> Callable[[State], State]:
    return lambda state: {k.replace(old, new): v for k, v in state.items()}


def with_nan(tensor: Tensor) -> Tensor:
    return torch.where(torch.arange(tensor.numel()).view_as(tensor) == 3, torch.nan, tensor)


#: kind of file, what happens to it, what the error says
TENSORS: dict[str, tuple[str, Callable[[State], State], str]] = {
    "LoRA of wider layers": (
        "lora",
        lambda s: {k: torch.ones(8, 8) for k in s},
        r"architecture.*weight here is \[24, 24\]",
    ),
    "LoRA of more blocks": (
        "lora",
        lambda s: {**s, **renamed("blocks.0", "blocks.39")(s)},
        r"architecture.*blocks\.39",
    ),
    "LoRA of other blocks": ("lora", renamed("blocks.0", "blocks.39"), r"left over: blocks\.39.* and 15 more"),
    "two ranks": ("lora", changed(Q.format("B"), lambda b: b[:, :2].contiguous()), "one rank"),
    "rank 0": ("lora", lambda s: {k: v[:0] if "_A" in k else v[:, :0] for k, v in s.items()}, "r > 0"),
    "alpha of two": ("lora", lambda s: {**s, "blocks.0.ffn.2.alpha": torch.ones(2)}, "scalar"),
    "half a pair, no B": ("lora", without(Q.format("B")), "lora_B is not there"),
    "half a pair, no A": ("lora", without(Q.format("A")), "lora_A is not there"),
    "NaN in a LoRA": ("lora", changed(Q.format("A"), with_nan), "NaN or Inf in blocks.0.self_attn.q.lora_A"),
    "integers": ("lora", changed(Q.format("A"), lambda a: a.to(torch.int8)), "floating point"),
    "unknown prefix": ("lora", renamed("blocks.", "somewhere.blocks."), r"left over: somewhere\.blocks"),
    "LoRA beside full weights": ("lora", lambda s: {**s, "patch_embedding.bias": torch.ones(24)}, "not both"),
    "no key of a transformer": ("lora", lambda s: {"a": torch.ones(2), "b": torch.ones(2)}, "left over: a, b"),
    "no key at all": ("lora", lambda s: {}, "keys of a Wan transformer"),
    "twice, under two prefixes": ("lora", lambda s: {**s, **renamed("blocks.", "pipe.dit.blocks.")(s)}, "two prefixes"),
    "full, wider": (
        "full",
        lambda s: {k: v.repeat(2, *[1] * (v.ndim - 1)) for k, v in s.items()},
        "of this architecture",
    ),
    "full, more blocks": ("full", lambda s: {**s, **renamed("blocks.0", "blocks.1")(s)}, r"left over: blocks\.1"),
    "full, a weight missing": ("full", without("patch_embedding.weight"), "missing: patch_embedding.weight"),
    "full, Inf": ("full", changed("head.head.bias", lambda b: b / 0), "NaN or Inf in head.head.bias"),
}


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def foreign_folder(file: Path) -> None:
    empty_folder(file)
    (file / "notes.txt").touch()


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (truncate, "whole safetensors file"),
    "cut in its header": (lambda file: file.write_bytes(file.read_bytes()[:40]), "whole safetensors file"),
    "empty": (lambda file: file.write_bytes(b""), "whole safetensors file"),
    "text": (lambda file: file.write_text("not found" * 99), "whole safetensors file"),
    "not there": (Path.unlink, "nothing is there"),
    "empty folder": (empty_folder, "the folder holds nothing"),
    "folder of something else": (foreign_folder, "the folder holds notes.txt"),
    "pickle": (lambda file: torch.save({}, file), "trust_pickle"),
    "old pickle": (lambda file: torch.save({}, file, _use_new_zipfile_serialization=False), "trust_pickle"),
}


def refuse(file: Path, says: str, folder: Path, pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the library, which changes no weight, and by the world, which allocates none."""
    before = {name: weight.clone() for name, weight in pipe.transformer.state_dict().items()}
    with pytest.raises(InvalidArgument, match=says):
        load_checkpoint(pipe, file)
    assert all(torch.equal(weight, before[name]) for name, weight in pipe.transformer.state_dict().items())
    spec = world_spec("microverse", str(folder))
    spec.checkpoint = str(file)
    with monkeypatch.context() as patch:
        patch.setattr(diffusers.WanPipeline, "from_pretrained", lambda *_, **__: pytest.fail("allocated"))
        with pytest.raises(InvalidArgument, match=says):
            load(spec, "cpu")


@pytest.mark.parametrize("damage", TENSORS)
def test_tensors(damage: str, folder: Path, pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, change, says = TENSORS[damage]
    file = tmp_path / f"{kind}.safetensors"
    save = save_lora if kind == "lora" else save_full
    save(file, pipe.transformer)
    save_file({key: value.clone() for key, value in change(load_file(file)).items()}, file)
    refuse(file, says, folder, pipe, monkeypatch)


@pytest.mark.parametrize("damage", FILES)
def test_files(damage: str, folder: Path, pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do, says = FILES[damage]
    file = tmp_path / "step-1.safetensors"
    save_lora(file, pipe.transformer)
    do(file)
    refuse(file, says, folder, pipe, monkeypatch)


# --- the weights of the pipeline itself


def pickled(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()


def lost_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "text_encoder" / "model.safetensors.index.json").write_text(json.dumps(index))


def other_class(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "CogVideoXPipeline"}))


FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "transformer cut off": (
        lambda f: truncate(f / "transformer" / "diffusion_pytorch_model.safetensors"),
        "a whole file",
    ),
    "no transformer": (lambda f: shutil.rmtree(f / "transformer"), "folder of a component"),
    "no weights": (lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").unlink(), "every weight file"),
    "a shard lost": (lost_shard, "model-00001-of-00002.safetensors.*every weight file"),
    "pickled weights": (pickled, "pickled pipelines are not read"),
    "no index": (lambda f: (f / "model_index.json").unlink(), "model_index.json"),
    "index that is no JSON": (lambda f: (f / "model_index.json").write_text("{"), "JSON"),
    "another pipeline": (other_class, "CogVideoXPipeline.*WanPipeline in world=microverse"),
}


@pytest.mark.parametrize("damage", FOLDERS)
def test_folders(damage: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do, says = FOLDERS[damage]
    copy = tmp_path / "wan"
    shutil.copytree(folder, copy)
    do(copy)
    monkeypatch.setattr(diffusers.WanPipeline, "from_pretrained", lambda *_, **__: pytest.fail("allocated"))
    with pytest.raises(InvalidArgument, match=says):
        load(world_spec("microverse", str(copy)), "cpu")


def test_weights_that_are_not_here_come_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    arguments = ["sample", "world=microverse", "prompt=a cell divides", "checkpoint=outputs/lora_1.3B"]
    assert main([*arguments, f"out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    revision = world_spec("wan2.1-t2v-1.3b").revision
    assert f"hf download Wan-AI/Wan2.1-T2V-1.3B-Diffusers --revision {revision}" in error
    assert str(tmp_path) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_in_the_hubs_cache_are_found(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--Wan-AI--Wan2.1-T2V-1.3B-Diffusers"
    spec = world_spec("wan2.1-t2v-1.3b")
    shutil.copytree(folder, repository / "snapshots" / str(spec.revision))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, repository / "snapshots" / ("0" * 40))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert find_weights(spec) == repository / "snapshots" / str(spec.revision)
    assert find_weights(replace(spec, revision="main")) == repository / "snapshots" / ("0" * 40)
    with pytest.raises(MissingWeights, match="14B"):
        find_weights(world_spec("wan2.1-t2v-14b"))


def test_microverse_needs_a_checkpoint(folder: Path) -> None:
    with pytest.raises(InvalidArgument, match="checkpoint=FOLDER"):
        load(world_spec("microverse", str(folder)), "cpu")


def test_only_wan_takes_checkpoints(tmp_path: Path) -> None:
    spec: WorldSpec = world_spec("cogvideox-5b", str(save_tiny_pipeline("cogvideox-5b", tmp_path / "cogvideox")))
    spec.checkpoint = str(tmp_path)
    with pytest.raises(InvalidArgument, match="for one WanTransformer3DModel"):
        load(spec, "cpu")


def test_two_experts_take_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = world_spec("wan2.2-t2v-a14b", str(save_tiny_pipeline("wan2.2-t2v-a14b", tmp_path / "wan")))
    spec.checkpoint = str(tmp_path)
    monkeypatch.setattr(diffusers.WanPipeline, "from_pretrained", lambda *_, **__: pytest.fail("allocated"))
    with pytest.raises(InvalidArgument, match="for one WanTransformer3DModel"):
        load(spec, "cpu")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dtype": {"default": "bf16"}}, r"world\.dtype"),
        ({"scheduler": {"_class_name": "Eulerr"}}, "a scheduler of diffusers"),
        ({"checkpoint_alpha": 0.5}, "alpha"),
    ],
)
def test_settings(
    change: dict[str, Any], says: str, folder: Path, pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_full(tmp_path / "full.safetensors", pipe.transformer)
    spec = replace(world_spec("microverse", str(folder)), checkpoint=str(tmp_path / "full.safetensors"), **change)
    monkeypatch.setattr(diffusers.WanPipeline, "from_pretrained", lambda *_, **__: pytest.fail("allocated"))
    with pytest.raises(InvalidArgument, match=says):
        load(spec, "cpu")


def test_the_list_says_what_is_here_and_what_is_damaged(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.3B", "14B"):
        repository = tmp_path / f"models--Wan-AI--Wan2.1-T2V-{name}-Diffusers"
        snapshot = repository / "snapshots" / str(world_spec(f"wan2.1-t2v-{name.lower()}").revision)
        shutil.copytree(folder, snapshot)
    truncate(snapshot / "vae" / "diffusion_pytorch_model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert main(["worlds"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    here = {row[0]: next((word for word in row if word in ("yes", "no", "damaged")), "") for row in rows if row}
    expected = {"micro": "yes", "microverse": "yes", "wan2.1-t2v-14b": "damaged", "hunyuanvideo": "no", "other": ""}
    assert expected.items() <= here.items()
