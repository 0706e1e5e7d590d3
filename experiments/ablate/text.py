"""Options that are text, in which a comma may be a part of the text or stand between two values of a sweep."""

from __future__ import annotations

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString
from hydra.errors import HydraException

from physgen.errors import InvalidArgument

TEXTS = ("prompt",)


def check_text(override: str) -> None:
    """Refuse ``prompt=a, b``: the shell took the quotes away, and Hydra would make it two prompts.

    Raises:
        InvalidArgument: it shows how one prompt with a comma is written, and how two prompts are.

    >>> check_text("prompt='a, b'")
    >>> check_text("prompt='a','b'")
    >>> check_text("prompt=a, b")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: prompt='a, b': allowed: one prompt: prompt="'a, b'", or 2 prompts: prompt="'a','b'"
    """
    key, _, value = override.partition("=")
    if key.lstrip("+") not in TEXTS:
        return
    one = f'one {key}: {key}="{quoted(value)}"'
    try:
        parsed = OverridesParser.create().parse_override(override).value()
    except HydraException as error:
        raise InvalidArgument(key, value, f"text in two kinds of quotes, {one}") from error
    if isinstance(parsed, ChoiceSweep) and parsed.simple_form:
        texts = parsed.list
        if not all(text is None or isinstance(text, QuotedString) for text in texts):
            several = ",".join(quoted(text.text if isinstance(text, QuotedString) else str(text)) for text in texts)
            raise InvalidArgument(key, value, f'{one}, or {len(texts)} {key}s: {key}="{several}"')


def quoted(text: str) -> str:
    r"""Text in Hydra's quotes, to stand in the double quotes of a shell.

    >>> print(quoted("a cell's wall"))
    'a cell\'s wall'
    """
    return "'" + text.strip().replace("'", r"\'").replace('"', r"\"") + "'"
