"""What a prompt of the embedded world asks for."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from physgen.simulators import GRAMMARS


@dataclass(frozen=True)
class Subject:
    """A family of simulator videos, the kind of scene in it, and the attributes that are asked for."""

    family: str
    kind: str
    attributes: Mapping[str, str]

    @property
    def domain(self) -> str:
        """Name of the null distributions that such a video is compared with."""
        return f"{self.family}.{self.kind}"


@cache
def _captions() -> dict[str, Subject]:
    return {
        _plain(template.format(**attributes)): Subject(family, kind, {"kind": kind, **attributes})
        for family, kinds in GRAMMARS.items()
        for kind, grammar in kinds.items()
        for attributes, template in itertools.product(grammar.combinations(), grammar.templates)
    }


def _plain(caption: str) -> str:
    """The words that the embedded world's tokenizer sees."""
    return re.sub("[^a-z0-9]+", " ", unicodedata.normalize("NFKC", caption).lower()).strip()


def subject_of(prompt: str) -> Subject | None:
    """What a caption of the grammars asks for; ``None`` for any other text.

    >>> subject_of("Two drops of red dye diffusing slowly in water.").attributes["count"]
    'two drops'
    >>> subject_of("a beating heart") is None
    True
    """
    return _captions().get(_plain(prompt))
