import math

import jaxtyping
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_systems import random_system
from torch import Tensor

from physgen.equations.reaction_system import ReactionSystem
from physgen.equations.systems import SYSTEMS, reaction_system
from physgen.errors import InvalidArgument

every_system = pytest.mark.parametrize("name", SYSTEMS)


def concentrations(system: ReactionSystem, *space: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, len(system.species), *space, generator=generator, dtype=torch.float64)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_products_of_random_systems_are_those_of_autograd(seed: int) -> None:
    system, values = random_system(seed)
    fields = concentrations(system, 7).requires_grad_()
    cotangent = torch.randn(fields.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rates = system.reaction(fields, values)
    (expected,) = torch.autograd.grad(rates + 0 * fields, fields, cotangent)
    vjp, jvp = system.vjp(fields, cotangent, values), system.jvp(fields, cotangent, values)
    scale = float((system.jacobian(fields, values).abs().max() * cotangent.abs().max()).detach())
    torch.testing.assert_close(vjp, expected, rtol=0, atol=1e-12 * scale)
    products = torch.einsum("bsrx,brx->bsx", system.jacobian(fields, values), cotangent)
    torch.testing.assert_close(products, jvp, rtol=0, atol=1e-12 * scale)


@every_system
def test_rates_are_the_equations(name: str) -> None:
    """Against sympy's own evaluation at one point."""
    system = reaction_system(name)
    fields = concentrations(system)[:1]
    point = dict(zip(system.species, fields[0].tolist(), strict=True)) | SYSTEMS[name].values
    substituted = [rate.subs({system.symbols[n]: x for n, x in point.items()}) for rate in system.rates]
    plain = [
        float(rate.replace(lambda e: e.func.__name__ == "power", lambda e: e.args[0] ** e.args[1]))
        for rate in substituted
    ]
    torch.testing.assert_close(system.reaction(fields, SYSTEMS[name].values)[0].tolist(), plain, rtol=1e-12, atol=1e-12)


@every_system
def test_shipped_systems_state_everything(name: str) -> None:
    known, system = SYSTEMS[name], reaction_system(name)
    assert set(known.diffusivity) == set(system.species) == set(known.rates)
    assert all(value >= 0 for value in [*known.values.values(), *known.diffusivity.values()])
    assert any(character.isdigit() for character in known.source)
    latex = system.latex(diffusion=True)
    assert latex.count(r"\nabla^2") == len(system.species)
    assert "power" not in latex


@pytest.mark.parametrize("name", ["gray_scott", "fisher_kpp", "schnakenberg", "min_oscillation", "calcium_wave"])
def test_design_matrix_is_the_rate(name: str) -> None:
    system = reaction_system(name)
    values: dict[str, float] = SYSTEMS[name].values
    names = [parameter for parameter in system.parameters if system.linear([parameter])]
    while not system.linear(names):
        names.pop(0)
    fields = concentrations(system, 4)
    columns, rest = system.design(fields, names, {n: x for n, x in values.items() if n not in names})
    theta = torch.tensor([values[n] for n in names], dtype=torch.float64)
    torch.testing.assert_close(torch.einsum("bpsx,p->bsx", columns, theta) + rest, system.reaction(fields, values))


def test_values_of_each_sample() -> None:
    system = reaction_system("fisher_kpp")
    fields = torch.full((3, 1, 2, 2), 0.5)
    rates = system.reaction(fields, {"r": torch.tensor([1.0, 2.0, 4.0]), "K": 1.0})
    assert rates[:, 0, 0, 0].tolist() == [0.25, 0.5, 1.0]


def test_conserved_totals() -> None:
    """MinD, MinE and the substrate of an enzyme are neither made nor lost."""
    conserved: dict[str, list[tuple[str, ...]]] = {
        "min_oscillation": [("D", "T", "d", "de"), ("E", "de")],
        "michaelis_menten": [("S", "P")],
        "diffusion": [("c",)],
    }
    for name, pools in conserved.items():
        system = reaction_system(name)
        for pool in pools:
            assert sp.simplify(sum(system.rates[system.species.index(s)] for s in pool)) == 0


def test_same_equations_are_equal() -> None:
    first, second = (ReactionSystem(["u"], ["k"], [rate]) for rate in ("-k*u", "-u*k"))
    assert first == second != ReactionSystem(["u"], ["k"], ["k*u"])


def test_rates_by_name_and_from_sympy() -> None:
    u, v = sp.symbols("u v")
    by_name = ReactionSystem(["u", "v"], [], {"v": "u", "u": "-u*v"})
    assert by_name == ReactionSystem(["u", "v"], [], [-u * v, u])
    assert by_name.rates == (-by_name.symbols["u"] * by_name.symbols["v"], by_name.symbols["u"])


def test_hill_terms_at_and_below_zero() -> None:
    system = reaction_system("hill_activation")
    values = SYSTEMS["hill_activation"].values | {"n": 2.5}
    fields = torch.tensor([[0.0, 0.0], [-0.5, 0.3]], dtype=torch.float64)
    jacobian = system.jacobian(fields, values)
    assert jacobian.isfinite().all()
    assert jacobian[0, 1, 0] == 0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (([], [], []), "species"),
        ((["u", "u"], [], ["0", "0"]), "species, parameters"),
        ((["u"], ["u"], ["0"]), "species, parameters"),
        ((["2u"], [], ["0"]), "species, parameters"),
        ((["lambda"], [], ["0"]), "species, parameters"),
        ((["u"], ["exp"], ["0"]), "species, parameters"),
        ((["u"], [], ["0", "0"]), "rates"),
        ((["u"], [], {"v": "0"}), "rates"),
        ((["u"], [], "u"), "rates"),
        ((["u"], [], [None]), "rate"),
        ((["u"], [], ["k*u"]), "rate"),
        ((["u"], {"k": (1.0, 0.0)}, ["k*u"]), "parameters"),
        ((["u"], {"k": 1.0}, ["k*u"]), "parameters"),
        ((["u"], {"k": (None, 1.0)}, ["k*u"]), "parameters"),
        ((["u"], {"k": (1.0,)}, ["k*u"]), "parameters"),
        ((["u"], [], None), "rates"),
    ],
)
def test_refuses(monkeypatch: pytest.MonkeyPatch, arguments: tuple, name: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument) as caught:
        ReactionSystem(*arguments)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("values", "name"),
    [({}, "parameters"), ({"k": 1.0, "q": 1.0}, "parameters"), ({"k": 3.0}, "k"), ({"k": math.nan}, "k")],
)
def test_refuses_values(values: dict[str, float], name: str) -> None:
    system = ReactionSystem(["u"], {"k": (0.0, 2.0)}, ["-k*u"])
    with pytest.raises(InvalidArgument) as caught:
        system.values(values)
    assert caught.value.name == name


def test_linearity_that_needs_algebra() -> None:
    """(a + b)^2 - a^2 - 2 a b - b^2 + a u is linear in a and b, and does not look it."""
    system = ReactionSystem(["u"], ["a", "b"], ["((a + b)**2 - a**2 - 2*a*b - b**2)*u + a*u"])
    assert system.linear(["a", "b"])
    assert not ReactionSystem(["u"], ["a", "b"], ["a*b*u"]).linear(["a", "b"])


def test_refuses_what_is_not_linear() -> None:
    system = reaction_system("fitzhugh_nagumo")
    assert system.linear(["eps", "I"])
    assert not system.linear(["eps", "a"])
    with pytest.raises(InvalidArgument, match="fitted"):
        system.design(concentrations(system), ["eps", "a"], {"b": 0.8, "I": 0.5})
    with pytest.raises(InvalidArgument, match="system='turing'"):
        reaction_system("turing")
