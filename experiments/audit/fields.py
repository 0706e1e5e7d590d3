"""A file as fields to measure, read frame by frame: a plan of the memory first, then everything that was guessed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy.typing as npt
import psutil
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import (
    Constraint,
    Continuity,
    Kinetics,
    MassConservation,
    Periodic,
    ReactionDiffusion,
    Transport,
)
from physgen.errors import InvalidArgument
from physgen.experiments.audit.reading_options import background_counts, choose_observable, physical_scale, selection
from physgen.experiments.cli.schema import AuditConfig
from physgen.grid import Grid
from physgen.measure import degenerate
from physgen.measure.ceiling import Ceiling, Clipped
from physgen.measure.unusable import why_late, why_repeated
from physgen.observables import Observable
from physgen.video import Extent, Selection, Video, measure_extent, stream_video

GIB = 2**30
#: bytes a pixel and frame of one species (its field in float64, twice that for what a law holds), and of each other
BYTES, MORE = 24, 16
#: the same of a law that fits its constants, as measured: of diffusion alone (144), and with reactions (370)
HEAT, REACTIONS = 150, 400
#: frames of a file that its page shows
SHOWN = 9
#: share of the pixels at the largest count that is worth a word, and of the brightness there from which laws of amounts
#: are not measured: of spots that spread, D is 2 % too small at 0.015, 5 % at 0.025, a fifth at 0.08
SEEN, CUT = 0.0005, 0.02
#: laws that are wrong where light is cut off
OF_AMOUNTS = (MassConservation, ReactionDiffusion, Continuity, Kinetics)
#: laws whose constants are rates
OF_RATES = (MassConservation, ReactionDiffusion, Kinetics, Transport)
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
        clipped: what of the file's own pixels is at the largest count, where light is cut off there.
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
    clipped: Clipped = field(default_factory=Clipped)

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
    ceiling: list[Ceiling] = []

    def watch(counts: npt.NDArray[Any], video: Video) -> None:
        if not ceiling:
            ceiling.append(Ceiling(video.scale, 0.0 if video.bits is None else 1.0))
        ceiling[0].add(counts)

    parts = stream_video(path, watch=watch, **selection(config))
    first = next(parts)
    prompt = prompt or first.prompt
    dye = reads_dye(prompt)
    observable, counts = choose_observable(first, config, prompt, dye)
    require_memory(path, config, extent, bytes_held(laws, len(observable.species)))
    shown: list[Tensor] = []
    unit = first.scale if dye and first.bits is None else 1.0
    values = _observe(chain([first], parts), observable, extent, shown, unit)
    clipped = ceiling[0].clipped(first.background or 0.0)
    grid, units, notes = physical_scale(first, config, prompt if dye else None)
    units["mass"] = f"{observable.unit if dye else 'counts'} {units['length']}²"
    notes = [*first.notes, *notes]
    if unit != 1.0:
        notes.append("the colour map reads the floats as they are stored")
    if clipped.pixels > SEEN:
        notes.append(_in_words(clipped, first))
    if not dye and background_counts(first, config) == 0:
        notes += _floor(first, float(values.mean()) * counts)
    video = replace(first, frames=torch.cat(shown))
    return Fields(values, video, observable, counts, dye, grid, units, notes, part, clipped)


def check_pace(path: Path, fields: Fields, config: AuditConfig, laws: dict[str, Constraint]) -> None:
    """Refuse laws that need one frame interval where the file says that there is none and no option states one.

    Raises: InvalidArgument.
    """
    names = [name for name, law in laws.items() if law.needs_constant_dt]
    if fields.video.times is not None and config.dt is None and names:
        got = next(note for note in fields.video.notes if "no constant" in note)
        raise InvalidArgument(f"{path}: dt", got, f"dt=s, to have {', '.join(names)} measured as if there were one")


def why_nothing(fields: Fields, laws: Mapping[str, Constraint]) -> dict[str, str | None]:
    """Why nothing can be said of each law: see `degenerate`, or light is cut off, ``saturated``; None where it can."""
    why = degenerate(fields.values, fields.observable.least)[0]
    cut = "saturated" if fields.clipped.amount > CUT else None
    return {name: why or (cut if isinstance(law, OF_AMOUNTS) else None) for name, law in laws.items()}


def why_doubtful(fields: Fields, laws: Mapping[str, Constraint]) -> dict[str, str | None]:
    """Why constants of each law mean nothing: frames that were put in make rates too small, any repeated one a period.

    A camera that shows a frame in the place of one that it dropped leaves rates alone, within their errors.
    """
    movie = fields.values[0].sum(0).numpy()
    late, repeated = why_late(movie), why_repeated(movie)
    rated = {name: isinstance(law, OF_RATES) and bool(set(law.fitted) - {"initial_mass"}) for name, law in laws.items()}
    return {
        name: repeated if isinstance(law, Periodic) else late if rated[name] else None for name, law in laws.items()
    }


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
    rows, columns = int(part * extent.height), int(part * extent.width)
    wanted = Selection(**selection(config))
    y, x = wanted.places.corner
    crop = f"crop=[{y},{y + wanted.block * rows},{x},{x + wanted.block * columns}]"
    ways = {
        crop: min(rows, columns) > 0,
        f"every={config.every * every}": extent.frames > every,
        f"scale={config.scale / block:.4g}": min(extent.height, extent.width) >= block,
    }
    fitting = ", ".join(way for way, fits in ways.items() if fits) or "no part of it"
    size = f"{extent.frames} frames of {extent.height} x {extent.width}, {pixel} bytes a pixel and frame"
    raise InvalidArgument(
        f"{path}: memory",
        f"{available / GIB:.3g} GiB",
        f"{need / GIB:.3g} GiB or more ({size}); what would fit: {fitting}",
    )


def _observe(
    parts: Iterator[Video], observable: Observable, extent: Extent, shown: list[Tensor], unit: float
) -> Tensor:
    """Fields of all frames in ``unit``; a few frames themselves are put into ``shown``."""
    size = (1, len(observable.species), extent.frames, extent.height, extent.width)
    values = torch.empty(size, dtype=torch.float64)
    wanted = {round(i * (extent.frames - 1) / (SHOWN - 1)) for i in range(SHOWN)}
    count = 0
    for count, part in enumerate(parts, 1):
        if count > extent.frames:
            raise InvalidArgument("frames", f"more than {extent.frames}", "as many as the file states")
        if count - 1 in wanted:
            shown.append(part.frames)
        values[:, :, count - 1 : count] = observable(unit * part.frames.transpose(0, 1)[None].double())
    return values[:, :, :count]


def _in_words(clipped: Clipped, video: Video) -> str:
    share = f"{100 * clipped.pixels:.2g} % of the pixels of the file have the largest count"
    if video.bits is not None and clipped.count >= video.scale:
        share += f" there can be, {clipped.count:.6g}"
    else:
        share += f", {clipped.count:.6g}, and far fewer one just below"
    return f"{share}: light may be cut off, {100 * clipped.amount:.0f} % of all brightness is there"


def _floor(video: Video, mean: float) -> list[str]:
    if video.background is None:
        return []
    if video.background < -FLOOR * abs(mean):
        text = f"empty space shows about {video.background:.4g} counts: amounts are too small by that"
        return [f"{text} (background=auto takes it off)"]
    share = video.background / mean if mean > 0 else 0.0
    if share < FLOOR:
        return []
    return [
        f"empty space shows about {video.background:.4g} counts, {100 * min(share, 1):.0f} % of all brightness: "
        "they are measured as amount (background=auto takes them off)"
    ]
