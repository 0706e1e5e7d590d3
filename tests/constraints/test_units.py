"""Whatever the units of value, length and time are, a law says the same."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from law_cases import CASES, GRID, TURNING, Case
from markers import slow_except
from torch import Tensor

from physgen.constraints import (
    Constraint,
    Continuity,
    Kinetics,
    MassConservation,
    PhaseOrder,
    ReactionDiffusion,
    ReactionSystem,
)
from physgen.grid import Grid
from physgen.measure.degenerate import degenerate

#: units of constants by the start of their names
KINDS: dict[str, Callable[[float, float, float], float]] = {
    "D_": lambda value, length, time: length**2 / time,
    "initial_mass": lambda value, length, time: value * length**2,
    "initial_": lambda value, length, time: value,
    "K": lambda value, length, time: value,
    "q": lambda value, length, time: 1 / (value * time),
    "volume_": lambda value, length, time: 1.0,
    "period": lambda value, length, time: time,
    "speed": lambda value, length, time: length / time,
    "direction": lambda value, length, time: 1.0,
    "": lambda value, length, time: 1 / time,
}
MEETING = ReactionSystem(["a", "b"], ["q"], ["-q*a*b", "q*a*b"])
MIXING = ReactionSystem(["a", "b"], [], ["0", "0"])


def unit(name: str, value: float, length: float, time: float) -> float:
    return next(kind for start, kind in KINDS.items() if name.startswith(start))(value, length, time)


def turning_fitted(c: float, l: float, t: float) -> Constraint:
    return Kinetics(TURNING, {"k": (0.01 / t, 10 / t)}, {"a": 1.5 * c, "b": 0.1 * c}, [("b", 0.3 * t, 0.2 * c)])


def turning_from_anything(c: float, l: float, t: float) -> Constraint:
    return Kinetics(TURNING, {"k": (0.0, 10 / t)}, {"b": (0.1 * c, 2 * c)})


def meeting(c: float, l: float, t: float) -> Constraint:
    return Kinetics(MEETING, {"q": (0.01 / t / c, 10 / t / c)}, {"a": 1.5 * c})


def exchanging(c: float, l: float, t: float) -> Constraint:
    flow = ("a", "b", (0.01 / t, 10 / t))
    return Kinetics(MIXING, {}, None, [("a", 0.3 * t, 0.2 * c)], exchange=[flow], volumes={"b": (0.1, 10.0)})


def diffusing(c: float, l: float, t: float) -> Constraint:
    return ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")


def growing(c: float, l: float, t: float, **options: Any) -> Constraint:
    return ReactionDiffusion("fisher_kpp", {"u": 0.2 * l**2 / t}, {"r": 0.7 / t, "K": 2 * c}, **options)


def growing_fitted(c: float, l: float, t: float) -> Constraint:
    bounds = {"D_u": (0.01 * l**2 / t, 5 * l**2 / t), "r": (0.01 / t, 5 / t), "K": (0.5 * c, 5 * c)}
    return ReactionDiffusion("fisher_kpp", fitted=bounds, form="flow_map")


def meeting_in_space(c: float, l: float, t: float, form: str = "differential") -> Constraint:
    return ReactionDiffusion(MEETING, {"a": 0.2 * l**2 / t}, fitted=["q", "D_b"], form=form)


def blowing(c: float, l: float, t: float) -> Constraint:
    wind = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(0)) * l / t
    return Continuity(wind, 0.1 * l**2 / t, source=lambda fields: 0.1 / t * fields)


FITTED = [
    Case("kinetics, fitted", turning_fitted),
    Case("kinetics, fitted from any start", turning_from_anything),
    Case("kinetics of second order, fitted", meeting),
    Case("kinetics, exchange fitted", exchanging),
    Case("diffusion, fitted", diffusing),
    Case("growth, fitted", growing_fitted),
    Case("second order, fitted", meeting_in_space),
    Case("second order, flow map fitted", lambda c, l, t: meeting_in_space(c, l, t, "flow_map")),
]
GIVEN = [
    Case("mass, source that depends", lambda c, l, t: MassConservation(source=lambda fields: -0.1 / t * fields)),
    Case("continuity, velocity map", blowing),
    Case("growth", growing),
    Case("growth, explicit flow map", lambda c, l, t: growing(c, l, t, form="flow_map", scheme="explicit")),
    Case("growth from what is seen", lambda c, l, t: growing(c, l, t, form="flow_map", absent=0.9 * c)),
    Case("phase order, cell", lambda c, l, t: PhaseOrder(cell=1), shown=True),
    Case(
        "phase order, durations",
        lambda c, l, t: PhaseOrder(durations={"metaphase": 0.6 * t}, start="prophase"),
        shown=True,
    ),
]
QUICK = {"kinetics, fitted", "diffusion, fitted", "growth"}


def signal(case: Case) -> Tensor:
    """Waves that decay while one species turns into the other, in noise of 1 %."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.cos(torch.pi * (torch.arange(6.0) + 0.5) / 6), torch.cos(torch.pi * (torch.arange(7.0) + 0.5) / 7)
    t = GRID.dt * torch.arange(5.0)
    left, wave = torch.exp(-0.7 * t), 1 + 0.5 * torch.exp(-0.3 * t)[:, None, None] * y[:, None] * x
    fields = torch.stack([left, 1.3 - left])[..., None, None] * wave
    fields = (fields + 0.01 * torch.randn(fields.shape, generator=generator)).double()
    fields[..., 2:4, 2:5] += 20.0 * case.shown
    species = 1 if case.name.startswith(("diffusion", "growth")) else 2
    return fields[None, :species]


