"""Docstrings as Markdown: doctests and formulas become blocks of code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

FORMULA = re.compile(r" = |<-|->|argmin|<=")
SECTIONS = ("Args:", "Attributes:", "Raises:", "Returns:", "Source:", "Yields:", "Note", "- ", "* ")


def fence(text: str) -> str:
    r"""The text of a docstring with its doctests, and the paragraphs that are formulas, between fences.

    >>> print(fence("Sum.\n\ns = ``a`` + b\n\nSource: A,\n    B."))
    Sum.
    <BLANKLINE>
    ```text
    s = a + b
    ```
    <BLANKLINE>
    Source: A, B.
    >>> fence(">>> 1 + 1\n2")
    '```pycon\n>>> 1 + 1\n2\n```'
    """
    return "\n\n".join(_fenced(paragraph) for paragraph in text.split("\n\n"))


def _fenced(paragraph: str) -> str:
    if paragraph.lstrip().startswith(">>>"):
        return f"```pycon\n{paragraph}\n```"
    if paragraph.startswith("Source:"):
        return re.sub(r"\n\s+", " ", paragraph)  # indented lines would make it a box that opens
    plain = not paragraph.startswith((" ", *SECTIONS)) and not paragraph.rstrip().endswith((".", ":"))
    return "```text\n{}\n```".format(paragraph.replace("`", "")) if plain and FORMULA.search(paragraph) else paragraph


class Fenced(Extension):
    """Fences in every docstring."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = fence(obj.docstring.value)
