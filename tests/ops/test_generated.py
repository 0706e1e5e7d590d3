"""Where generated source lies, and that nobody else's is run."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from physgen.kernels.cache import cache_directory
from physgen.ops.generated import load_source


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An own cache folder, which is looked up again in the test and after it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PHYSGEN_CACHE", str(folder))
    cache_directory.cache_clear()
    yield folder
    cache_directory.cache_clear()


def test_the_folder_is_made_and_used(fresh: Path) -> None:
    assert cache_directory() == fresh
    assert fresh.stat().st_mode & 0o077 == 0
    module = load_source("used", "answer = 42")
    assert module.answer == 42
    assert Path(str(module.__file__)).read_text() == "answer = 42"


def test_a_folder_that_others_may_write_is_not_used(fresh: Path) -> None:
    fresh.mkdir()
    fresh.chmod(0o777)
    found = cache_directory()
    assert found != fresh
    assert found == cache_directory()
    assert found.stat().st_mode & 0o077 == 0


def test_what_lies_there_is_not_trusted(fresh: Path) -> None:
    source = "answer = 'ours'"
    first = load_source("trusted", source)
    Path(str(first.__file__)).write_text("answer = 'theirs'")
    del sys.modules[first.__name__]
    assert load_source("trusted", source).answer == "ours"
    assert Path(str(first.__file__)).read_text() == source


def test_an_unusable_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PHYSGEN_CACHE", str(tmp_path / "file"))
    cache_directory.cache_clear()
    found = cache_directory()
    assert found.is_dir()
    assert found != tmp_path / "file"
    cache_directory.cache_clear()
