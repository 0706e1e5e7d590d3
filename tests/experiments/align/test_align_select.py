"""Selection by instruments, on simulator videos: faultless ones pass, planted faults do not, sources are disjoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physgen.experiments.align.options import Lora
from physgen.experiments.align.select import SOURCES, check_select, merit, scoring, sources
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.experiments.evaluate.yardstick.planted import COUNT, DIRECTION, EMPTY, NOTHING, variants
from physgen.experiments.instruments import DOMAINS, INSTRUMENTS
from physgen.worlds import world_spec

#: instruments that are read from something that no other one is read from
OWN = {
    *("transport", "static", "colour", "size", "shape"),
    *("blur", "noise", "clipping", "flicker", "presence"),
}
SELECT = ["direction", "count", "lanes", "lost"]


def passes(prompt: Prompt, error: str) -> float:
    return merit(world_spec("micro"), prompt, variants(prompt, 3)[error][None], SELECT)


def test_faultless_videos_pass_and_faults_do_not() -> None:
    """Of 8 simulator videos at least 6 pass at 0.05; with another count or direction none, nor an empty one."""
    asked = prompts("blood", 8, "train", 1)
    assert sum(passes(prompt, NOTHING) >= 0.05 for prompt in asked) >= 6
    for error in (COUNT, DIRECTION, EMPTY):
        assert max(passes(prompt, error) for prompt in asked) < 0.05, error
    assert passes(asked[0], EMPTY) == 0.0


@pytest.mark.parametrize("domain", DOMAINS)
def test_what_selects_and_what_scores_share_no_source(domain: str) -> None:
    for name in DOMAINS[domain]:
        left = scoring(domain, [name])
        assert name not in left
        assert not {source for other in left for source in sources(other)} & set(sources(name))


def test_every_instrument_has_its_sources_or_is_read_from_something_of_its_own() -> None:
    assert sorted([*SOURCES, *OWN]) == sorted(INSTRUMENTS)
    assert "shear" not in scoring("sheet.sheet", ["strength"])
    assert "periodic" not in scoring("sheet.sheet", ["speed"])
    assert "outcome" not in scoring("vesicles.vesicles", ["count"])
    assert "brownian" not in scoring("beads.beads", ["lost"])


def test_only_instruments_of_the_domain_are_taken() -> None:
    check_select("blood.flow", ["direction", "colour"])  # colour selects dye, where prompts of both are asked
    with pytest.raises(ValueError, match="steadiness"):
        check_select("blood.flow", ["colour"])


def test_options_are_those_of_the_file() -> None:
    from physgen.experiments.cli.dispatch import JOBS, read_options

    config = read_options("align", JOBS["align"], ["lora.rank=3", "seeds=[5]"])
    assert isinstance(config.lora, Lora)
    assert (config.lora.rank, config.lora.schedule.steps, config.seeds) == (3, 300, [5])


def test_training_prompts_are_never_held_out_and_rounds_have_noise_of_their_own() -> None:
    from physgen.experiments.align.asked import held_out, training
    from physgen.experiments.cli.dispatch import JOBS, read_options
    from physgen.simulators import GRAMMARS

    config = read_options("align", JOBS["align"], ["n=40", "samples=40"])
    taken: set[int] = {prompt.seed for prompt in held_out(config)}
    for seed in range(3):
        for round_ in (1, 2):
            asked = training(config, seed, round_)
            assert not any(GRAMMARS["blood"][p.attributes["kind"]].is_held_out(p.attributes) for p in asked)
            assert not taken & {prompt.seed for prompt in asked}
            taken |= {prompt.seed for prompt in asked}
    assert all(GRAMMARS["blood"]["flow"].is_held_out(p.attributes) for p in held_out(config))
    assert len(taken) == 40 * 7


def test_merit_is_no_tensor_of_another_shape() -> None:
    prompt = prompts("blood", 1, "train", 1)[0]
    noise = torch.from_numpy(np.random.default_rng(0).random((1, 3, 25, 64, 64), dtype=np.float32))
    assert 0.0 <= merit(world_spec("micro"), prompt, noise, SELECT) < 0.05
