"""The tensors of a checkpoint file, and which file of a training run's folder is the latest."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from physgen.errors import InvalidArgument

CHECKPOINTS = "a .safetensors file, or a folder of step-N.safetensors or of epoch-N.safetensors"
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
    files = list(path.glob("*.safetensors"))
    if len(files) != 1:
        names = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
        raise InvalidArgument("checkpoint", str(path), f"{CHECKPOINTS}; the folder holds {names}")
    return files[0]


def read_tensors(file: Path, *, trust_pickle: bool = False) -> dict[str, Tensor]:
    """Tensors by name, mapped into memory and not yet read.

    Raises:
        InvalidArgument: an empty, truncated or foreign file; a pickle that is not trusted, or holds more than tensors.
    """
    with file.open("rb") as stream:
        start = stream.read(9)
    if start.startswith(PICKLES) and start[8:] != b"{":  # after the length of a safetensors header, which may be 0x80
        if not trust_pickle:
            raise InvalidArgument("checkpoint", str(file), "safetensors: a pickle is read with trust_pickle=true only")
        return _unpickle(file)
    try:
        return load_file(file)
    except SafetensorError as error:
        raise InvalidArgument("checkpoint", str(file), f"a whole safetensors file ({error})") from error


def _unpickle(file: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidArgument("checkpoint", str(file), f"a pickle of tensors and nothing else ({reason})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InvalidArgument("checkpoint", str(file), "a pickled dictionary of tensors")
    return state
