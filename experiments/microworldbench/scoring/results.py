"""The released evaluator's ``MODEL_result.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument
from physgen.experiments.runs.records import write_json_atomic

SUFFIX = "_result.json"
SEPARATOR = re.compile(r"[\s,]*")


def read_results(source: Any, *, salvage: bool = False) -> tuple[Any, list[str]]:
    """What a result file holds, and notes; anything that is no path is handed back as it is.

    With ``salvage`` a cut file gives the results before the cut.

    Raises: FileNotFoundError; InvalidArgument for a file that is not JSON, without ``salvage``.
    """
    if not isinstance(source, str | Path):
        return source, []
    content = Path(source).read_bytes()
    try:
        return json.loads(content.decode("utf-8")), []
    except (ValueError, RecursionError) as error:
        if not salvage:
            raise InvalidArgument("results", str(source), f"a complete JSON file ({error})") from error
    items = _before_the_cut(content.decode("utf-8", "replace"))
    return items, [f"{source}: not complete JSON, the first {len(items)} results were read"]


def _before_the_cut(text: str) -> list[Any]:
    decoder, items, place = json.JSONDecoder(), [], text.find("[") + 1
    while 0 < place < len(text):
        try:
            item, place = decoder.raw_decode(text, SEPARATOR.match(text, place).end())  # type: ignore[union-attr]
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
