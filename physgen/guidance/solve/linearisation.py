"""Residual and Jacobian products at a point, without the Jacobian."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from physgen.errors import InvalidArgument
from physgen.guidance.problem import Problem
from physgen.tensors import finite_samples, rms


class Linearisation:
    """h(x + dx) = h + J dx to first order, each sample by itself.

    The graph of h is built once. J^T w is one backward pass through it; J v is one through that backward pass, which is
    linear in w: J v = d/dw <J^T w, v>. Memory is that of the graph: never a dense Jacobian.

    Args:
        problem: the constraints.
        x: the point; with `fields`, a leaf.
        fields: of it, with a graph that can be differentiated twice; they are decoded where None.

    Attributes:
        x: the point ``[B, ...]``.
        fields: what the constraints saw.
        residual: h ``[B, M]``, all constraints together, detached.
        inequality: which entries ``[M]`` are h <= 0 instead of h = 0.

    Raises:
        InvalidArgument: fields that do not depend differentiably on the samples.

    Source: double backward: Pearlmutter (1994), Neural Computation 6:147.

    >>> from physgen.constraints import Equality
    >>> at = Linearisation(Problem({"sphere": Equality(lambda x: x.square().sum(1) - 1)}), torch.tensor([[3.0, 4.0]]))
    >>> at.residual.tolist(), at.vjp(torch.tensor([[1.0]])).tolist(), at.jvp(torch.tensor([[1.0, 0.0]])).tolist()
    ([[24.0]], [[6.0, 8.0]], [[6.0]])
    """

    def __init__(self, problem: Problem, x: Float[Tensor, "B *shape"], fields: Tensor | None = None) -> None:
        self.x = x if fields is not None else x.detach().requires_grad_()
        if fields is None:
            with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
                fields = problem.fields(self.x)
        residuals = problem.residuals(fields)
        self._residual = torch.cat(list(residuals.values()), 1)
        if not self._residual.requires_grad:
            raise InvalidArgument("decode", problem.decode, "differentiable maps from samples to fields")
        self.fields, self.residual = fields.detach(), self._residual.detach()
        self._sizes = {name: part.shape[1] for name, part in residuals.items()}
        inequality = [
            torch.full((residual.shape[1],), problem.constraints[name].kind == "inequality", device=x.device)
            for name, residual in residuals.items()
        ]
        self.inequality: Bool[Tensor, "M"] = torch.cat(inequality)
        self._transposed: tuple[Tensor, Tensor] | None = None

    @property
    def active(self) -> Bool[Tensor, "B M"]:
        """Which entries ask for a move: those of equalities, and of inequalities that are violated."""
        return ~self.inequality | (self.residual > 0)

    @property
    def violation(self) -> Float[Tensor, "B M"]:
        """|h| of equalities, max(h, 0) of inequalities."""
        return torch.where(self.inequality, self.residual.clamp(min=0), self.residual.abs())

    @property
    def rms(self) -> dict[str, float]:
        """RMS of each constraint's residual (of its positive part, of an inequality), NaN where no sample is finite."""
        parts = self.violation.split(list(self._sizes.values()), 1)
        return {name: rms(part[finite_samples(part)]) for name, part in zip(self._sizes, parts, strict=True)}

    def vjp(self, w: Float[Tensor, "B M"]) -> Float[Tensor, "B *shape"]:
        """J^T w."""
        (product,) = torch.autograd.grad(self._residual, self.x, w.to(self._residual), retain_graph=True)
        return product

    def jvp(self, v: Float[Tensor, "B *shape"]) -> Float[Tensor, "B M"]:
        """J v."""
        if self._transposed is None:
            w = torch.zeros_like(self._residual, requires_grad=True)
            (product,) = torch.autograd.grad(self._residual, self.x, w, create_graph=True)
            self._transposed = w, product
        w, product = self._transposed
        if not product.requires_grad:
            return torch.zeros_like(self.residual)
        (image,) = torch.autograd.grad(product, w, v, retain_graph=True)
        return image
