"""Make the parts again, print every number beside the committed one, and say what became of each table."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of
from physgen.experiments.measure.tables import text
from physgen.experiments.paper.fresh.compare import Compared, compared
from physgen.experiments.paper.fresh.flat import Value, flat
from physgen.experiments.paper.fresh.spec import Fresh, Part, read_fresh
from physgen.experiments.paper.results.results import Sweep
from physgen.experiments.paper.results.worlds import WORLD, Worlds
from physgen.experiments.paper.spec import read_figures
from physgen.experiments.runs.collect import collect
from physgen.worlds import world_spec

#: of the runs of a part
SWEEP = "fresh"
#: that are printed
DIGITS = 4


def rerun(paper: Path, only: Sequence[str]) -> int:
    """Make the parts that ``PAPER/fresh.yaml`` states, or some of them; 1 where a number does not agree.

    Parts that were made with another version of the embedded world than the shipped one are not made, and that is said.

    Raises: InvalidArgument for a file that leaves out a table, an unknown part, ``only`` with a part of another
        version of the world, committed results that are not there.
    """
    version, figures = read_figures(paper / "figures.yaml")
    tables = [name for name, spec in figures.items() if spec.module.startswith("table_")]
    stated = read_fresh(paper / "fresh.yaml", tables)
    for name in only:
        if name not in stated.parts:
            raise one_of("only", name, stated.parts)
    former = of_former_worlds(stated, Worlds.read(paper / "results"))
    for name in only:
        if name in former:
            raise InvalidArgument("only", name, f"a part of this version of the world ({former[name]})")
    console = Console(highlight=False, soft_wrap=True)
    found: dict[str, list[Compared]] = {}
    for name in only or [name for name in stated.parts if name not in former]:
        part = stated.parts[name]
        console.print(f"{name}: {part.of}\n{part.command}", markup=False)
        with tempfile.TemporaryDirectory() as folder:
            found[name] = make(part, paper / "results", version, Path(folder))
        for words in [*map(line, found[name]), ""]:
            console.print(words, markup=False)
    for words in summary(stated, found, former):
        console.print(words, markup=False)
    return int(any(not rows or not all(one.agrees for one in rows) for rows in found.values()))


def of_former_worlds(stated: Fresh, worlds: Worlds) -> dict[str, str]:
    """Parts whose committed numbers the shipped world cannot repeat, with what one does to repeat them."""
    shipped = world_spec(WORLD).version
    made = {name: worlds.of(part.results) for name, part in stated.parts.items()}
    return {name: worlds.repeat(one) for name, one in made.items() if one not in (None, shipped)}


def make(part: Part, results: Path, version: str, folder: Path) -> list[Compared]:
    """Run the command of a part in a folder, and compare what it makes.

    A command that fails, or makes none of its numbers, gives no rows.
    """
    out, committed = folder / "out", results / part.committed
    words = [
        word.replace("{out}", str(out)).replace("{committed}", str(committed)) for word in shlex.split(part.command)
    ]
    python = [sys.executable, *(["-m", "physgen"] if words[0] == "physgen" else [])]
    done = subprocess.run([*python, *words[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{part.command}: exit code {done.returncode}\n{done.stderr[-2000:]}", file=sys.stderr)
        return []
    again = _again(part, out)
    known = _committed(part, results, version)
    wanted = {place for place in again if any(fnmatchcase(place, pattern) for pattern in part.numbers)}
    return [
        compared(part.name, place, known.get(place), again[place], part.absolute, part.relative, part.share)
        for place in again
        if place in wanted
    ]


def _again(part: Part, out: Path) -> dict[str, Value]:
    if not part.sweep:
        return flat(_records(json.loads((out / part.made).read_text(encoding="utf-8"))), part.match)
    axes = ("seed", *part.match)
    return {place(row, axes, row["metric"]): _number(row["value"]) for row in collect(out, SWEEP).rows}


def _committed(part: Part, results: Path, version: str) -> dict[str, Value]:
    if not part.sweep:
        file = results / part.committed
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidArgument("committed", str(file), "a JSON file of results") from error
        return flat(_records(data), part.match)
    sweep, axes = Sweep(results, part.sweep, version), ("seed", *part.match)
    return {place(sweep.planned[run], axes, metric): value for (run, metric), value in sweep.values.items()}


def place(settings: Any, axes: Sequence[str], metric: str) -> str:
    """Of a number of a run: what was set, and the metric.

    >>> place({"law": "mass", "seed": 0}, ["seed", "law"], "nfe")
    '0, mass.nfe'
    """
    return f"{', '.join(str(settings.get(axis, '')) for axis in axes)}.{metric}"


def _records(data: Any) -> Any:
    """The records of a file that wraps them."""
    return data["records"] if isinstance(data, dict) and "records" in data else data


def _number(value: Any) -> float:
    return float(np.nan if value is None else value)


def line(one: Compared) -> str:
    """A number that was made again, in one line.

    >>> line(compared("arms", "0, mass.nfe", 60.0, 60.0, 0.0, 0.02))
    'yes  arms: 0, mass.nfe is 60, committed 60, agrees within 58.8 to 61.2'
    """
    again = text(one.again, DIGITS)
    if one.committed is None:
        return f"NO   {one.part}: {one.place} is {again}, and was never committed"
    within = f"committed {text(one.committed, DIGITS)}, agrees within {one.low:.{DIGITS}g} to {one.high:.{DIGITS}g}"
    return f"{'yes' if one.agrees else 'NO '}  {one.part}: {one.place} is {again}, {within}"


def summary(stated: Fresh, found: dict[str, list[Compared]], former: dict[str, str]) -> list[str]:
    """What became of each table; ``former`` are parts of a former world, with what one does to repeat them.

    >>> part = Part("arms", "1 of 16 seeds", "", ())
    >>> summary(Fresh({"arms": part}, {"ablation": ("arms",)}, {"real": "it needs movies"}), {"arms": []}, {})
    ['ablation: 0 of 0 numbers agree (1 of 16 seeds): NO', 'real: not made again, it needs movies']
    """
    lines = []
    for table, parts in stated.tables.items():
        for name in parts:
            if name in former:
                lines.append(f"{table}: {former[name]} ({name})")
                continue
            if name not in found:
                lines.append(f"{table}: {name} was not asked for")
                continue
            rows = found[name]
            good = sum(one.agrees for one in rows)
            verdict = "" if rows and good == len(rows) else ": NO"
            lines.append(f"{table}: {good} of {len(rows)} numbers agree ({stated.parts[name].of}){verdict}")
    return lines + [f"{table}: not made again, {reason}" for table, reason in stated.reasons.items()]
