"""Small files with their right values: what the file means is what is read, and every guess is a note."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physgen.errors import InvalidArgument
from physgen.video import Video, read_video

CASES = Path(__file__).parent / "cases"
#: mean of frame 0 in the file's counts
MEAN, BLEACHED = 639.916, 264.475


def mean(video: Video) -> float:
    return float(video.frames[0].double().mean()) * video.scale


@pytest.mark.parametrize(
    ("name", "options", "brightness", "spacing", "dt", "note"),
    [
        ("ij_tunit_min.tif", {}, MEAN, 0.5, 300.0, "no depth"),
        ("ij_tunit_frame.tif", {}, MEAN, 0.5, None, "'frame' in the file: no time"),
        ("ij_finterval0.tif", {}, MEAN, 0.5, None, "frame interval 0 in the file: none"),
        ("ij_unit_cm.tif", {}, MEAN, 5000.0, 2.0, "no depth"),
        ("ij_unit_micrometer.tif", {}, MEAN, 0.5, 2.0, "no depth"),
        ("ij_signed16.tif", {}, 39.916, 0.5, 2.0, "-32768 + 1 x the stored number"),
        ("ij_zstack.tif", {"axis": "z"}, MEAN, 0.5, None, "axis Z is read as time, as asked"),
        ("ij_2ch.tif", {"channel": 0}, MEAN, 0.5, 2.0, "no depth"),
        ("ome_Z.ome.tif", {"axis": "z"}, MEAN, 0.5, None, "axis Z is read as time, as asked"),
        (
            "ome_nominal_increment.ome.tif",
            {},
            BLEACHED,
            0.5,
            0.4,
            "states 0.001 s from frame to frame, its DeltaT",
        ),
        ("ome_irregular.ome.tif", {}, BLEACHED, 0.5, None, "no constant frame interval: frames are 1 to 60 s apart"),
        ("ome_two_series.ome.tif", {"series": 0}, MEAN, 0.5, 2.0, "no depth"),
        ("ome_two_series.ome.tif", {"series": "Image1"}, None, 0.25, 7.0, "no depth"),
        ("ome_cm.ome.tif", {}, MEAN, 5000.0, 5.0, "no depth"),
        ("ome_m.ome.tif", {}, MEAN, 0.5, 5.0, "no depth"),
        ("ome_day.ome.tif", {}, MEAN, 0.5, 43200.0, "no depth"),
        ("appended.tif", {}, MEAN, None, None, "6 images of one size, written one by one"),
        ("miniswhite.tif", {}, 79.575, None, None, "0 is white in the file"),
        ("bleach_gray16.tif", {}, BLEACHED, None, None, "16 pages without a name"),
        ("bleach_gray16_ffv1.avi", {}, BLEACHED, None, None, "played at 10 frames a second"),
        ("vfr.mp4", {}, None, None, None, "frames are 0.1 to 0.5 s apart (the container)"),
        ("a.webm", {}, None, None, None, "played at 25 frames a second"),
        ("a.mkv", {}, None, None, None, "played at 25 frames a second"),
        ("a.gif", {}, None, None, None, "played at 25 frames a second"),
    ],
)
def test_right_values(
    name: str, options: dict[str, Any], brightness: float | None, spacing: float | None, dt: float | None, note: str
) -> None:
    video = read_video(CASES / name, **options)
    assert video.spacing == (None if spacing is None else pytest.approx((spacing, spacing)))
    assert video.dt == dt
    assert any(note in one for one in video.notes), video.notes
    if brightness is not None:
        assert mean(video) == pytest.approx(brightness, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cmyk.tif", {}, "SEPARATED"),
        ("ij_zstack.tif", {}, r"z, to read 6 planes of axis Z \(depth, not time\) as frames"),
        ("ome_Z.ome.tif", {}, "depth, not time"),
        ("ij_2ch.tif", {}, "channel=None: allowed: 0, 1"),
        ("ij_2ch.tif", {"channel": "GFP"}, "channel='GFP': allowed: 0, 1"),
        ("ome_two_series.ome.tif", {}, r"series=None: allowed: 0 \(Image0\), 1 \(Image1\)"),
        ("appended.tif", {"axis": "z"}, "axis='z': allowed: one of"),
    ],
)
def test_what_has_several_meanings_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        read_video(CASES / name, **options)
    assert name in str(caught.value)


def test_sixteen_bit_movie_is_the_tiff_that_it_was_made_of() -> None:
    movie, tiff = (read_video(CASES / name) for name in ("bleach_gray16_ffv1.avi", "bleach_gray16.tif"))
    np.testing.assert_array_equal(movie.frames.numpy(), tiff.frames.numpy())
    assert (movie.scale, movie.bits) == (tiff.scale, tiff.bits) == (1023.0, 10)


def test_times_are_kept_where_they_are_irregular() -> None:
    times = read_video(CASES / "ome_irregular.ome.tif").times
    assert times is not None
    assert times[7:10] == (7.0, 67.0, 127.0)
    every_other = read_video(CASES / "vfr.mp4", every=2).times
    assert every_other == pytest.approx((0.0, 0.2, 0.8, 1.8))


def test_floats_with_nan_are_read_as_they_are() -> None:
    assert read_video(CASES / "float_nan.tif").frames.isnan().any()


def test_one_page_of_appended_ones() -> None:
    assert read_video(CASES / "appended.tif", series=2).frames.shape == (1, 3, 16, 20)
