"""TIFF: OME, ImageJ and plain."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from physgen.errors import InvalidArgument
from physgen.video.axes import Indexed, record
from physgen.video.ome import ome_facts
from physgen.video.recording import Array, Facts, Recording, Selection, choose
from physgen.video.scale import read_length, read_time

#: of TIFF's interpretations of numbers, those that are brightness
PHOTOMETRIC = ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "YCBCR")
#: dots per inch that printers and screens have
PRINT = (72, 75, 90, 96, 100, 120, 144, 150, 200, 300, 350, 400, 600, 1200, 2400)


@dataclass(frozen=True)
class Pages:
    """Pages of a file as one array that is read page by page."""

    pages: Sequence[Any]
    shape: tuple[int, ...]
    dtype: Any

    def __getitem__(self, index: Any) -> Array:
        page_shape = self.pages[0].shape
        lead = len(self.shape) - len(page_shape)
        numbers = np.arange(len(self.pages)).reshape(self.shape[:lead])[index[:lead]]
        read = [self._page(number) for number in np.ravel(numbers).tolist()]
        stack = np.stack(read).reshape(*np.shape(numbers), *page_shape)
        return stack[(slice(None),) * np.ndim(numbers) + tuple(index[lead:])]

    def _page(self, number: int) -> Array:
        page = self.pages[number]
        if page is None:
            raise ValueError(f"plane {number} is missing")
        return page.asarray()


@contextmanager
def open_tiff(path: Path, selection: Selection) -> Iterator[Recording]:
    """A TIFF file as a recording; pages are read when they are asked for."""
    with _tifffile_errors(), tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        photometric = getattr(page.photometric, "name", str(page.photometric))
        if photometric not in PHOTOMETRIC:
            raise InvalidArgument("photometric", photometric, "brightness: MINISBLACK, MINISWHITE or RGB")
        array, axes, facts = _series(tiff, selection)
        notes, bits, line = list(facts.notes), facts.bits, None
        if photometric == "PALETTE":
            notes.append("the colour table is for display: stored numbers are read")
        if photometric == "MINISWHITE":
            line = _inverted(page, tiff, notes)
            bits = page.bitspersample if line else bits
        line = _imagej_line(tiff, notes) or line
        yield record(array, axes, replace(facts, bits=bits, notes=tuple(notes)), selection, line)


def _series(tiff: Any, selection: Selection) -> tuple[Indexed, str, Facts]:
    """Array, axes and facts of the image that was asked for."""
    several = tiff.series
    alike = len({(one.shape, one.dtype) for one in several}) == 1 and {one.axes for one in several} <= {"YX", "YXS"}
    if len(several) > 1 and alike and not tiff.is_ome and selection.series is None:
        pages = [page for one in several for page in one.pages]
        note = f"{len(pages)} images of one size, written one by one, are read as frames (series= chooses one)"
        facts = _plain_facts(tiff, "I" + several[0].axes)
        joined = Pages(pages, (len(pages), *several[0].shape), several[0].dtype)
        return joined, "T" + several[0].axes, replace(facts, notes=(*facts.notes, note))
    number = (
        0 if len(several) == 1 and selection.series is None else choose("series", selection.series, _names(several))
    )
    chosen = several[number]
    if tiff.is_ome and tiff.ome_metadata:
        channel = _stamped_channel(tiff.ome_metadata, number, selection)
        facts = ome_facts(tiff.ome_metadata, number, channel)
    else:
        facts = replace(_plain_facts(tiff, chosen.axes), series=str(number) if len(several) > 1 else None)
    return _array(tiff, chosen), chosen.axes, facts


def _names(several: Sequence[Any]) -> tuple[str, ...]:
    sizes = [zip(one.axes, one.shape, strict=True) for one in several]
    shapes = [" x ".join(f"{letter} {size}" for letter, size in size_of) for size_of in sizes]
    names = [one.name for one in several]
    return tuple(names) if all(names) and len(set(names)) == len(names) else tuple(shapes)


def _stamped_channel(xml: str, number: int, selection: Selection) -> int:
    names = ome_facts(xml, number, 0).channels
    return 0 if selection.channel is None or len(names) < 2 else choose("channel", selection.channel, names)


def _array(tiff: Any, series: Any) -> Indexed:
    """The numbers of a series: from the file's one block, or page by page."""
    page = next(page for page in series.pages if page is not None)
    if series.dataoffset is not None and not page.is_tiled:
        dtype = np.dtype(tiff.byteorder + series.dtype.char)
        return np.memmap(tiff.filehandle.path, dtype, "r", series.dataoffset, series.shape)
    lead = len(series.shape) - len(page.shape)
    if lead >= 0 and series.shape[lead:] == page.shape and np.prod(series.shape[:lead], dtype=int) == len(series.pages):
        return Pages(list(series.pages), series.shape, series.dtype)
    return series.asarray()


