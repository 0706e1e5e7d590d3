"""The frames of a video that a judge sees."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from PIL import Image

from physgen.errors import InvalidArgument
from physgen.video import read_video

SHOWN = 8
LOSSLESS = (".tif", ".tiff", ".npz")


@dataclass(frozen=True)
class Frames:
    """JPEG files, the positions that they were taken from, and the number of frames of the video.

    ``stated`` is what the file says of that number, 0 where it says nothing.
    """

    images: tuple[bytes, ...]
    positions: tuple[int, ...]
    count: int
    stated: int


def upstream_positions(count: int) -> list[int]:
    """Where the released evaluator looks: ``int(i * step + step / 2)``, ``step = count / 8``, i = 0 … 7.

    >>> upstream_positions(81), upstream_positions(3)
    ([5, 15, 25, 35, 45, 55, 65, 75], [0, 0, 0, 1, 1, 2, 2, 2])
    """
    step = count / SHOWN
    return [int(i * step + step / 2) for i in range(SHOWN)]


def corrected_positions(count: int) -> list[int]:
    """Those, the first and the last frame, each once.

    >>> corrected_positions(81), corrected_positions(1)
    ([0, 5, 15, 25, 35, 45, 55, 65, 75, 80], [0])
    """
    return sorted({0, *upstream_positions(count), count - 1})


def sample_frames(path: str | Path, mode: str) -> Frames:
    """Frames of any file that PyAV reads, a TIFF or an NPZ archive, as JPEG of quality 100.

    ``upstream`` trusts the number of frames that the file states and drops frames that are not there; ``corrected``
    counts them.

    Raises: FileNotFoundError; InvalidArgument for a file without a readable frame.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"video={str(path)!r}: no such file")
    try:
        frames = _still(path, mode) if path.suffix.lower() in LOSSLESS else _movie(path, mode)
    except Exception as error:  # decoders raise dozens of types on damaged input
        reason = " ".join(str(error).split())[:160]
        raise InvalidArgument("video", str(path), f"a readable video ({reason})") from error
    if not frames.images:
        raise InvalidArgument("video", str(path), "a video with a readable frame")
    return frames


def _positions(count: int, mode: str) -> list[int]:
    if count < 1:
        raise ValueError("no frames")
    return upstream_positions(count) if mode == "upstream" else corrected_positions(count)


def _movie(path: Path, mode: str) -> Frames:
    stated = _stated(path)
    count = stated if stated and mode == "upstream" else _decoded(path)
    wanted = _positions(count, mode)
    found: dict[int, bytes] = {}
    with av.open(str(path)) as container:
        for position, frame in enumerate(_readable(container)):
            if position in wanted:
                found[position] = jpeg(frame.to_image())
            if position >= wanted[-1]:
                break
    there = tuple(position for position in wanted if position in found)
    return Frames(tuple(found[position] for position in there), there, count, stated)


def _still(path: Path, mode: str) -> Frames:
    frames = read_video(path).frames
    positions = _positions(len(frames), mode)
    pixels = frames[positions].clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return Frames(tuple(jpeg(Image.fromarray(image)) for image in pixels), tuple(positions), len(frames), len(frames))


def _stated(path: Path) -> int:
    with av.open(str(path)) as container:
        return int(container.streams.video[0].frames)


def _decoded(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in _readable(container))


def _readable(container: Any) -> Iterator[Any]:
    """Frames up to the first that cannot be decoded."""
    try:
        yield from container.decode(video=0)
    except av.FFmpegError:
        return


def jpeg(image: Image.Image, quality: int = 100) -> bytes:
    """Encode an image."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def compressed(images: Sequence[bytes], quality: int) -> tuple[bytes, ...]:
    """The same JPEG files at another quality."""
    return tuple(jpeg(Image.open(io.BytesIO(image)), quality) for image in images)
