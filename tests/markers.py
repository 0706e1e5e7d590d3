"""Parameters of which a few run in ``make test`` and all in ``make test-all``."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def slow_except(quick: Container[Any], values: Iterable[Any]) -> list[Any]:
    """The values, those that are not among the quick ones marked slow."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
