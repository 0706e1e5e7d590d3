"""Frames: upstream's positions, and those of `corrected` in whatever file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.judges.frames import (
    Frames,
    compressed,
    corrected_positions,
    sample_frames,
    upstream_positions,
)
from physgen.experiments.microworldbench.scoring.videos import find_videos
from physgen.video import Video, write_mp4, write_tiff

COUNT = 20


def grey(count: int) -> Video:
    """A video whose n-th frame has brightness n / (count - 1)."""
    return Video(torch.linspace(0, 1, count)[:, None, None, None].expand(count, 3, 32, 32).clone())


def shown(frames: Frames) -> npt.NDArray[np.float64]:
    """Frame numbers read back from the brightness of the pictures."""
    brightness = [np.asarray(Image.open(io.BytesIO(image)), float).mean() for image in frames.images]
    return np.asarray(brightness) / 255 * (COUNT - 1)


@given(st.integers(1, 10**6))
def test_positions(count: int) -> None:
    upstream, corrected = upstream_positions(count), corrected_positions(count)
    assert upstream == [(2 * i + 1) * count // 16 for i in range(8)]
    assert corrected[0] == 0
    assert corrected[-1] == count - 1
    assert corrected == sorted(set(corrected))
    assert set(upstream) <= set(corrected)


@pytest.mark.parametrize("mode", ["upstream", "corrected"])
def test_the_right_frames_of_an_mp4(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "1.mp4"
    write_mp4(path, grey(COUNT), fps=8)
    frames = sample_frames(path, mode)
    expected = upstream_positions(COUNT) if mode == "upstream" else corrected_positions(COUNT)
    assert list(frames.positions) == expected
    assert frames.count == COUNT
    assert shown(frames) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [
        (".webm", "libvpx-vp9", "yuv420p"),
        (".gif", "gif", "rgb8"),
        (".mkv", "ffv1", "yuv420p"),
        (".avi", "mjpeg", "yuvj420p"),
    ],
)
def test_any_file_that_pyav_reads(tmp_path: Path, suffix: str, codec: str, pixels: str) -> None:
    path = tmp_path / f"1{suffix}"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=8)
        stream.width = stream.height = 32
        stream.pix_fmt = pixels
        for frame in (grey(COUNT).frames * 255).byte().permute(0, 2, 3, 1).contiguous().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    frames = sample_frames(path, "corrected")
    assert frames.count == COUNT
    assert shown(frames) == pytest.approx(corrected_positions(COUNT), abs=1.5)


def test_lossless_files(tmp_path: Path) -> None:
    write_tiff(tmp_path / "1.tif", grey(COUNT))
    np.savez(tmp_path / "2.npz", frames=grey(COUNT).frames.numpy())
    for name in ("1.tif", "2.npz"):
        assert shown(sample_frames(tmp_path / name, "corrected")) == pytest.approx(corrected_positions(COUNT), abs=0.1)


def test_one_frame(tmp_path: Path) -> None:
    write_mp4(tmp_path / "1.mp4", grey(1), fps=8)
    assert sample_frames(tmp_path / "1.mp4", "corrected").positions == (0,)
    assert sample_frames(tmp_path / "1.mp4", "upstream").positions == (0,) * 8


def test_a_file_that_states_more_frames_than_it_has(tmp_path: Path) -> None:
    path = tmp_path / "1.mp4"
    noise = Video(torch.rand(64, 3, 32, 32, generator=torch.manual_seed(0)))
    write_mp4(path, noise, fps=8)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    upstream, corrected = sample_frames(path, "upstream"), sample_frames(path, "corrected")
    assert upstream.count == 64
    assert 0 < len(upstream.images) < 8
    assert corrected.count < corrected.stated == 64
    assert corrected.positions[-1] == corrected.count - 1


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00\x00\x00\x18ftypmp42"])
@pytest.mark.parametrize("name", ["1.mp4", "1.tif", "1.npz", "1"])
def test_files_that_are_none(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    for mode in ("upstream", "corrected"):
        with pytest.raises(InvalidArgument, match="readable"):
            sample_frames(tmp_path / name, mode)


def test_quality_makes_files_smaller(movie: Path) -> None:
    frames = sample_frames(movie, "corrected")
    sizes = [sum(map(len, compressed(frames.images, quality))) for quality in (30, 20, 10)]
    assert sum(map(len, frames.images)) > sizes[0] > sizes[1] > sizes[2]


def test_names_of_videos(tmp_path: Path) -> None:
    names = ["1.mp4", "002.MP4", "3.webm", "4.mov", "4.mp4", "5.mp4", "5.tif", "6.tif", "99.mp4", "x.mp4", "-1.mp4"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "7.mp4").mkdir()
    found, notes = find_videos(tmp_path, range(1, 9), "corrected")
    assert [path.name for _, path in found] == ["1.mp4", "002.MP4", "3.webm", "4.mp4", "5.mp4", "6.tif"]
    assert sorted(notes) == sorted(
        [
            "-1.mp4: no task -1",
            "99.mp4: no task 99",
            "x.mp4: no task number",
            "task 4: 4.mp4 taken of 4.mp4, 4.mov",
            "2 tasks without a video",
        ]
    )
    found, _ = find_videos(tmp_path, range(1, 9), "upstream")
    assert [path.name for _, path in found] == ["1.mp4", "002.MP4", "4.mov", "4.mp4", "5.mp4"]
    with pytest.raises(InvalidArgument, match="folders of videos"):
        find_videos(tmp_path / "1.mp4", range(3), "corrected")
