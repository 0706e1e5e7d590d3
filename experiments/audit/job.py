"""`physgen audit`: measure finished videos, generated or real."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from physgen import __version__
from physgen.audit import Measurement, check_video, fields_mass, measure
from physgen.constraints import Constraint, PhaseOrder
from physgen.constraints.mass.conservation import NEGATIVE
from physgen.errors import InvalidArgument, PhysgenError
from physgen.experiments.audit.cells import UNREAD, CellReading, check_cells, read_cells, write_crops
from physgen.experiments.audit.curves import draw_curve, mass_curve, phase_ribbon
from physgen.experiments.audit.fields import Fields, check_pace, read_fields, why_doubtful, why_nothing
from physgen.experiments.audit.folder import audit_folder
from physgen.experiments.audit.moving.job import check_measure, measure_moving, write_moving
from physgen.experiments.audit.moving.report import Moving
from physgen.experiments.audit.reading_options import check_options, selection
from physgen.experiments.audit.words import say
from physgen.experiments.cli.schema import AuditConfig
from physgen.experiments.cli.target import build
from physgen.experiments.draw.rules import chosen
from physgen.experiments.pages.charts import Chart
from physgen.experiments.pages.numbers import number, percent
from physgen.experiments.pages.report import Film, Page, Table, write_report
from physgen.experiments.pages.ribbon import Ribbon
from physgen.experiments.runs.records import git_sha, write_json_atomic
from physgen.experiments.runs.resume import check_folder, resume
from physgen.places import named_as_in_file
from physgen.video import is_video_folder, stream_video


@dataclass(frozen=True)
class MeasuredFile:
    """A file, the units that its numbers are in, and the numbers."""

    path: Path
    read: Fields
    constraints: dict[str, Measurement]
    words: dict[str, str]
    mass: dict[str, dict[str, Any]]
    cells: list[CellReading]
    moving: list[Moving] = field(default_factory=list)


def run(config: AuditConfig) -> int:
    """Measure every file, print a table, and with ``out`` write ``metrics.json`` and ``report.html``; or a folder.

    Of several files those that cannot be measured are named, and the others are measured: 1 is returned.
    """
    if not config.files:
        raise InvalidArgument("files", config.files, "one or more videos, or a folder: physgen audit FILE ...")
    check_options(config)
    kinds = check_measure(config.measure)
    console = Console(soft_wrap=True, highlight=False)
    laws = chosen(config.constraint, config.prompt, config.world)
    for note in laws.notes:
        console.print(note, markup=False)
    config = replace(config, constraint=laws.constraint)
    folders = [file for file in config.files if Path(file).is_dir() and not is_video_folder(file)]
    if folders:
        if len(config.files) > 1:
            raise InvalidArgument("files", config.files, "videos, or one folder of them with its metadata")
        if kinds:
            raise InvalidArgument("measure", config.measure, "null for a folder of clips")
        audit_folder(Path(folders[0]), config)
        return 0
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "processes")}
    out = Path(config.out) if config.out else None
    if out:
        check_folder(out, settings, finished=False)
    constraints: dict[str, Constraint] = {name: build(Constraint, spec) for name, spec in config.constraint.items()}
    check_cells(config.cells, constraints)
    measured: list[MeasuredFile] = []
    for file in config.files:
        try:
            measured.append(measure_file(Path(file), config, constraints, kinds))
            print_table(console, measured[-1])
        except (PhysgenError, OSError) as error:
            if len(config.files) == 1:
                raise
            print(f"physgen: {' '.join(str(error).split())}", file=sys.stderr)
    if out and measured:
        resume(out, settings)
        write(out, config, measured, constraints)
        console.print(str(out), markup=False)
    return int(len(measured) < len(config.files))


def measure_file(
    path: Path, config: AuditConfig, constraints: dict[str, Constraint], kinds: Sequence[str] = ()
) -> MeasuredFile:
    """Read one file and measure it."""
    read = read_fields(path, config, config.prompt, partial(_reads_dye, path, config), constraints.values())
    check_pace(path, read, config, constraints)
    try:
        check_video(read.values)
    except InvalidArgument as error:
        guessed = read.video.notes if error.name == "frames" else ()
        few = (f"those that every={config.every} reads",) if error.name == "frames" and config.every > 1 else ()
        allowed = "; ".join([str(error.allowed), *few, *guessed])
        raise InvalidArgument(f"{path}: {error.name}", error.got, allowed) from error
    nothing = why_nothing(read, constraints)
    with named_as_in_file(read.part.places):
        doubt = why_doubtful(read, constraints)
        found = {
            name: measure(
                read.values, law, read.grid, tolerance=config.tolerance, nothing=nothing[name], doubt=doubt[name]
            )
            for name, law in constraints.items()
        }
        return MeasuredFile(
            path,
            read,
            found,
            {name: say(name, law, found[name], read.units) for name, law in constraints.items()},
            fields_mass(read.values, read.observable.species, read.grid, scale=read.counts, times=_times(read, config)),
            read_cells(read.values, constraints, read.grid) if config.cells else [],
            measure_moving(read, kinds, _times(read, config)),
        )


def _reads_dye(path: Path, config: AuditConfig, prompt: str | None) -> bool:
    """Whether the world's colour map is meant: asked for, or a prompt and a video that is not grey."""
    if config.observable != "auto" or prompt is None:
        return config.observable == "dye"
    return any(not part.grey for part in stream_video(path, **selection(config)))


