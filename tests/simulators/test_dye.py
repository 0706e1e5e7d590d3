"""Dye and FRAP against exact solutions of the heat equation."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.fft import dctn

from physgen.simulators import GRAMMARS, Clips
from physgen.simulators.dye import DIFFUSIVITY, RADII, diffuse, simulate

ATTRIBUTES = [{"kind": kind, **c} for kind, grammar in GRAMMARS["dye"].items() for c in grammar.combinations()]


@pytest.fixture(scope="module", params=[64, 32])
def clips(request: pytest.FixtureRequest) -> Clips:
    return simulate(len(ATTRIBUTES), rng=np.random.default_rng(0), size=request.param, attributes=ATTRIBUTES)


@pytest.mark.parametrize(("i", "j"), [(0, 0), (1, 0), (0, 3), (2, 5), (11, 19)])
def test_cosine_modes_decay_exactly(i: int, j: int) -> None:
    (height, width), (dy, dx), diffusivity = (12, 20), (2.0, 0.5), np.array([0.3, 1.7])
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    mode = np.cos(np.pi * i * y)[:, None] * np.cos(np.pi * j * x)
    times = np.array([0.0, 0.01, 0.4])
    wavenumber2 = (np.pi * i / (height * dy)) ** 2 + (np.pi * j / (width * dx)) ** 2
    exact = np.exp(-np.outer(diffusivity, times) * wavenumber2)[..., None, None] * mode
    solved = diffuse(np.stack([mode, mode]), diffusivity, times, (dy, dx))
    assert np.abs(solved - exact).max() < 1e-13


@pytest.mark.parametrize("centre", [(64.0, 64.0), (61.3, 66.8)])
def test_gaussian_spreads_as_in_free_space_away_from_walls(centre: tuple[float, float]) -> None:
    h, sigma2, diffusivity, times = 0.5, 4.0, 3.0, np.array([0.0, 0.2, 0.5, 1.0])
    y, x = np.meshgrid(*(h * (np.arange(128) + 0.5 - c) for c in centre), indexing="ij")
    spread = (sigma2 + 2.0 * diffusivity * times)[:, None, None]
    exact = sigma2 / spread * np.exp(-(y**2 + x**2) / (2.0 * spread))
    assert np.abs(diffuse(exact[:1], np.array([diffusivity]), times, (h, h))[0] - exact).max() < 1e-12


def test_walls_reflect() -> None:
    """Near a wall the free solution plus its mirror images is exact."""
    sigma2, diffusivity, times, length = 6.25, 5.0, np.array([0.0, 1.0, 6.0]), 48
    spread = sigma2 + 2.0 * diffusivity * times
    x = np.arange(length) + 0.5
    exact = np.sum(
        [
            np.sqrt(sigma2 / spread)[:, None] * np.exp(-((x - image) ** 2) / (2.0 * spread[:, None]))
            for period in range(-3, 4)
            for image in (4.0 + 2 * length * period, -4.0 + 2 * length * period)
        ],
        axis=0,
    )
    solved = diffuse(exact[:1, None], np.array([diffusivity]), times, (1.0, 1.0))[0, :, 0]
    assert np.abs(solved - exact).max() < 1e-12


def test_flow_is_a_semigroup() -> None:
    c0, diffusivity = np.random.default_rng(0).random((2, 9, 14)), np.array([0.4, 2.0])
    once = diffuse(c0, diffusivity, np.array([0.7]), (1.0, 2.0))
    twice = diffuse(
        diffuse(c0, diffusivity, np.array([0.3]), (1.0, 2.0))[:, 0], diffusivity, np.array([0.4]), (1.0, 2.0)
    )
    assert np.abs(once - twice).max() < 1e-13


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 1, 33), (2, 17, 40)])
def test_mass_is_conserved_to_rounding(shape: tuple[int, int, int]) -> None:
    c0 = np.random.default_rng(0).random(shape)
    mass = diffuse(c0, np.full(len(c0), 50.0), 0.1 * np.arange(25), (2.0, 2.0)).sum((2, 3))
    assert np.abs(mass / c0.sum((1, 2))[:, None] - 1.0).max() < 1e-12


def test_clips_conserve_mass_in_single_precision(clips: Clips) -> None:
    mass = clips.fields.sum((3, 4), dtype=np.float64)
    assert np.abs(mass / mass[:, :, :1] - 1.0).max() < 1e-6


def test_clips_obey_the_maximum_principle(clips: Clips) -> None:
    """To rounding; at half the resolution the edge of a bleached spot is too sharp for the grid and rings."""
    tolerance = 1e-6 if clips.fields.shape[-1] == 64 else 1e-3
    extremes = clips.fields.max((1, 3, 4)), -clips.fields.min((1, 3, 4))
    assert all(np.diff(extreme, axis=1).max() < tolerance for extreme in extremes)


def test_clips_diffuse_with_the_diffusivity_they_state(clips: Clips) -> None:
    """D from the decay of the slowest cosine modes, -log(a(t) / a(0)) / (k^2 t)."""
    length, time = clips.grid.spacing[0] * clips.fields.shape[-1], clips.grid.dt * (clips.fields.shape[2] - 1)
    modes = dctn(clips.fields[:, 0].astype(np.float64), axes=(2, 3))[:, :, :3, :3]
    wavenumber2 = (np.pi / length) ** 2 * np.add.outer(np.arange(3) ** 2, np.arange(3) ** 2)
    for mode, parameters, attribute in zip(modes, clips.parameters, clips.attributes, strict=True):
        strongest = np.unravel_index(np.argmax(np.abs(mode[-1]) * (wavenumber2 > 0)), wavenumber2.shape)
        decay = mode[-1][strongest] / mode[0][strongest]
        assert -np.log(decay) / (wavenumber2[strongest] * time) == pytest.approx(parameters["D"], rel=1e-4)
        low, high = DIFFUSIVITY[attribute["speed"]]
        assert low <= parameters["D"] <= high


def test_quick_dye_is_quicker() -> None:
    assert DIFFUSIVITY["slowly"][1] < DIFFUSIVITY["quickly"][0]


def test_drops_can_be_counted(clips: Clips) -> None:
    for attribute, start in zip(clips.attributes, clips.fields[:, 0, 0], strict=True):
        if attribute["kind"] == "drop":
            peaks = (start == ndimage.maximum_filter(start, size=5)) & (start > 0.3 * start.max())
            assert peaks.sum() == {"one drop": 1, "two drops": 2, "three drops": 3}[attribute["count"]]
            assert start.max() <= 1.0


def test_bleached_spot_has_the_stated_size(clips: Clips) -> None:
    pixel = 64 / clips.fields.shape[-1]
    for attribute, start in zip(clips.attributes, clips.fields[:, 0, 0], strict=True):
        if attribute["kind"] == "frap":
            radius = pixel * np.sqrt((start < 0.5 * start.max()).sum() / np.pi)
            low, high = RADII[attribute["size"]]
            assert low - 0.5 < radius < high + 0.8


def test_frap_recovers(clips: Clips) -> None:
    """The spot fills monotonically towards the level of the whole layer, faster with faster dye."""
    recovered: dict[str, list[float]] = {"slowly": [], "quickly": []}
    for attribute, field in zip(clips.attributes, clips.fields[:, 0].astype(np.float64), strict=True):
        if attribute["kind"] == "frap":
            spot = field[0] < 0.5 * field[0].max()
            level = field[:, spot].mean(1)
            assert (np.diff(level) > 0.0).all()
            recovered[attribute["speed"]].append((level[-1] - level[0]) / (field[0].mean() - level[0]))
    assert min(recovered["slowly"]) > 0.1
    assert max(recovered["slowly"]) < 0.75
    assert min(recovered["quickly"]) > 0.5
    assert max(recovered["quickly"]) < 1.0
    assert np.mean(recovered["quickly"]) > 1.5 * np.mean(recovered["slowly"])
