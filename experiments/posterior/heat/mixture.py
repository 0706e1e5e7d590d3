"""A mixture of low-rank Gaussians whose flow-matching velocity is known in closed form."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Mixture:
    """p(x) = sum_d w_d N(0, A_d A_d^T + floor^2 I), in float64.

    Attributes:
        factors: A ``[D, N, K]``.
        floor: standard deviation of white noise on everything, so that there is a density.
        log_weights: log w ``[D]``.

    Source: flow matching in x_t = (1 - s) x + s e: Lipman et al., arXiv:2210.02747.

    >>> line = Mixture(torch.tensor([[[3.0], [4.0]]]), floor=0.1)
    >>> line.clean(torch.tensor([[3.0, 4.0]]).double(), 0.5).round(decimals=2).tolist()
    [[5.77, 7.69]]
    """

    def __init__(self, factors: Float[Tensor, "D N K"], *, floor: float, weights: Tensor | None = None) -> None:
        self.factors, self.floor = factors.double(), floor
        count = len(factors)
        self.log_weights = (torch.full((count,), 1 / count) if weights is None else weights).double().log()
        self.basis, values, _ = torch.linalg.svd(self.factors, full_matrices=False)
        self.variances = values.square()

    @property
    def size(self) -> int:
        """N."""
        return self.factors.shape[1]

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n N"]:
        """Independent draws."""
        component = torch.multinomial(self.log_weights.exp(), n, replacement=True, generator=generator)
        weights = torch.randn(n, self.factors.shape[2], 1, generator=generator, dtype=torch.float64)
        white = torch.randn(n, self.size, generator=generator, dtype=torch.float64)
        return (self.factors[component] @ weights)[..., 0] + self.floor * white

    def log_densities(self, x: Float[Tensor, "B N"], sigma: float) -> Float[Tensor, "B D"]:
        """Logarithm of w_d N(x_t; 0, (1 - s)^2 C_d + s^2 I) of every component, differentiable."""
        return self._log_densities(x, self._coefficients(x), sigma)

    def clean(self, x: Float[Tensor, "B N"], sigma: float) -> Float[Tensor, "B N"]:
        """E[x_0 | x_t = x]: posterior means of the components, weighted by responsibility."""
        signal, noise = 1 - sigma, self._noise(sigma)
        coefficients = self._coefficients(x)
        weights = torch.softmax(self._log_densities(x, coefficients, sigma), 1)
        shrink = signal * self.floor**2 / noise
        spread = signal * (self.variances + self.floor**2) / (signal**2 * self.variances + noise)
        return shrink * x + torch.einsum(
            "bdk,dnk->bn", weights[:, :, None] * (spread - shrink) * coefficients, self.basis
        )

    def velocity(self, x: Float[Tensor, "B N"], sigma: float) -> Float[Tensor, "B N"]:
        """E[e - x_0 | x_t = x] for 0 < s <= 1."""
        return (x - self.clean(x, sigma)) / sigma

    def covariance(self, component: int) -> Float[Tensor, "N N"]:
        """A_d A_d^T + floor^2 I."""
        factor = self.factors[component]
        return factor @ factor.T + self.floor**2 * torch.eye(self.size, dtype=torch.float64)

    def _noise(self, sigma: float) -> float:
        return ((1 - sigma) * self.floor) ** 2 + sigma**2

    def _coefficients(self, x: Tensor) -> Float[Tensor, "B D K"]:
        return torch.einsum("bn,dnk->bdk", x, self.basis)

    def _log_densities(self, x: Tensor, coefficients: Tensor, sigma: float) -> Tensor:
        noise = self._noise(sigma)
        spread = (1 - sigma) ** 2 * self.variances + noise
        square = x.square().sum(1)[:, None] / noise - (coefficients.square() * (1 / noise - 1 / spread)).sum(2)
        rank = self.variances.shape[1]
        volume = spread.log().sum(1) + (self.size - rank) * math.log(noise) + self.size * math.log(2 * math.pi)
        return self.log_weights - (square + volume) / 2


class Conditioned:
    """The mixture given J x + noise = b, exactly: again a mixture of Gaussians.

    C_d|b = C_d - K J C_d,  mu_d|b = K b,  K = C_d J^T G^-1,  w_d|b ~ w_d N(b; 0, G),  G = J C_d J^T + noise^2 I

    Without noise J x = b.

    Attributes:
        weights: ``[D]``; means: ``[D, N]``; roots: ``[D, N, R]`` with roots roots^T = C_d|b, of full rank;
        mean, std: of the whole mixture ``[N]``.

    Source: Gaussian conditioning, e.g. Bishop (2006), Pattern Recognition and Machine Learning, 2.3.

    >>> pair = Mixture(torch.tensor([[[1.0], [1.0]], [[1.0], [-1.0]]]), floor=1e-2)
    >>> given = Conditioned(pair, torch.tensor([[1.0, 0.0]]).double(), torch.tensor([2.0]).double())
    >>> given.weights.tolist(), given.means.round(decimals=2).tolist(), given.std.round(decimals=2).tolist()
    ([0.5, 0.5], [[2.0, 2.0], [2.0, -2.0]], [0.0, 2.0])
    """

    def __init__(
        self, prior: Mixture, jacobian: Float[Tensor, "M N"], values: Float[Tensor, "M"], noise: float = 0.0
    ) -> None:
        means, roots, inverses, evidence = [], [], [], []
        for component in range(len(prior.factors)):
            covariance = prior.covariance(component)
            half = jacobian @ covariance
            gram = half @ jacobian.T + noise**2 * torch.eye(len(jacobian), dtype=half.dtype)
            gain = torch.linalg.solve(gram, half).T
            variances, vectors = torch.linalg.eigh(covariance - gain @ half)
            free = slice(0 if noise else len(jacobian), None)
            roots.append(vectors[:, free] * variances[free].sqrt())
            inverses.append((vectors[:, free] / variances[free].sqrt()).T)
            means.append(gain @ values)
            evidence.append(-(values @ torch.linalg.solve(gram, values) + torch.logdet(gram)) / 2)
        self.means, self.roots, self._inverses = torch.stack(means), torch.stack(roots), torch.stack(inverses)
        self.weights = torch.softmax(prior.log_weights + torch.stack(evidence), 0)
        self.mean = self.weights @ self.means
        second = self.weights @ (self.roots.square().sum(2) + (self.means - self.mean).square())
        self.std = second.clamp(min=0).sqrt()
        self._log_scale = self.weights.log() - self.roots.square().sum(1).log().sum(1) / 2

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n N"]:
        """Independent draws."""
        component = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        white = torch.randn(n, self.roots.shape[2], 1, generator=generator, dtype=torch.float64)
        return self.means[component] + (self.roots[component] @ white)[..., 0]

    def component(self, x: Float[Tensor, "B N"]) -> Int[Tensor, "B"]:
        """The component under which a sample that satisfies J x = b is most probable."""
        white = torch.einsum("drn,bdn->bdr", self._inverses, x[:, None] - self.means)
        return (self._log_scale - white.square().sum(2) / 2).argmax(1)
