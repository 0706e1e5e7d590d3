"""Weights that change need another version: results of the two would be mixed without it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import physgen
from physgen.worlds import world_spec

TRANSFORMER = "worlds/micro/weights/transformer/diffusion_pytorch_model.safetensors"
#: version of ``micro`` -> the first digits of its transformer's SHA-256
DIGESTS = {1: "06ef5620f9a33cb4", 2: "1e9919a423a10e01"}


def test_every_version_has_weights_of_its_own() -> None:
    digest = hashlib.sha256((Path(physgen.__file__).parent / TRANSFORMER).read_bytes()).hexdigest()[:16]
    version = world_spec("micro").version
    assert DIGESTS.get(version, digest) == digest, "these weights are others: count version up in conf/world/micro.yaml"
    assert [one for one, known in DIGESTS.items() if known == digest] in ([], [version])
