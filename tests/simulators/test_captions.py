"""The grammar: what is held out, and that nothing held out needs an unseen word."""

import itertools

import numpy as np
import pytest

from physgen.simulators import GRAMMARS, Grammar, Split
from physgen.simulators.captions import draw

GRAMMAR = {f"{family}-{kind}": g for family, kinds in GRAMMARS.items() for kind, g in kinds.items()}
grammars = pytest.mark.parametrize("grammar", list(GRAMMAR.values()), ids=list(GRAMMAR))


def captions(grammar: Grammar, split: Split) -> list[str]:
    return [
        template.format(**combination)
        for template, combination in itertools.product(grammar.templates, grammar.combinations(split))
    ]


def words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def names(caption: str, value: str) -> bool:
    """Whether the caption contains the value as whole words."""
    return f" {value} " in f" {' '.join(words(caption))} "


@grammars
def test_splits_partition_the_combinations(grammar: Grammar) -> None:
    train, held_out = ({tuple(c.values()) for c in grammar.combinations(split)} for split in ("train", "held_out"))
    assert train.isdisjoint(held_out)
    assert train | held_out == set(itertools.product(*grammar.values.values()))
    assert 0 < len(held_out) < 0.4 * len(train | held_out)


@grammars
def test_each_value_of_the_first_attribute_is_held_out_once(grammar: Grammar) -> None:
    first, choices = next(iter(grammar.values.items()))
    assert [c[first] for c in grammar.combinations("held_out")] == list(choices)


@grammars
def test_every_value_is_trained(grammar: Grammar) -> None:
    for name, choices in grammar.values.items():
        assert {c[name] for c in grammar.combinations("train")} == set(choices)


@grammars
def test_held_out_captions_use_trained_words_only(grammar: Grammar) -> None:
    train, held_out = ({w for c in captions(grammar, split) for w in words(c)} for split in ("train", "held_out"))
    assert held_out <= train
    assert set(captions(grammar, "held_out")).isdisjoint(captions(grammar, "train"))


@grammars
def test_captions_name_every_attribute_and_no_other_value(grammar: Grammar) -> None:
    for template, combination in itertools.product(grammar.templates, grammar.combinations()):
        caption = template.format(**combination)
        for name, choices in grammar.values.items():
            named = [value for value in choices if names(caption, value)]
            assert named == [combination[name]], caption


@grammars
def test_captions_are_drawn_from_every_template(grammar: Grammar) -> None:
    combination, rng = grammar.combinations()[0], np.random.default_rng(0)
    drawn = {grammar.caption(combination, rng) for _ in range(60)}
    assert drawn == {template.format(**combination) for template in grammar.templates}


def test_captions_of_different_families_differ() -> None:
    every = [set(captions(grammar, "all")) for grammar in GRAMMAR.values()]
    assert len(set().union(*every)) == sum(map(len, every))


def test_draw_keeps_to_split_weights_and_seed() -> None:
    kinds = GRAMMARS["dye"]
    drawn = draw(kinds, (0.6, 0.4), 2000, "train", np.random.default_rng(0))
    assert not any(kinds[a["kind"]].is_held_out(a) for a in drawn)
    assert abs(np.mean([a["kind"] == "drop" for a in drawn]) - 0.6) < 0.04
    trained = {tuple(c.values()) for c in kinds["drop"].combinations("train")}
    assert {tuple(a.values())[1:] for a in drawn if a["kind"] == "drop"} == trained
    assert drawn == draw(kinds, (0.6, 0.4), 2000, "train", np.random.default_rng(0))
    assert all(
        kinds[a["kind"]].is_held_out(a) for a in draw(kinds, (0.6, 0.4), 50, "held_out", np.random.default_rng(0))
    )