def _times(read: Fields, config: AuditConfig) -> tuple[float, ...] | None:
    return None if config.dt is not None else read.video.times


def quantities(item: MeasuredFile) -> list[tuple[str, str]]:
    """Names and texts of everything that was measured."""
    frames, height, width = item.read.values.shape[2:]
    length, time = item.read.units["length"], item.read.units["time"]
    dy, dx = item.read.grid.spacing
    result = [
        ("frames", f"{frames} x {height} x {width}"),
        ("pixel, frame interval", f"{dy:g} x {dx:g} {length}, {item.read.grid.dt:g} {time}"),
    ]
    for name, report in item.constraints.items():
        if NEGATIVE in report.fit.reason:
            continue
        result += [
            (f"{name} residual, rms", number(report.residual_rms)),
            (f"{name} residual, largest", number(report.residual_max)),
        ]
    for species, values in item.mass.items():
        result += [
            (f"{species}: mass at the start", number(values["mass"][0], item.read.units["mass"])),
            (f"{species}: drift, max |m(t) − m(0)| / m(0)", percent(values["drift"])),
            (f"{species}: change, m(T) / m(0) − 1", percent(values["change"])),
            (f"{species}: sd about the fitted exponential", percent(values["detrended_sd"])),
            (f"{species}: bleaching rate", rate(values["bleaching_rate"], time)),
        ]
    return result


def rate(value: float | None, time: str) -> str:
    """A rate of bleaching; mass that grows does not bleach.

    >>> rate(-0.1, "s"), rate(0.02, "s")
    ('none', '0.02 1/s')
    """
    return "none" if value is not None and value <= 0 else number(value, f"1/{time}")


def compared(columns: list[dict[str, str]]) -> list[list[str]]:
    """One row per quantity, one column per file, a dash where a file lacks it.

    >>> compared([{"a": "1"}, {"a": "2", "b": "3"}])
    [['a', '1', '2'], ['b', '–', '3']]
    """
    names = dict.fromkeys(name for column in columns for name in column)
    return [[name, *(column.get(name, "–") for column in columns)] for name in names]


