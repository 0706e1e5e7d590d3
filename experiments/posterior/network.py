"""A velocity that counts what is asked of it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


class Counted:
    """The velocity, with the number of its evaluations and of backward passes through it.

    >>> import torch
    >>> velocity = Counted(lambda x, sigma: sigma * x)
    >>> x = torch.ones(1, 2, requires_grad=True)
    >>> _ = torch.autograd.grad(velocity(x, 0.5).sum(), x)
    >>> velocity.evaluations, velocity.backward_passes
    (1, 1)
    """

    def __init__(self, velocity: Callable[[Tensor, float], Tensor]) -> None:
        self.velocity = velocity
        self.evaluations = self.backward_passes = 0

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        self.evaluations += 1
        v = self.velocity(x, float(sigma))
        if v.requires_grad:
            v.register_hook(self._count)
        return v

    def _count(self, _: Tensor) -> None:
        self.backward_passes += 1
