"""Mitosis goes through its phases in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from physgen.arguments import whole
from physgen.constraints.base import Constraint, Violation, check_fields
from physgen.constraints.mitosis.abstention import abstention
from physgen.constraints.mitosis.classifier import PHASES, phase_classifier
from physgen.constraints.mitosis.evidence import phase_evidence
from physgen.constraints.mitosis.projection import projected_onto_path
from physgen.constraints.mitosis.transitions import PhaseModel, allowed, check_phases, phase_model
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.ops.phase_order import phase_order_nll, posterior, viterbi

FORMS = ("hmm", "clock")
#: residual of the hmm on true simulator videos, where single frames are misnamed (median)
NOISE_FLOOR = 0.8
#: nats of forward against reversed, and phases shown, from which a direction is decided: crops of a real movie that
#: show no whole division have up to 26 nats, also of the wrong sign; those with one 30 to 70, simulated ones 90
DECIDED, SHOWN = 30.0, 3
#: nats gained by leaps over phases, from which one is missing: true simulator videos gain up to 0.3
LEAPED = 0.5


@dataclass(frozen=True)
class PhaseReading:
    """What a video shows, frame by frame, as indices into `PHASES`.

    Attributes:
        path: most probable allowed path of phases, ``T`` long.
        named: most probable phase of each frame by itself, ``T`` long.
        illegal: steps ``(frame, from, to)`` of ``named`` that are not allowed.
        posterior: probability of each phase in each frame given all frames and the order, ``[T][7]``.
        log_ratio: log Z of the video minus log Z of it reversed, nats. Frames that are cut out lower it.
        gap: log Z with leaps over phases allowed minus log Z without, nats: from 0.5 on a phase is missing.
        order: ``forward`` or ``reversed`` where the log ratio is 30 nats or more and three phases are shown that way,
            ``undecided`` otherwise; ``nothing`` or ``several cells`` where there is no single cell, see `abstention`.
    """

    path: list[int]
    named: list[int]
    illegal: list[tuple[int, int, int]]
    posterior: list[list[float]]
    log_ratio: float
    gap: float
    order: str


class PhaseOrder(Constraint):
    """The seven phases of mitosis come in order, from interphase to cytokinesis.

    hmm:    loss = -log Z,  Z = sum over allowed paths k of prod_t p_t(k_t),  residual = sqrt(2 loss)
    clock:  residual_t = max(0, -(e_t+1 - e_t)) + max(0, e_t+1 - e_t - 1),  e_t = sum_k k p_t(k)

    with p_t the probabilities of the phases (`PHASES`) of the shipped `PhaseClassifier` on the evidence of frame t. Z
    is the probability that phases drawn frame by frame are an allowed path: stay, advance by one, or a named exception.
    The gradient of -log Z in log p is minus the posterior of the phases. The clock punishes only going back and leaping
    by more than a phase. A true video has a residual of about 0.8, not 0, because frames between two phases may be
    either: a tolerance does not apply to it. It is satisfied where one cell is shown and the phases that are named
    frame by frame are an allowed path, which `project` makes them; the steps that break the order are in `violations`.

    Single frames of real cells are often misnamed, in a true video as often as in a reversed one. There the order is
    decided by log Z of the video against log Z of the reversed one: the ``order`` of `violations` and `describe`.

    The fields show one cell, whole and apart from others; `physgen.measure.find_cells` crops them. Prompts that ask for
    disturbed division (arrest by electric fields, abnormal mitosis of a tumour) need ``exceptions``.

    Args:
        chromatin: index of the species that is chromatin.
        cell: index of the species that fills the cell; None where there is none.
        exceptions: names of `EXCEPTIONS`: ``arrest``, ``slippage``, ``multipolar``, ``binucleation``, ``abnormal`` (the
            last three), ``cycle``, ``undersampled``.
        start: phase of the first frame; None for any.
        durations: mean duration of phases, s, a prior that also finds a phase skipped; see `phase_model`.
        form: ``hmm`` or ``clock``; the clock knows neither exceptions, start nor durations.

    Raises:
        InvalidArgument: an unknown exception, phase or form, a duration that is not positive, an option that the clock
            has not, a negative index.

    Source: Rabiner (1989), Proc. IEEE 77:257; order of phases as a prior on classified cells: Held et al. (2010),
        Nature Methods 7:747.

    >>> PhaseOrder(exceptions=["arrest"]).kind
    'equality'
    >>> PhaseOrder(start="G1")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: start='G1': allowed: interphase, prophase, ...
    """

    name = "phase_order"
    needs_amounts = True
    projects = True

    def __init__(
        self,
        chromatin: int = 0,
        cell: int | None = None,
        exceptions: Sequence[str] = (),
        start: str | None = None,
        durations: Mapping[str, float | int] | None = None,
        form: str = "hmm",
    ) -> None:
        if form not in FORMS:
            raise InvalidArgument("form", form, ", ".join(FORMS))
        if form == "clock" and (exceptions or start or durations):
            raise InvalidArgument("form", form, "hmm, with exceptions, start or durations")
        for argument, index in (("chromatin", chromatin), ("cell", cell)):
            if index is not None:
                whole(argument, index, least=0)
        check_phases(start, durations)
        self.chromatin, self.cell = chromatin, cell
        self.allowed = allowed([exceptions] if isinstance(exceptions, str) else exceptions)
        self.start, self.durations, self.form = start, dict(durations) if durations else None, form
        self.tolerates = form != "hmm"
        self.noise_floor = NOISE_FLOOR if form == "hmm" else 0.0

    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B N"]:
        """Dimensionless: ``[B, 1]`` of the hmm, ``[B, T - 1]`` of the clock; in the dtype of fields, at least float32.

        Differentiable as often as wished; the fused `loss` once.

        Raises:
            InvalidArgument: no grid of pixels, another rank, one frame only, NaN or Inf, no such species.
        """
        if self.form == "hmm":
            loss = self._negative_log_likelihood(fields, grid, backend="reference")[:, None]
            violated = loss > 0
            return torch.where(violated, (2 * torch.where(violated, loss, 1.0)).sqrt(), 0.0)
        log_p = self.log_probability(fields, grid)
        step = (log_p.exp() @ torch.arange(len(PHASES), dtype=log_p.dtype, device=log_p.device)).diff(dim=1)
        return ((-step).clamp(min=0) + (step - 1).clamp(min=0)).to(_dtype(fields))

    def violation(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Violation:
        if self.form == "clock":
            return super().violation(fields, grid)
        return Violation(self._negative_log_likelihood(fields, grid, backend="auto"), 1)

    def _negative_log_likelihood(self, fields: Tensor, grid: Grid | None, backend: str) -> Tensor:
        states, model = self._states(self.log_probability(fields, grid), grid)
        nll = phase_order_nll(states, initial=model.initial, transitions=model.transitions, backend=backend)
        return nll.to(_dtype(fields))

    def log_probability(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B T K"]:
        """Log-probability of each phase in each frame by itself, ``[B, T, 7]``, float64, differentiable."""
        grid = check_fields(fields, grid, frames=2)
        if len(grid.spacing) != 2:
            raise InvalidArgument("grid", grid.spacing, "pixels, (dy, dx)")
        for argument, index in (("chromatin", self.chromatin), ("cell", self.cell)):
            if index is not None and index >= fields.shape[1]:
                raise InvalidArgument(argument, index, f"index of one of {fields.shape[1]} species, from 0")
        cell = None if self.cell is None else fields[:, self.cell]
        evidence = phase_evidence(fields[:, self.chromatin], cell, grid)
        return phase_classifier(fields.device)(evidence, cell is not None)

    @torch.no_grad()
    def satisfied(
        self, fields: Float[Tensor, "B S T *space"], grid: Grid | None, tolerance: float = 0.0
    ) -> Bool[Tensor, "B"]:
        """Whether something is shown and order, start and durations allow the phases named, at any tolerance.

        Several cells are named in `describe` and do not count here: one cell of 16 simulated ones is taken for several.

        >>> PhaseOrder().satisfied(torch.zeros(1, 1, 3, 8, 8), Grid(spacing=(0.5, 0.5), dt=100.0)).tolist()
        [False]
        """
        allowed_path = self._paths(self.log_probability(fields, grid), grid)[1]
        shown = [why != "nothing" for why in abstention(fields[:, self.chromatin])]
        return allowed_path & torch.tensor(shown, device=allowed_path.device)

    @torch.no_grad()
    def project(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T *space"]:
        """Fields near the given ones that are satisfied: see `projected_onto_path`.

        The path is the one named, where it is allowed, otherwise the most probable allowed one. A difference of 0.01 in
        log p is left for rounding.

        Raises:
            NoSolution: a frame that cannot be made to show its phase.
        """

        def path(log_p: Float64[Tensor, "1 T K"]) -> Int[Tensor, "1 T"]:
            return self._paths(log_p, grid)[0]

        grid = check_fields(fields, grid)
        samples = fields.double().split(1)
        found = [projected_onto_path(x, lambda z: self.log_probability(z, grid), path) for x in samples]
        return torch.cat(found).to(fields.dtype)

    @torch.no_grad()
    def violations(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> list[PhaseReading]:
        """The path of phases of each sample, and the steps that break the order.

        >>> blank = torch.zeros(1, 1, 3, 8, 8)
        >>> PhaseOrder().violations(blank, Grid(spacing=(0.5, 0.5), dt=100.0))[0].illegal
        []
        """
        log_p = self.log_probability(fields, grid)
        states, model = self._states(log_p, grid)
        given_order = posterior(states, initial=model.initial, transitions=model.transitions)
        by_phase = torch.zeros_like(log_p).index_add_(2, model.phase.to(log_p.device), given_order.to(log_p.dtype))
        log_z, log_z_back = self._log_z(log_p, grid), self._log_z(log_p.flip(1), grid)
        leaps = allowed(["undersampled"]) | self.allowed
        gap = self._log_z(log_p, grid, leaps) - self._log_z(log_p, grid, self.allowed)
        paths, paths_back = self._most_probable(log_p, grid), self._most_probable(log_p.flip(1), grid)
        return [
            PhaseReading(
                path=path,
                named=named,
                illegal=self._illegal(named),
                posterior=shares,
                log_ratio=ratio,
                gap=gained,
                order=why or _direction(ratio, path, path_back),
            )
            for path, path_back, named, shares, ratio, gained, why in zip(
                paths,
                paths_back,
                log_p.argmax(-1).tolist(),
                by_phase.tolist(),
                (log_z - log_z_back).tolist(),
                gap.tolist(),
                abstention(fields[:, self.chromatin]),
                strict=True,
            )
        ]

    def describe(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> dict[str, Any]:
        """``path`` and ``named`` phases ``[B][T]``, ``order``, ``log_ratio`` and ``gap``, see `PhaseReading`.

        >>> noise = torch.rand(1, 1, 5, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> PhaseOrder().describe(noise, Grid(spacing=(0.5, 0.5), dt=100.0))["order"]
        ['nothing']
        """
        readings = self.violations(fields, grid)
        shown = ("path", "named", "order", "log_ratio", "gap")
        return {name: [getattr(reading, name) for reading in readings] for name in shown}

    def _paths(self, log_p: Tensor, grid: Grid | None) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B"]]:
        """The allowed path of phases that each sample is nearest to, and whether it is the one named."""
        states, model = self._states(log_p, grid)
        named = log_p.argmax(-1)
        phase = model.phase.to(log_p.device)
        certain = torch.where(phase == named[..., None], 0.0, -torch.inf)
        _, weight = viterbi(certain, initial=model.initial, transitions=model.transitions)
        best, _ = viterbi(states, initial=model.initial, transitions=model.transitions)
        return torch.where(weight.isfinite()[:, None], named, phase[best]), weight.isfinite()

    def _log_z(self, log_p: Tensor, grid: Grid | None, mask: Tensor | None = None) -> Float[Tensor, "B"]:
        """Log of the probability of an allowed path; with a mask of transitions, without durations."""
        states, model = self._states(log_p, grid) if mask is None else (log_p, phase_model(mask, self.start))
        return -phase_order_nll(states, initial=model.initial, transitions=model.transitions, backend="reference")

    def _most_probable(self, log_p: Tensor, grid: Grid | None) -> list[list[int]]:
        states, model = self._states(log_p, grid)
        states_passed, _ = viterbi(states, initial=model.initial, transitions=model.transitions)
        return model.phase[states_passed.cpu()].tolist()

    def _states(self, log_p: Tensor, grid: Grid | None) -> tuple[Tensor, PhaseModel]:
        """Evidence of the states of the model, in float32 on a GPU, whose kernel has no float64."""
        model = phase_model(self.allowed, self.start, self.durations, 1.0 if grid is None else grid.dt)
        states = log_p[..., model.phase.to(log_p.device)]
        return (states.float() if states.is_cuda else states), model

    def _illegal(self, named: list[int]) -> list[tuple[int, int, int]]:
        steps = zip(range(1, len(named)), named, named[1:], strict=False)
        return [(frame, before, after) for frame, before, after in steps if not self.allowed[before, after]]


def _direction(log_ratio: float, path: list[int], path_back: list[int]) -> str:
    """Which way a video runs, where it shows enough phases that way."""
    if abs(log_ratio) < DECIDED or len(set(path if log_ratio > 0 else path_back)) < SHOWN:
        return "undecided"
    return "forward" if log_ratio > 0 else "reversed"


def _dtype(fields: Tensor) -> torch.dtype:
    return torch.promote_types(fields.dtype, torch.float32)
