"""The world has learned every simulator: its words, its judge's classes and its seeds are theirs."""

from importlib.resources import files

import pytest
import yaml

from physgen.experiments.draw.prompts import prompts
from physgen.simulators import GRAMMARS, SIMULATORS
from physgen.worlds import world_spec
from physgen.worlds.checkpoints.weights import find_weights
from physgen.worlds.micro.judge import Judge, heads
from physgen.worlds.micro.text import SPECIAL, build_tokenizer, vocabulary


def test_every_simulator_has_a_grammar_and_the_world_has_learned_all() -> None:
    assert list(SIMULATORS) == list(GRAMMARS) == list(world_spec("micro").families)


def test_words_are_those_of_the_shipped_tokenizer() -> None:
    from transformers import AutoTokenizer

    shipped = AutoTokenizer.from_pretrained(str(find_weights(world_spec("micro")) / "tokenizer"))
    assert shipped.get_vocab() == build_tokenizer(vocabulary()).get_vocab()
    assert {"beads", "branching", "cardiomyocytes", "vesicles"} <= set(vocabulary())
    assert not set(SPECIAL) & set(vocabulary())


def test_classes_are_those_of_the_shipped_judge() -> None:
    folder = find_weights(world_spec("micro")) / "judge"
    assert heads()["family"] == tuple(GRAMMARS)
    assert {name.split(".")[0] for name in heads()} == {"family", *GRAMMARS}
    assert Judge.load(folder).heads == heads()


def test_seeds_of_prompts_are_apart() -> None:
    assert [prompts(family, 1, "held_out", 3)[0].seed for family in GRAMMARS] == [
        270_000 + 10_000 * i for i in range(9)
    ]


@pytest.mark.parametrize("path", ["train.yaml", "autoencoder/micro.yaml", "autoencoder/wan.yaml"])
def test_every_simulator_can_be_trained_on(path: str) -> None:
    options = yaml.safe_load((files("physgen.conf") / path).read_text(encoding="utf-8"))
    assert list(options.get("transformer", options)["mixture"]) == list(SIMULATORS)
    assert all((files("physgen.conf") / "simulator" / f"{family}.yaml").is_file() for family in SIMULATORS)
