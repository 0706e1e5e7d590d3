"""Which phase of mitosis may follow which, and for how long each lasts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from physgen.arguments import finite, instance
from physgen.constraints.mitosis.classifier import PHASES
from physgen.errors import InvalidArgument

#: transitions other than to the next phase, by name; all are refused unless asked for
EXCEPTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    # Early prophase is reversible under stress (antephase: Matsusaka and Pines 2004, J. Cell Biol. 166:507). A spindle
    # checkpoint that is not satisfied holds the cell in prometaphase; chromosomes leave the plate when cohesion tires
    # (Daum et al. 2011, Curr. Biol. 21:1018).
    "arrest": (("prophase", "interphase"), ("metaphase", "prometaphase")),
    # The arrest ends without division: cyclin B decays, the nucleus forms again (Brito and Rieder 2006, Curr. Biol.
    # 16:1194).
    "slippage": (("prometaphase", "interphase"), ("metaphase", "interphase")),
    # Three poles make no single plate (Ganem et al. 2009, Nature 460:278).
    "multipolar": (("prometaphase", "anaphase"),),
    # The furrow does not form or regresses: one cell with two nuclei (Fujiwara et al. 2005, Nature 437:1043).
    "binucleation": (("anaphase", "interphase"), ("telophase", "interphase")),
    # A daughter goes on to its own division.
    "cycle": (("cytokinesis", "interphase"),),
    # Frames are further apart than the shortest phase lasts: any later phase may be next.
    "undersampled": tuple((PHASES[i], PHASES[j]) for i in range(len(PHASES)) for j in range(i + 2, len(PHASES))),
}
EXCEPTIONS["abnormal"] = EXCEPTIONS["slippage"] + EXCEPTIONS["multipolar"] + EXCEPTIONS["binucleation"]
#: most events in a row of which a phase is made, so that its duration is neither fixed nor without memory
EVENTS = 3


@dataclass(frozen=True)
class PhaseModel:
    """A hidden Markov model: the phase of each state ``[N]``, first weights ``[N]``, transition weights ``[N, N]``."""

    phase: Tensor
    initial: Tensor
    transitions: Tensor


def allowed(exceptions: Sequence[str] = ()) -> Tensor:
    """Mask ``[7, 7]``, from row to column: a phase stays, advances by one, or leaves by a named exception.

    >>> allowed()[1].int().tolist(), allowed(["arrest"])[1].int().tolist()
    ([0, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0])
    """
    phases = len(PHASES)
    mask = torch.eye(phases, dtype=torch.bool) | torch.ones(phases - 1, dtype=torch.bool).diag(1)
    known = ", ".join(EXCEPTIONS)
    for name in instance("exceptions", exceptions, Sequence, f"a list of {known}"):
        if not isinstance(name, str) or name not in EXCEPTIONS:
            raise InvalidArgument("exceptions", name, known)
        for before, after in EXCEPTIONS[name]:
            mask[PHASES.index(before), PHASES.index(after)] = True
    return mask


def phase_model(
    mask: Tensor, start: str | None = None, durations: Mapping[str, float | int] | None = None, dt: float | int = 1.0
) -> PhaseModel:
    """The model of the transitions in ``mask`` ``[7, 7]``.

    Weights are 1 for what is allowed. A phase of mean duration d is n = min(3, floor(d / dt)) states in a row, each of
    which goes on with probability n dt / d per frame: d has a negative binomial distribution of mean d, at least n dt.
    All departures of a phase are equally probable. A phase without departures has no duration. In the first frame every
    phase, or only ``start``, has weight 1, shared by its states.

    Args:
        mask: as of `allowed`.
        start: phase of the first frame; None for any.
        durations: mean duration, s, of the phases that have one.
        dt: time from one frame to the next, s.

    Raises:
        InvalidArgument: an unknown phase, a duration that is not finite and positive.

    Source: durations from states in a row, Cox and Miller (1965), The Theory of Stochastic Processes; Rabiner
        (1989), Proc. IEEE 77:257, IV.D.

    >>> model = phase_model(allowed(), "prophase", {"metaphase": 600.0}, dt=100.0)
    >>> model.phase.tolist(), model.initial.tolist()
    ([0, 1, 2, 3, 3, 3, 4, 5, 6], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    >>> model.transitions[5].tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0]
    """
    check_phases(start, durations)
    counts, leaving = [1] * len(PHASES), [1.0] * len(PHASES)
    departures = [[j for j, there in enumerate(row) if there and j != i] for i, row in enumerate(mask.tolist())]
    for name, duration in (durations or {}).items():
        index = PHASES.index(name)
        if departures[index]:
            counts[index] = max(1, min(EVENTS, math.floor(duration / dt)))
            leaving[index] = min(1.0, counts[index] * dt / duration)
    phase = torch.repeat_interleave(torch.arange(len(PHASES)), torch.tensor(counts))
    first = [sum(counts[:index]) for index in range(len(PHASES))]
    transitions = torch.zeros(len(phase), len(phase), dtype=torch.float64)
    initial = torch.zeros(len(phase), dtype=torch.float64)
    for index, name in enumerate(PHASES):
        timed = durations is not None and name in durations and bool(departures[index])
        states = range(first[index], first[index] + counts[index])
        for state in states:
            transitions[state, state] = 1 - leaving[index] if timed else 1.0
            initial[state] = (start in (None, name)) / counts[index]
            if state + 1 in states:
                transitions[state, state + 1] = leaving[index]
        for target in departures[index]:
            transitions[states[-1], first[target]] = leaving[index] / (len(departures[index]) if timed else 1)
    return PhaseModel(phase, initial, transitions)


def check_phases(start: str | None, durations: Mapping[str, float | int] | None) -> None:
    """Raise `InvalidArgument` unless the names are phases and the durations finite and positive."""
    if durations is not None:
        instance("durations", durations, Mapping, "a mapping from phases to seconds")
    for argument, names in (("start", [] if start is None else [start]), ("durations", durations or {})):
        for name in names:
            if name not in PHASES:
                raise InvalidArgument(argument, name, ", ".join(PHASES))
    for name, duration in (durations or {}).items():
        finite(f"durations[{name}]", duration, "a finite number > 0, s", lambda value: value > 0)
