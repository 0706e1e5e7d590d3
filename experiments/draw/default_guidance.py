"""The guidance of the command line, for the jobs that measure it."""

from __future__ import annotations

from physgen.constraints.names import Laws
from physgen.experiments.cli.config import choice
from physgen.experiments.cli.target import build
from physgen.guidance import Guidance


def default_guidance(name: str, constraints: Laws) -> Guidance:
    """The guidance that ``physgen sample guidance=NAME`` uses, with the settings of ``conf/guidance/NAME.yaml``.

    >>> from physgen.constraints import MassConservation
    >>> default_guidance("projection", [MassConservation()]).terminal
    True
    """
    guidance: Guidance = build(Guidance, choice("guidance", name), constraints)
    return guidance
