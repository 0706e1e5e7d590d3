"""Prompts to train on, and those that are held out: of a simulator's family, or from files with a prompt a line."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from physgen.errors import InvalidArgument
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.simulators.captions import Split

if TYPE_CHECKING:
    from physgen.experiments.align.options import AlignConfig

#: between a seed and those of its prompts, of which every round has another, and none that is held out
FIRST, A_SEED = 1000, 50


def training(config: AlignConfig, seed: int, round_: int) -> list[Prompt]:
    """The prompts of a round, which go round those of training, each with noise of its own.

    Raises: InvalidArgument, see `lines`.
    """
    return _asked(config, config.prompts, "prompts", "train", config.samples, FIRST + A_SEED * seed + round_)


def held_out(config: AlignConfig) -> list[Prompt]:
    """The held-out prompts, the same for every seed.

    Raises: InvalidArgument, see `lines`.
    """
    return _asked(config, config.held_out, "held_out", "held_out", config.n, 0)


def _asked(config: AlignConfig, file: str | None, name: str, split: Split, count: int, seed: int) -> list[Prompt]:
    if config.family is not None:
        return prompts(config.family, count, split, seed)
    assert file is not None
    captions = islice(cycle(lines(name, file)), count)
    return [Prompt(config.world.family(c), i, {}, c, seed * 10_000 + i) for i, c in enumerate(captions)]


def lines(name: str, file: str) -> list[str]:
    r"""Lines of a text file that hold something.

    Raises:
        InvalidArgument: no such file, a file that is no text, or an empty one.

    >>> path = getfixture("tmp_path") / "prompts.txt"
    >>> path.write_text("a cell divides\n\n a heart beats \n")
    32
    >>> lines("prompts", str(path))
    ['a cell divides', 'a heart beats']
    """
    allowed = "a text file with a prompt a line"
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(name, file, allowed) from error
    if not text.strip():
        raise InvalidArgument(name, f"{file}, which is empty", allowed)
    return [line.strip() for line in text.splitlines() if line.strip()]