def measured(case: Case, dtype: torch.dtype, value: float, length: float, time: float) -> dict[str, Any]:
    """Everything that a constraint says, in units of one."""
    grid = Grid(spacing=tuple(h * length for h in GRID.spacing), dt=GRID.dt * time)
    law, fields = case.build(value, length, time), signal(case).to(dtype) * value
    fit = law.fit(fields, grid)
    held = law.with_constants(fit)
    found = {
        "residual": held.residual(fields, grid),
        "loss": held.loss(fields, grid),
        "satisfied": held.satisfied(fields, grid, 0.3).tolist(),
        "degenerate": degenerate(fields),
        "described": described(held.describe(fields, grid), value, length, time),
        "values": in_units(fit.values, value, length, time),
        "errors": in_units(fit.errors, value, length, time),
        "intervals": in_units(fit.intervals, value, length, time),
        "condition": torch.tensor(fit.condition, dtype=torch.float64),
        "explained": torch.tensor(fit.explained, dtype=torch.float64),
        "identifiable": fit.identifiable,
        "measured": fit.measured,
    }
    if law.projects:
        found["projection"] = held.project(fields, grid) / value
    return found


def described(reading: dict[str, Any], value: float, length: float, time: float) -> dict[str, Any]:
    """What a law reads off, that of a flow in units of one."""
    flow = {"speed", "divergence", "vorticity", "direction", "explained", "worst_pair", "worst_patch", "fade"}
    if not flow <= reading.keys():
        return reading
    return in_units(
        {name: reading[name] for name in ("speed", "divergence", "vorticity", "direction")}, value, length, time
    )


def in_units(constants: Mapping[str, Sequence[Any]], value: float, length: float, time: float) -> dict[str, Tensor]:
    return {
        name: torch.tensor(found, dtype=torch.float64) / unit(name, value, length, time)
        for name, found in constants.items()
    }


@cache
def of_one(case: Case, dtype: torch.dtype) -> dict[str, Any]:
    return measured(case, dtype, 1.0, 1.0, 1.0)


ALL = CASES + GIVEN + FITTED
DOUBLE, SINGLE = torch.float64, torch.float32
PAIRS = list(itertools.product(ALL, (DOUBLE, SINGLE)))


def is_quick(case: Case, dtype: torch.dtype) -> bool:
    if case.flowing:
        return case.name == "transport" and dtype == DOUBLE
    if case in FITTED or case.name.startswith("growth"):
        return case.name in QUICK and dtype == DOUBLE
    return dtype == DOUBLE or case.name.startswith(("mass", "continuity"))


def name_of(pair: tuple[Case, torch.dtype]) -> str:
    return f"{pair[0].name}, {str(pair[1]).removeprefix('torch.')}"


@pytest.mark.parametrize("pair", slow_except([pair for pair in PAIRS if is_quick(*pair)], PAIRS), ids=name_of)
@pytest.mark.parametrize("exponents", [(-20, 20, -20), (20, -20, 20)], ids=["small", "large"])
def test_extreme_units(pair: tuple[Case, torch.dtype], exponents: tuple[int, int, int]) -> None:
    assert_same(measured(*pair, *(2.0**exponent for exponent in exponents)), of_one(*pair))


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids=name_of)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(-20, 20))
def test_all_units(pair: tuple[Case, torch.dtype], value: int, length: int, time: int) -> None:
    assert_same(measured(*pair, 2.0**value, 2.0**length, 2.0**time), of_one(*pair))


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Powers of two, from 1e-6 to 1e6, are exact: what is left is rounding of roots and of eigenvectors."""
    assert found.keys() == expected.keys()
    for what, wanted in expected.items():
        got = found[what]
        if isinstance(wanted, dict):
            assert_same(got, wanted)
        elif isinstance(wanted, Tensor):
            size = float(wanted[wanted.isfinite()].abs().amax()) if wanted.isfinite().any() else 0.0
            torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-7 * size, equal_nan=True)
        else:
            assert got == wanted, what
