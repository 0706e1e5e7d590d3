"""What a run is named by and leaves: JSON that is whole or not there, logs line by line, what made it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import torch

import physgen
from physgen.experiments.runs.weights import DIGITS, weights_digest, with_weights

if TYPE_CHECKING:
    from physgen.worlds import WorldSpec


def run_name(job: str, config: Mapping[str, Any]) -> str:
    """Folder name that depends on the resolved configuration, the world's own weights and the version alone.

    >>> run_name("sample", {"seed": 0}) == run_name("sample", {"seed": 0}) != run_name("sample", {"seed": 1})
    True
    """
    text = json.dumps([physgen.__version__, with_weights(config)], sort_keys=True)
    return f"{job}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def digest_of(path: str | Path) -> str:
    """First 16 digits of the SHA-256 of a file, or of the names and contents of the files in a folder.

    >>> path = getfixture("tmp_path") / "prompts.txt"
    >>> path.write_text("a cell divides") and digest_of(path)
    '...'
    """
    path, digest = Path(path).expanduser(), hashlib.sha256()
    if not path.is_dir():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:DIGITS]
    for file in sorted(file for file in path.rglob("[!.]*") if file.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + digest_of(file).encode())
    return digest.hexdigest()[:DIGITS]


def with_contents(settings: Mapping[str, Any], *options: str) -> dict[str, Any]:
    """Settings of a job, and under ``contents`` what is in the files and folders that these options name.

    So a run whose file has changed since is another run. Options that are not set, and files that are not there, have
    none.

    >>> path = getfixture("tmp_path") / "prompts.txt"
    >>> path.write_text("a cell divides") and with_contents({"prompts": str(path), "lora": None}, "prompts", "lora")
    {'prompts': '...prompts.txt', 'lora': None, 'contents': {'prompts': '...'}}
    """
    named = {key: [value] if isinstance(value, str) else value for key in options if (value := settings[key])}
    found = {key: [digest_of(one) for one in value if Path(one).expanduser().exists()] for key, value in named.items()}
    contents = {key: one[0] if isinstance(settings[key], str) else one for key, one in found.items() if one}
    return {**settings, "contents": contents} if contents else dict(settings)


def write_json_atomic(path: str | Path, data: Any) -> None:
    """Write JSON that is there completely or not at all; NaN and infinities become null."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(_finite(data), file, indent=2, ensure_ascii=False, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _finite(data: Any) -> Any:
    match data:
        case float() if not math.isfinite(data):
            return None
        case Mapping():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
    return data


class JsonlWriter:
    """One JSON object per line, on disk as soon as it is written; ``mode="a"`` goes on with a file, "w" begins anew.

    >>> with JsonlWriter(getfixture("tmp_path") / "log.jsonl") as log:
    ...     log.write({"step": 0, "sigma": 1.0})
    """

    def __init__(self, path: str | Path, mode: Literal["x", "a", "w"] = "x") -> None:
        self._file = Path(path).open(mode, encoding="utf-8", buffering=1)  # noqa: SIM115

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record."""
        self._file.write(json.dumps(_finite(record), ensure_ascii=False, allow_nan=False) + "\n")

    def __enter__(self) -> JsonlWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def origin(world: WorldSpec) -> dict[str, str | None]:
    """What a record of results says of what made it: ``{"version": …, "git_sha": …, "world": "micro 2"}``.

    Weights in a folder of the user's have ``"weights"`` as well, see `weights_digest`.
    """
    digest = weights_digest(world.path, world.checkpoint)
    found = {"version": physgen.__version__, "git_sha": git_sha(), "world": world.label}
    return {**found, "weights": digest} if digest else found


def git_sha() -> str | None:
    """Commit of the checkout that this package is imported from, ``None`` for an installed copy."""
    root = Path(physgen.__file__).resolve().parents[1]
    command = ["git", "-C", str(root), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        top, sha = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:2]
    except (OSError, subprocess.CalledProcessError):
        return None
    return sha if Path(top) == root else None


def peak_memory_mb() -> float:
    """Largest memory of this process so far, in MB: the accelerator's where one is used, else resident memory."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
