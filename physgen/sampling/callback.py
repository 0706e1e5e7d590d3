"""Why a guidance is not a pipeline callback."""

from __future__ import annotations

from typing import NoReturn

from physgen.errors import InvalidArgument
from physgen.guidance import Guidance


def as_callback(guidance: Guidance) -> NoReturn:
    """Refuse to make a `callback_on_step_end` of a guidance, and say why.

    Multistep schedulers rebuild the sample from the model outputs that they keep: UniPC's corrector undoes whatever a
    callback writes into the latents one step later. Use `guide`, which corrects what the scheduler is given.

    Raises:
        InvalidArgument: always.

    Source: Zhao et al., UniPC, arXiv:2302.04867.

    >>> from physgen.constraints import MassConservation
    >>> from physgen.guidance import X0Gradient
    >>> as_callback(X0Gradient([MassConservation()]))
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: callback_on_step_end='X0Gradient': allowed: ...
    """
    allowed = "with guide(pipe, guidance): ... (multistep schedulers overwrite what a callback does to the latents)"
    raise InvalidArgument("callback_on_step_end", type(guidance).__name__, allowed)
