"""Guidance in NVIDIA PhysicsNeMo's diffusion samplers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Guidance
from physgen.guidance.problem import Decode
from physgen.sampling.functional import begin, level
from physgen.sampling.network import rejoin

Schedule = Callable[[Tensor], Tensor]


class PhysicsNeMoGuidance:
    """A guidance as PhysicsNeMo's `DPSGuidance`: (x, t, x_0) -> a term that is added to the score.

    g = alpha / sigma_t^2 (x0* - x_0),  so that (alpha x_0 - x) / sigma_t^2 + g is the score of x0*

    with x = alpha x0 + sigma_t noise [B, ...], t [B] the same for the whole batch. The guidance sees x / (alpha +
    sigma_t) at the flow-matching level sigma_t / (alpha + sigma_t). `alpha` and `sigma` are the noise scheduler's
    methods; without them alpha = 1 and sigma_t = t, as in its EDM scheduler. Where the guidance `needs_graph`, x must
    require gradients and x_0 be a function of it, which `DPSScorePredictor` sees to; a forward Jacobian is refused.

    Raises:
        InvalidArgument: a guidance with a window, new noise or recurrence: the sampler does not say where it is. In
            use: times that differ within the batch, x_0 without a graph, and what the guidance raises.

    Source: physicsnemo.diffusion.guidance.DPSGuidance and DPSScorePredictor, PhysicsNeMo 2.2; score of x0: Karras et
        al., arXiv:2206.00364.

    >>> from physgen.constraints import MassConservation
    >>> from physgen.guidance import Projection
    >>> grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    >>> guidance = PhysicsNeMoGuidance(Projection([MassConservation(initial_mass=8.0)]), grid=grid)
    >>> x, t, x_0 = torch.ones(1, 1, 2, 4, 4), torch.tensor([2.0]), torch.full((1, 1, 2, 4, 4), 0.25)
    >>> guidance(x, t, x_0).unique()  # (0.5 - 0.25) / 2^2
    tensor([0.0625])
    """

    def __init__(
        self,
        guidance: Guidance,
        *,
        decode: Decode | None = None,
        grid: Grid | None = None,
        alpha: Schedule | None = None,
        sigma: Schedule | None = None,
    ) -> None:
        begin(guidance)
        self.guidance, self.decode, self.grid = guidance, decode, grid
        self.alpha, self.sigma = alpha or torch.ones_like, sigma or torch.clone

    def __call__(self, x: Tensor, t: Tensor, x_0: Tensor) -> Tensor:
        """The guidance term, of the shape of `x`."""
        a, b = level("alpha(t)", self.alpha(t)), level("sigma(t)", self.sigma(t))
        x_t, x0_hat = x.detach() / (a + b), x_0.detach()
        if b == 0:
            return torch.zeros_like(x0_hat)
        if self.guidance.needs_graph:
            if not (x.requires_grad and x_0.requires_grad):
                raise InvalidArgument("x_0", "a tensor without a graph", "a function of x, which requires gradients")

            def pull(cotangent: Tensor) -> Tensor:
                return (a + b) * torch.autograd.grad(x_0, x, cotangent, retain_graph=True)[0]

            with torch.inference_mode(False), torch.enable_grad():
                x_t = x_t.clone().requires_grad_()
                x0_hat = rejoin(x_t, x0_hat, pull)
        x0 = self.guidance.correction(x0_hat, x_t=x_t, sigma=b / (a + b), decode=self.decode, grid=self.grid).x0
        return a / b**2 * (x0 - x0_hat).detach()
