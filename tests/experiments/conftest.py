"""A tiny world on disk, which no test writes into."""

from pathlib import Path

import pytest
from tiny_world import save_tiny_world


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_world(tmp_path_factory.mktemp("world") / "pipe")
