"""The guidance of the command line, from its entry in ``conf/guidance``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from physgen.constraints.names import Laws, name_laws
from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import choice, choices, configure, one_of
from physgen.experiments.cli.target import build, find_class
from physgen.guidance import Guidance, NoiseSearch, OfVideo, Particles
from physgen.guidance.rewards.reward import Reward

#: which guidances rewards are for
FOLLOWING = "particles and pruned choose, noise_search follows derivatives"


def default_guidance(name: str, constraints: Laws) -> Guidance:
    """The guidance that ``physgen sample guidance=NAME`` uses, with the settings of ``conf/guidance/NAME.yaml``.

    >>> from physgen.constraints import MassConservation
    >>> default_guidance("projection", [MassConservation()]).terminal
    True
    """
    return build_guidance(choice("guidance", name), constraints)


def build_guidance(
    entry: Mapping[str, Any], constraints: Laws, rewards: Mapping[str, OfVideo] | None = None
) -> Guidance:
    """The guidance of an entry. Where it follows rewards the constraints are some, and `inside` names another entry.

    Further rewards stand beside the constraints, or in their place where a named `inside` imposes those.

    Raises:
        InvalidArgument: see `build`; an `inside` that is no choice of ``guidance``; rewards for a guidance that follows
            none, or of a constraint's name.

    >>> from physgen.constraints import MassConservation
    >>> particles = build_guidance(choice("guidance", "particles") | {"inside": "afterwards"}, [MassConservation()])
    >>> particles.particles, particles.terminal
    (4, True)
    """
    if not follows_rewards(entry):
        if rewards:
            allowed = f"[] with this guidance; {FOLLOWING}"
            raise InvalidArgument("rewards", ", ".join(rewards), allowed)
        given = {key: value for key, value in entry.items() if key != "renoise" or value is not None}
        guidance: Guidance = build(Guidance, given, constraints)
        return guidance
    inside, chosen_by = entry.get("inside"), dict[str, Reward](rewards or {})
    if not isinstance(inside, str) or not rewards:
        laws = name_laws(constraints) if constraints or not rewards else {}
        if both := laws.keys() & chosen_by.keys():
            allowed = "names that no constraint has, or guidance.inside=afterwards, which imposes the constraint"
            raise InvalidArgument("rewards", ", ".join(sorted(both)), allowed)
        chosen_by = {**laws, **chosen_by}
    if isinstance(inside, str):
        if inside not in choices("guidance"):
            raise one_of("guidance.inside", inside, choices("guidance"))
        inside = build_guidance(choice("guidance", inside), constraints)
    following: Guidance = build(Guidance, {**entry, "inside": inside, "rewards": chosen_by})
    return following


def require_untouched(entry: Mapping[str, Any], beside: str, kept: str = "") -> None:
    """Refuse a guidance that was chosen where it has no effect; the one that is the default may be left alone.

    Raises: InvalidArgument.

    >>> require_untouched(choice("guidance", "projection"), "a constraint")
    >>> require_untouched(choice("guidance", "dps"), "a constraint")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: guidance='DPS': allowed: with a constraint, which it is for
    """
    if entry != configure("sample", []).guidance:
        name = str(entry["_target_"] or "none").rpartition(".")[2]
        raise InvalidArgument("guidance", name, f"with {beside}, which it is for{kept}")


def follows_rewards(entry: Mapping[str, Any]) -> bool:
    """Whether an entry describes a guidance that rewards are given to."""
    return issubclass(find_class(Guidance, str(entry["_target_"])), Particles | NoiseSearch)
