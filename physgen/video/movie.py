"""Movies: whatever FFmpeg decodes, at the depth it was written with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange

from physgen.video.recording import Array, Facts, Recording, Selection, choose
from physgen.video.times import find_interval


@contextmanager
def open_movie(path: Path, selection: Selection) -> Iterator[Recording]:
    """A movie as a recording; frames are decoded in order, as often as they are asked for."""
    with av.open(str(path)) as container:
        streams = container.streams.video
        if not streams:
            raise ValueError("no video stream")
        several = len(streams) > 1 or selection.series is not None
        number = choose("series", selection.series, ("",) * len(streams)) if several else 0
        stream = streams[number]
        stated = stream.frames
        comment = _comment(container.metadata.get("comment", ""))
        stamps, step = _stamps(container, stream), float(stream.time_base or 0)
        shape = (stream.height, stream.width)
        depth, grey = _format(stream.pix_fmt or "rgb24")
    dt, times = comment.get("dt"), None
    notes: tuple[str, ...] = ()
    if dt is None and len(stamps) > 2:
        timing = find_interval(stamps, None, "the container", step)
        times, notes = timing.times, timing.notes
        if timing.dt is not None:
            notes = (
                f"played at {1 / timing.dt:.4g} frames a second; whether it was recorded so the file does not say "
                f"(dt={timing.dt:.4g} if it was)",
            )

    def read(every: int) -> Iterator[Array]:
        return islice(_decode(path, number, stated), 0, None, every)

    spacing = comment.get("spacing")
    yield Recording(
        facts=Facts(
            spacing=(float(spacing[0]), float(spacing[1])) if spacing else None,
            dt=None if dt is None else float(dt),
            times=times,
            prompt=comment.get("prompt"),
            series=str(number) if several else None,
            bits=depth if 8 < depth < 16 else None,  # 16 is how they are stored
            notes=notes,
        ),
        frames=max(stated, len(stamps)),
        shape=shape,
        channels=1 if grey else 3,
        colours=not grey,
        dtype=np.dtype(np.uint8 if depth <= 8 else np.uint16 if grey else np.float32),
        read=read,
        seekable=False,
    )


def pixels(frame: Any) -> Array:
    """A decoded frame ``[C, H, W]``: as stored where it is grey, else red, green, blue in counts of its own depth."""
    depth, grey = _format(frame.format.name)
    if grey:
        return frame.to_ndarray()[None] if depth > 1 else frame.to_ndarray(format="gray")[None]
    if depth <= 8:
        return frame.to_ndarray(format="rgb24").transpose(2, 0, 1)
    colours = frame.to_ndarray(format="rgb48").astype(np.float32)
    return (colours * np.float32((2**depth - 1) / _white(frame, depth))).transpose(2, 0, 1)


def _white(frame: Any, depth: int) -> int:
    """What FFmpeg's converter to 16-bit colours makes of white: it shifts bits where luma and chroma are apart."""
    if frame.format.is_rgb:
        return 65535
    return 65536 - 2 ** (16 - depth) if frame.color_range == ColorRange.JPEG else 65280


def _format(name: str) -> tuple[int, bool]:
    """Bits of a pixel format's brightness, and whether it has no colour.

    >>> _format("gray12le"), _format("yuv420p10le")
    ((12, True), (10, False))
    """
    depth = 8 if name.startswith("pal") else max(component.bits for component in av.VideoFormat(name).components)
    if depth > 16:
        raise ValueError(f"pixel format {name}; allowed: up to 16 bits")
    return depth, name.startswith(("gray", "mono"))


def _stamps(container: Any, stream: Any) -> list[float]:
    """Seconds at which frames are shown, from the container alone."""
    stamps: list[float] = []
    try:
        for packet in container.demux(stream):
            if packet.size and packet.time_base:
                stamp = packet.pts if packet.pts is not None else packet.dts
                stamps.append(len(stamps) if stamp is None else float(stamp * packet.time_base))
    except av.FFmpegError:
        return sorted(stamps)  # decoding says what is wrong with it
    return sorted(stamps)


def _decode(path: Path, number: int, stated: int) -> Iterator[Array]:
    with av.open(str(path)) as container:
        count = 0
        for count, frame in enumerate(container.decode(container.streams.video[number]), 1):  # noqa: B007
            yield pixels(frame)
        if count == 0 or count < 0.98 * stated:
            raise ValueError(f"truncated: {count} of {stated} frames")


def _comment(comment: str) -> dict[str, Any]:
    """Scale and prompt that `write_mp4` left; empty for anybody else's comment."""
    try:
        note = json.loads(comment)
    except json.JSONDecodeError:
        return {}
    return note if isinstance(note, dict) and note.keys() == {"spacing", "dt", "prompt"} else {}
