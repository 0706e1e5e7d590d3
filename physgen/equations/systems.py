"""Reaction systems of microscale biology, with units, published values and sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from physgen.equations.reaction_system import ReactionSystem
from physgen.errors import InvalidArgument


@dataclass(frozen=True)
class KnownSystem:
    """A reaction system as published.

    ``species`` maps names to units, ``parameters`` to (value, unit), ``diffusivity`` to µm²/s (of the published scale
    where that is one, else of the unit square: dimensionless systems have unit ``1``); ``rates`` is text; parameters in
    ``signed`` may be negative.
    """

    species: Mapping[str, str]
    parameters: Mapping[str, tuple[float, str]]
    rates: Mapping[str, str]
    diffusivity: Mapping[str, float]
    source: str
    signed: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, float]:
        """The published value of every parameter."""
        return {name: value for name, (value, _) in self.parameters.items()}


HILL = {
    "beta": (1.0, "µM/s"),
    "K": (0.5, "µM"),
    "n": (2.0, "1"),
    "alpha": (0.1, "1/s"),
    "delta": (0.5, "1/s"),
}
SYSTEMS: Mapping[str, KnownSystem] = {
    "diffusion": KnownSystem(
        species={"c": "a.u."},
        parameters={},
        rates={"c": "0"},
        diffusivity={"c": 25.0},
        source="Fick (1855), Annalen der Physik 170:59; D of GFP in cytosol, about 25 µm²/s",
    ),
    "fisher_kpp": KnownSystem(
        species={"u": "carrying capacity"},
        parameters={"r": (1.0, "1/s"), "K": (1.0, "carrying capacity")},
        rates={"u": "r*u*(1 - u/K)"},
        diffusivity={"u": 1.0},
        source="Fisher (1937), Annals of Eugenics 7:355; Kolmogorov, Petrovsky and Piskunov (1937)",
    ),
    "gray_scott": KnownSystem(
        species={"u": "1", "v": "1"},
        parameters={"F": (0.037, "1/s"), "k": (0.060, "1/s")},
        rates={"u": "-u*v**2 + F*(1 - u)", "v": "u*v**2 - (F + k)*v"},
        diffusivity={"u": 2e-5, "v": 1e-5},
        source="Pearson (1993), Science 261:189, eq. 1",
    ),
    "fitzhugh_nagumo": KnownSystem(
        species={"v": "1", "w": "1"},
        parameters={"a": (0.7, "1"), "b": (0.8, "1"), "eps": (0.08, "1/s"), "I": (0.5, "1/s")},
        rates={"v": "v - v**3/3 - w + I", "w": "eps*(v + a - b*w)"},
        diffusivity={"v": 1.0, "w": 0.0},
        source="FitzHugh (1961), Biophysical Journal 1:445; Nagumo, Arimoto and Yoshizawa (1962), Proc. IRE 50:2061",
        signed=("a", "I"),
    ),
    "schnakenberg": KnownSystem(
        species={"u": "1", "v": "1"},
        parameters={"a": (0.1, "1"), "b": (0.9, "1"), "gamma": (1.0, "1/s")},
        rates={"u": "gamma*(a - u + u**2*v)", "v": "gamma*(b - u**2*v)"},
        diffusivity={"u": 1.0, "v": 40.0},
        source="Schnakenberg (1979), J. Theor. Biol. 81:389; Murray (2003), Mathematical Biology II, ch. 2",
    ),
    "michaelis_menten": KnownSystem(
        species={"S": "µM", "P": "µM"},
        parameters={"Vmax": (1.0, "µM/s"), "Km": (0.5, "µM")},
        rates={"S": "-Vmax*S/(Km + S)", "P": "Vmax*S/(Km + S)"},
        diffusivity={"S": 300.0, "P": 300.0},
        source="Michaelis and Menten (1913), Biochemische Zeitschrift 49:333",
    ),
    "hill_activation": KnownSystem(
        species={"A": "µM", "P": "µM"},
        parameters=HILL,
        rates={"A": "-alpha*A", "P": "beta*A**n/(K**n + A**n) - delta*P"},
        diffusivity={"A": 10.0, "P": 10.0},
        source="Hill (1910), J. Physiol. 40:iv; Alon (2019), An Introduction to Systems Biology, ch. 1",
    ),
    "hill_inhibition": KnownSystem(
        species={"A": "µM", "P": "µM"},
        parameters=HILL,
        rates={"A": "-alpha*A", "P": "beta*K**n/(K**n + A**n) - delta*P"},
        diffusivity={"A": 10.0, "P": 10.0},
        source="Hill (1910), J. Physiol. 40:iv; Alon (2019), An Introduction to Systems Biology, ch. 1",
    ),
    # A flat cell: densities per µm², the cytosol's and the membrane's in one layer, 1 µm of cytosol above the membrane.
    "min_oscillation": KnownSystem(
        species={"D": "1/µm²", "T": "1/µm²", "E": "1/µm²", "d": "1/µm²", "de": "1/µm²"},
        parameters={
            "exchange": (1.0, "1/s"),
            "attach": (0.025, "1/s"),
            "recruit": (0.0015, "µm²/s"),
            "bind": (0.093, "µm²/s"),
            "hydrolyse": (0.7, "1/s"),
        },
        rates={
            "D": "hydrolyse*de - exchange*D",
            "T": "exchange*D - (attach + recruit*(d + de))*T",
            "E": "hydrolyse*de - bind*d*E",
            "d": "(attach + recruit*(d + de))*T - bind*d*E",
            "de": "bind*d*E - hydrolyse*de",
        },
        diffusivity={"D": 2.5, "T": 2.5, "E": 2.5, "d": 0.0, "de": 0.0},
        source="Huang, Meir and Wingreen (2003), PNAS 100:12724, with the cytosol's volume as a layer of 1 µm",
    ),
    "calcium_wave": KnownSystem(
        species={"Z": "µM", "Y": "µM"},
        parameters={
            "v0": (1.0, "µM/s"),
            "v1": (7.3, "µM/s"),
            "beta": (0.301, "1"),
            "VM2": (65.0, "µM/s"),
            "VM3": (500.0, "µM/s"),
            "K2": (1.0, "µM"),
            "KR": (2.0, "µM"),
            "KA": (0.9, "µM"),
            "kf": (1.0, "1/s"),
            "k": (10.0, "1/s"),
        },
        rates={
            "Z": "v0 + v1*beta - VM2*Z**2/(K2**2 + Z**2) + VM3*Y**2/(KR**2 + Y**2)*Z**4/(KA**4 + Z**4) + kf*Y - k*Z",
            "Y": "VM2*Z**2/(K2**2 + Z**2) - VM3*Y**2/(KR**2 + Y**2)*Z**4/(KA**4 + Z**4) - kf*Y",
        },
        diffusivity={"Z": 20.0, "Y": 0.0},
        source="Goldbeter, Dupont and Berridge (1990), PNAS 87:1461, eqs. 1-2",
    ),
}


@lru_cache
def reaction_system(name: str) -> ReactionSystem:
    """A shipped system by name; parameters are positive or zero, but for those that may be negative.

    Raises:
        InvalidArgument: an unknown name.

    >>> reaction_system("gray_scott").species
    ('u', 'v')
    """
    if name not in SYSTEMS:
        raise InvalidArgument("system", name, ", ".join(SYSTEMS))
    known = SYSTEMS[name]
    bounds = {name: (-math.inf if name in known.signed else 0.0, math.inf) for name in known.parameters}
    return ReactionSystem(list(known.species), bounds, known.rates)
