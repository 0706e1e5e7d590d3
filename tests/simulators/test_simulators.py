"""The laws that hold of every simulator."""

import colorsys
import dataclasses
import functools
import importlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.simulators import GRAMMARS, SIMULATORS, Clips, Split

families = pytest.mark.parametrize("family", list(SIMULATORS))


@functools.cache
def simulate(family: str, seed: int = 0, *, batch: int = 3, frames: int = 25, size: int = 64) -> Clips:
    return SIMULATORS[family](batch, rng=np.random.default_rng(seed), frames=frames, size=size)


def every_combination(family: str) -> list[dict[str, str]]:
    return [{"kind": kind, **c} for kind, grammar in GRAMMARS[family].items() for c in grammar.combinations()]


@families
@pytest.mark.parametrize(("frames", "size"), [(25, 64), (25, 32), (9, 64)])
def test_shapes_and_dtypes(family: str, frames: int, size: int) -> None:
    clips = simulate(family, frames=frames, size=size)
    assert clips.video.shape == (3, 3, frames, size, size)
    assert clips.fields.shape == (3, len(clips.species), frames, size, size)
    assert clips.video.dtype == clips.fields.dtype == np.float32
    assert all(len(labels) == 3 for labels in (clips.captions, clips.attributes, clips.parameters))
    assert len(set(clips.species)) == len(clips.species)
    assert clips.unit
    assert isinstance(clips.grid, Grid)
    assert all(np.isfinite(value) for parameters in clips.parameters for value in parameters.values())
    if clips.phases is not None:
        assert clips.phases.shape == (3, frames)
        assert clips.phases.dtype == np.int64


@families
@pytest.mark.parametrize("size", [64, 32])
def test_values_are_finite_and_inside_the_colour_range(family: str, size: int) -> None:
    clips = simulate(family, size=size)
    assert np.isfinite(clips.fields).all()
    assert clips.video.min() >= 0.0
    assert clips.video.max() <= 1.0
    assert clips.fields.min() > -2e-5
    assert clips.fields.max() < 1.05
    assert clips.video.std() > 0.02


@families
def test_something_moves(family: str) -> None:
    video = simulate(family).video
    assert (np.abs(video[:, :, -1] - video[:, :, 0]).mean((1, 2, 3)) > 0.005).all()


@families
def test_seeded(family: str) -> None:
    first, again, other = (
        simulate(family, frames=9, size=64),
        SIMULATORS[family](3, rng=np.random.default_rng(0), frames=9),
        simulate(family, 1, frames=9, size=64),
    )
    for field in dataclasses.fields(Clips):
        a, b = getattr(first, field.name), getattr(again, field.name)
        assert np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b, field.name
    assert not np.array_equal(first.video, other.video)
    assert not np.array_equal(first.video[0], first.video[1])


