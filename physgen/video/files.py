"""Videos on disk: H.264 for looking at, float32 OME-TIFF for measuring, NumPy archives for exchange."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import numpy as np
import numpy.typing as npt
import tifffile
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument

Array = npt.NDArray[Any]

LAYOUT = "(time, y, x), (time, channel, y, x) or (time, y, x, channel) with 1, 3 or 4 channels"
MICROMETRES = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00B5m": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3}
SECONDS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Video:
    """Frames with a physical scale and, for generated videos, the prompt they were made from.

    ``frames`` is ``[T, 3, H, W]``, dimensionless in [0, 1] for images; ``frames * scale`` is in the file's own counts.
    ``spacing`` is ``(dy, dx)`` in µm and ``dt`` in s, ``None`` where the file does not say.

    >>> Video(torch.zeros(2, 3, 8, 8), spacing=(2.0, 2.0), dt=0.1).grey
    True
    """

    frames: Float[Tensor, "T 3 H W"]
    scale: float = 1.0
    spacing: tuple[float, float] | None = None
    dt: float | None = None
    prompt: str | None = None

    @property
    def grey(self) -> bool:
        """Whether the three channels are equal."""
        return bool((self.frames[:, :1] == self.frames[:, 1:]).all())


def read_video(path: str | Path) -> Video:
    """Read an MP4, MOV, AVI, TIFF (OME, ImageJ or plain) or NPZ file.

    Integers are divided by their type's maximum; floats are kept, or divided by their maximum when that exceeds 1.
    An NPZ file holds an array ``frames`` or ``video`` and optionally ``spacing`` (µm) and ``dt`` (s).

    Raises: FileNotFoundError; InvalidArgument for a file that is not a complete, readable video.
    """
    path = Path(path)
    with _readable(path):
        return READERS[path.suffix.lower()](path)


def stream_video(path: str | Path) -> Iterator[Video]:
    """Parts of a video in order, each with the file's scale and prompt, in the memory of one part.

    A part is one frame ``[1, 3, H, W]`` of an MP4, MOV or AVI file, and all frames of any other file.

    Raises: as `read_video`; a movie that is cut raises after its last readable frame.

    >>> path = getfixture("tmp_path") / "a.mp4"
    >>> write_mp4(path, Video(torch.rand(3, 3, 16, 16), dt=0.5), fps=8)
    >>> [(tuple(part.frames.shape), part.dt) for part in stream_video(path)][1:]
    [((1, 3, 16, 16), 0.5), ((1, 3, 16, 16), 0.5)]
    """
    path = Path(path)
    with _readable(path):
        if READERS[path.suffix.lower()] is _read_movie:
            yield from _stream_movie(path)
        else:
            yield READERS[path.suffix.lower()](path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    if path.suffix.lower() not in READERS:
        raise InvalidArgument("video", str(path), f"a file ending in {', '.join(READERS)}")
    if not path.is_file():
        raise FileNotFoundError(f"video={str(path)!r}: no such file")
    try:
        yield
    except Exception as error:  # decoders raise dozens of types on damaged input
        reason = " ".join(str(error).split())[:160]
        raise InvalidArgument("video", str(path), f"a complete, readable {path.suffix[1:]} video ({reason})") from error


def write_mp4(path: str | Path, video: Video, fps: float | int) -> None:
    """Write H.264 at the native resolution, 8 bits, with scale and prompt as JSON in the comment tag.

    >>> path = getfixture("tmp_path") / "a.mp4"
    >>> write_mp4(path, Video(torch.rand(2, 3, 16, 16), prompt="dye"), fps=8)
    >>> read_video(path).prompt
    'dye'
    """
    frames = video.frames.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    height, width = frames.shape[1:3]
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        container.metadata["comment"] = json.dumps({"spacing": video.spacing, "dt": video.dt, "prompt": video.prompt})
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "10"})
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_tiff(path: str | Path, video: Video) -> None:
    """Write a lossless float32 OME-TIFF, axes TCYX, with PhysicalSizeX/Y in µm and TimeIncrement in s.

    >>> path = getfixture("tmp_path") / "a.tif"
    >>> write_tiff(path, Video(torch.rand(2, 3, 8, 8), spacing=(2.0, 2.0), dt=0.5))
    >>> read_video(path).spacing, read_video(path).dt
    ((2.0, 2.0), 0.5)
    """
    metadata: dict[str, Any] = {"axes": "TCYX", "Channel": {"Name": ["red", "green", "blue"]}}
    if video.spacing is not None:
        for axis, size in zip("YX", video.spacing, strict=True):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    if video.dt is not None:
        metadata |= {"TimeIncrement": video.dt, "TimeIncrementUnit": "s"}
    if video.prompt is not None:
        metadata["Description"] = video.prompt
    frames = video.frames.to(torch.float32).contiguous().numpy()
    tifffile.imwrite(path, frames, ome=True, photometric="minisblack", compression="zlib", metadata=metadata)


def _read_movie(path: Path) -> Video:
    parts = list(_stream_movie(path))
    return replace(parts[0], frames=torch.cat([part.frames for part in parts]))


def _stream_movie(path: Path) -> Iterator[Video]:
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError("no video stream")
        stream = container.streams.video[0]
        note = _note(container.metadata.get("comment", ""))
        count = 0
        for count, frame in enumerate(container.decode(stream), 1):  # noqa: B007
            pixels = frame.to_ndarray(format="rgb24")[None]
            yield _video(pixels, "TYXC", note.get("spacing"), note.get("dt"), note.get("prompt"))
        if count == 0 or count < 0.98 * stream.frames:
            raise ValueError(f"truncated: {count} of {stream.frames} frames")


def _note(comment: str) -> dict[str, Any]:
    """Scale and prompt that `write_mp4` left; empty for anybody else's comment."""
    try:
        note = json.loads(comment)
    except json.JSONDecodeError:
        return {}
    return note if isinstance(note, dict) and note.keys() == {"spacing", "dt", "prompt"} else {}