def _plain_facts(tiff: Any, axes: str) -> Facts:
    """What ImageJ's description or else the resolution tags say."""
    tags = tiff.pages.first.tags
    notes: list[str] = []
    resolutions = [tags[name].value if name in tags else None for name in ("YResolution", "XResolution")]
    pixels = [value[1] / value[0] if value and value[0] else None for value in resolutions]
    bits = tiff.pages.first.bitspersample
    bits = bits if isinstance(bits, int) and bits not in (1, 8, 16, 32, 64) else None
    metadata = tiff.imagej_metadata
    if metadata is not None:
        unit = str(metadata.get("unit", "")) or None
        dt = read_time(metadata.get("finterval"), str(metadata.get("tunit", "s")) or "s", notes)
    else:
        unit = {2: "inch", 3: "cm"}.get(int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 1)
        dt = None
    dy, dx = (read_length(pixel, unit, notes) for pixel in pixels)
    spacing = (dy, dx) if dy and dx else None
    dots = 25400 / dx if spacing and dx and unit in ("inch", "cm") else 0.0
    if any(abs(dots - known) < 0.5 for known in PRINT):
        notes.append(f"{dots:.0f} dots per inch are for printing: no pixel size")
        spacing = None
    elif spacing and metadata is None:
        notes.append(f"pixel size from the TIFF's resolution per {unit}")
    return Facts(spacing, dt, bits=bits, notes=tuple(dict.fromkeys(notes)))


def _inverted(page: Any, tiff: Any, notes: list[str]) -> tuple[float, float] | None:
    """The line that makes 0 white, for whole numbers of a file that is not ImageJ's."""
    if tiff.imagej_metadata is not None:
        notes.append("shown with an inverted colour table: stored numbers are read, as ImageJ measures them")
        return None
    if page.dtype.kind != "u":
        notes.append(f"0 is white in the file, which has no meaning for {page.dtype}: stored numbers are read")
        return None
    white = 2**page.bitspersample - 1
    notes.append(f"0 is white in the file (MINISWHITE): brightness is {white} minus the stored number")
    return float(white), -1.0


def _imagej_line(tiff: Any, notes: list[str]) -> tuple[float, float] | None:
    """ImageJ's calibration c0 + c1 stored, where it is a straight line.

    Source: ij.measure.Calibration and ij.io.FileInfo of ImageJ: function 0 is STRAIGHT_LINE.
    """
    metadata = tiff.imagej_metadata or {}
    if "cf" not in metadata:
        return None
    if int(metadata["cf"]) != 0:
        notes.append(f"ImageJ calibration function {metadata['cf']} is no straight line: stored numbers are read")
        return None
    offset, slope = float(metadata.get("c0", 0)), float(metadata.get("c1", 1))
    if (offset, slope) == (0.0, 1.0):
        return None
    notes.append(f"counts are {offset:g} + {slope:g} x the stored number (the file's ImageJ calibration)")
    return offset, slope


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
