"""A finished video as the instruments read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.experiments.instruments.devices.objects import Track, follow
from physgen.experiments.instruments.subject import Subject
from physgen.experiments.measure.laws import colour_map
from physgen.grid import Grid
from physgen.measure import degenerate
from physgen.observables import ColourMap
from physgen.simulators import beads, blood, dye, gray_scott, growth, mitosis, sheet, vesicles, vessel
from physgen.simulators.base import FRAMES, SIZE

Array = npt.NDArray[np.float64]

GRIDS = {
    "dye": dye.GRID,
    "growth": growth.GRID,
    "gray_scott": gray_scott.GRID,
    "mitosis": mitosis.GRID,
    "blood": blood.GRID,
    "vessel": vessel.GRID,
    "beads": beads.GRID,
    "sheet": sheet.GRID,
    "vesicles": vesicles.GRID,
}
#: species of the colour map that objects and masses are read from
SPECIES = {"gray_scott": 1}
#: spread of that species, in its unit, below which nothing is seen
LEAST_CONTRAST = 0.1
#: mean change of brightness from frame to frame below which nothing moves: the slowest of 4,400 videos without a fault
#: (the nulls of ``stillness``) has 0.0010, first frames that were repeated and written to a file up to 0.0003
LEAST_CHANGE = 0.0005


@dataclass(frozen=True)
class Clip:
    """`FRAMES` frames ``[3, T, H, W]`` in [0, 1], and what they are said to show, ``None`` where nobody says."""

    video: Float[Tensor, "3 T H W"]
    subject: Subject | None

    @cached_property
    def pixels(self) -> Array:
        """The video in float64."""
        return np.asarray(self.video.double().numpy())

    @cached_property
    def light(self) -> Array:
        """Mean of the channels, ``[T, H, W]``."""
        return np.asarray(self.pixels.mean(0))

    @cached_property
    def changes(self) -> Array:
        """Rms difference of each frame to the next, ``[T - 1]``."""
        return np.sqrt(np.square(np.diff(self.light, axis=0)).mean((1, 2)))

    @property
    def grid(self) -> Grid:
        """Scale and walls of the family."""
        assert self.subject
        return GRIDS[self.subject.family]

    @property
    def observable(self) -> ColourMap:
        """The colour map that the family's simulator draws with."""
        assert self.subject
        if self.subject.family == "mitosis":
            chromatin = mitosis.COLOURS[self.subject.attributes["colour"]].tolist()
            return ColourMap([chromatin], mitosis.BACKGROUND.tolist(), ("chromatin",))
        return colour_map(self.subject.family, self.subject.attributes)

    @cached_property
    def fields(self) -> Array:
        """What the observable reads, ``[S, T, H, W]``."""
        return np.asarray(self.observable(self.video[None].double())[0].numpy())

    @property
    def species(self) -> int:
        """Index of the species that objects and masses are read from."""
        assert self.subject
        return SPECIES.get(self.subject.family, 0)

    @property
    def field(self) -> Array:
        """That species, ``[T, H, W]``."""
        return self.fields[self.species]

    @property
    def periodic(self) -> bool:
        """Whether what leaves the frame comes in again on the other side."""
        return self.grid.boundary == "periodic"

    @cached_property
    def tracks(self) -> tuple[list[Track], Array]:
        """Objects in that species, see `follow`."""
        return follow(self.field, self.periodic)

    @cached_property
    def seen(self) -> bool:
        """Whether that species is there at all."""
        return self._degenerate not in ("empty", "uniform")

    @cached_property
    def moves(self) -> bool:
        """Whether it is there, and something happens: more than noise, and than what compression makes of a still."""
        return self._degenerate is None and bool(self.changes.mean() > LEAST_CHANGE)

    @cached_property
    def _degenerate(self) -> str | None:
        return degenerate(torch.from_numpy(self.field)[None, None], LEAST_CONTRAST)[0]


def clips_of(video: Float[Tensor, "T 3 H W"], subject: Subject | None) -> list[Clip]:
    """The parts of a video that can be measured: the video itself where its subject is known, else `FRAMES` at a time.

    Without a subject the shorter side is brought to `SIZE` pixels by averaging. No part where a subject's video has not
    the size and number of frames that the instruments are calibrated for, or any video fewer frames.

    >>> [clip.video.shape[1] for clip in clips_of(torch.rand(60, 3, 130, 130), None)]
    [25, 25]
    """
    frames, _, height, width = video.shape
    if subject is not None:
        fits = (frames, height, width) == (FRAMES, SIZE, SIZE)
        return [Clip(video.transpose(0, 1), subject)] if fits else []
    if frames < FRAMES or min(height, width) < SIZE:
        return []
    shape = [round(side * SIZE / min(height, width)) for side in (height, width)]
    small = torch.nn.functional.interpolate(video.float(), shape, mode="area")
    return [Clip(part.transpose(0, 1), None) for part in small.split(FRAMES) if len(part) == FRAMES]
