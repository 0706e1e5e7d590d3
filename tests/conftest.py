"""Shapes checked by jaxtyping and beartype; one thread; nothing from the network."""

import os
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(1)
install_import_hook(["physgen"], "beartype.beartype")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real microscopy and benchmark data, which is not part of the repository."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("PHYSGEN_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: set PHYSGEN_SHARED")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny world on disk, which no test writes into."""
    from tiny_world import save_tiny_world

    return save_tiny_world(tmp_path_factory.mktemp("world") / "pipe")
