"""A linear constraint with a closed-form projection, and a batch to correct."""

import pytest
import torch
from torch import Tensor

from physgen.constraints import Constraint
from physgen.grid import Grid


class Hyperplane(Constraint):
    """<normal, fields> = offset, a residual of rank one."""

    name = "hyperplane"
    projects = True

    def __init__(self, normal: Tensor, offset: float) -> None:
        self.normal, self.offset = normal, offset

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        return fields.flatten(1) @ self.normal.to(fields)[:, None] - self.offset

    def project(self, fields: Tensor, grid: Grid | None) -> Tensor:
        normal = self.normal.to(fields)
        step = self.residual(fields, grid) / normal.square().sum() * normal
        return fields - step.view_as(fields)


@pytest.fixture
def hyperplane() -> Hyperplane:
    return Hyperplane(torch.randn(96, generator=torch.Generator().manual_seed(1)), offset=2.0)


@pytest.fixture
def x0_hat() -> Tensor:
    return torch.randn(3, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
