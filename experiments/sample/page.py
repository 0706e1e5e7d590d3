"""The report of `physgen sample`: guided first, unguided beside it."""

from __future__ import annotations

from pathlib import Path

from physgen.experiments.draw.measured import Measured, verdict
from physgen.experiments.pages.charts import Chart, Series
from physgen.experiments.pages.numbers import number, percent
from physgen.experiments.pages.report import Film, Page, Table
from physgen.experiments.sample.options import SampleConfig
from physgen.observables import Observable
from physgen.video import Video


def make_page(
    config: SampleConfig,
    drawn: dict[str, Measured],
    main: str,
    videos: dict[str, Video],
    notes: list[str],
    out: Path,
    observable: Observable,
) -> Page:
    """The report: guided first, unguided beside it."""
    result, free = drawn[main], drawn.get("unguided")
    dt = config.world.grid(config.prompt).dt
    time_axis = [dt * i for i in range(len(videos[main].frames))]
    masses = [
        Series(label if len(d.mass) == 1 else f"{label}, {species}", time_axis, values["mass"])
        for label, d in drawn.items()
        for species, values in d.mass.items()
    ]
    charts = [Chart("Mass in the frame", "time (s)", f"mass ({observable.unit} µm²)", masses)]
    if corrected := result.arm.log.steps:
        steps = [record.step + 1 for record in corrected]
        lines = [Series(n, steps, [record.residual[n] for record in corrected]) for n in corrected[0].residual]
        charts.append(Chart("Residual of the estimate at each step", "denoising step", "rms residual", lines, log=True))
    labels = list(drawn)
    cards = [(f"{name} residual, largest", number(report.residual_max)) for name, report in result.constraints.items()]
    cards.append((name_of_drift(result), percent(result.drift)))
    if free and free is not result:
        cards.append(("mass drift, unguided", percent(free.drift)))
        cards.append(("time, guided / unguided", number(result.arm.seconds / free.arm.seconds)))
    return Page(
        title=f"physgen sample · {config.world.name}",
        subtitle=config.prompt,
        notes=notes,
        figures=cards,
        films=[Film(x, videos[x], out / f"{'video' if x == main else x}.mp4") for x in labels],
        charts=charts,
        table=Table(["", *labels], rows(drawn, labels)),
        config=(out / "config.yaml").read_text(encoding="utf-8"),
    )


def name_of_drift(measured: Measured) -> str:
    """What the drift is of: of several species it is the largest, whichever of them a law keeps."""
    species = list(measured.mass)
    return "mass drift, max |m(t) − m(0)| / m(0)" + (f", largest of {', '.join(species)}" if len(species) > 1 else "")


def rows(drawn: dict[str, Measured], labels: list[str]) -> list[list[str]]:
    """Table of numbers, one column per video."""
    columns = [drawn[label] for label in labels]
    table = []
    for name in columns[0].constraints:
        for key, text in (("residual_rms", "rms"), ("residual_max", "largest")):
            table.append([f"{name} residual, {text}", *(number(getattr(d.constraints[name], key)) for d in columns)])
    certificates = [d.arm.log.certificate for d in columns]
    for name in dict.fromkeys(name for entries in certificates for name in entries):
        table.append(
            [f"{name}, certified", *(verdict(entries.get(name)).partition(":")[0] for entries in certificates)]
        )
    table.append([name_of_drift(columns[0]), *(percent(d.drift) for d in columns)])
    table.append(["mass, sd about its trend", *(percent(d.largest("detrended_sd")) for d in columns)])
    terminals = [d.arm.log.terminal for d in columns]
    moved = [number(terminal.moved_rms if terminal else None) for terminal in terminals]
    table.append(["moved by the last projection, rms of [0, 1]", *moved])
    table.append(["network evaluations", *(str(d.arm.nfe) for d in columns)])
    table.append(["time", *(number(d.arm.seconds, "s") for d in columns)])
    return table
