"""Formats of microscopes and OME-Zarr, where bioio is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from physgen.errors import InvalidArgument
from physgen.video import read_video

needs_bioio = pytest.mark.skipif(
    importlib.util.find_spec("bioio_ome_zarr") is None, reason="bioio is not installed: pip install 'physgen[formats]'"
)


@needs_bioio
def test_ome_zarr_says_what_it_is(tmp_path: Path) -> None:
    from bioio_ome_zarr.writers import Channel, OMEZarrWriter

    array = (np.arange(4 * 2 * 16 * 20) % 3000).astype(np.uint16).reshape(4, 2, 1, 16, 20)
    writer = OMEZarrWriter(
        store=str(tmp_path / "a.ome.zarr"),
        level_shapes=[array.shape],
        dtype=array.dtype,
        zarr_format=2,
        axes_names=["t", "c", "z", "y", "x"],
        axes_types=["time", "channel", "space", "space", "space"],
        axes_units=["minute", None, "micrometer", "nanometer", "nanometer"],
        physical_pixel_size=[2.0, 1.0, 1.0, 500.0, 250.0],
        channels=[Channel(label="DAPI", color="ff0000"), Channel(label="GFP", color="00ff00")],
    )
    writer.write_full_volume(array)
    video = read_video(tmp_path / "a.ome.zarr", channel="GFP")
    np.testing.assert_array_equal(np.round(video.frames[:, 0].double().numpy() * video.scale), array[:, 1, 0])
    assert (video.spacing, video.dt, video.bits, video.channel) == ((0.5, 0.25), 120.0, 12, "GFP")
    with pytest.raises(InvalidArgument, match=r"0 \(DAPI\), 1 \(GFP\)"):
        read_video(tmp_path / "a.ome.zarr")


@pytest.mark.skipif(importlib.util.find_spec("bioio") is not None, reason="bioio is installed")
@pytest.mark.parametrize("ending", ["czi", "nd2", "lif"])
def test_what_to_install_is_said(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a.{ending}").touch()
    with pytest.raises(InvalidArgument, match=r"physgen\[formats\]"):
        read_video(tmp_path / f"a.{ending}")
