"""The README's example runs as it stands."""

from __future__ import annotations

import doctest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_library_example_runs() -> None:
    failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried >= 8
    assert failed == 0


def test_what_the_readme_shows_is_there() -> None:
    for word in (ROOT / "README.md").read_text(encoding="utf-8").replace(")", "(").split("("):
        if word.startswith(("docs/", "paper/")):
            assert (ROOT / word).is_file(), word
