"""Weights that change need another version: results of the two would be mixed without it.

A failure says which lines to change, and where the results of the former version go.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import physgen
from physgen.worlds import world_spec

WEIGHTS = Path(physgen.__file__).parent / "worlds/micro/weights"
#: models whose weights change a video, or what the instruments read of one
MODELS = ("transformer", "vae", "text_encoder", "judge")
#: version of ``micro`` -> the first digits of the SHA-256 of all of them, one after the other
DIGESTS = {1: "7b027103ed393d81", 2: "8ffbab63cac49089"}


def digest_of(weights: Path) -> str:
    files = sorted(file for model in MODELS for file in (weights / model).glob("*.safetensors"))
    assert len(files) == len(MODELS), f"{weights} has the weights {[file.name for file in files]}"
    return hashlib.sha256(b"".join(map(Path.read_bytes, files))).hexdigest()[:16]


def mistake(version: int, digest: str, known: Mapping[int, str]) -> str | None:
    """What whoever changed the weights, or the version, has to do; None where the two belong together."""
    if known.get(version) == digest:
        return None
    if digest in known.values():
        former = next(one for one, other in known.items() if other == digest)
        return f"the weights are those of version {former}: set version: {former} in conf/world/micro.yaml"
    following = max(known) + 1
    return (
        f"the weights in physgen/worlds/micro/weights are new ({digest}), and version {version} had others or none:\n"
        f"1. set version: {following} in conf/world/micro.yaml;\n"
        f'2. add {following}: "{digest}" to DIGESTS in tests/worlds/test_version.py;\n'
        f"3. in paper/results/worlds.yaml name the last commit of version {following - 1} under commits, and every "
        f"file of results that is made again under {following};\n"
        f"4. keep the files that would be replaced in docs/results/micro-{following - 1}"
    )


def test_every_version_has_weights_of_its_own() -> None:
    wrong = mistake(world_spec("micro").version, digest_of(WEIGHTS), DIGESTS)
    assert wrong is None, wrong


@pytest.mark.parametrize(
    ("version", "digest", "words"),
    [
        (2, "b", None),
        (2, "c", r'1\. set version: 3 in conf/world/micro\.yaml;\n2\. add 3: "c" to DIGESTS'),
        (3, "c", '2\\. add 3: "c" to DIGESTS'),
        (3, "b", "the weights are those of version 2: set version: 2"),
        (1, "b", "the weights are those of version 2: set version: 2"),
    ],
)
def test_new_weights_or_a_wrong_version_are_said_with_what_to_do(version: int, digest: str, words: str | None) -> None:
    """A version that was counted up, and is not listed, fails too: the next change would pass otherwise."""
    found = mistake(version, digest, {1: "a", 2: "b"})
    assert found is None if words is None else found and re.search(words, found)


@pytest.mark.parametrize("model", MODELS)
def test_each_of_the_models_counts(model: str, tmp_path: Path) -> None:
    shutil.copytree(WEIGHTS, tmp_path / "weights")
    (file,) = (tmp_path / "weights" / model).glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert digest_of(tmp_path / "weights") != digest_of(WEIGHTS)
