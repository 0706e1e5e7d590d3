"""A file as fields to measure, read frame by frame: a plan of the memory first, then everything that was guessed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint, ReactionDiffusion
from physgen.errors import InvalidArgument
from physgen.experiments.audit.instrument import background_counts, choose_observable, physical_scale, selection
from physgen.experiments.cli.schema import AuditConfig
from physgen.grid import Grid
from physgen.observables import Observable
from physgen.video import Extent, Selection, Video, measure_extent, stream_video

GIB = 2**30
#: bytes a pixel and frame of one species (its field in float64, twice that for what a law holds), and of each other
BYTES, MORE = 24, 16
#: the same of a law that fits its constants, as measured: of diffusion alone (144), and with reactions (370)
HEAT, REACTIONS = 150, 400
#: frames of a file that its page shows
SHOWN = 9
#: share of the brightness that a background must have before it is worth a word
FLOOR = 0.01


@dataclass(frozen=True)
class Fields:
    """A file's fields ``[1, S, T, H, W]`` in float64, and what they are.

    Attributes:
        video: what the file says, with the few frames that are shown.
        counts: the file's counts in a unit of the fields.
        dye: whether the world's colour map read them.
        part: which pixels and frames of the file they are.
    """

    values: Float[Tensor, "1 S T H W"]
    video: Video
    observable: Observable
    counts: float
    dye: bool
    grid: Grid
    units: dict[str, str]
    notes: list[str]
    part: Selection = field(default_factory=Selection)

    @property
    def scale(self) -> dict[str, Any]:
        """What the file says of itself, as ``metrics.json`` has it: null where it says nothing."""
        video = self.video
        return {
            "spacing_um": list(video.spacing) if video.spacing else None,
            "dt_s": video.dt,
            "frames": self.values.shape[2],
            "series": video.series,
            "channel": video.channel,
            "bits": video.bits,
            "background": video.background,
        }


def read_fields(
    path: Path,
    config: AuditConfig,
    prompt: str | None,
    reads_dye: Callable[[str | None], bool],
    laws: Collection[Constraint],
) -> Fields:
    """Read a file's fields in the memory of their own, where there is enough for the laws as well.

    ``reads_dye`` says, of the prompt of the options or else of the file, whether the world's colour map is meant.

    Raises: InvalidArgument for what does not fit into the memory, and as `stream_video`.
    """
    part = Selection(**selection(config))
    extent = measure_extent(path, **selection(config))
    require_memory(path, config, extent, bytes_held(laws, species=1))
    parts = stream_video(path, **selection(config))
    first = next(parts)
    prompt = prompt or first.prompt
    dye = reads_dye(prompt)
    observable, counts = choose_observable(first, config, prompt, dye)
    require_memory(path, config, extent, bytes_held(laws, len(observable.species)))
    shown: list[Tensor] = []
    values = _observe(chain([first], parts), observable, extent, shown)
    grid, units, notes = physical_scale(first, config, prompt if dye else None)
    units["mass"] = f"{observable.unit if dye else 'counts'} {units['length']}²"
    notes = [*first.notes, *notes]
    if not dye and background_counts(first, config) == 0:
        notes += _floor(first, float(values.mean()) * counts)
    video = replace(first, frames=torch.cat(shown))
    return Fields(values, video, observable, counts, dye, grid, units, notes, part)


def check_pace(path: Path, fields: Fields, config: AuditConfig, laws: dict[str, Constraint]) -> None:
    """Refuse laws that need one frame interval where the file says that there is none and no option states one.

    Raises: InvalidArgument.
    """
    names = [name for name, law in laws.items() if law.needs_constant_dt]
    if fields.video.times is not None and config.dt is None and names:
        got = next(note for note in fields.video.notes if "no constant" in note)
        raise InvalidArgument(f"{path}: dt", got, f"dt=s, to have {', '.join(names)} measured as if there were one")


def bytes_held(laws: Collection[Constraint], species: int) -> int:
    """Bytes a pixel and frame that reading and measuring hold at most.

    >>> from physgen.constraints import MassConservation, ReactionDiffusion
    >>> heat = ReactionDiffusion("diffusion", fitted="D")
    >>> bytes_held([MassConservation()], species=1), bytes_held([MassConservation(), heat], species=1)
    (24, 150)
    """
    fits = [law for law in laws if isinstance(law, ReactionDiffusion) and law.fitted]
    held = [species * (REACTIONS if any(law.system.rates) else HEAT) for law in fits]
    return max(BYTES + MORE * (species - 1), *held, 0)


def require_memory(path: Path, config: AuditConfig, extent: Extent, pixel: int) -> None:
    """Refuse what would not fit at so many bytes a pixel and frame, with what would.

    Raises: InvalidArgument.
    """
    available = (config.memory or psutil.virtual_memory().available / GIB) * GIB
    need = pixel * extent.frames * extent.height * extent.width
    if need <= available:
        return
    ratio = need / available
    every, block, part = math.ceil(ratio), math.ceil(math.sqrt(ratio)), 1 / math.sqrt(ratio)
    crop = [0, int(part * extent.height), 0, int(part * extent.width)]
    size = f"{extent.frames} frames of {extent.height} x {extent.width}, {pixel} bytes a pixel and frame"
    raise InvalidArgument(
        f"{path}: memory",
        f"{available / GIB:.3g} GiB",
        f"{need / GIB:.3g} GiB or more ({size}); what would fit: crop={str(crop).replace(' ', '')}, "
        f"every={config.every * every} or scale={config.scale / block:.4g}",
    )


def _observe(parts: Iterator[Video], observable: Observable, extent: Extent, shown: list[Tensor]) -> Tensor:
    """Fields of all frames; a few frames themselves are put into ``shown``."""
    size = (1, len(observable.species), extent.frames, extent.height, extent.width)
    values = torch.empty(size, dtype=torch.float64)
    wanted = {round(i * (extent.frames - 1) / (SHOWN - 1)) for i in range(SHOWN)}
    count = 0
    for count, part in enumerate(parts, 1):
        if count > extent.frames:
            raise InvalidArgument("frames", f"more than {extent.frames}", "as many as the file states")
        if count - 1 in wanted:
            shown.append(part.frames)
        values[:, :, count - 1 : count] = observable(part.frames.transpose(0, 1)[None].double())
    return values[:, :, :count]


def _floor(video: Video, mean: float) -> list[str]:
    if video.background is None or video.background <= 0 or mean <= 0:
        return []
    share = video.background / mean
    if share < FLOOR:
        return []
    return [
        f"empty space shows about {video.background:.4g} counts, {100 * min(share, 1):.0f} % of all brightness: "
        "they are measured as amount (background=auto takes them off)"
    ]
