"""``constraint=auto``: which constraints the words of a text allow, and which of them hold in a world."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import yaml

from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import choice
from physgen.experiments.cli.search import config_file
from physgen.experiments.cli.target import build
from physgen.experiments.draw.physics import check_fields
from physgen.worlds import WorldSpec

AUTO = "auto"
#: what a word says in the place of a number
NUMBERS = {"single": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eight": 8, "twelve": 12}


@dataclass(frozen=True)
class Topic:
    """What a text may speak of, by its words, once phrases to be ignored are blanked out."""

    words: re.Pattern[str]
    ignoring: re.Pattern[str]
    otherwise: str

    def found(self, text: str) -> tuple[str, ...]:
        """Its words in a text, each once."""
        return _found(self.words, self.ignoring.sub(lambda match: " " * len(match.group()), text))


@dataclass(frozen=True)
class Rule:
    """A topic, words it needs and words that it must not have, and the constraints that are right then.

    ``constraint`` changes entries of ``conf/constraint/NAME.yaml``, and so does what a named group of ``words`` finds:
    ``(?P<count>two)`` is ``count: 2``. ``colours`` says that amounts must be shown in colours that the world knows. A
    law that is not ``imposed`` is measured only: what it is read from is more than what the text is about.
    """

    name: str
    topic: str
    words: re.Pattern[str] | None
    unless: re.Pattern[str]
    constraint: Mapping[str, Mapping[str, Any]]
    colours: bool
    imposed: bool

    def entries(self, text: str) -> dict[str, dict[str, Any]]:
        """Its constraints with what the text itself says of them."""
        found = self.words.search(text) if self.words else None
        said = {name: word.lower() for name, word in found.groupdict().items() if word} if found else {}
        values = {name: NUMBERS.get(word, word) for name, word in said.items()}
        return {name: {**choice("constraint", name), **changes, **values} for name, changes in self.constraint.items()}


@dataclass(frozen=True)
class Fired:
    """A rule that matched on these words; with ``prevented`` it was kept from firing by those."""

    rule: str
    words: tuple[str, ...]
    prevented: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """The topics of a text with their words, the rules that matched, their constraints, and notes on what was left out.

    ``constraint`` has entries as in ``conf/constraint``, ``rule_of`` the rule that each comes from; those ``measured``
    are not imposed.
    """

    topics: dict[str, tuple[str, ...]]
    rules: tuple[Fired, ...]
    constraint: dict[str, dict[str, Any]]
    rule_of: dict[str, str]
    measured: tuple[str, ...]
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As JSON: names of constraints, and why."""
        return {**asdict(self), "constraint": list(self.constraint)}


@dataclass(frozen=True)
class Chosen:
    """Entries of constraints, the names of those that are measured and not imposed, and what to say about them."""

    constraint: dict[str, Any]
    measured: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def table() -> tuple[dict[str, Topic], tuple[Rule, ...]]:
    """Topics and rules of ``rules.yaml``."""
    return _table(config_file("rules.yaml").read_text(encoding="utf-8"))


@cache
def _table(text: str) -> tuple[dict[str, Topic], tuple[Rule, ...]]:
    data = yaml.safe_load(text)
    topics = {
        name: Topic(_pattern(entry["words"]), _pattern(entry.get("ignoring", [])), entry["otherwise"])
        for name, entry in data["topics"].items()
    }
    rules = tuple(
        Rule(
            entry["name"],
            entry["topic"],
            _pattern(entry["words"]) if "words" in entry else None,
            _pattern(entry.get("unless", [])),
            entry["constraint"],
            entry["reads"] == "colours",
            entry.get("imposed", True),
        )
        for entry in data["rules"]
    )
    return topics, rules


def decide(text: str, spec: WorldSpec | None = None) -> Decision:
    """Constraints that the words of a text allow; in a world those that hold for what it draws, and can be read there.

    A world whose family of the text has known colours keeps the laws of that family; any other keeps what is read from
    brightness. Of two rules with one law the first counts.

    >>> decision = decide("Mitosis of a cell with a long metaphase")
    >>> decision.rules[0]
    Fired(rule='phases in order', words=('mitosis', 'metaphase'), prevented=())
    >>> decide("Abnormal mitosis of a cell").notes
    ('mitosis: a division that is disturbed or stopped need not go through its phases in order',)
    >>> cell = decide("A single T cell")
    >>> cell.constraint["count"]["count"], cell.measured
    (1, ('count',))
    """
    topics, rules = table()
    spoken = {name: words for name, topic in topics.items() if (words := topic.found(text))}
    matched, constraint, rule_of, measured = [], {}, {}, []
    refused: dict[str, str] = {}
    for rule in rules:
        words = spoken.get(rule.topic, ()) if rule.words is None else _found(rule.words, text)
        if rule.topic not in spoken or not words:
            continue
        prevented = _found(rule.unless, text)
        matched.append(Fired(rule.name, words, prevented))
        if prevented:
            continue
        for name, entry in rule.entries(text).items():
            if name in constraint:
                continue
            if reason := _out_of_place(name, entry, rule.colours, text, spec):
                refused[name] = reason
                continue
            constraint[name], rule_of[name] = entry, rule.name
            if not rule.imposed:
                measured.append(name)
    firing = {rule.topic for rule in rules if any(f.rule == rule.name and not f.prevented for f in matched)}
    notes = [reason for name, reason in refused.items() if name not in constraint]
    notes += [f"{name}: {topics[name].otherwise}" for name in spoken if name not in firing]
    return Decision(spoken, tuple(matched), constraint, rule_of, tuple(measured), tuple(notes))


def chosen(constraint: Mapping[str, Any], text: str | None, spec: WorldSpec) -> Chosen:
    """Constraints with ``auto`` replaced by what the text allows.

    Raises:
        InvalidArgument: ``auto`` beside others, or without a text.
    """
    if AUTO not in constraint:
        return Chosen(dict(constraint))
    if len(constraint) > 1:
        raise InvalidArgument("constraint", sorted(constraint), "auto alone, or others without auto")
    if not text:
        raise InvalidArgument("prompt", text, "a text, which constraint=auto reads")
    decision = decide(text, spec)
    names = ", ".join(f"{name} ({rule})" for name, rule in decision.rule_of.items())
    notes = [f"constraint=auto: {names or 'none'}"]
    if decision.measured:
        notes.append(f"measured and not imposed: {', '.join(decision.measured)}")
    return Chosen(decision.constraint, decision.measured, (*notes, *decision.notes))


def _out_of_place(name: str, entry: Mapping[str, Any], colours: bool, text: str, spec: WorldSpec | None) -> str | None:
    if spec is None:
        return None
    family = spec.family(text)
    drawn = spec.families[family]
    if drawn.colours and name not in drawn.laws:
        return f"{name}: not a law of {family} videos, as which {spec.name} draws this text"
    if colours and not drawn.colours:
        return f"{name}: {spec.name} does not say which colour shows how much"
    try:
        check_fields([build(Constraint, entry)], spec.observable(text), spec.grid(text), spec.num_frames)
    except InvalidArgument as error:
        return f"{name}: cannot be read from what {spec.name} draws of this text: {error}"
    return None


def _pattern(words: Sequence[Any]) -> re.Pattern[str]:
    """Any of the words, whole, in any case; without words nothing. Lists in the list are lists that it shares."""
    flat = [w for entry in words for w in (entry if isinstance(entry, list) else [entry])]
    return re.compile(rf"\b(?:{'|'.join(flat)})\b" if flat else r"(?!)", re.IGNORECASE)


def _found(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(match.group().lower() for match in pattern.finditer(text)))
