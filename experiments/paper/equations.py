"""Equations of the paper, printed from the systems that the constraints and kernels compute with."""

from __future__ import annotations

import re

import sympy as sp

from physgen.equations.systems import SYSTEMS, reaction_system

GREEK = ("alpha", "beta", "gamma", "delta")


def equations() -> dict[str, list[str]]:
    """Typst mathematics of every shipped system, an equation a species.

    >>> equations()["fisher_kpp"]
    ['(partial u)/(partial t) = D_u nabla^2 u + r u (1 - u/K)']
    """
    found = {}
    for name, known in SYSTEMS.items():
        system = reaction_system(name)
        found[name] = [
            equation(species, rate, bool(known.diffusivity[species]))
            for species, rate in zip(system.species, system.rates, strict=True)
        ]
    return found


def equation(species: str, rate: sp.Expr, diffuses: bool) -> str:
    """One species: its change in time is diffusion and reaction."""
    symbol = name(species)
    terms = [f"D_{symbol} nabla^2 {symbol}"] if diffuses else []
    reaction = typst(rate) if rate != 0 else ""
    joined = " + ".join([*terms, reaction]) if reaction else " ".join(terms)
    return f"(partial {symbol})/(partial t) = {joined}".replace("+ -", "- ")


def typst(expression: sp.Expr) -> str:
    """An expression: multiplication by a space, powers by a hat, long names in quotes.

    >>> u, F = sp.symbols("u F")
    >>> typst(F * (1 - u) - u**2)
    'F (1 - u) - u^2'
    """
    text = sp.sstr(expression).replace("**", "^").replace("*", " ")
    return re.sub(r"[A-Za-z]+", lambda word: name(word[0]), text)


def name(word: str) -> str:
    """A symbol as Typst writes it."""
    return word if len(word) == 1 or word in GREEK else f'"{word}"'
