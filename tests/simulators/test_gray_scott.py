"""Gray-Scott: exact limits, refinement, symmetry, and three patterns that differ."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from scipy.integrate import solve_ivp

from physgen.errors import InvalidArgument
from physgen.simulators import Clips
from physgen.simulators.gray_scott import DIFFUSIVITY, PATTERNS, STEP, gray_scott, seeds, simulate

Field = npt.NDArray[np.float32]
PER_PATTERN = 4


@pytest.fixture(scope="module")
def clips() -> Clips:
    attributes = [{"kind": "pattern", "pattern": p, "colour": "cyan"} for p in PATTERNS for _ in range(PER_PATTERN)]
    return simulate(len(attributes), rng=np.random.default_rng(0), attributes=attributes)


def advance(
    state: Iterable[Field],
    pattern: str,
    *,
    time: float,
    step: float = STEP,
    diffusivity: tuple[float, float] = DIFFUSIVITY,
) -> Field:
    u, v = state
    return np.stack(gray_scott(u, v, *PATTERNS[pattern], time=time, step=step, diffusivity=diffusivity))


def smooth(size: int) -> tuple[Field, Field]:
    x = 2.0 * np.pi * np.arange(size) / size
    bump = np.outer(1.0 + np.cos(x), 1.0 + np.cos(x - 1.0)) / 4.0
    return (1.0 - 0.5 * bump).astype(np.float32), (0.25 * bump).astype(np.float32)


def euler_number(mask: npt.NDArray[np.bool_]) -> int:
    """Components minus holes of a set of closed pixels on the torus: vertices - edges + faces."""
    up, left = np.roll(mask, 1, 0), np.roll(mask, 1, 1)
    vertices = mask | up | left | np.roll(up, 1, 1)
    return int(vertices.sum()) - int((mask | up).sum()) - int((mask | left).sum()) + int(mask.sum())


def test_without_v_the_substrate_diffuses_and_is_conserved() -> None:
    size, time = 32, 40.0
    wavenumber = 2.0 * np.pi / size * np.array([1, 2])
    x = np.arange(size)
    mode = np.cos(wavenumber[0] * x)[:, None] * np.cos(wavenumber[1] * x)
    u0, v0 = (0.5 + 0.25 * mode).astype(np.float32), np.zeros((size, size), np.float32)
    u, v = gray_scott(u0, v0, 0.0, 0.06, time=time)
    laplacian = -4.0 * np.square(np.sin(wavenumber / 2.0)).sum()
    discrete = (1.0 + STEP * DIFFUSIVITY[0] * laplacian) ** round(time / STEP)
    continuous = np.exp(-DIFFUSIVITY[0] * np.square(wavenumber).sum() * time)
    assert np.abs(u - (0.5 + 0.25 * discrete * mode)).max() < 2e-6
    assert discrete == pytest.approx(continuous, rel=0.02)
    assert not v.any()
    assert u.sum(dtype=np.float64) == pytest.approx(u0.sum(dtype=np.float64), rel=1e-6)


def test_feed_restores_the_substrate_to_first_order() -> None:
    u0, v0 = np.full((4, 4), 0.2, np.float32), np.zeros((4, 4), np.float32)
    exact = 1.0 - 0.8 * np.exp(-0.2 * 20.0)
    errors = [abs(float(gray_scott(u0, v0, 0.2, 0.06, time=20.0, step=h)[0][0, 0]) - exact) for h in (0.5, 0.25, 0.125)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert ((orders > 0.95) & (orders < 1.15)).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_uniform_steady_states_stay(sign: float) -> None:
    """u v^2 = F (1 - u) and u v = F + k: u = (1 +- sqrt(1 - 4 (F + k)^2 / F)) / 2."""
    feed, kill = 0.04, 0.05
    u = (1.0 + sign * np.sqrt(1.0 - 4.0 * (feed + kill) ** 2 / feed)) / 2.0
    v = (feed + kill) / u
    state = np.full((8, 8), u, np.float32), np.full((8, 8), v, np.float32)
    moved = [np.abs(a - b).max() for a, b in zip(gray_scott(*state, feed, kill, time=50.0), state, strict=True)]
    assert max(moved) < 2e-5


def method_of_lines(u: Field, v: Field, feed: float, kill: float, time: float) -> npt.NDArray[np.float64]:
    """The same semi-discrete equations in float64 by an adaptive eighth-order method."""

    def rate(_: float, state: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        a, b = state.reshape(2, *u.shape)
        lap_a, lap_b = (sum(np.roll(f, s, i) for s in (1, -1) for i in (0, 1)) - 4.0 * f for f in (a, b))
        growth = a * b * b
        return np.stack(
            [
                DIFFUSIVITY[0] * lap_a - growth + feed * (1.0 - a),
                DIFFUSIVITY[1] * lap_b + growth - (feed + kill) * b,
            ]
        ).ravel()

    start = np.stack([u, v]).astype(np.float64).ravel()
    return solve_ivp(rate, (0.0, time), start, "DOP853", rtol=1e-9, atol=1e-11).y[:, -1].reshape(2, *u.shape)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_first_order_in_time(pattern: str) -> None:
    start, time = smooth(24), 40.0
    exact = method_of_lines(*start, *PATTERNS[pattern], time)
    errors = [np.abs(advance(start, pattern, time=time, step=h) - exact).max() for h in (0.5, 0.25, 0.125)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert ((orders > 0.9) & (orders < 1.1)).all()
    assert errors[0] < 1e-2


def test_second_order_in_space() -> None:
    coarse, middle, fine = (
        advance(smooth(24 * n), "spots", time=20.0, step=0.02, diffusivity=(0.36 * n * n, 0.18 * n * n))[:, ::n, ::n]
        for n in (1, 2, 4)
    )
    order = np.log2(np.abs(coarse - middle).max() / np.abs(middle - fine).max())
    assert 1.85 < order < 2.15


@pytest.mark.parametrize("shift", [(1, 0), (0, 31), (7, 19)])
def test_translation_equivariant_on_the_torus(shift: tuple[int, int]) -> None:
    start = seeds(32, np.random.default_rng(0))
    rolled = advance((np.roll(f, shift, (0, 1)) for f in start), "stripes", time=100.0)
    assert np.abs(rolled - np.roll(advance(start, "stripes", time=100.0), shift, (1, 2))).max() < 1e-5


def test_reflection_and_transposition_equivariant() -> None:
    start = seeds(32, np.random.default_rng(0))
    for turn in (np.transpose, np.flipud, np.fliplr):
        turned = advance((np.ascontiguousarray(turn(f)) for f in start), "spots", time=100.0)
        for moved, field in zip(turned, advance(start, "spots", time=100.0), strict=True):
            assert np.abs(moved - turn(field)).max() < 1e-5


def test_inputs_are_left_alone() -> None:
    u, v = seeds(16, np.random.default_rng(0))
    before = u.copy(), v.copy()
    gray_scott(u, v, *PATTERNS["spots"], time=5.0)
    assert np.array_equal(u, before[0])
    assert np.array_equal(v, before[1])


@pytest.mark.parametrize("size", [64, 32])
def test_clips_are_solutions_with_the_parameters_they_state(size: int) -> None:
    clips = simulate(2, rng=np.random.default_rng(0), frames=3, size=size)
    for fields, p in zip(clips.fields, clips.parameters, strict=True):
        scaled = p["Du"] / clips.grid.cell_area, p["Dv"] / clips.grid.cell_area
        for before, after in zip(fields.swapaxes(0, 1)[:-1], fields.swapaxes(0, 1)[1:], strict=True):
            again = gray_scott(before[0], before[1], p["F"], p["k"], time=clips.grid.dt, diffusivity=scaled)
            assert np.abs(np.stack(again) - after).max() < 1e-5


def test_patterns_stay_alive_and_bounded(clips: Clips) -> None:
    u, v = clips.fields[:, 0], clips.fields[:, 1]
    assert u.min() > 0.0
    assert u.max() <= 1.0 + 1e-6
    assert v.min() >= 0.0
    assert v.max() < 0.5
    assert v.std((2, 3)).min() > 0.04


def test_patterns_differ_in_coverage_skewness_and_topology(clips: Clips) -> None:
    """Spots: bright islands; stripes: neither; holes: a bright sheet with dark islands."""
    last = clips.fields[:, 1, -1]
    expected = {
        "spots": ((0.15, 0.30), (0.6, 1.4), (6, 20)),
        "stripes": ((0.38, 0.55), (-0.3, 0.3), (-4, 4)),
        "holes": ((0.65, 0.85), (-1.8, -0.8), (-20, -6)),
    }
    for attribute, v in zip(clips.attributes, last, strict=True):
        measured = (v > 0.2).mean(), stats.skew(v, axis=None), euler_number(v > 0.2)
        for value, (low, high) in zip(measured, expected[attribute["pattern"]], strict=True):
            assert low < value < high, (attribute["pattern"], measured)


@pytest.mark.parametrize(("time", "step", "named"), [(10.0, 0.75, "step"), (10.0, 0.0, "step"), (10.1, 0.5, "time")])
def test_bad_steps_are_refused(time: float, step: float, named: str) -> None:
    u, v = np.ones((8, 8), np.float32), np.ones((8, 8), np.float32)
    with pytest.raises(InvalidArgument, match=named):
        gray_scott(u, v, 0.03, 0.06, time=time, step=step)
