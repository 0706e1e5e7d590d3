"""Projection in the metric of what the model may still change: that of an ensemble of its own samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.names import Laws
from physgen.guidance.base import Guidance
from physgen.guidance.solve.least_norm import least_norm
from physgen.guidance.solve.linearisation import Linearisation
from physgen.guidance.step import Step, Update

#: most products with J and J^T of one solve, and its relative tolerance
PRODUCTS, TOLERANCE = 40, 1e-3
#: variances of the ensemble, relative to the largest, that count as none
NONE = 1e-8


@dataclass(frozen=True)
class Ensemble:
    """Principal directions ``[N, K]`` of a set of samples and the `variances` ``[K]`` along them."""

    directions: Float[Tensor, "N K"]
    variances: Float[Tensor, "K"]

    @classmethod
    def of(cls, samples: Float[Tensor, "M *shape"]) -> Ensemble:
        """Of the samples about their mean.

        >>> Ensemble.of(torch.tensor([[3.0, 4.0], [-3.0, -4.0]])).variances.round(decimals=2).tolist()
        [50.0]
        """
        centred = samples.flatten(1) - samples.flatten(1).mean(0)
        _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
        variances = singular.square() / (len(samples) - 1)
        kept = variances > NONE * variances[0]
        return cls(directions[kept].T.contiguous(), variances[kept])

    def root(self, sigma: float) -> Float[Tensor, "N K"]:
        """L with L L^T = (C^-1 + (1 - s)^2 / s^2)^-1, the covariance of x_0 given x_t for Gaussian samples."""
        precision = 1 / self.variances + ((1 - sigma) / sigma) ** 2
        return self.directions / precision.sqrt()


class MetricProjection(Guidance):
    """The likeliest sample that satisfies the constraints, to first order, for Gaussian p(x0 | x_t); no backward pass.

    x0* = x0_hat + L z,  z = argmin ||z||  subject to  h(x0_hat) + J L z = 0,  L L^T = (C^-1 + (1 - s)^2 / s^2)^-1

    C is the covariance of an ensemble of unguided samples. With L = 1 this would be the Gauss-Newton step of
    `Projection`, which changes what a constraint sees and leaves the rest as it is. The finished video is projected
    (`terminal`, on by default).

    Source: covariance of the Gaussian posterior: Boys et al., arXiv:2310.06721; by ensembles: Evensen (1994),
        J. Geophys. Res. 99:10143.

    >>> from physgen.constraints import Equality
    >>> ensemble = Ensemble(torch.tensor([[0.8], [0.6]]), torch.tensor([1.0]))
    >>> first = Equality(lambda x: x[:, 0] - 0.4)
    >>> x = torch.zeros(1, 2)
    >>> MetricProjection([first], ensemble).correct(x, x_t=x, sigma=0.5).mul(10).round().tolist()
    [[4.0, 3.0]]
    """

    derivatives = 2

    def __init__(self, constraints: Laws, ensemble: Ensemble, *, terminal: bool = True, **knobs: Any) -> None:
        super().__init__(constraints, terminal=terminal, **knobs)
        self.ensemble = ensemble

    def update(self, step: Step) -> Update:
        x0, at = step.x0.detach(), Linearisation(step.problem, step.x0, step.fields)
        root = self.ensemble.root(step.sigma).to(x0)
        active = ~at.inequality | (at.residual > 0)

        def jvp(z: Tensor) -> Tensor:
            return active * at.jvp((z @ root.T).view_as(x0))

        def vjp(w: Tensor) -> Tensor:
            return at.vjp(active * w).flatten(1) @ root

        found = least_norm(jvp, vjp, -(active * at.residual), steps=PRODUCTS, tolerance=TOLERANCE)
        move = (vjp(found.values) @ root.T).view_as(x0)
        return Update(x0 + move, at.rms)

    def citation(self) -> str:
        return """@article{evensen1994enkf,
  title = {Sequential data assimilation with a nonlinear quasi-geostrophic model using {Monte Carlo} methods
           to forecast error statistics},
  author = {Evensen, Geir},
  journal = {Journal of Geophysical Research},
  volume = {99},
  pages = {10143--10162},
  year = {1994}
}"""
