"""Depth, channels, axes, background, parts and formats that no file of `cases` has."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tifffile
import torch

from physgen.errors import InvalidArgument
from physgen.video import Video, is_video_folder, measure_extent, read_video, stream_video, write_mp4, write_tiff
from physgen.video.pixels import estimate_background
from physgen.video.times import find_interval
from physgen.video.units import micrometres, seconds

RNG = np.random.default_rng(0)
COUNTS = RNG.integers(0, 3000, (4, 16, 24)).astype(np.uint16)


def counts(video: Video) -> np.ndarray:
    return np.asarray(video.frames[:, 0].double() * video.scale)


def write_movie(path: Path, frames: np.ndarray, layout: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(10))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], layout
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=layout)))
        container.mux(stream.encode())


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_deep_grey_movies_keep_every_count(tmp_path: Path, bits: int) -> None:
    frames = RNG.integers(0, 2**bits, (3, 16, 24)).astype(np.uint16)
    write_movie(tmp_path / "a.mkv", frames, f"gray{bits}le")
    video = read_video(tmp_path / "a.mkv")
    np.testing.assert_array_equal(np.round(counts(video)), frames)
    assert (video.scale, video.bits) == (2**bits - 1, bits)


def test_ten_bit_colours_are_not_cut_to_eight(tmp_path: Path) -> None:
    luma = np.linspace(64, 940, 32 * 32).round().astype(np.uint16).reshape(32, 32)
    planes = np.concatenate([luma.ravel(), np.full(2 * 16 * 16, 512, np.uint16)]).reshape(1, 48, 32)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(10))
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p10le"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(planes[0], format="yuv420p10le")))
        container.mux(stream.encode())
    video = read_video(tmp_path / "a.mkv")
    assert (video.scale, video.bits) == (1023.0, 10)
    grey = video.frames[0].mean(0).numpy()
    assert np.abs(grey - (luma - 64.0) / 876).max() < 1.5 / 1023
    assert len(np.unique(np.round(grey * 876))) > 800


@pytest.mark.parametrize(
    ("array", "metadata", "bits", "scale"),
    [
        (COUNTS, {}, 12, 4095.0),
        (COUNTS, {"SignificantBits": 14}, 14, 16383.0),
        (COUNTS, {"SignificantBits": 10}, 12, 4095.0),
        ((COUNTS // 16).astype(np.uint8), {}, 8, 255.0),
        (COUNTS.astype(np.int16) - 1000, {}, 11, 2047.0),
        (COUNTS.astype(np.float32), {}, None, float(COUNTS.max())),
    ],
)
def test_depth_is_stated_or_found(
    tmp_path: Path, array: np.ndarray, metadata: dict[str, Any], bits: int | None, scale: float
) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata={"axes": "TYX", **metadata})
    video = read_video(path)
    assert (video.bits, video.scale) == (bits, scale)
    np.testing.assert_allclose(counts(video), array, rtol=1e-6, atol=1e-4)


def test_channels_are_chosen_never_averaged(tmp_path: Path) -> None:
    path, names = tmp_path / "a.ome.tif", ["DAPI", "GFP", "RFP", "Cy5"]
    four = np.stack([COUNTS, COUNTS // 2, COUNTS // 3, COUNTS // 4], 1)
    tifffile.imwrite(path, four, ome=True, metadata={"axes": "TCYX", "Channel": {"Name": names}})
    with pytest.raises(InvalidArgument, match=r"0 \(DAPI\), 1 \(GFP\), 2 \(RFP\), 3 \(Cy5\)"):
        read_video(path)
    for wanted in (1, "1", "GFP"):
        video = read_video(path, channel=wanted)
        assert video.channel == "GFP"
        np.testing.assert_array_equal(np.round(counts(video)), COUNTS // 2)
    three = tmp_path / "b.ome.tif"
    tifffile.imwrite(three, four[:, :3], ome=True, metadata={"axes": "TCYX", "Channel": {"Name": names[:3]}})
    with pytest.raises(InvalidArgument, match=r"2 \(RFP\)"):
        read_video(three)


def test_of_time_and_depth_one_plane_is_chosen(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([COUNTS, COUNTS // 2], 1), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(InvalidArgument, match="T 4, Z 2"):
        read_video(tmp_path / "a.tif")
    with pytest.raises(InvalidArgument, match="plane=2: allowed: 0 to 1"):
        read_video(tmp_path / "a.tif", plane=2)
    np.testing.assert_array_equal(np.round(counts(read_video(tmp_path / "a.tif", plane=1))), COUNTS // 2)


def test_two_axes_without_names_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([COUNTS, COUNTS // 2], 1), photometric="minisblack")
    for options in ({}, {"axis": "q"}, {"plane": 0}):
        with pytest.raises(InvalidArgument, match="video='axes of 4 and 2 without names': allowed: one"):
            read_video(tmp_path / "a.tif", **options)


def test_planes_of_depth_have_no_frame_interval(tmp_path: Path) -> None:
    stamps = {"DeltaT": [60.0 * t for t in range(len(COUNTS)) for _ in range(2)], "DeltaTUnit": ["s"] * 2 * len(COUNTS)}
    for plane in ({"Plane": stamps}, {}):
        metadata = {"axes": "TZYX", "TimeIncrement": 60, "TimeIncrementUnit": "s", **plane}
        tifffile.imwrite(tmp_path / "a.ome.tif", np.stack([COUNTS, COUNTS // 2], 1), ome=True, metadata=metadata)
        deep = read_video(tmp_path / "a.ome.tif", axis="z", plane=0)
        assert (deep.dt, deep.times, len(deep.frames)) == (None, None, 2)
        assert "the file's times are not those of axis Z: not used" in deep.notes
        assert read_video(tmp_path / "a.ome.tif", plane=0).dt == 60


def test_a_description_is_a_prompt_only_in_files_of_physgen(tmp_path: Path) -> None:
    rgb = np.stack([COUNTS // 16] * 3, -1).astype(np.uint8)
    metadata = {"axes": "TYXS", "Description": "blood cells flowing fast in a vessel"}
    tifffile.imwrite(tmp_path / "a.ome.tif", rgb, ome=True, photometric="rgb", metadata=metadata)
    assert read_video(tmp_path / "a.ome.tif").prompt is None
    write_tiff(tmp_path / "b.ome.tif", Video(torch.rand(2, 3, 8, 8), prompt="blood cells"))
    assert read_video(tmp_path / "b.ome.tif").prompt == "blood cells"


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_are_read_one_by_one(tmp_path: Path, compression: str | None) -> None:
    four = np.stack([COUNTS, COUNTS // 2], 1)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", four, ome=True, compression=compression, metadata={"axes": "TCYX"}, bigtiff=True
    )
    np.testing.assert_array_equal(np.round(counts(read_video(tmp_path / "a.ome.tif", channel=1))), COUNTS // 2)


def test_resolution_for_print_is_no_pixel_size(tmp_path: Path) -> None:
    for unit, dots, spacing in (("INCH", 72, None), ("CENTIMETER", 20000, 0.5), ("NONE", 2, None)):
        tifffile.imwrite(
            tmp_path / "a.tif",
            COUNTS,
            photometric="minisblack",
            metadata=None,
            resolution=(dots, dots),
            resolutionunit=unit,
        )
        found = read_video(tmp_path / "a.tif").spacing
        assert found == (None if spacing is None else pytest.approx((spacing, spacing)))
    for dots, size in ((72, None), (300, None), (50000, 0.508)):
        metadata = {"axes": "TYX", "unit": "inch", "finterval": 0.5}
        tifffile.imwrite(tmp_path / "a.tif", COUNTS, imagej=True, resolution=(dots, dots), metadata=metadata)
        video = read_video(tmp_path / "a.tif")
        assert (video.spacing, video.dt) == (None if size is None else pytest.approx((size, size)), 0.5)
        assert (f"{dots} dots per inch are for printing: no pixel size" in video.notes) == (size is None)


@pytest.mark.parametrize(
    ("unit", "length"),
    [
        ("cm", 1e4),
        ("inch", 25400),
        ("m", 1e6),
        ("Å", 1e-4),
        ("angstrom", 1e-4),
        ("micrometers", 1),
        ("nm", 1e-3),
        ("\\u00B5m", 1),
        ("Micron", 1),
        ("nanometre", 1e-3),
        ("km", 1e9),
        ("pixel", None),
        ("furlong", None),
    ],
)
def test_lengths(unit: str, length: float | None) -> None:
    assert micrometres(unit) == (None if length is None else pytest.approx(length))


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        ("ns", 1e-9),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("sec", 1),
        ("seconds", 1),
        ("Minutes", 60),
        ("h", 3600),
        ("hr", 3600),
        ("d", 86400),
        ("day", 86400),
        ("milliseconds", 1e-3),
        ("frame", None),
        ("", None),
    ],
)
def test_times(unit: str, time: float | None) -> None:
    assert seconds(unit) == (None if time is None else pytest.approx(time))


def test_stamps_that_jitter_are_one_interval() -> None:
    jitter = 0.41 * np.arange(20) + RNG.uniform(-0.005, 0.005, 20)
    assert find_interval(list(jitter), 0.41, "DeltaT").dt == 0.41
    assert find_interval(list(jitter), None, "DeltaT").dt == pytest.approx(0.41, rel=0.02)
    assert find_interval([0.0, 0.0, 0.0], 2.0, "DeltaT").dt == 2.0


@pytest.mark.parametrize(("offset", "noise", "covered"), [(100, 8, 0.1), (200, 3, 0.6), (0, 0, 0.3), (500, 20, 0.0)])
def test_background_is_the_darkest_plateau(offset: int, noise: float, covered: float) -> None:
    pixels = RNG.normal(offset, noise, 40000)
    cells = RNG.random(40000) < covered
    pixels[cells] += RNG.normal(1500, 300, cells.sum())
    assert estimate_background(np.clip(np.round(pixels), 0, None)) == pytest.approx(offset, abs=0.2 * noise + 0.6)


def test_a_constant_has_no_background() -> None:
    assert estimate_background(np.full(100, 7.0)) is None


def test_parts_of_a_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", frames=COUNTS, spacing=0.5, dt=2.0)
    options: dict[str, Any] = {"crop": [2, 13, 4, 24], "every": 3, "scale": 0.5}
    video = read_video(tmp_path / "a.npz", **options)
    extent = measure_extent(tmp_path / "a.npz", **options)
    assert video.frames.shape == (2, 3, extent.height, extent.width) == (2, 3, 5, 10)
    assert (video.spacing, video.dt) == ((1.0, 1.0), 6.0)
    expected = COUNTS[::3, 2:12, 4:24].reshape(2, 5, 2, 10, 2).mean((2, 4))
    np.testing.assert_allclose(counts(video), expected, rtol=1e-6)
    assert len(list(stream_video(tmp_path / "a.npz", **options))) == extent.frames


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"every": 0}, "every"),
        ({"scale": 0.3}, "scale"),
        ({"scale": 2}, "scale"),
        ({"crop": [0, 99, 0, 9]}, "crop"),
        ({"crop": [5, 5, 0, 9]}, "crop"),
        ({"axis": "y"}, "axis"),
        ({"channel": 1}, "channel"),
        ({"series": 3}, "series"),
    ],
)
def test_parts_that_cannot_be(tmp_path: Path, options: dict[str, Any], name: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, photometric="minisblack", metadata={"axes": "TYX"})
    with pytest.raises(InvalidArgument, match=f"{name}="):
        read_video(tmp_path / "a.tif", **options)


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", COUNTS)
    np.testing.assert_array_equal(np.round(counts(read_video(tmp_path / "a.npy"))), COUNTS)


@pytest.mark.parametrize("ending", ["m4v", "mkv", "mov"])
def test_containers(tmp_path: Path, ending: str) -> None:
    write_mp4(tmp_path / f"a.{ending}", Video(torch.rand(3, 3, 16, 16)), 8)
    assert read_video(tmp_path / f"a.{ending}").frames.shape == (3, 3, 16, 16)


@pytest.mark.parametrize("ending", ["tif", "png"])
def test_folder_of_numbered_pictures(tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, picture in zip((8, 9, 10, 12), COUNTS, strict=True):
        path = folder / f"cell_{number}.{ending}"
        if ending == "tif":
            tifffile.imwrite(path, picture, photometric="minisblack")
        else:
            with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
                stream = container.add_stream("png", rate=1)
                stream.height, stream.width, stream.pix_fmt = picture.shape[0], picture.shape[1], "gray16be"
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray16be")))
                container.mux(stream.encode())
    assert is_video_folder(folder)
    video = read_video(folder)
    np.testing.assert_array_equal(np.round(counts(video)), COUNTS)
    assert "numbers are missing after 10: frames are taken as evenly spaced all the same" in video.notes
    (folder / f"other_1.{ending}").write_bytes((folder / f"cell_8.{ending}").read_bytes())
    with pytest.raises(InvalidArgument, match="pictures of 2 names"):
        read_video(folder)
