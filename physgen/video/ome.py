"""What OME-XML says about an image: pixel size, times of its planes, channels, depth."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from physgen.video.pixels import COLOURS
from physgen.video.recording import Facts
from physgen.video.scale import read_length, read_time
from physgen.video.times import find_interval


def ome_facts(xml: str, image: int, channel: int) -> Facts:
    """Facts of one image; the times are those of one channel. A description is a prompt in files of `write_tiff`.

    Source: OME schema 2016-06, elements Image, Pixels, Channel, Plane.
    """
    root = ElementTree.fromstring(xml)
    chosen = _all(root, "Image")[image]
    pixels = _all(chosen, "Pixels")[0]
    notes: list[str] = []

    def attribute(name: str, default: str) -> tuple[str | None, str]:
        return pixels.get(name), pixels.get(f"{name}Unit", default)

    dy, dx = (read_length(*attribute(f"PhysicalSize{axis}", "µm"), notes) for axis in "YX")
    nominal = read_time(*attribute("TimeIncrement", "s"), notes)
    dt, times = nominal, None
    stamps = _stamps(pixels, channel)
    if stamps is not None:
        timing = find_interval(stamps, nominal, "DeltaT")
        dt, times, notes = timing.dt, timing.times, [*notes, *timing.notes]
    bits = pixels.get("SignificantBits", "")
    channels = tuple(channel.get("Name", "") for channel in _all(pixels, "Channel"))
    ours = root.get("Creator", "").startswith("tifffile") and pixels.get("Type") == "float" and channels == COLOURS
    return Facts(
        spacing=(dy, dx) if dy and dx else None,
        dt=dt,
        times=times,
        prompt=next((element.text for element in _all(root, "Description")), None) if ours else None,
        series=chosen.get("Name") or None,
        channels=channels,
        bits=int(bits) if bits.isdecimal() and int(bits) else None,
        notes=tuple(notes),
    )


def _stamps(pixels: Any, channel: int) -> list[float] | None:
    """Seconds of every frame, where each has a time."""
    found: dict[int, float] = {}
    for plane in _all(pixels, "Plane"):
        if plane.get("TheC", "0") == str(channel) and plane.get("TheZ", "0") == "0" and "DeltaT" in plane.attrib:
            stamp = read_time(plane.get("DeltaT"), plane.get("DeltaTUnit", "s"), [], least=-float("inf"))
            if stamp is not None:
                found[int(plane.get("TheT", "0"))] = stamp
    frames = int(pixels.get("SizeT", "1"))
    return [found[t] for t in range(frames)] if frames > 1 and found.keys() == set(range(frames)) else None


def _all(element: Any, name: str) -> list[Any]:
    return [child for child in element.iter() if child.tag == name or child.tag.endswith(f"}}{name}")]
