"""Linear sets and guidances whose result is known."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from physgen.constraints import Constraint
from physgen.grid import Grid
from physgen.guidance import Correction, Guidance, X0Gradient


class LinearSet(Constraint):
    """W fields = b, seven equations."""

    name = "linear"
    projects = True

    def __init__(self, shape: Sequence[int]) -> None:
        generator = torch.Generator().manual_seed(3)
        self.weight = torch.randn(7, math.prod(shape), generator=generator, dtype=torch.float64)
        self.offset = torch.randn(7, generator=generator, dtype=torch.float64)

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        return (fields.flatten(1).double() @ self.weight.T - self.offset).to(fields.dtype)

    def project(self, fields: Tensor, grid: Grid | None) -> Tensor:
        residual = fields.flatten(1).double() @ self.weight.T - self.offset
        step = torch.linalg.solve(self.weight @ self.weight.T, residual.T).T @ self.weight
        return (fields.double() - step.view_as(fields)).to(fields.dtype)


class Scripted(X0Gradient):
    """x0* is a fixed tensor, whatever the model says."""

    def __init__(self, target: Tensor) -> None:
        super().__init__([LinearSet(target.shape[1:])])
        self.target = target

    def correction(self, x0_hat: Tensor, **_: Any) -> Correction:
        return Correction(self.target.expand_as(x0_hat).to(x0_hat.dtype), {}, 0.0, 0)


@pytest.fixture
def linear_set() -> Callable[[Sequence[int]], Constraint]:
    return LinearSet


@pytest.fixture
def scripted() -> Callable[[Tensor], Guidance]:
    return Scripted
