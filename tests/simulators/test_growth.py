"""Fisher-KPP growth against exact solutions, and under refinement."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from physgen.grid import Grid
from physgen.simulators import GRAMMARS, Clips
from physgen.simulators.growth import SUBSTEPS, colonies, fisher_kpp, logistic, simulate

Array = npt.NDArray[np.floating]
ATTRIBUTES = [{"kind": kind, **c} for kind, grammar in GRAMMARS["growth"].items() for c in grammar.combinations()]
ONE = np.ones(1)


@pytest.fixture(scope="module", params=[64, 32])
def clips(request: pytest.FixtureRequest) -> Clips:
    return simulate(len(ATTRIBUTES), rng=np.random.default_rng(0), size=request.param, attributes=ATTRIBUTES)


def exact_wave(x: Array, time: float) -> Array:
    """Ablowitz & Zeppetella 1979: the travelling wave of D = r = 1 at speed 5 / sqrt 6."""
    return (1.0 + np.exp((x - 5.0 / np.sqrt(6.0) * time) / np.sqrt(6.0))) ** -2


def front(u: Array, h: float) -> float:
    """Position where the profile falls through 1/2."""
    left = int(np.nonzero(u > 0.5)[0][-1])
    return h * (left + 0.5 + (u[left] - 0.5) / (u[left] - u[left + 1]))


@pytest.mark.parametrize("substeps", [1, 4])
def test_uniform_state_grows_logistically(substeps: int) -> None:
    start, rate, grid = np.array([0.0, 1e-3, 0.3, 1.0]), np.array([0.1, 0.5, 2.0, 1.0]), Grid((1.0, 2.0), 0.3)
    u = fisher_kpp(np.broadcast_to(start[:, None, None], (4, 5, 7)), np.full(4, 3.0), rate, grid, 9, substeps)
    time = grid.dt * np.arange(9)
    exact = 1.0 / (1.0 + (1.0 / np.maximum(start, 1e-300) - 1.0)[:, None] * np.exp(-rate[:, None] * time))
    assert np.abs(u - exact[..., None, None]).max() < 1e-13


def test_logistic_flow_is_a_semigroup() -> None:
    u, rate = np.linspace(0.0, 1.0, 11), np.full(11, 0.7)
    assert np.abs(logistic(logistic(u, rate, 0.4), rate, 0.9) - logistic(u, rate, 1.3)).max() < 1e-15


def test_no_growth_is_diffusion_and_conserves_mass() -> None:
    u0 = np.random.default_rng(0).random((1, 16, 16))
    mass = fisher_kpp(u0, 2.0 * ONE, 0.0 * ONE, Grid((1.0, 1.0), 1.0), 5, 2).sum((2, 3))
    assert np.abs(mass / mass[:, :1] - 1.0).max() < 1e-12


def wave_error(substeps: int, h: float) -> float:
    x = h * (np.arange(round(100.0 / h)) + 0.5) - 40.0
    u = fisher_kpp(exact_wave(x, 0.0)[None, None], ONE, ONE, Grid((1.0, h), 1.0), 6, substeps)
    return float(np.abs(u[0, -1, 0] - exact_wave(x, 5.0))[(x > -20.0) & (x < 40.0)].max())


def test_exact_travelling_wave_second_order_in_time() -> None:
    errors = [wave_error(substeps, 0.25) for substeps in (2, 4, 8, 16)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert ((orders > 1.9) & (orders < 2.1)).all()
    assert errors[-1] < 1e-4


def test_exact_travelling_wave_under_spatial_refinement() -> None:
    errors = [wave_error(40, h) for h in (2.0, 1.0, 0.5)]
    assert errors[1] < errors[0] / 10.0
    assert errors[2] < 2.0 * wave_error(40, 0.25) < 2e-5


def test_speed_of_the_exact_wave() -> None:
    h, x = 0.25, 0.25 * (np.arange(480) + 0.5) - 40.0
    u = fisher_kpp(exact_wave(x, 0.0)[None, None], ONE, ONE, Grid((1.0, h), 1.0), 11, 8)[0, :, 0]
    assert (front(u[-1], h) - front(u[0], h)) / 10.0 == pytest.approx(5.0 / np.sqrt(6.0), rel=1e-3)


@pytest.mark.parametrize(("diffusivity", "rate"), [(1.0, 1.0), (4.0, 0.25)])
def test_front_of_a_steep_edge_approaches_the_least_speed(diffusivity: float, rate: float) -> None:
    """Bramson 1983: from below, x(t) = 2 sqrt(rD) t - 3/2 sqrt(D/r) log(rt) + const + o(1)."""
    length, h = np.sqrt(diffusivity / rate), 0.5 * np.sqrt(diffusivity / rate)
    x, time = h * (np.arange(160) + 0.5), np.arange(12, 25) / rate
    u0 = 1.0 / (1.0 + np.exp(4.0 * (x / length - 10.0)))
    grid = Grid((1.0, h), 1.0 / rate)
    u = fisher_kpp(u0[None, None], np.array([diffusivity]), np.array([rate]), grid, 25, 10)[0, 12:, 0]
    position = np.array([front(profile, h) for profile in u])
    least = 2.0 * np.sqrt(rate * diffusivity)
    speeds = np.diff(position) * rate
    assert (np.diff(speeds) > 0.0).all()
    assert speeds.max() < least
    assert np.polyfit(time, position + 1.5 * length * np.log(rate * time), 1)[0] == pytest.approx(least, rel=0.01)


def test_second_order_in_time_on_colonies() -> None:
    grid, d, r = Grid((1.0, 1.0), 1.0), np.array([1.05]), np.array([0.36])
    u0 = colonies(3, 64, np.random.default_rng(0))[None]
    reference, *coarse = (fisher_kpp(u0, d, r, grid, 13, n)[:, -1] for n in (32, 1, 2, 4))
    errors = [np.abs(u - reference).max() for u in coarse]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert ((orders > 1.9) & (orders < 2.1)).all()
    assert SUBSTEPS == 4
    assert errors[-1] < 2e-4


def test_clips_are_solutions_with_the_parameters_they_state(clips: Clips) -> None:
    d, r = (np.array([p[name] for p in clips.parameters]) for name in ("D", "r"))
    again = fisher_kpp(clips.fields[:, 0, 0].astype(np.float64), d, r, clips.grid, 25, 2 * SUBSTEPS)
    assert np.abs(again - clips.fields[:, 0]).max() < 2e-3


def test_cells_increase_within_the_carrying_capacity(clips: Clips) -> None:
    assert (np.diff(clips.fields.mean((1, 3, 4), dtype=np.float64), axis=1) > 0.0).all()
    assert clips.fields.min() > -2e-5
    assert clips.fields.max() < 1.0 + 2e-5


def test_fast_is_faster(clips: Clips) -> None:
    rate = {
        speed: [p["r"] for a, p in zip(clips.attributes, clips.parameters, strict=True) if a["speed"] == speed]
        for speed in ("slowly", "fast")
    }
    assert max(rate["slowly"]) < min(rate["fast"])


def test_colonies_can_be_counted(clips: Clips) -> None:
    for attribute, start in zip(clips.attributes, clips.fields[:, 0, 0], strict=True):
        if attribute["kind"] == "colony":
            assert (
                ndimage.label(start > 0.5)[1]
                == {"one colony": 1, "two colonies": 2, "three colonies": 3}[attribute["count"]]
            )


def test_wound_has_its_orientation_and_closes(clips: Clips) -> None:
    gap: dict[str, list[float]] = {"slowly": [], "fast": []}
    for attribute, field in zip(clips.attributes, clips.fields[:, 0].astype(np.float64), strict=True):
        if attribute["kind"] == "wound":
            along, across = (0, 1) if attribute["orientation"] == "vertical" else (1, 0)
            assert np.ptp(field, axis=1 + along).max() < 1e-3 < 0.9 < np.ptp(field[0], axis=across).min()
            open_area = (field < 0.5).mean((1, 2))
            assert (np.diff(open_area) <= 0.0).all()
            gap[attribute["speed"]].append(open_area[-1] / open_area[0])
    assert max(gap["fast"]) == 0.0
    assert 0.3 < np.mean(gap["slowly"]) < 0.95
