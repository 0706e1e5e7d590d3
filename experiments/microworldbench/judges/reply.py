"""Scores out of the text of a reply."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

TAIL = 2**16
DEEPEST = 20
#: tags around what a model says to itself
TAG = re.compile(r"<(/?)(think|thinking|thought|reasoning|analysis)>", re.IGNORECASE)
STARTS = re.compile(r"[{\[]")
#: how judges call the number of a criterion, its answer, and what answers mean
NUMBERS = ("index", "number", "criterion", "id")
ANSWERS = ("score", "answer", "value", "result")
SAID = {"1": 1, "1.0": 1, "true": 1, "yes": 1, "0": 0, "0.0": 0, "false": 0, "no": 0}


def parse_upstream(text: str) -> Any:
    """The JSON from the first ``{`` to the last ``}``, whatever it holds; ``None`` where that is none.

    >>> parse_upstream('Well: {"scores": [1]} done'), parse_upstream('{"a": 1} or {"a": 2}')
    ({'scores': [1]}, None)
    """
    try:
        return plain(json.loads(text[text.index("{") : text.rindex("}") + 1]))
    except (ValueError, RecursionError):
        return None


def parse_corrected(text: str, count: int) -> dict[str, Any] | None:
    """The last JSON with one answer for each criterion, in the last 64 KiB; ``None`` where there is none.

    An object with ``scores`` comes before a list alone. Answers are 1 and 0, also as words or in an object each, and
    in order of their numbers where they have some. What is said between reasoning tags is no answer.

    >>> parse_corrected('{"scores": [0]} no, wait: {"scores": [1]}', 1)
    {'scores': [1]}
    >>> parse_corrected('[{"index": 2, "answer": "no"}, {"index": 1, "answer": "yes"}]', 2)
    {'scores': [1, 0]}
    >>> parse_corrected('<think>{"scores": [1]}</think> I cannot say', 1) is None
    True
    """
    named, alone = None, None
    for found in values(without_reasoning(text)[-TAIL:]):
        if isinstance(found, list):
            scores = scores_of(found, count)
            alone = {"scores": scores} if scores and all(score in (0, 1) for score in scores) else alone
        else:
            named = _named_scores(found, count) or named
    return named or alone


def without_reasoning(text: str) -> str:
    """A reply without what stands between reasoning tags; also where one of the two tags is missing.

    >>> without_reasoning("a chat template began it</think> yes <thinking>or no")
    ' yes '
    """
    text = TAG.sub(r"<\1think>", text)
    return re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL).rpartition("</think>")[2].partition("<think>")[0]


def values(text: str) -> Iterator[Any]:
    """Every JSON object and list in a text, the outermost ones, one after the other."""
    place, decoder = 0, json.JSONDecoder()
    while match := STARTS.search(text, place):
        try:
            found, place = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            place = match.end()
        else:
            yield plain(found)


def _named_scores(found: dict[str, Any], count: int) -> dict[str, Any] | None:
    """The object with scores in it, or one inside of it."""
    if (scores := scores_of(found.get("scores"), count)) is not None:
        return {**found, "scores": scores}
    inner = (_named_scores(value, count) for value in found.values() if isinstance(value, dict))
    return next(filter(None, inner), None)


def scores_of(given: Any, count: int) -> list[Any] | None:
    """One answer for each criterion: 1, 0, or, unscored, what else is there; ``None`` where their number is another.

    >>> scores_of(["1", False, "maybe"], 3), scores_of({"1": 0, "2": 1}, 2), scores_of([{"index": 3, "score": 1}], 1)
    ([1, 0, 'maybe'], [0, 1], None)
    """
    if isinstance(given, dict):
        given = [{"index": key, "score": value} for key, value in given.items()]
    if not isinstance(given, list) or len(given) != count:
        return None
    numbers = [_number(entry) for entry in given]
    if None not in numbers:
        if sorted(numbers) not in ([*range(count)], [*range(1, count + 1)]):
            return None
        given = [entry for _, entry in sorted(zip(numbers, given, strict=True), key=lambda pair: pair[0])]
    return [_answer(entry) for entry in given]


def _number(entry: Any) -> Any:
    """The number of its criterion that an answer carries."""
    found = next((entry[name] for name in NUMBERS if name in entry), None) if isinstance(entry, dict) else None
    return int(str(found)) if re.fullmatch(r"[0-9]{1,4}", str(found)) else None


def _answer(entry: Any) -> Any:
    """1 or 0 where that is what an entry says, else the entry."""
    value = next((entry[name] for name in ANSWERS if name in entry), None) if isinstance(entry, dict) else entry
    return SAID.get(str(value).strip().lower(), entry)


def plain(data: Any, depth: int = 0) -> Any:
    """The same data as UTF-8 can hold it, without what lies deeper than 20 levels.

    >>> plain([chr(0xD800), 1])
    ['?', 1]
    """
    match data:
        case str():
            return data.encode("utf-8", "replace").decode()
        case dict() | list() if depth == DEEPEST:
            return None
        case dict():
            return {plain(key): plain(value, depth + 1) for key, value in data.items()}
        case list():
            return [plain(value, depth + 1) for value in data]
    return data