def _read_tiff(path: Path) -> Video:
    with _tifffile_errors(), tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        if tiff.ome_metadata:
            spacing, dt, prompt = _ome_scale(tiff.ome_metadata or "")
        else:
            spacing, dt, prompt = *_imagej_scale(tiff), None
        return _video(series.asarray(), series.axes, spacing, dt, prompt)


@contextmanager
def _tifffile_errors() -> Iterator[None]:
    """Turn the errors that tifffile only logs (a cut file, then fewer pages) into exceptions."""
    records: list[logging.LogRecord] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger, handler = tifffile.logger(), Collect(logging.ERROR)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    if records:
        raise ValueError(records[0].getMessage())


def _ome_scale(xml: str) -> tuple[tuple[float, float] | None, float | None, str | None]:
    root = ElementTree.fromstring(xml)
    pixels = next(element for element in root.iter() if element.tag.endswith("}Pixels"))
    description = next((element.text for element in root.iter() if element.tag.endswith("}Description")), None)

    def quantity(name: str, default_unit: str, units: dict[str, float]) -> float | None:
        unit = units.get(pixels.get(f"{name}Unit", default_unit))
        return float(pixels.attrib[name]) * unit if name in pixels.attrib and unit else None

    dy, dx = (quantity(f"PhysicalSize{axis}", "µm", MICROMETRES) for axis in "YX")
    return (dy, dx) if dy and dx else None, quantity("TimeIncrement", "s", SECONDS), description


def _imagej_scale(tiff: tifffile.TiffFile) -> tuple[tuple[float, float] | None, float | int | None]:
    metadata = tiff.imagej_metadata or {}
    unit = MICROMETRES.get(metadata.get("unit", ""))
    tags = tiff.pages.first.tags
    if unit and {"XResolution", "YResolution"} <= {tag.name for tag in tags}:
        dy, dx = (unit * tags[f"{axis}Resolution"].value[1] / tags[f"{axis}Resolution"].value[0] for axis in "YX")
        return (dy, dx), metadata.get("finterval")
    return None, metadata.get("finterval")


def _read_npz(path: Path) -> Video:
    with np.load(path, allow_pickle=False) as archive:
        name = next((key for key in ("frames", "video") if key in archive), None)
        if name is None:
            raise ValueError(f"arrays {archive.files}; one of them must be called frames or video")
        array = archive[name]
        spacing = np.broadcast_to(archive["spacing"], 2).tolist() if "spacing" in archive else None
        dt = float(archive["dt"]) if "dt" in archive else None
    axes = {3: "TYX", 4: "TCYX" if array.shape[1] in (1, 3) else "TYXC"}.get(array.ndim)
    if axes is None:
        raise ValueError(f"shape {array.shape}; allowed: {LAYOUT}")
    return _video(array, axes, spacing, dt, None)


def _video(
    array: Array, axes: str, spacing: Sequence[float | int] | None, dt: float | int | None, prompt: str | None
) -> Video:
    frames, scale = _normalised(_arranged(array, axes))
    pair = (float(spacing[0]), float(spacing[1])) if spacing else None
    return Video(frames, scale, pair, None if dt is None else float(dt), prompt)


def _arranged(array: Array, axes: str) -> Array:
    """Any microscope file's array as ``[T, 3, H, W]``; the first long axis that is not an image axis is time."""
    axes = axes.replace("S", "C")
    keep = [axis in "YXC" or size > 1 for axis, size in zip(axes, array.shape, strict=True)]
    array = array.reshape([size for size, kept in zip(array.shape, keep, strict=True) if kept])
    axes = "".join(axis for axis, kept in zip(axes, keep, strict=True) if kept)
    times = "".join(axis for axis in axes if axis not in "YXC")
    channels = array.shape[axes.index("C")] if "C" in axes else 1
    if len(times) > 1 or channels not in (1, 3, 4) or axes.count("C") > 1:
        raise ValueError(f"axes {axes} of shape {array.shape}; allowed: {LAYOUT}")
    axes = axes.replace(times, "T") if times else axes
    for axis in set("TC") - set(axes):
        array, axes = array[None], axis + axes
    array = array.transpose([axes.index(axis) for axis in "TCYX"])[:, :3]
    return np.broadcast_to(array, (array.shape[0], 3, *array.shape[2:]))


def _normalised(array: Array) -> tuple[Float[Tensor, "T 3 H W"], float]:
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(array.dtype, np.integer):
        scale = float(np.iinfo(array.dtype).max)
    elif np.issubdtype(array.dtype, np.floating):
        scale = max(1.0, float(np.max(array, initial=0.0, where=np.isfinite(array))))
    else:
        raise ValueError(f"{array.dtype} pixels; allowed: integers or floats")
    frames = array.astype(np.float32) if scale == 1.0 else (array / scale).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(frames)), scale


READERS = {
    ".mp4": _read_movie,
    ".mov": _read_movie,
    ".avi": _read_movie,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".npz": _read_npz,
}
