"""Prompts to train on, and those that are held out: of a simulator's family, or from files with a prompt a line."""

from __future__ import annotations

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

    Those of a file go on, line by line, from round to round and from seed to seed.

    Raises: InvalidArgument, see `lines`.
    """
    before = config.samples * (config.rounds * seed + round_ - 1)
    return _asked(config, config.prompts, "prompts", "train", config.samples, FIRST + A_SEED * seed + round_, before)


def held_out(config: AlignConfig) -> list[Prompt]:
    """The held-out prompts, the same for every seed.

    Raises: InvalidArgument, see `lines`.
    """
    return _asked(config, config.held_out, "held_out", "held_out", config.n, 0)


def use_of_lines(config: AlignConfig) -> str:
    """How many lines of the file with prompts are drawn, over all rounds and seeds, in a sentence."""
    every = lines("prompts", str(config.prompts))
    rounds = range(1, config.rounds + 1)
    used = {prompt.caption for seed in config.seeds for round_ in rounds for prompt in training(config, seed, round_)}
    return f"{len(used)} of {len(set(every))} different prompts in {config.prompts} are drawn"


def leaked(config: AlignConfig) -> list[str]:
    """Held-out prompts of a file that are among those of training, whatever their capitals and spaces."""
    known = {_plain(line) for line in lines("prompts", str(config.prompts))}
    return [line for line in lines("held_out", str(config.held_out)) if _plain(line) in known]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _asked(
    config: AlignConfig, file: str | None, name: str, split: Split, count: int, seed: int, before: int = 0
) -> list[Prompt]:
    if config.family is not None:
        return prompts(config.family, count, split, seed)
    assert file is not None
    every = lines(name, file)
    captions = [every[(before + i) % len(every)] for i in range(count)]
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
