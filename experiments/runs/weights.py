"""Which weights a world has that lie in a folder of the user's: a digest, so that two trainings are told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument

#: files that decide what a pipeline draws: weights, and the configurations of its models and scheduler
DECIDING = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt", "*config.json")
DIGITS = 16


def weights_digest(path: str | None, checkpoint: str | None = None) -> str | None:
    """First 16 digits of the SHA-256 of a pipeline's folder and of a checkpoint; None where neither is on this disk.

    What is in the package or on the hub has none: the world's name and version, or the revision, name it. A folder has
    the names and contents of its weights and configurations, whatever it is called; a checkpoint that of its file.

    >>> folder = getfixture("tmp_path")
    >>> (folder / "model.safetensors").write_bytes(b"first") and weights_digest(str(folder))
    '1aa914cd9cf02df5'
    >>> print(weights_digest(None), weights_digest("someone/on-the-hub"))
    None None
    """
    from physgen.worlds.checkpoints.file import latest

    found: list[tuple[str, Path]] = []
    if path and (folder := Path(path).expanduser()).is_dir():
        files = {file for pattern in DECIDING for file in folder.rglob(pattern) if file.is_file()}
        found += sorted((file.relative_to(folder).as_posix(), file) for file in files)
    if checkpoint:
        try:
            found.append(("", latest(Path(checkpoint).expanduser())))
        except InvalidArgument:  # refused when it is loaded
            return None
    if not found:
        return None
    digest = hashlib.sha256()
    for name, file in found:
        stat = file.stat()
        digest.update(name.encode() + _content(file.resolve(), stat.st_size, stat.st_mtime_ns))
    return digest.hexdigest()[:DIGITS]


def with_weights(config: Mapping[str, Any]) -> dict[str, Any]:
    """A job's settings, with the digest of its world's weights as ``world.weights`` where they have one.

    >>> with_weights({"seed": 0, "world": {"name": "micro", "path": None}})
    {'seed': 0, 'world': {'name': 'micro', 'path': None}}
    """
    world = config.get("world")
    if not isinstance(world, Mapping):
        return dict(config)
    digest = weights_digest(world.get("path"), world.get("checkpoint"))
    return {**config, "world": {**world, "weights": digest}} if digest else dict(config)


@cache
def _content(file: Path, size: int, changed: int) -> bytes:
    """SHA-256 of a file, read once as long as it is not changed."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
