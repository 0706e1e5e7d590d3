"""One gradient of two losses, along which both fall, with no weight between them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from physgen.errors import InvalidArgument


def conflict_free(first: Tensor, second: Tensor, parameters: Iterable[Tensor]) -> Tensor:
    """A scalar of the value ``first + second`` whose gradient makes the same angle with those of both.

    g = (g1 . u + g2 . u) u,  u = (g1 / |g1| + g2 / |g2|) / |...|

    so neither loss rises, to first order, however different their scales are; the gradient is that of one loss where
    the other has none, and 0 where they are opposite. A gradient that is not finite counts as none. Call ``backward``
    on the result, as on any loss: gradients are found here, by ``torch.autograd.grad``, through the graphs of both, and
    handed on by the linear function of the parameters that has them. For parameters that are whole on each process.

    Args:
        first: a scalar.
        second: another.
        parameters: what is trained; those that need no gradient are left out.

    Raises:
        InvalidArgument: losses that are no scalars, no parameter that needs a gradient.

    Source: Liu, Chu and Thuerey, ConFIG, arXiv:2408.11104, for two losses; in flow matching: Baldan et al.,
        arXiv:2506.08604.

    >>> x = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> conflict_free(3 * x[0], 1e-3 * x[1], [x]).backward()
    >>> [round(value, 4) for value in x.grad.tolist()]
    [1.5005, 1.5005]
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise InvalidArgument("parameters", "none that needs a gradient", "the parameters that are trained")
    for name, loss in {"first": first, "second": second}.items():
        if loss.numel() != 1:
            raise InvalidArgument(name, list(loss.shape), "a scalar loss")
    g1, g2 = _gradient(first, trained), _gradient(second, trained)
    direction = torch.nn.functional.normalize(_unit(g1) + _unit(g2), dim=0)
    gradient = ((g1 + g2) @ direction) * direction
    surrogate = sum(
        (parameter * part.view_as(parameter).to(parameter.dtype)).sum()
        for parameter, part in zip(trained, gradient.split([p.numel() for p in trained]), strict=True)
    )
    assert isinstance(surrogate, Tensor)
    return surrogate + (first + second - surrogate).detach().squeeze()


def _gradient(loss: Tensor, parameters: list[Tensor]) -> Tensor:
    """All gradients as one vector, 0 where there is none."""
    if not loss.requires_grad:
        return torch.cat([torch.zeros_like(p).flatten().float() for p in parameters])
    parts = torch.autograd.grad(loss.squeeze(), parameters, retain_graph=True, allow_unused=True)
    vector = torch.cat(
        [(torch.zeros_like(p) if g is None else g).flatten().float() for p, g in zip(parameters, parts, strict=True)]
    )
    return vector if bool(vector.isfinite().all()) else torch.zeros_like(vector)


def _unit(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=0, eps=torch.finfo(vector.dtype).tiny)
