"""What samplers that are plain functions share: x0* at one noise level."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from physgen.arguments import finite_tensor
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Guidance
from physgen.guidance.base import read_guidance
from physgen.guidance.problem import Decode


def begin(guidance: Guidance) -> None:
    """Reset a guidance for a sampler that tells neither its steps nor what follows one.

    Raises:
        InvalidArgument: `start`, `stop`, `every`, `renoise`, `recurrence`, `particles` or `searches` other than the
            one that asks for nothing.
    """
    read_guidance(guidance)
    plain_values = {"start": 0.0, "stop": 1.0, "every": 1, "renoise": 0.0, "recurrence": 1, "particles": 1}
    plain_values |= {"searches": False}
    for name, plain in plain_values.items():
        for value in {getattr(part, name) for part in guidance.parts} - {plain}:
            raise InvalidArgument(name, value, f"{plain} in a sampler that does not say at which step it is")
    guidance.reset()


def level(name: str, values: float | Tensor) -> float:
    """The noise level of a batch, which is the same for all its samples.

    Raises:
        InvalidArgument: levels that differ or are negative.
    """
    allowed = "one level >= 0 for the whole batch"
    flat = finite_tensor(name, values, allowed).flatten()
    if len(flat) == 0 or not bool((flat == flat[0]).all()) or not float(flat[0]) >= 0:
        raise InvalidArgument(name, flat.tolist(), allowed)
    return float(flat[0])


def corrected(
    guidance: Guidance,
    predict: Callable[[Tensor], Tensor],
    x_t: Tensor,
    sigma: float,
    decode: Decode | None,
    grid: Grid | None,
    position: tuple[int, int] | None = None,
) -> Tensor:
    """x0* of x0_hat = predict(x_t), x_t = (1 - sigma) x0 + sigma noise, detached.

    The network has a graph only where the guidance needs it, and then also under `no_grad` and `inference_mode`.
    """
    if guidance.needs_graph:
        with torch.inference_mode(False), torch.enable_grad():
            x_t = x_t.detach().clone().requires_grad_()
            x0_hat = predict(x_t)
    else:
        with torch.no_grad():
            x0_hat = predict(x_t)
    return guidance.correct(
        x0_hat, x_t=x_t, sigma=sigma, decode=decode, grid=grid, position=position, predict=predict
    ).detach()
