"""A pipeline's network, called with some rows of its batch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from physgen.sampling.calls import split_latents, with_output
from physgen.sampling.swap import called_through

Call = Callable[..., Any]
#: inputs that may have several rows of each sample, one of each frame
REPEATED = "encoder_hidden_states"


@dataclass
class LivingRows:
    """The rows of a batch that the network is called with, and how many rows it was called with in all.

    Attributes:
        batch: rows of the whole batch.
        rows: those that live; None for all of them.
        mirrored: of every row, the place among `rows` of the one whose output it has.
        evaluations: of the network, row by row; both branches of classifier-free guidance count.
    """

    batch: int = 0
    rows: Int64[Tensor, "K"] | None = None
    mirrored: Int64[Tensor, "B"] | None = None
    evaluations: int = 0

    def begin(self) -> None:
        """All rows live, none was called."""
        self.rows, self.mirrored, self.evaluations = None, None, 0

    def keep(self, batch: int, groups: int, left: int) -> None:
        """From here on the first rows of each group live, as many as are left of it."""
        self.batch = batch
        if left * groups == batch:
            return
        place = torch.arange(batch // groups).where(torch.arange(batch // groups) < left, 0)
        self.rows = (torch.arange(groups)[:, None] * (batch // groups) + torch.arange(left)).flatten()
        self.mirrored = (torch.arange(groups)[:, None] * left + place).flatten()

    def of(self, tensor: Tensor) -> Tensor:
        """The living rows of the batch."""
        return tensor if self.rows is None else tensor[self.rows.to(tensor.device)]

    def whole(self, living: Tensor) -> Tensor:
        """The batch, in which rows that do not live have what a living one has."""
        return living if self.mirrored is None else living[self.mirrored.to(living.device)]

    def generators(self, generator: Any) -> Any:
        """Those of the living rows, where there is a list of them."""
        if not isinstance(generator, list) or self.rows is None:
            return generator
        return [generator[row] for row in self.rows.tolist()]

    def wrap(self, call: Call, bypassed: Callable[[], bool] = lambda: False) -> Call:
        """`call` of a transformer, with the living rows of what has as many rows as its latents.

        Calls are made as they are where `bypassed` says so: those that repeat a call of the living rows.
        """

        def living(*args: Any, **kwargs: Any) -> Any:
            rows = len(split_latents(args, kwargs)[0])
            if self.rows is None or rows % self.batch or bypassed():
                self.evaluations += rows
                return call(*args, **kwargs)
            branches = range(0, rows, self.batch)
            called = torch.cat([self.rows + start for start in branches])
            assert self.mirrored is not None
            given_back = torch.cat([self.mirrored + branch * len(self.rows) for branch in range(len(branches))])

            def part(value: Any, name: str = "") -> Any:
                if not isinstance(value, Tensor) or not value.ndim:
                    return value
                if len(value) == rows:
                    return value[called.to(value.device)]
                if name.startswith(REPEATED) and len(value) % rows == 0:
                    return value.unflatten(0, (rows, -1))[called.to(value.device)].flatten(0, 1)
                return value

            self.evaluations += len(called)
            result = call(*map(part, args), **{name: part(value, name) for name, value in kwargs.items()})
            output = result[0]
            return with_output(result, output[given_back.to(output.device)])

        return living


@contextmanager
def called_with(
    living: LivingRows, models: list[nn.Module], bypassed: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """The models are called with living rows inside, but where they are `bypassed`."""
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(called_through(model, lambda _, call: living.wrap(call, bypassed)))
        yield
