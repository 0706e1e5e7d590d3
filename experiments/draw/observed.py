"""From a file to what was observed of the video that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.arguments import finite
from physgen.constraints import Observed
from physgen.errors import InvalidArgument
from physgen.experiments.draw.points import read_points
from physgen.experiments.movies.selected import read_selected
from physgen.grid import Grid
from physgen.measure import noise_level
from physgen.observables import Observable
from physgen.video import Video
from physgen.worlds import WorldSpec

AUTO = "auto"
#: standard deviations of the noise, and parts of the range, by which a value may be beyond what a video can show
OUTSIDE, ROUNDING = 6.0, 1e-6


@dataclass
class ObservedConfig:
    """Options of `physgen sample` that start with ``observed.``, see ``conf/sample.yaml``."""

    file: str | None
    frames: list[int] | None
    mask: str | None
    noise: Any
    resize: bool
    channel: Any = None
    series: Any = None
    axis: str | None = None
    plane: int | None = None

    @property
    def selection(self) -> dict[str, Any]:
        """What of a file of pictures is read, see `physgen.video.recording.Selection`."""
        return {name: getattr(self, name) for name in ("channel", "series", "axis", "plane")}

    def check(self) -> None:
        """Refuse what says how a file is read where there is none.

        Raises: InvalidArgument.
        """
        unset = {"frames": None, "mask": None, "noise": AUTO, "resize": False, **dict.fromkeys(self.selection)}
        for name, default in unset.items():
            if self.file is None and getattr(self, name) != default:
                raise InvalidArgument(f"observed.{name}", getattr(self, name), "with observed=FILE, which it is about")


@dataclass(frozen=True)
class Observation:
    """What was observed: as a constraint on a world's fields, the first frames that are whole, and what was guessed.

    ``start`` are the pictures of frames 0, 1, ... of which every pixel was seen, in [0, 1]; None where frame 0 is not.
    """

    seen: Observed
    start: Float[Tensor, "3 n H W"] | None
    notes: list[str]


def read_observed(config: ObservedConfig, spec: WorldSpec, observable: Observable, grid: Grid) -> Observation:
    """The observation in a file, in a world's fields.

    Raises:
        InvalidArgument: a file that cannot be read, another number of frames than was named, frames outside the video,
            another size without ``resize``, a grey picture of several species, and what `Observed` refuses.
    """
    assert config.file is not None
    path = Path(config.file)
    if path.suffix.lower() == ".csv":
        return _read_table(path, config, spec, observable)
    video = _read(config.file, "observed", **config.selection)
    notes = [f"{path.name}: {note}" for note in video.notes]
    if video.spacing and any(abs(a / b - 1) > 0.01 for a, b in zip(video.spacing, grid.spacing, strict=True)):
        dy, dx = video.spacing
        notes.append(
            f"{path.name}: {dy:g} x {dx:g} µm a pixel, which is taken as the {grid.spacing[0]:g} µm of {spec.name}"
        )
    frames = _frames(config, len(video.frames), spec)
    middle, changes = _middle(video.frames.float(), config, spec)
    notes += [f"{path.name}: {change}" for change in changes]
    pictures = _scaled(middle, spec)
    fields, reading = _fields(pictures, video.grey, observable)
    notes += [f"{path.name}: {reading}"] if reading else []
    noise = _noise(config, _fields(middle, video.grey, observable)[0])
    if config.noise == AUTO:
        noise *= _gain(middle, spec)
    if video.grey:
        _require_shown(path, fields, noise, observable)
    values = torch.full((fields.shape[0], spec.num_frames, spec.height, spec.width), torch.nan)
    values[:, frames] = fields
    mask = values.isfinite() & _mask(config, video.frames.shape[-2:], spec)
    seen = Observed(values, mask, noise)
    return Observation(seen, _start(pictures, frames, mask), [*notes, _summary(seen, frames, spec, observable)])


def _read(file: str, option: str, **selection: Any) -> Video:
    """A file as an option names it, which errors name in the place of ``video=``."""
    try:
        return read_selected(file, "observed", **selection)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{option}={file!r}: no such file") from error
    except InvalidArgument as error:
        if error.name != "video":
            raise
        raise InvalidArgument(option, error.got, error.allowed) from error


def _read_table(path: Path, config: ObservedConfig, spec: WorldSpec, observable: Observable) -> Observation:
    besides = {"frames": config.frames, "mask": config.mask, "resize": config.resize or None, **config.selection}
    for name, value in besides.items():
        if value is not None:
            raise InvalidArgument(f"observed.{name}", value, f"nothing beside a table of points, {path.name}")
    if config.noise == AUTO:
        raise InvalidArgument("observed.noise", AUTO, "a number >= 0: single points do not show their noise")
    values = read_points(path, spec, observable)
    noise = _noise(config, values)
    _require_shown(path, values, noise, observable)
    seen = Observed(values, values.isfinite(), noise)
    frames = seen.mask.any(0).flatten(1).any(1).nonzero()[:, 0].tolist()
    return Observation(seen, None, [_summary(seen, frames, spec, observable)])


def _require_shown(path: Path, fields: Float[Tensor, "S T H W"], noise: float, observable: Observable) -> None:
    """Refuse values that no video of the world can show, by more than their noise."""
    low, high = observable.bounds
    slack = OUTSIDE * noise + ROUNDING * (high - low)
    beyond = fields[(fields < low - slack) | (fields > high + slack)]
    if len(beyond):
        got = f"{float(beyond[0]):g} in {path.name}, with noise {noise:.3g}"
        allowed = (
            f"{low:g} to {high:g} {observable.unit}, which a video can show, and {OUTSIDE:g} times the noise beyond"
        )
        raise InvalidArgument("observed", got, allowed)


def _summary(seen: Observed, frames: list[int], spec: WorldSpec, observable: Observable) -> str:
    share, noise = float(f"{100 * float(seen.mask.double().mean()):.2g}"), float(seen.noise.max())
    how = f"noise {noise:.3g} {observable.unit}" if noise else "without noise"
    shown = ", ".join(map(str, frames if len(frames) < 6 else [*frames[:2], "...", frames[-1]]))
    return f"observed: frames {shown} of 0 to {spec.num_frames - 1}, {share:g} % of all values, {how}"


def _start(
    pictures: Float[Tensor, "T 3 H W"], frames: list[int], mask: Bool[Tensor, "S N H W"]
) -> Float[Tensor, "3 n H W"] | None:
    whole = [frames.index(k) for k in range(len(frames)) if k in frames and set(range(k)) <= set(frames)]
    count = next((k for k, i in enumerate(whole) if not bool(mask[:, frames[i]].all())), len(whole))
    return pictures[whole[:count]].transpose(0, 1).clamp(0, 1) if count else None


def _frames(config: ObservedConfig, count: int, spec: WorldSpec) -> list[int]:
    frames = list(range(count)) if config.frames is None else list(config.frames)
    if len(frames) != count or len(set(frames)) != count:
        raise InvalidArgument("observed.frames", frames, f"{count} different frames, one of each in {config.file}")
    if min(frames) < 0 or max(frames) >= spec.num_frames:
        raise InvalidArgument("observed.frames", frames, f"0 to {spec.num_frames - 1}, the frames of {spec.name}")
    return frames


def _middle(
    pictures: Float[Tensor, "T C H W"], config: ObservedConfig, spec: WorldSpec
) -> tuple[Float[Tensor, "T C h w"], list[str]]:
    """The middle of pictures, of the world's shape but not of its size."""
    height, width = pictures.shape[-2:]
    if (height, width) == (spec.height, spec.width):
        return pictures, []
    if not config.resize:
        raise InvalidArgument(
            "observed",
            f"{height} x {width} pixels",
            f"{spec.height} x {spec.width} pixels of {spec.name}, or observed.resize=true to crop and scale",
        )
    ratio = min(height / spec.height, width / spec.width)
    tall, wide = round(ratio * spec.height), round(ratio * spec.width)
    top, left = (height - tall) // 2, (width - wide) // 2
    changes = [f"rows {top} to {top + tall}, columns {left} to {left + wide}, {ratio:.3g} pixels become one"]
    if ratio < 1:
        changes.append("enlarged: neighbouring pixels share their noise, which is taken as independent all the same")
    return pictures[..., top : top + tall, left : left + wide], changes


