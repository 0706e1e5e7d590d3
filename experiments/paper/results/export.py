"""`physgen paper export`: from run folders to the small files that the paper is made of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from physgen import __version__
from physgen.errors import InvalidArgument
from physgen.experiments.paper.results.readings import frames_of, readings
from physgen.experiments.paper.results.shown import shown
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec, read_figures
from physgen.experiments.results.job import write_tables
from physgen.experiments.runs.records import git_sha, write_json_atomic
from physgen.experiments.runs.tables import write_parquet

#: modules of figures that show videos
SHOWING = ("figure_strip",)


def export(paper: Path, runs: Path, sweeps: Sequence[str], benchmarks: Sequence[Path]) -> None:
    """Fill ``PAPER/results`` with sweeps (all that figures need, unless some are named), benchmarks and frames.

    Runs that are not finished are named and left out.

    Raises: InvalidArgument for a sweep that was not run there, or a figure that shows a run which is not finished.
    """
    out = paper / "results"
    version, specs = read_figures(paper / "figures.yaml")
    out.mkdir(parents=True, exist_ok=True)
    for source in benchmarks:
        export_benchmark(source, out)
    wanted = list(sweeps) or ([] if benchmarks else sweeps_of(specs.values()))
    for name in wanted:
        problems = export_sweep(runs, name, out)
        print(f"{name}: {len(problems)} runs left out" + "".join(f"\n  {line}" for line in problems[:3]))
    mine = [spec for spec in specs.values() if spec.sweep in wanted]
    store = Store(out, version)
    if shows := [spec for spec in mine if spec.module in SHOWING]:
        export_videos(shows, store, runs)


def export_sweep(runs: Path, name: str, out: Path) -> list[str]:
    """Write a sweep's manifest, numbers, feature vectors and steps; what could not be read is returned."""
    problems = write_tables(runs, name, out).problems
    shutil.copyfile(runs / f"{name}.json", out / f"{name}.json")
    return problems


def export_benchmark(source: Path, out: Path) -> None:
    """Wrap a benchmark's list of records with the version that it is of, and the world of the run's ``config.yaml``.

    Raises: InvalidArgument for anything else.
    """
    try:
        records = json.loads(source.read_text(encoding="utf-8"))
        assert isinstance(records, list)
    except (ValueError, AssertionError) as error:
        raise InvalidArgument("benchmark", str(source), "a whole JSON list of records") from error
    begun = source.parent / "config.yaml"
    world = yaml.safe_load(begun.read_text(encoding="utf-8")).get("world") if begun.is_file() else None
    about = {"version": __version__, "git_sha": git_sha()} | ({"world": world} if world else {})
    write_json_atomic(out / source.name, {**about, "records": records})


def export_videos(specs: Sequence[FigureSpec], store: Store, runs: Path) -> None:
    """Frames and readings of the runs that figures show."""
    ids = sorted({run for spec in specs for one in shown(spec, store) for run in one.runs.values()})
    frames: dict[str, Any] = {run: frames_of(runs / run) for run in ids}
    np.savez_compressed(store.folder / "frames.npz", **frames)
    rows = [row for run in tqdm(ids, desc="readings", disable=None) for row in readings(runs / run)]
    write_parquet(store.folder / "readings.parquet", rows)


def sweeps_of(specs: Iterable[FigureSpec]) -> list[str]:
    """Every sweep that figures need, references included."""
    used: dict[str, Any] = {}
    for spec in specs:
        used |= {spec.sweep: None, spec.options.get("reference", {}).get("sweep", ""): None}
    return [name for name in used if name]
