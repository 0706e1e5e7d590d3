"""The tensors of a checkpoint file, and which file of a training run's folder is the latest."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from physgen.errors import InvalidArgument

CHECKPOINTS = "a .safetensors file, an index of its shards, or a folder of step-N.safetensors or of epoch-N.safetensors"
INDEX = ".safetensors.index.json"
NUMBERED = re.compile(r"(step|epoch)-(\d+)(\.safetensors)?")
#: how files written by torch.save begin: zip archives, and pickles before torch 1.6
PICKLES = (b"PK\x03\x04", b"\x80")


def latest(path: Path) -> Path:
    """The file itself, or the one with the largest number in a folder of ``step-N`` or ``epoch-N``.

    Raises:
        InvalidArgument: nothing there, no such file in the folder, both steps and epochs.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise InvalidArgument("checkpoint", str(path), f"{CHECKPOINTS}; nothing is there")
    found = [(match[1], int(match[2]), entry) for entry in path.iterdir() if (match := NUMBERED.fullmatch(entry.name))]
    if len({kind for kind, _, _ in found}) > 1:
        raise InvalidArgument("checkpoint", str(path), "one of its files: step-N and epoch-N are two runs")
    if found:
        return latest(max(found, key=lambda item: item[1])[2])
    files = list(path.glob("*.safetensors.index.json")) or list(path.glob("*.safetensors"))
    if len(files) != 1:
        names = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
        raise InvalidArgument("checkpoint", str(path), f"{CHECKPOINTS}; the folder holds {names}")
    return files[0]


def read_tensors(file: Path, *, trust_pickle: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, mapped into memory and not yet read, and what the file's header says of them.

    Raises:
        InvalidArgument: an empty, truncated or foreign file; a pickle that is not trusted, or holds more than tensors.
    """
    if file.name.endswith(INDEX):
        return _read_shards(file)
    with file.open("rb") as stream:
        start = stream.read(9)
    if start.startswith(PICKLES) and start[8:] != b"{":  # after the length of a safetensors header, which may be 0x80
        if not trust_pickle:
            raise InvalidArgument("checkpoint", str(file), "safetensors: a pickle is read with trust_pickle=true only")
        return _unpickle(file), {}
    try:
        with safe_open(file, "pt") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise InvalidArgument("checkpoint", str(file), f"a whole safetensors file ({error})") from error


def _read_shards(index: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        names: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = {name: index.parent / name for name in sorted(set(names.values()))}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidArgument("checkpoint", str(index), f"JSON with a weight_map ({error})") from error
    if missing := [name for name, shard in shards.items() if not shard.is_file() or shard.parent != index.parent]:
        raise InvalidArgument("checkpoint", str(index), f"every shard that it names; missing: {', '.join(missing)}")
    read = {name: read_tensors(shard) for name, shard in shards.items()}
    if absent := [key for key, name in names.items() if key not in read[name][0]]:
        raise InvalidArgument("checkpoint", str(index), f"shards that hold {absent[0]} where the index has it")
    tensors = {key: tensor for shard, _ in read.values() for key, tensor in shard.items()}
    return tensors, {entry: text for _, header in read.values() for entry, text in header.items()}


def _unpickle(file: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidArgument("checkpoint", str(file), f"a pickle of tensors and nothing else ({reason})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InvalidArgument("checkpoint", str(file), "a pickled dictionary of tensors")
    return state