def _scaled(middle: Float[Tensor, "T C h w"], spec: WorldSpec) -> Float[Tensor, "T C H W"]:
    """Pictures of the world's size, averaged or interpolated."""
    size = spec.height, spec.width
    if middle.shape[-2:] == size:
        return middle
    return F.interpolate(middle, size, mode="area" if middle.shape[-2] > spec.height else "bilinear")


def _gain(middle: Float[Tensor, "T C h w"], spec: WorldSpec) -> float:
    """What `_scaled` leaves of the standard deviation of white noise, which is white no longer."""
    white = torch.randn((1, 1, *middle.shape[-2:]), generator=torch.Generator().manual_seed(0))
    return float(_scaled(white, spec).square().mean().sqrt() / white.square().mean().sqrt())


def _fields(
    pictures: Float[Tensor, "T 3 H W"], grey: bool, observable: Observable
) -> tuple[Float[Tensor, "S T H W"], str | None]:
    """Colours are read as the world's are; of grey pictures brightness is the one species."""
    low, high = observable.bounds
    if not grey or high == torch.inf:
        return observable(pictures.transpose(0, 1)[None])[0], None
    if len(observable.species) > 1:
        names = ", ".join(observable.species)
        raise InvalidArgument("observed", "a grey picture", f"a colour picture, to tell {names} apart")
    species = f"{observable.species[0]} from {low:g} to {high:g} {observable.unit}"
    said = f"a grey picture: its brightness from 0 to 1 is {species}"
    return low + (high - low) * pictures[:, :1].transpose(0, 1), said


