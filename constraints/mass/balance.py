"""The equation of mass in a frame, solved and fitted."""

from __future__ import annotations

import math
from itertools import compress

import torch
from jaxtyping import Float
from torch import Tensor

#: largest loss rate that is tried, per duration of the video, and the number of brackets below it
FASTEST, BRACKETS = 500.0, 48
#: the bracket is cut to rounding, 32^-11 = 2^-55 of its width
SECTIONS, ROUNDS = 32, 11
#: Newton step per duration of the video up to which k is at a root, and not where another frame begins to bound m0
ROOT = 1e-6


class MassBalance:
    """Mass that flows in and is lost at a constant rate.

    dm/dt = inflow - k m,  m(t) = m0 exp(-k t) + int_0^t inflow(s) exp(-k (t - s)) ds

    with the integral by the trapezoid rule over frames.

    Args:
        inflow: mass per second at each frame, ``[*batch, T]`` float64.
        dt: time between frames, s.
        capacity: largest mass; m0 is fitted so that 0 <= m(t) <= capacity, if it can.
        initial: m0, or None to fit it; a number, or one of each sample and species ``[B, S]``.
        rate: k, 1/s, likewise.

    Source: variation of constants.

    >>> filling = MassBalance(torch.full((4,), 2.0, dtype=torch.float64), dt=0.5)
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> filling.at(one, 0 * one).flatten().tolist()
    [1.0, 2.0, 3.0, 4.0]
    """

    def __init__(
        self,
        inflow: Float[Tensor, "*batch T"],
        dt: float,
        capacity: float = math.inf,
        initial: float | Float[Tensor, "B S"] | None = None,
        rate: Float[Tensor, "B S"] | None = None,
    ) -> None:
        frames = torch.arange(inflow.shape[-1], dtype=torch.float64, device=inflow.device)
        self.time = frames * dt
        self.capacity = capacity
        self.initial = initial
        self.rate = rate
        self._lag = (self.time[:, None] - self.time).clamp(min=0)
        weight = torch.ones_like(self._lag).tril()
        weight[:, 0] = 0.5
        weight.diagonal().fill_(0.5)
        weight[0, 0] = 0.0
        self._kernel = weight * inflow[..., None, :] * dt
        self._closed = not bool(inflow.any())

    def at(self, initial: Float[Tensor, "*batch"], rate: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch T"]:
        """Mass at every frame, for m0 and k (1/s)."""
        return initial[..., None] * self._kept(rate) + self._supplied(rate)

    def fit(self, mass: Float[Tensor, "B S T"], lossy: bool) -> tuple[Float[Tensor, "B S"], Float[Tensor, "B S"]]:
        """Least-squares m0 and k >= 0 (k = 0 unless ``lossy``) for measured mass, which they follow when it changes.

        argmin sum_t (mass - m)^2: m0 in closed form for each k, clamped to feasible masses; k at the root of the
        derivative of what is left, to rounding, in the best of `BRACKETS` geometric brackets up to `FASTEST` per
        duration (`SECTIONS` parts at a time, in place of bisection). Both have derivatives: k those of the equation
        that it solves, dk = -ds / s'(k), with s the derivative of the sum by k; none where k is at a bound.

        Source: variable projection, Golub and Pereyra (1973), SIAM J. Numer. Anal. 10:413.

        >>> fading = torch.tensor([8.0, 4.0, 2.0], dtype=torch.float64).view(1, 1, 3)
        >>> m0, k = MassBalance(torch.zeros(3, dtype=torch.float64), dt=1.0).fit(fading, lossy=True)
        >>> round(m0.item(), 9), round(k.item() / math.log(2), 9)
        (8.0, 1.0)
        """
        rate = self._rate(mass, lossy)
        return self._best_initial(mass, rate), rate

    @torch.no_grad()
    def errors(
        self, mass: Float[Tensor, "B S T"], initial: Float[Tensor, "B S"], rate: Float[Tensor, "B S"], lossy: bool
    ) -> tuple[Float[Tensor, "B S"], Float[Tensor, "B S"]]:
        """Standard errors of m0 and k, of independent noise in the frames; 0 of what is given, NaN where T <= P.

        covariance = (J^T J)^-1 |mass - m|^2 / (T - P),  J = dm / d(m0, k), of the P of them that are fitted

        Source: nonlinear regression, Bard (1974), Nonlinear Parameter Estimation, ch. 7.
        """
        with torch.enable_grad():
            k = rate.detach().requires_grad_()
            frames = self.at(initial, k).unbind(-1)
            slopes = [torch.autograd.grad(frame.sum(), k, retain_graph=True)[0] for frame in frames]
        fits = (self.initial is None, lossy and self.rate is None)
        columns = list(compress([self._kept(rate), torch.stack(slopes, -1)], fits))
        if not columns:
            return torch.zeros_like(rate), torch.zeros_like(rate)
        jacobian, freedom = torch.stack(columns, -1), mass.shape[-1] - len(columns)
        length = jacobian.norm(dim=-2)
        length = torch.where(length > 0, length, 1.0)
        jacobian = jacobian / length[..., None, :]
        left = (mass - self.at(initial, rate)).square().sum(-1)
        noise = left / freedom if freedom > 0 else torch.full_like(left, math.nan)
        covariance = torch.linalg.pinv(jacobian.mT @ jacobian) * noise[..., None, None]
        found = covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt() / length
        none = torch.zeros_like(rate)
        return found[..., 0] if fits[0] else none, found[..., -1] if fits[1] else none

    def _rate(self, mass: Tensor, lossy: bool) -> Tensor:
        low = mass.new_zeros(mass.shape[:2])
        if self.rate is not None:
            return self.rate.to(low).expand_as(low)
        if not lossy:
            return low
        with torch.no_grad():
            rates = torch.cat([low.new_zeros(1), torch.logspace(-3, math.log10(FASTEST), BRACKETS).to(low)])
            rates = rates / self.time[-1]
            best = self._misfit(mass, rates.view(-1, 1, 1).expand(-1, *low.shape)).argmin(0)
            low, high = rates[(best - 1).clamp(min=0)], rates[(best + 1).clamp(max=BRACKETS)]
            inner = torch.arange(1, SECTIONS).to(low).view(-1, 1, 1)
            for _ in range(ROUNDS):
                width = (high - low) / SECTIONS
                falling = self._slope(mass, low + width * inner) <= 0
                low = low + width * falling.cumprod(0).sum(0)
                high = low + width
        if not (torch.is_grad_enabled() and mass.requires_grad):
            return low
        rate = low.requires_grad_()
        (slope,) = torch.autograd.grad(self._misfit(mass, rate).sum(), rate, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), rate, retain_graph=True)
        root = (rate > 0) & (curvature > 0) & (slope.abs() * self.time[-1] <= ROOT * curvature)
        return rate.detach() - (slope - slope.detach()) / torch.where(root, curvature, math.inf)

    def _kept(self, rate: Tensor) -> Tensor:
        return torch.exp(-rate[..., None] * self.time)

    def _supplied(self, rate: Tensor) -> Tensor:
        if self._closed:
            return torch.zeros_like(rate)[..., None]
        return (self._kernel * torch.exp(-rate[..., None, None] * self._lag)).sum(-1)

    def _best_initial(self, mass: Tensor, rate: Tensor) -> Tensor:
        if self.initial is not None:
            return torch.as_tensor(self.initial, dtype=rate.dtype, device=rate.device).expand_as(rate)
        kept, supplied = self._kept(rate), self._supplied(rate)
        best = (kept * (mass - supplied)).sum(-1) / kept.square().sum(-1)
        grown = torch.exp(rate[..., None] * self.time)
        best = best.maximum((-supplied * grown).amax(-1).clamp(min=0))
        if math.isfinite(self.capacity):
            best = best.minimum(((self.capacity - supplied) * grown).amin(-1))
        return best

    def _misfit(self, mass: Tensor, rate: Tensor) -> Tensor:
        return (mass - self.at(self._best_initial(mass, rate), rate)).square().sum(-1)

    @torch.enable_grad()
    def _slope(self, mass: Tensor, rate: Tensor) -> Tensor:
        rate = rate.detach().requires_grad_()
        return torch.autograd.grad(self._misfit(mass, rate).sum(), rate)[0]
