"""Reading: one file, one reader; what it guesses is a note."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from physgen.errors import InvalidArgument
from physgen.video.arrays import open_npy, open_npz
from physgen.video.bio import open_bio
from physgen.video.movie import open_movie
from physgen.video.pixels import choose_channels, estimate_background, full_scale, to_counts
from physgen.video.recording import Array, Recording, Selection
from physgen.video.sequence import find_frames, open_picture, open_sequence
from physgen.video.tiff import open_tiff
from physgen.video.video import Video

READERS: dict[str, Callable[[Path, Selection], AbstractContextManager[Recording]]] = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif"), open_movie),
    **dict.fromkeys((".tif", ".tiff"), open_tiff),
    ".npy": open_npy,
    ".npz": open_npz,
    ".png": open_picture,
    **dict.fromkeys((".zarr", ".czi", ".nd2", ".lif"), open_bio),
}
#: frames that the background is estimated from, fewer where those before must be decoded and have many more pixels
GLANCE, SMALL = 8, 2**14


@dataclass(frozen=True)
class Extent:
    """Size of what would be read."""

    frames: int
    height: int
    width: int


def read_video(path: str | Path, **selection: Any) -> Video:
    """Read a movie, a TIFF (OME, ImageJ or plain), a NumPy file, a microscope's file, a PNG or a folder of pictures.

    ``selection`` is what `Selection` takes: channel, series, axis, crop, every, scale.

    Whole numbers are divided by 2^b - 1, b their depth in bits (see `physgen.video.pixels.full_scale`); floats are
    kept, or divided by their maximum when that exceeds 1. The channels of a grey video share memory.

    Raises: FileNotFoundError; InvalidArgument for a file that is not a complete, readable video, or one that holds
    several things of which none was chosen.

    >>> path = getfixture("tmp_path") / "a.npy"
    >>> np.save(path, np.arange(3 * 16 * 16, dtype=np.uint16).reshape(3, 16, 16))
    >>> video = read_video(path, every=2)
    >>> tuple(video.frames.shape), video.bits, video.notes[0]
    ((2, 3, 16, 16), 10, 'the file states no depth, its counts reach 767: 10 bits, brightness 1 is 1023')
    """
    parts = list(stream_video(path, **selection))
    if all(part.frames.stride(1) == 0 for part in parts):
        frames = torch.cat([part.frames[:, :1] for part in parts]).expand(-1, 3, -1, -1)
    else:
        frames = torch.cat([part.frames for part in parts])
    return replace(parts[0], frames=frames)


def stream_video(
    path: str | Path, *, watch: Callable[[Array, Video], None] | None = None, **selection: Any
) -> Iterator[Video]:
    """Frames of a video in order, ``[1, 3, H, W]`` each, with what the file says, in the memory of one.

    ``watch`` is called with the counts ``[C, H, W]`` of each frame before ``scale`` averages them.

    Raises: as `read_video`; a file that is cut raises after its last readable frame.

    >>> path = getfixture("tmp_path") / "a.npz"
    >>> np.savez(path, frames=np.zeros((3, 16, 16), dtype=np.uint8), dt=0.5)
    >>> [(tuple(part.frames.shape), part.dt) for part in stream_video(path)][1:]
    [((1, 3, 16, 16), 0.5), ((1, 3, 16, 16), 0.5)]
    """
    path, wanted = Path(path), Selection(**selection)
    with _readable(path), _reader(path)(path, wanted) as recording:
        extent = _extent(recording, wanted)
        channels, channel, guessed = choose_channels(recording, wanted.channel)
        scale, bits, depth = full_scale(recording, _largest(recording, channels))
        facts = recording.facts
        spacing = facts.spacing and (facts.spacing[0] * wanted.block, facts.spacing[1] * wanted.block)
        blank = Video(
            torch.zeros(1, 3, extent.height, extent.width),
            scale=scale,
            spacing=spacing,
            dt=facts.dt and facts.dt * wanted.every,
            prompt=facts.prompt,
            times=facts.times and facts.times[:: wanted.every],
            series=facts.series,
            channel=channel,
            bits=bits,
            background=_background(recording, channels, wanted),
            notes=(*facts.notes, *guessed, *depth),
        )
        for plane in recording.read(wanted.every):
            counts = _cropped(to_counts(plane[channels], recording), wanted)
            if watch is not None:
                watch(counts, blank)
            counts = _averaged(counts, wanted.block)
            frame = torch.from_numpy((counts / scale if scale != 1.0 else counts).astype(np.float32))
            yield replace(blank, frames=frame[None].expand(-1, 3, -1, -1))


def measure_extent(path: str | Path, **selection: Any) -> Extent:
    """Frames, height and width of what `read_video` would return, without reading it.

    Raises: as `read_video`, for what is found out without reading the frames.

    >>> path = getfixture("tmp_path") / "a.npy"
    >>> np.save(path, np.zeros((5, 32, 48)))
    >>> measure_extent(path, every=2, scale=0.5)
    Extent(frames=3, height=16, width=24)
    """
    path, wanted = Path(path), Selection(**selection)
    with _readable(path), _reader(path)(path, wanted) as recording:
        return _extent(recording, wanted)


def is_video_folder(path: str | Path) -> bool:
    """Whether a folder is one video: numbered pictures, or OME-Zarr."""
    path = Path(path)
    return path.is_dir() and (path.suffix.lower() == ".zarr" or bool(find_frames(path)))


def _reader(path: Path) -> Callable[[Path, Selection], AbstractContextManager[Recording]]:
    return open_sequence if path.is_dir() and path.suffix.lower() != ".zarr" else READERS[path.suffix.lower()]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    folder = is_video_folder(path)
    if path.suffix.lower() not in READERS and not folder:
        allowed = f"a file ending in {', '.join(READERS)}, or a folder of numbered pictures"
        raise InvalidArgument("video", str(path), allowed)
    if not path.is_file() and not folder:
        raise FileNotFoundError(f"video={str(path)!r}: no such file")
    try:
        yield
    except InvalidArgument as error:
        raise InvalidArgument(f"{path}: {error.name}", error.got, error.allowed) from error
    except Exception as error:  # decoders raise dozens of types on damaged input
        reason = " ".join(str(error).split())[:160]
        kind = path.suffix[1:] or "folder"
        raise InvalidArgument("video", str(path), f"a complete, readable {kind} video ({reason})") from error


def _extent(recording: Recording, wanted: Selection) -> Extent:
    height, width = recording.shape
    if wanted.crop is not None:
        y0, y1, x0, x1 = wanted.crop
        if y1 > height or x1 > width:
            raise InvalidArgument("crop", list(wanted.crop), f"[y0, y1, x0, x1] within {height} x {width} px")
        height, width = y1 - y0, x1 - x0
    if min(height, width) < wanted.block:
        raise InvalidArgument("scale", wanted.scale, f"at least one pixel of {height} x {width}")
    return Extent(-(-recording.frames // wanted.every), height // wanted.block, width // wanted.block)


def _cropped(counts: Array, wanted: Selection) -> Array:
    if wanted.crop is None:
        return counts
    y0, y1, x0, x1 = wanted.crop
    return counts[:, y0:y1, x0:x1]


def _averaged(counts: Array, n: int) -> Array:
    """Blocks of n x n pixels averaged to one."""
    if n == 1:
        return counts
    channels, height, width = counts.shape[0], counts.shape[1] // n, counts.shape[2] // n
    return counts[:, : height * n, : width * n].reshape(channels, height, n, width, n).mean((2, 4))


def _largest(recording: Recording, channels: list[int]) -> float:
    """Largest finite count (its size, of signed ones), where the depth of brightness depends on it; else 0."""
    trusted = recording.dtype.itemsize == 1 and recording.dtype.kind in "uib" and recording.line is None
    if trusted or (recording.facts.bits is not None and not recording.seekable):
        return 0.0
    largest = 0.0
    for plane in recording.read(1):
        counts = to_counts(plane[channels], recording)
        size = counts if recording.dtype.kind == "f" else np.abs(counts)
        largest = max(largest, float(np.max(size, initial=0.0, where=np.isfinite(size))))
    return largest


def _background(recording: Recording, channels: list[int], wanted: Selection) -> float | None:
    step = max(1, recording.frames // GLANCE) if recording.seekable else 1
    few = GLANCE if recording.seekable else 1 + GLANCE * SMALL // (SMALL + math.prod(recording.shape))
    glance = islice(recording.read(step), few)
    cropped = (_cropped(to_counts(plane[channels], recording), wanted) for plane in glance)
    counts = [_averaged(one, wanted.block).mean(0).ravel() for one in cropped]
    return estimate_background(np.concatenate(counts)) if counts else None
