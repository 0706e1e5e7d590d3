"""Squares of a real movie in the size of a world: where each was cut, and what one of its pixels and frames is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import finite
from physgen.errors import InvalidArgument
from physgen.experiments.movies.selected import read_selected
from physgen.worlds import WorldSpec

#: parts of a movie that pieces can come from: halves of its frames, halves of its pictures
PARTS = ("all", "earlier", "later", "left", "right")
#: part that is held out -> part that is learned from
OTHER = {"later": "earlier", "earlier": "later", "right": "left", "left": "right"}
#: quantiles of a piece's brightness that become 0 and 1
DARK, BRIGHT = 0.01, 0.999


@dataclass
class Cut:
    """Which squares are taken of which frames, see ``conf/finetune.yaml``."""

    side: int | None = None
    every: int = 1
    frames: list[int] | None = None
    crop: list[int] | None = None
    spacing: float | None = None
    dt: float | None = None
    channel: Any = None
    series: Any = None
    axis: str | None = None
    plane: int | None = None

    def check(self) -> None:
        """Refuse what no movie can be cut by.

        Raises: InvalidArgument.
        """
        for name, value, least in (("cut.side", self.side, 8), ("cut.every", self.every, 1)):
            if value is not None and value < least:
                raise InvalidArgument(name, value, f"at least {least}")
        if self.frames is not None and not (len(self.frames) == 2 and 0 <= self.frames[0] < self.frames[1]):
            raise InvalidArgument("cut.frames", self.frames, "[first, last], the last one excluded, or null")
        for name, number in {"cut.spacing": self.spacing, "cut.dt": self.dt}.items():
            if number is not None:
                finite(name, number, "a finite number > 0, or null", lambda value: value > 0)


@dataclass(frozen=True)
class Movie:
    """Grey frames ``[T, H, W]`` of a part of a real movie.

    Attributes:
        name: of its file or folder.
        every: frames of the file from one of these to the next.
        first: number in the file of the first of these.
        corner: row and column in the file of their upper left pixel.
        spacing: µm a pixel; None where neither the file nor the user says.
        dt: s from one of these frames to the next; None likewise.
    """

    name: str
    frames: Float[Tensor, "T H W"]
    every: int = 1
    first: int = 0
    corner: tuple[int, int] = (0, 0)
    spacing: float | None = None
    dt: float | None = None


@dataclass(frozen=True)
class Piece:
    """Where a clip was cut, and its scale.

    ``frame``, ``top``, ``left`` and ``side`` are in frames and pixels of the file; brightness ``dark`` became 0 and
    ``bright`` 1; ``spacing`` is µm a pixel and ``dt`` s a frame of the clip, None where nobody says.
    """

    movie: str
    frame: int
    every: int
    top: int
    left: int
    side: int
    dark: float
    bright: float
    spacing: float | None
    dt: float | None


def open_movie(path: str | Path, cut: Cut) -> Movie:
    """Read a movie as `physgen.video.read_video` does, in grey.

    Raises:
        FileNotFoundError; InvalidArgument for a file that is no video, or frames beyond it.

    >>> path = getfixture("tmp_path") / "a.npy"
    >>> np.save(path, np.random.default_rng(0).random((60, 40, 50)))
    >>> movie = open_movie(path, Cut(every=2, dt=0.5))
    >>> tuple(movie.frames.shape), movie.dt
    ((30, 40, 50), 1.0)
    """
    cut.check()
    chosen = {"channel": cut.channel, "series": cut.series, "axis": cut.axis, "plane": cut.plane}
    video = read_selected(path, "cut", crop=None if cut.crop is None else tuple(cut.crop), **chosen)
    first, last = cut.frames or (0, len(video.frames))
    if last > len(video.frames):
        raise InvalidArgument("cut.frames", cut.frames, f"frames of {path}, which has {len(video.frames)}")
    frames = torch.stack([frame.float().mean(0) for frame in video.frames[first : last : cut.every]])
    corner = (cut.crop[0], cut.crop[2]) if cut.crop else (0, 0)
    spacing = cut.spacing or (video.spacing and float(np.mean(video.spacing)))
    dt = cut.dt or video.dt
    return Movie(Path(path).name, frames, cut.every, first, corner, spacing, dt and dt * cut.every)


def part_of(movie: Movie, part: str) -> Movie:
    """Half of the frames, or of every picture.

    Raises: InvalidArgument for a part that there is not.

    >>> half = part_of(Movie("a", torch.zeros(9, 20, 30)), "right")
    >>> tuple(half.frames.shape), half.corner
    ((9, 20, 15), (0, 15))
    """
    if part not in PARTS:
        raise InvalidArgument("part", part, ", ".join(PARTS))
    time, across, (top, left) = len(movie.frames) // 2, movie.frames.shape[2] // 2, movie.corner
    if part == "earlier":
        return replace(movie, frames=movie.frames[:time])
    if part == "later":
        return replace(movie, frames=movie.frames[time:], first=movie.first + time * movie.every)
    if part == "left":
        return replace(movie, frames=movie.frames[..., :across])
    if part == "right":
        return replace(movie, frames=movie.frames[..., across:], corner=(top, left + across))
    return movie


def check_size(movie: Movie, cut: Cut, spec: WorldSpec) -> int:
    """Edge of the squares that are cut, after a look at whether there is room for them.

    Raises:
        InvalidArgument: a movie that is shorter or smaller than the world's, or that is not finite everywhere.
    """
    frames = movie.frames
    side = cut.side or int(2 * min(frames.shape[1:]) / 3)
    if len(frames) < spec.num_frames or side < spec.height or side > min(frames.shape[1:]):
        got = f"{movie.name}: {len(frames)} frames of {frames.shape[1]} x {frames.shape[2]} pixels"
        room = f"{spec.height * 3 // 2} pixels" if cut.side is None else f"squares of cut.side={side} pixels"
        allowed = f"at least {spec.num_frames} frames, and {room}, in the part that pieces are cut from"
        raise InvalidArgument("movie", got, f"{allowed}; squares of at least {spec.height} pixels")
    if not bool(frames.isfinite().all()):
        raise InvalidArgument("movie", f"{movie.name}: NaN or Inf in some pixels", "finite values everywhere")
    return side


def cut_piece(
    movie: Movie, cut: Cut, rng: np.random.Generator, spec: WorldSpec
) -> tuple[Float[Tensor, "T H W"], Piece]:
    """A random square of as many frames as the world has, in the world's pixels.

    Brightness from its 0.01 to its 0.999 quantile becomes 0 to 1, and what is beyond is clipped.

    Raises:
        InvalidArgument: as `check_size`; a piece that is the same everywhere.

    >>> from physgen.worlds import world_spec
    >>> movie = Movie("a", torch.rand(30, 100, 120, generator=torch.manual_seed(0)), spacing=0.5)
    >>> fields, piece = cut_piece(movie, Cut(side=96), np.random.default_rng(0), world_spec("micro"))
    >>> list(fields.shape), piece.side, piece.spacing, float(fields.max())
    ([25, 64, 64], 96, 0.75, 1.0)
    """
    side, frames = check_size(movie, cut, spec), movie.frames
    start, top, left = (
        int(rng.integers(room + 1))
        for room in (len(frames) - spec.num_frames, frames.shape[1] - side, frames.shape[2] - side)
    )
    square = frames[start : start + spec.num_frames, top : top + side, left : left + side]
    small = F.interpolate(square[:, None], (spec.height, spec.width), mode="area")[:, 0]
    dark, bright = (float(value) for value in np.quantile(small.numpy(), [DARK, BRIGHT]))
    frame, row, column = movie.first + start * movie.every, movie.corner[0] + top, movie.corner[1] + left
    if not bright > dark:
        place = f"{side} x {side} px at row {row}, column {column} from frame {frame}"
        allowed = "pieces that show something: leave out what is empty, cut.crop= cut.frames="
        raise InvalidArgument("movie", f"{movie.name}: the same brightness everywhere in {place}", allowed)
    piece = Piece(
        movie=movie.name,
        frame=frame,
        every=movie.every,
        top=row,
        left=column,
        side=side,
        dark=dark,
        bright=bright,
        spacing=movie.spacing and movie.spacing * side / spec.height,
        dt=movie.dt,
    )
    return ((small - dark) / (bright - dark)).clamp(0, 1), piece
