"""Linear constraints J x = b on flat samples."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class Linear:
    """J x = b with rows of full rank, and what is nearest.

    >>> law = Linear(torch.tensor([[1.0, 1.0]]), torch.tensor([1.0]))
    >>> x = torch.tensor([[2.0, 1.0]])
    >>> law.residual(x).tolist(), law.project(x).round(decimals=5).tolist()
    ([[2.0]], [[1.0, 0.0]])
    """

    def __init__(self, jacobian: Float[Tensor, "M N"], values: Float[Tensor, "M"]) -> None:
        self.jacobian, self.values = jacobian, values
        self.pseudoinverse = torch.linalg.pinv(jacobian)

    def residual(self, x: Float[Tensor, "B N"]) -> Float[Tensor, "B M"]:
        """J x - b."""
        return x @ self.jacobian.T - self.values

    def shortfall(self, x: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        """J^+ (b - J x), the shortest way to the constraints."""
        return -self.residual(x) @ self.pseudoinverse.T

    def row_space(self, v: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        """J^+ J v."""
        return v @ self.jacobian.T @ self.pseudoinverse.T

    def project(self, x: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        """The nearest x with J x = b; twice, for the rounding."""
        x = x + self.shortfall(x)
        return x + self.shortfall(x)
