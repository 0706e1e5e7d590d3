"""Batches whose samples are read by different colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.observables import Observable


class Mixed(Observable):
    """One observable for each sample of a batch, all with as many species.

    Raises:
        InvalidArgument: observables with different numbers of species; in use, a batch of another size.

    >>> from physgen.observables import Intensity
    >>> read = Mixed([Intensity(), Intensity(background=0.5)])
    >>> read(torch.full((2, 3, 1, 1, 1), 0.75)).flatten().tolist()
    [0.75, 0.25]
    """

    def __init__(self, observables: Sequence[Observable]) -> None:
        counts = sorted({len(observable.species) for observable in observables})
        if len(counts) != 1:
            raise InvalidArgument("observables", counts, "one or more, all with as many species")
        self.observables = list(observables)
        self.species, self.unit = observables[0].species, observables[0].unit
        lows, highs = zip(*(observable.bounds for observable in observables), strict=True)
        self.bounds = max(lows), min(highs)

    def __call__(self, video: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B S T H W"]:
        return self._each(lambda observable, one: observable(one), video)

    def embed(
        self, video: Float[Tensor, "B 3 T H W"], fields: Float[Tensor, "B S T H W"]
    ) -> Float[Tensor, "B 3 T H W"]:
        return self._each(lambda observable, *pair: observable.embed(*pair), video, fields)

    def _each(self, read: Callable[..., Tensor], *batches: Tensor) -> Tensor:
        if any(len(batch) != len(self.observables) for batch in batches):
            raise InvalidArgument("video", [len(batch) for batch in batches], f"{len(self.observables)} samples")
        parts = zip(self.observables, *(batch.split(1) for batch in batches), strict=True)
        return torch.cat([read(*part) for part in parts])