def _mask(config: ObservedConfig, size: torch.Size, spec: WorldSpec) -> Bool[Tensor, "H W"]:
    if config.mask is None:
        return torch.ones(spec.height, spec.width, dtype=torch.bool)
    shown = _read(config.mask, "observed.mask").frames
    if shown.shape[-2:] != size or len(shown) != 1:
        got = f"{len(shown)} of {shown.shape[-2]} x {shown.shape[-1]} pixels"
        raise InvalidArgument("observed.mask", got, f"one picture of {size[0]} x {size[1]} pixels, as {config.file}")
    seen = (shown.amax(1, keepdim=True) > 0).float()
    return _scaled(_middle(seen, config, spec)[0], spec)[0, 0] == 1


def _noise(config: ObservedConfig, fields: Float[Tensor, "S T H W"]) -> float:
    finite_share = float(fields.isfinite().double().mean())
    if finite_share == 0:
        raise InvalidArgument("observed", f"{config.file}, NaN or Inf everywhere", "at least one finite pixel")
    if config.noise == AUTO and finite_share <= 0.5:
        raise InvalidArgument("observed.noise", AUTO, f"a number: {100 * finite_share:.2g} % of the pixels are finite")
    if config.noise == AUTO:
        shown = torch.where(fields.isfinite(), fields, torch.nan)
        ends = shown.nan_to_num(torch.inf).amin((1, 2, 3), True), shown.nan_to_num(-torch.inf).amax((1, 2, 3), True)
        unclipped = shown.masked_fill((shown == ends[0]) | (shown == ends[1]), torch.nan)
        return float(noise_level(unclipped).nan_to_num().max())
    return finite("observed.noise", config.noise, f"a number >= 0, or {AUTO}", lambda value: value >= 0)
