"""Reaction systems drawn at random, whose rates are finite for concentrations in [0, 1]."""

import random

from physgen.equations.reaction_system import ReactionSystem

NAMES = ("u", "t", "x", "W", "c0", "p0", "real", "math")
CONSTANTS = ("b", "k", "H", "g0", "D0", "e")


def expression(rng: random.Random, names: list[str], depth: int) -> str:
    """A random rate; user names clash with those of the templates on purpose."""
    if depth == 0:
        return rng.choice([*names, *names, f"{rng.uniform(0.1, 2):.3f}", str(rng.randint(1, 3))])
    a, b = (expression(rng, names, depth - 1) for _ in range(2))
    forms = [
        f"({a} + {b})",
        f"({a} - {b})",
        f"{a}*{b}",
        f"({a})/(1.5 + ({b})**2)",
        f"({a})**{rng.randint(2, 5)}",
        f"(({a})**2)**1.7",
        f"exp(-({a})**2)",
        f"tanh({a})",
        f"sin({a})*cos({b})",
        f"log(2 + abs({a}))",
        f"sqrt(1 + ({a})**2)",
        f"max({a}, {b})",
        f"min({a}, 0.5)",
    ]
    return rng.choice(forms)


def random_system(seed: int) -> tuple[ReactionSystem, dict[str, float]]:
    rng = random.Random(seed)
    species = rng.sample(NAMES, rng.randint(1, 3))
    constants = rng.sample(CONSTANTS, rng.randint(0, 3))
    rates = [expression(rng, species + constants, 3) for _ in species]
    return ReactionSystem(species, constants, rates), {name: rng.uniform(0.2, 1.5) for name in constants}
