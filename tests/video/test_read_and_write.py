"""Files keep their numbers, their scale and their prompt; damaged ones are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from physgen.errors import InvalidArgument
from physgen.video import Video, read_video, stream_video, write_mp4, write_tiff


@pytest.fixture
def clip() -> Video:
    """Smooth colours that survive H.264."""
    time, y, x = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 32), np.linspace(0, 1, 48), indexing="ij")
    frames = np.stack([0.5 + 0.4 * np.sin(3 * x + time), 0.2 + 0.6 * y, 0.5 * time], axis=1)
    return Video(torch.from_numpy(frames).float(), spacing=(2.0, 0.5), dt=0.1, prompt='two "drops" & é, <b>')


def test_tiff_is_lossless_and_knows_its_scale(tmp_path: Path, clip: Video) -> None:
    clip.frames[0, 0, 0, 0] = torch.nextafter(torch.tensor(0.5), torch.tensor(1.0))
    write_tiff(tmp_path / "video.tif", clip)
    read = read_video(tmp_path / "video.tif")
    assert read.frames.dtype == torch.float32
    assert torch.equal(read.frames, clip.frames)
    assert (read.scale, read.spacing, read.dt, read.prompt) == (1.0, (2.0, 0.5), 0.1, clip.prompt)
    with tifffile.TiffFile(tmp_path / "video.tif") as tiff:
        assert tiff.is_ome
        assert tiff.series[0].axes == "TCYX"


def test_unknown_scale_stays_unknown(tmp_path: Path, clip: Video) -> None:
    for name, write in (("a.tif", write_tiff), ("a.mp4", lambda path, video: write_mp4(path, video, 8))):
        write(tmp_path / name, Video(clip.frames))
        read = read_video(tmp_path / name)
        assert (read.spacing, read.dt, read.prompt) == (None, None, None)


@pytest.mark.parametrize("size", [(32, 48), (31, 47)])
def test_mp4_is_close_and_knows_its_scale(tmp_path: Path, clip: Video, size: tuple[int, int]) -> None:
    cut = Video(clip.frames[..., : size[0], : size[1]], spacing=clip.spacing, dt=clip.dt, prompt=clip.prompt)
    write_mp4(tmp_path / "video.mp4", cut, fps=8)
    read = read_video(tmp_path / "video.mp4")
    assert read.frames.shape == cut.frames.shape
    assert (read.frames - cut.frames).abs().mean() < 0.01
    assert (read.spacing, read.dt, read.prompt) == ((2.0, 0.5), 0.1, clip.prompt)


@pytest.mark.parametrize("name", ["a.mp4", "a.tif"])
def test_parts_are_the_whole(tmp_path: Path, clip: Video, name: str) -> None:
    write_mp4(tmp_path / name, clip, 8) if name.endswith("mp4") else write_tiff(tmp_path / name, clip)
    streamed, read = list(stream_video(tmp_path / name)), read_video(tmp_path / name)
    assert len(streamed) == len(clip.frames)
    assert torch.equal(torch.cat([part.frames for part in streamed]), read.frames)
    assert {(part.spacing, part.dt, part.prompt, part.scale) for part in streamed} == {
        (read.spacing, read.dt, read.prompt, read.scale)
    }


def test_movie_that_is_cut_ends_in_an_error(tmp_path: Path, clip: Video) -> None:
    write_mp4(tmp_path / "a.mp4", Video(clip.frames.repeat(8, 1, 1, 1)), 8)
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    parts = stream_video(tmp_path / "a.mp4")
    assert next(parts).frames.shape == (1, 3, 32, 48)
    with pytest.raises(InvalidArgument, match="complete, readable mp4"):
        list(parts)


RAMP = np.arange(4 * 6 * 8, dtype=np.uint16).reshape(4, 6, 8) * 300


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (RAMP, {"metadata": None}),
        (RAMP, {"ome": True, "metadata": {"axes": "TYX"}}),
        (RAMP, {"imagej": True, "metadata": {"axes": "TYX"}}),
        (RAMP[:, None], {"ome": True, "metadata": {"axes": "TCYX"}}),
        (np.stack([RAMP] * 3, -1), {"photometric": "rgb", "metadata": None}),
        (np.stack([RAMP] * 3, 1), {"ome": True, "metadata": {"axes": "TCYX"}}),
    ],
)
def test_microscope_layouts(tmp_path: Path, array: np.ndarray, options: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array, **{"photometric": "minisblack", **options})
    video = read_video(tmp_path / "a.tif")
    assert video.frames.shape == (4, 3, 6, 8)
    assert video.grey
    np.testing.assert_array_equal(np.round(video.frames[:, 0].numpy() * video.scale), RAMP)


def test_imagej_scale(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        RAMP,
        imagej=True,
        resolution=(2, 4),
        metadata={"axes": "TYX", "unit": "um", "finterval": 30},
    )
    video = read_video(tmp_path / "a.tif")
    assert (video.spacing, video.dt) == ((0.25, 0.5), 30.0)


def test_ome_units_are_converted(tmp_path: Path) -> None:
    metadata = {"axes": "TYX", "TimeIncrement": 2.0, "TimeIncrementUnit": "min"}
    for axis in "XY":
        metadata |= {f"PhysicalSize{axis}": 250.0, f"PhysicalSize{axis}Unit": "nm"}
    tifffile.imwrite(tmp_path / "a.tif", RAMP, ome=True, photometric="minisblack", metadata=metadata)
    video = read_video(tmp_path / "a.tif")
    assert (video.spacing, video.dt) == ((0.25, 0.25), 120.0)


@pytest.mark.parametrize("shape", [(4, 6, 8), (4, 3, 6, 8), (4, 6, 8, 3), (4, 6, 8, 4)])
def test_npz(tmp_path: Path, shape: tuple[int, ...]) -> None:
    frames = np.random.default_rng(0).random(shape).astype(np.float32)
    np.savez(tmp_path / "a.npz", video=frames, spacing=2.0, dt=0.5)
    video = read_video(tmp_path / "a.npz")
    assert video.frames.shape == (4, 3, 6, 8)
    assert (video.spacing, video.dt) == ((2.0, 2.0), 0.5)
    first = frames[0, 0, :, :] if shape[1] == 3 else frames[0, :, :, 0] if len(shape) == 4 else frames[0]
    np.testing.assert_array_equal(video.frames[0, 0].numpy(), first)


@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.4, 0.95])
@pytest.mark.parametrize("kind", ["mp4", "ome.tif", "plain.tif", "npz"])
def test_truncated_files_are_refused(
    tmp_path: Path, clip: Video, kind: str, fraction: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "mp4":
        write_mp4(path, clip, fps=8)
    elif kind == "ome.tif":
        write_tiff(path, clip)
    elif kind == "plain.tif":
        tifffile.imwrite(path, RAMP, photometric="minisblack", metadata=None)
    else:
        np.savez(path, frames=RAMP)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
    with pytest.raises(InvalidArgument, match="complete, readable") as caught:
        read_video(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_refusals_name_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.mp4"):
        read_video(tmp_path / "nowhere.mp4")
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(InvalidArgument, match=r"\.mp4, .*\.tif, .*\.npz"):
        read_video(tmp_path / "a.pdf")
    np.savez(tmp_path / "other.npz", data=RAMP)
    with pytest.raises(InvalidArgument, match="frames or video"):
        read_video(tmp_path / "other.npz")
    np.savez(tmp_path / "object.npz", frames=np.array([{}], dtype=object))
    with pytest.raises(InvalidArgument, match="readable"):
        read_video(tmp_path / "object.npz")
    tifffile.imwrite(tmp_path / "two.tif", np.stack([RAMP] * 2, 1), ome=True, metadata={"axes": "TCYX"})
    with pytest.raises(InvalidArgument, match="channel"):
        read_video(tmp_path / "two.tif")


def test_a_still_is_one_frame(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "still.tif", RAMP[0])
    assert read_video(tmp_path / "still.tif").frames.shape == (1, 3, 6, 8)


def test_real_microscopy(shared: Path) -> None:
    path = shared / "microscopy" / "cancer_nuclei_48x130x130_u16.tif"
    video = read_video(path)
    assert video.frames.shape == (48, 3, 130, 130)
    assert video.grey
    np.testing.assert_array_equal(np.round(video.frames[:, 0].double().numpy() * video.scale), tifffile.imread(path))
