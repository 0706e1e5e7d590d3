"""Tensors whose first axis is samples, each of which stands by itself."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

#: values that `torch.quantile` takes
MOST = 2**24


def finite_samples(x: Float[Tensor, "B *shape"]) -> Bool[Tensor, "B"]:
    """Which samples of a batch hold neither NaN nor infinity.

    >>> finite_samples(torch.tensor([[1.0, torch.nan], [1.0, 2.0]])).tolist()
    [False, True]
    """
    return torch.isfinite(x).flatten(1).all(1)


def of_samples(values: Shaped[Tensor, "B"], x: Float[Tensor, "B *shape"]) -> Tensor:
    """One value of each sample, against the samples.

    >>> of_samples(torch.tensor([1.0, 2.0]), torch.zeros(2, 3, 4)).shape
    torch.Size([2, 1, 1])
    """
    return values.view(-1, *[1] * (x.ndim - 1))


def single(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The same in float32, or finer where it is finer: what sums and differences of half precision would lose.

    >>> single(torch.ones(1, dtype=torch.bfloat16)).dtype, single(torch.ones(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def soft_step(x: Float[Tensor, "*shape"], width: Float[Tensor, "*#shape"]) -> Float[Tensor, "*shape"]:
    """sigmoid(x / width), between 0 and 1; where the width is 0 the hard step, 1 above 0.

    >>> soft_step(torch.tensor([0.0, 0.0, 2.0]), torch.tensor([1.0, 0.0, 0.0])).tolist()
    [0.5, 0.0, 1.0]
    """
    return torch.where(width > 0, torch.sigmoid(x / torch.where(width > 0, width, 1)), (x > 0).to(x))


def quantile(x: Float[Tensor, "*shape"], part: float) -> Tensor:
    """The value below which this part of all values lies, with a gradient.

    `torch.quantile` takes at most 2^24 values; of more it is the value of the nearest rank.

    >>> quantile(torch.arange(5.0), 0.25)
    tensor(1.)
    """
    flat = x.flatten()
    if len(flat) <= MOST:
        return flat.quantile(part)
    return flat.kthvalue(1 + round(part * (len(flat) - 1))).values


def rms(x: Tensor) -> float:
    """Root mean square over all elements, NaN for none.

    >>> rms(torch.tensor([3.0, 4.0])) == 12.5**0.5
    True
    """
    return float(x.detach().double().square().mean().sqrt())


def keep_finite(new: Float[Tensor, "B *shape"], old: Float[Tensor, "B *shape"]) -> tuple[Tensor, int]:
    """`new` where a sample of it is finite, else `old`; and the number of samples dropped.

    >>> keep_finite(torch.tensor([[torch.nan], [1.0]]), torch.zeros(2, 1))
    (tensor([[0.],
            [1.]]), 1)
    """
    finite = finite_samples(new)
    return torch.where(of_samples(finite, new), new, old), int((~finite).sum())