def print_table(console: Console, item: MeasuredFile) -> None:
    """Print one file's numbers."""
    console.print(str(item.path), style="bold", markup=False)
    for name, words in item.words.items():
        console.print(f"{name}: {words}", markup=False)
    for cell in item.cells:
        console.print(f"  {cell.words}", markup=False)
    for one in item.moving:
        console.print(f"{one.kind}: {one.words}", markup=False)
    table = RichTable(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name, text in quantities(item):
        table.add_row(name, text)
    console.print(table)
    for note in item.read.notes:
        console.print(f"  {note}", markup=False)


def write(out: Path, config: AuditConfig, measured: list[MeasuredFile], laws: dict[str, Constraint]) -> None:
    """Write tables and pictures, ``report.html`` and, last, ``metrics.json``."""
    stems = [item.path.stem for item in measured]
    for index, item in enumerate(measured):
        name = item.path.stem if stems.count(item.path.stem) == 1 else f"{index}-{item.path.stem}"
        write_crops(out / "cells" / name, item.cells)
        write_moving(out / "measures" / name, item.moving)
    write_report(out / "report.html", make_page(config, measured, laws, (out / "config.yaml").read_text("utf-8")))
    write_json_atomic(
        out / "metrics.json",
        {
            "version": __version__,
            "git_sha": git_sha(),
            "files": [
                {
                    "file": str(m.path),
                    "units": m.read.units,
                    "scale": m.read.scale,
                    "notes": m.read.notes,
                    "constraints": {
                        name: {"verdict": m.words[name], **report.as_json()} for name, report in m.constraints.items()
                    },
                    "mass": m.mass,
                    "cells": [cell.as_json(m.read.part.places) for cell in m.cells],
                    "measures": {one.kind: one.numbers for one in m.moving},
                }
                for m in measured
            ],
        },
    )


def curves(item: MeasuredFile, laws: dict[str, Constraint], config: AuditConfig) -> list[Chart | Ribbon]:
    """What a file shows over time: the curve of each law, the phases of each cell that divides, and mass."""
    dt, frames, title = item.read.grid.dt, item.read.values.shape[2], item.path.name
    times = _times(item.read, config) or [dt * t for t in range(frames)]
    found = [
        draw_curve(f"{name}, {title}", law, item.constraints[name], item.read, times) for name, law in laws.items()
    ]
    for cell in item.cells:
        law = laws[cell.law]
        if isinstance(law, PhaseOrder) and cell.order not in UNREAD:
            ends = times[cell.cell.start : cell.cell.start + len(cell.cell.crop)]
            found.append(phase_ribbon(f"cell {cell.number}, {title}", law, cell.reading, ends, item.read.units))
    measured = {name: (law, item.constraints[name]) for name, law in laws.items()}
    moving = [replace(chart, title=f"{chart.title}, {title}") for one in item.moving for chart in one.charts.values()]
    return [one for one in found if one] + moving + [mass_curve(title, measured, item.mass, item.read, times)]


def make_page(config: AuditConfig, measured: list[MeasuredFile], laws: dict[str, Constraint], settings: str) -> Page:
    """The report of all files."""
    drawn = [curve for item in measured for curve in curves(item, laws, config)]
    return Page(
        title="physgen audit",
        subtitle=", ".join(item.path.name for item in measured),
        notes=[f"{item.path.name}: {note}" for item in measured for note in item.read.notes],
        figures=[
            (f"{name}, {item.path.name}", words)
            for item in measured
            for name, words in [*item.words.items(), *((one.kind, one.words) for one in item.moving)]
        ],
        films=[
            Film(
                m.path.name,
                m.read.video,
                m.path if m.path.suffix.lower() == ".mp4" else None,
                m.read.values.shape[2],
            )
            for m in measured
        ]
        + [Film(cell.words, cell.film(m.read.grid, m.read.units)) for m in measured for cell in m.cells],
        charts=[curve for curve in drawn if isinstance(curve, Chart)],
        ribbons=[curve for curve in drawn if isinstance(curve, Ribbon)],
        table=Table(
            ["", *(item.path.name for item in measured)], compared([m.words | dict(quantities(m)) for m in measured])
        ),
        config=settings,
    )
