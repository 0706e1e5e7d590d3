"""The registry, the physical scale of each family, and loading through the real loader."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_world import save_tiny_world

from physgen.errors import InvalidArgument
from physgen.simulators import GRAMMARS, beads, blood, dye, gray_scott, growth, mitosis, sheet, vesicles, vessel
from physgen.worlds import World, load_world, world_names, world_spec
from physgen.worlds.micro.pipeline import DEFAULTS

SPEC = world_spec("micro")
MODULES = {
    **{"dye": dye, "growth": growth, "gray_scott": gray_scott, "mitosis": mitosis, "blood": blood},
    **{"vessel": vessel, "beads": beads, "sheet": sheet, "vesicles": vesicles},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = load_world("micro", str(save_tiny_world(tmp_path_factory.mktemp("tiny"))))
    return replace(world, spec=replace(world.spec, height=32, width=32, num_frames=9))


def test_registry() -> None:
    assert "micro" in world_names()
    with pytest.raises(InvalidArgument, match="micro"):
        world_spec("mirco")
    with pytest.raises(FileNotFoundError, match=r"model_index\.json"):
        load_world("micro", "/nowhere")


@pytest.mark.parametrize("family", MODULES)
def test_scale_is_the_simulators(family: str) -> None:
    grid, spec = MODULES[family].GRID, SPEC.families[family]
    assert (tuple(spec.spacing), spec.dt, spec.boundary) == (grid.spacing, grid.dt, grid.boundary)


@pytest.mark.parametrize("family", ["dye", "growth", "gray_scott", "mitosis", "beads", "vesicles"])
def test_colours_are_the_simulators(family: str) -> None:
    spec, module = SPEC.families[family], MODULES[family]
    assert spec.colours.keys() == module.COLOURS.keys()
    for name, colour in spec.colours.items():
        np.testing.assert_allclose(colour, module.COLOURS[name])
    np.testing.assert_allclose(spec.background, module.BACKGROUND)


def test_species_without_a_colour_in_the_caption_are_the_simulators() -> None:
    assert SPEC.families["gray_scott"].always == {"substrate": gray_scott.SUBSTRATE.tolist()}
    assert SPEC.families["vesicles"].always == {"membrane": vesicles.MEMBRANE.tolist()}
    assert SPEC.families["sheet"].colours == {"actin": sheet.ACTIN.tolist(), "nuclei": sheet.NUCLEI.tolist()}
    for family in ("blood", "vessel"):
        assert SPEC.families[family].colours == {"red": blood.ERYTHROCYTE.tolist()}
        np.testing.assert_allclose(SPEC.families[family].background, blood.TISSUE + blood.LUMEN)
    assert SPEC.observable("four vesicles with red content").species == ("membrane", "red")


def test_numbers_are_the_pipelines() -> None:
    assert {
        "height": SPEC.height,
        "width": SPEC.width,
        "num_frames": SPEC.num_frames,
        "num_inference_steps": SPEC.steps,
        "guidance_scale": SPEC.guidance_scale,
        "max_sequence_length": SPEC.max_sequence_length,
    } == DEFAULTS


@pytest.mark.parametrize("family", MODULES)
def test_every_caption_is_recognised_as_its_family(family: str) -> None:
    module = MODULES[family]
    rng = np.random.default_rng(0)
    for grammar in module.GRAMMARS.values():
        for attributes in grammar.combinations():
            for template in grammar.templates:
                caption = replace(grammar, templates=(template,)).caption(attributes, rng)
                assert SPEC.recognises(caption)
                assert SPEC.family(caption) == family, caption
    assert set(MODULES) == set(GRAMMARS)


def test_observable_reads_the_named_dyes() -> None:
    assert SPEC.observable("Two drops of GREEN dye").species == ("green",)
    assert SPEC.observable("a drop of dye").species == ("green", "red", "blue")
    assert not SPEC.recognises("semaglutide binds")


@pytest.mark.parametrize(
    ("prompt", "family"),
    [
        ("red cells in a branching capillary", "vessel"),
        ("blood flows through a vessel", "blood"),
        ("fluorescent dye in vesicles that fuse", "vesicles"),
        ("fluorescent beads in water", "beads"),
        ("the heart beats", "sheet"),
        ("a cell with a membrane divides", "mitosis"),
        ("bacteria of a colony spread on tissue", "growth"),
    ],
)
def test_words_of_one_family_do_not_take_the_prompts_of_another(prompt: str, family: str) -> None:
    assert SPEC.family(prompt) == family


def test_sample_is_a_video_that_depends_on_the_seed_alone(world: World) -> None:
    first, again, other = (world.sample("a drop of green dye", seed=seed, steps=2) for seed in (0, 0, 1))
    assert first.shape == (1, 3, 9, 32, 32)
    assert first.dtype == torch.float32
    assert 0 <= first.min() < first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_ignored_words_are_named(world: World) -> None:
    assert world.ignored_words("Two drops of green dye, diffusing quickly") == []
    assert world.ignored_words("Semaglutide binds: green dye binds!") == ["semaglutide", "binds"]
    assert world.ignored_words("dye " * 40 + "green") == ["dye", "green"]


def test_bad_requests_are_refused(world: World) -> None:
    with pytest.raises(InvalidArgument, match="prompt"):
        world.sample("  ", seed=0)
    with pytest.raises(InvalidArgument, match="steps"):
        world.sample("dye", seed=0, steps=0)
