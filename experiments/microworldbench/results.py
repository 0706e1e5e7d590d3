"""The released evaluator's ``MODEL_result.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument
from physgen.records import write_json_atomic

SUFFIX = "_result.json"


def read_results(source: Any, *, salvage: bool = False) -> tuple[Any, list[str]]:
    """What a result file holds, and notes; anything that is no path is handed back as it is.

    With ``salvage`` a cut file gives the results before the cut.

    Raises: FileNotFoundError; InvalidArgument for a file that is not JSON, without ``salvage``.
    """
    if not isinstance(source, str | Path):
        return source, []
    text = Path(source).read_text(encoding="utf-8", errors="replace" if salvage else "strict")
    try:
        return json.loads(text), []
    except (ValueError, RecursionError) as error:
        if not salvage:
            raise InvalidArgument("results", str(source), f"a complete JSON file ({error})") from error
    items = _before_the_cut(text)
    return items, [f"{source}: not complete JSON, the first {len(items)} results were read"]


def _before_the_cut(text: str) -> list[Any]:
    decoder, items, place = json.JSONDecoder(), [], text.find("[") + 1
    while 0 < place < len(text):
        place += len(text[place:]) - len(text[place:].lstrip(" \t\r\n,"))
        try:
            item, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            break
        items.append(item)
    return items


def write_results(path: str | Path, results: Sequence[Any]) -> None:
    """Write results in order of their index, all or nothing."""
    write_json_atomic(path, sorted(results, key=lambda item: item["index"]))


def model_of(path: str | Path) -> str:
    """Name of the model whose results a file holds.

    >>> model_of("eval_result/Wan2.1_result.json")
    'Wan2.1'
    """
    return Path(path).name.removesuffix(SUFFIX).removesuffix(".json")
