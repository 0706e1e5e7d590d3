"""A few Euler steps from noise to clean sample, and the way back through them with the graph of one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument

#: from samples and the number of a step of the schedule, from 0, to the velocity noise - x0
VelocityAt = Callable[[Tensor, int], Tensor]
#: noise level from which on a sample is all noise
NOISE = 0.99


@dataclass
class FewSteps:
    """The flow of a run in a few of its steps.

    x_k+1 = x_k + (s_k+1 - s_k) v(x_k, s_k),   g_k = g_k+1 + (s_k+1 - s_k) (dv / dx_k)^T g_k+1

    The levels are `count` of the run's own, at equal numbers of steps. On the way back each evaluation is made again,
    with its graph, so that never more than one graph is held.

    Attributes:
        velocity: of the run.
        sigmas: its noise levels, from all noise to 0; of n steps n + 1.
        count: evaluations on one way, at most n.
        evaluations, backward: of the network and ways back through it, sample by sample.

    Raises:
        InvalidArgument: a first level below 0.99. In use: a velocity without a graph.

    Source: the contract of this package.

    >>> flow = FewSteps(lambda x, k: 0.5 * x, [1.0, 0.75, 0.5, 0.25, 0.0], 2)
    >>> points = flow.forward(torch.ones(1, 1))[0]
    >>> points[-1].item() == 0.75**2, flow.back(points, torch.ones(1, 1)).item() == 0.75**2
    (True, True)
    """

    velocity: VelocityAt
    sigmas: Sequence[float]
    count: int
    evaluations: int = 0
    backward: int = 0

    def __post_init__(self) -> None:
        if not self.sigmas[0] >= NOISE:
            raise InvalidArgument(
                "sigmas", self.sigmas[0], f"a first level of {NOISE} to 1: a run that starts as noise"
            )
        total = len(self.sigmas) - 1
        count = min(self.count, total)
        self._steps = [round(k * total / count) for k in range(count)]

    def forward(self, noise: Float[Tensor, "B *shape"]) -> tuple[list[Tensor], Float[Tensor, "B *shape"]]:
        """Where the flow passes, from the noise to the clean sample, and the velocity at the noise."""
        points, velocities = [noise], []
        with torch.no_grad():
            for step, length in self._lengths():
                velocities.append(self.velocity(points[-1], step))
                points.append(points[-1] + length * velocities[-1])
        self.evaluations += len(noise) * len(velocities)
        return points, velocities[0]

    def back(self, points: Sequence[Tensor], gradient: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *shape"]:
        """The gradient with respect to the noise, of one with respect to the clean sample."""
        for (step, length), point in reversed(list(zip(self._lengths(), points[:-1], strict=True))):
            x = point.detach().requires_grad_()
            with torch.enable_grad():
                velocity = self.velocity(x, step)
            if not velocity.requires_grad:
                raise InvalidArgument("velocity", "no graph", "a function of x that autograd follows, for NoiseSearch")
            (part,) = torch.autograd.grad(velocity, x, length * gradient.to(velocity.dtype))
            gradient = gradient + part
            self.evaluations += len(x)
            self.backward += len(x)
        return gradient

    def _lengths(self) -> list[tuple[int, float]]:
        """Number of each step, and the change of the level to the next one."""
        levels = [*(self.sigmas[step] for step in self._steps), 0.0]
        return [(step, levels[k + 1] - levels[k]) for k, step in enumerate(self._steps)]
