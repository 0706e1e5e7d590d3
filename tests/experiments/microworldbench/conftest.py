"""A server's address in the environment, and a tiny video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from physgen.experiments.microworldbench.judges.openai import OpenAIJudge
from physgen.video import Video, write_mp4

Connect = Callable[..., OpenAIJudge]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Judge at an address, with short waits unless told otherwise."""

    def judge(url: str, **settings: object) -> OpenAIJudge:
        for name, value in {"BASE_URL": url, "MODEL": "tiny-judge", "API_KEY": "secret-key"}.items():
            monkeypatch.setenv(f"OPENAI_{name}", value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        return OpenAIJudge(**({"backoff": 0.01, "retries": 2} | settings))  # type: ignore[arg-type]

    return judge


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of noise, 32 x 32."""
    path = tmp_path_factory.mktemp("movie") / "movie.mp4"
    write_mp4(path, Video(torch.rand(12, 3, 32, 32, generator=torch.manual_seed(0))), fps=8)
    return path
