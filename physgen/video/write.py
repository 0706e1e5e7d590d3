"""Videos to disk: H.264 for looking at, float32 OME-TIFF for measuring."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import tifffile
import torch

from physgen.video.pixels import COLOURS
from physgen.video.video import Video


def write_mp4(path: str | Path, video: Video, fps: float | int) -> None:
    """Write H.264 at the native resolution, 8 bits, with scale and prompt as JSON in the comment tag.

    >>> path = getfixture("tmp_path") / "a.mp4"
    >>> write_mp4(path, Video(torch.rand(2, 3, 16, 16), prompt="dye"), fps=8)
    >>> from physgen.video import read_video
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
    >>> from physgen.video import read_video
    >>> read_video(path).spacing, read_video(path).dt
    ((2.0, 2.0), 0.5)
    """
    metadata: dict[str, Any] = {"axes": "TCYX", "Channel": {"Name": list(COLOURS)}}
    if video.spacing is not None:
        for axis, size in zip("YX", video.spacing, strict=True):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    if video.dt is not None:
        metadata |= {"TimeIncrement": video.dt, "TimeIncrementUnit": "s"}
    if video.prompt is not None:
        metadata["Description"] = video.prompt
    frames = video.frames.to(torch.float32).contiguous().numpy()
    tifffile.imwrite(path, frames, ome=True, photometric="minisblack", compression="zlib", metadata=metadata)