@families
def test_a_stream_of_batches_never_repeats(family: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (SIMULATORS[family](1, rng=rng, frames=2, size=32).video for _ in range(2))
    assert not np.array_equal(a, b)


@families
def test_same_attributes_give_different_videos(family: str) -> None:
    attributes = every_combination(family)[:1] * 3
    video = SIMULATORS[family](3, rng=np.random.default_rng(0), frames=2, attributes=attributes).video
    assert min(np.abs(video[i] - video[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 0.05


@families
def test_attributes_are_honoured_in_order_and_copied(family: str) -> None:
    attributes = every_combination(family)
    clips = SIMULATORS[family](len(attributes), rng=np.random.default_rng(0), frames=2, size=32, attributes=attributes)
    assert clips.attributes == attributes
    assert clips.attributes[0] is not attributes[0]
    for attribute, caption in zip(attributes, clips.captions, strict=True):
        grammar = GRAMMARS[family][attribute["kind"]]
        assert caption in {template.format(**attribute) for template in grammar.templates}


@families
@pytest.mark.parametrize("split", ["train", "held_out", "all"])
def test_split_is_honoured(family: str, split: Split) -> None:
    clips = SIMULATORS[family](24, rng=np.random.default_rng(0), frames=2, size=32, split=split)
    held_out = [GRAMMARS[family][a["kind"]].is_held_out(a) for a in clips.attributes]
    assert {"train": not any(held_out), "held_out": all(held_out), "all": 0 < sum(held_out) < 24}[split]


def colour_map(family: str, colour: str | None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The family's published colours ``[S, 3]`` and background ``[3]``."""
    module = importlib.import_module(f"physgen.simulators.{family}")
    colours = {
        "dye": lambda: [module.COLOURS[colour]],
        "growth": lambda: [module.COLOURS[colour]],
        "gray_scott": lambda: [module.SUBSTRATE, module.COLOURS[colour]],
        "mitosis": lambda: [module.COLOURS[colour], module.MEMBRANE, module.SPINDLE, module.CYTOPLASM],
        "blood": lambda: [module.ERYTHROCYTE, module.LUMEN, module.WALL],
        "vessel": lambda: [module.ERYTHROCYTE, module.LUMEN, module.WALL],
        "beads": lambda: [module.COLOURS[colour]],
        "sheet": lambda: [module.ACTIN, module.NUCLEI],
        "vesicles": lambda: [module.COLOURS[colour], module.MEMBRANE],
    }[family]()
    return np.stack(colours), module.TISSUE if family in ("blood", "vessel") else module.BACKGROUND


@families
@pytest.mark.parametrize("size", [64, 32])
def test_fields_and_colour_map_make_the_video(family: str, size: int) -> None:
    clips = simulate(family, size=size)
    for attribute, fields, video in zip(clips.attributes, clips.fields, clips.video, strict=True):
        colours, background = colour_map(family, attribute.get("colour"))
        rgb = np.einsum("sthw,sc->cthw", fields.astype(np.float64), colours) + background[:, None, None, None]
        assert np.abs(np.clip(rgb, 0.0, 1.0) - video).max() < 2e-6
        assert (np.abs(rgb - np.clip(rgb, 0.0, 1.0)) > 1e-6).mean() < 0.005


@families
def test_colour_map_is_found_again_from_video_and_fields(family: str) -> None:
    clips = simulate(family)
    for attribute, fields, video in zip(clips.attributes, clips.fields, clips.video, strict=True):
        colours, background = colour_map(family, attribute.get("colour"))
        inside = ((video > 1e-6) & (video < 1.0 - 1e-6)).all(0)
        design = np.stack([*fields[:, inside].astype(np.float64), np.ones(inside.sum())], axis=1)
        fitted = np.linalg.lstsq(design, video[:, inside].T.astype(np.float64), rcond=None)[0]
        assert np.allclose(fitted, [*colours, background], atol=1e-4)


@pytest.mark.parametrize(
    ("family", "colour", "hue"),
    [
        ("dye", "green", 1 / 3),
        ("dye", "red", 0.0),
        ("dye", "blue", 2 / 3),
        ("growth", "golden", 1 / 8),
        ("growth", "pink", 11 / 12),
        ("gray_scott", "orange", 1 / 12),
        ("gray_scott", "cyan", 1 / 2),
        ("gray_scott", "magenta", 5 / 6),
        ("gray_scott", "green", 1 / 3),
        ("gray_scott", "red", 0.0),
        ("mitosis", "blue", 2 / 3),
        ("mitosis", "red", 0.0),
        ("mitosis", "yellow", 1 / 6),
        ("beads", "green", 1 / 3),
        ("beads", "red", 0.0),
        ("vesicles", "green", 1 / 3),
        ("vesicles", "red", 0.0),
        ("vesicles", "blue", 2 / 3),
    ],
)
def test_colours_are_what_their_names_say(family: str, colour: str, hue: float) -> None:
    colours, _ = colour_map(family, colour)
    stain = colours[1 if family == "gray_scott" else 0]
    got, saturation, _ = colorsys.rgb_to_hsv(*(stain / stain.max()))
    assert abs((got - hue + 0.5) % 1.0 - 0.5) < 1 / 15
    assert saturation > 0.5


@families
def test_smaller_frames_show_the_same_domain(family: str) -> None:
    fine, coarse = (simulate(family, size=size).grid for size in (64, 32))
    assert coarse.spacing == tuple(2.0 * h for h in fine.spacing)
    assert (coarse.dt, coarse.boundary) == (fine.dt, fine.boundary)


@families
def test_one_clip_and_one_frame(family: str) -> None:
    clips = SIMULATORS[family](1, rng=np.random.default_rng(0), frames=1, size=32)
    assert clips.video.shape == (1, 3, 1, 32, 32)


@families
def test_attributes_are_one_for_each_clip(family: str) -> None:
    with pytest.raises(InvalidArgument, match="attributes"):
        SIMULATORS[family](3, rng=np.random.default_rng(0), attributes=[])
