"""Every law on exact solutions, simulators' clips, real pieces and planted faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from physgen.constraints import Constraint, Periodic, Permanence, Progression, Static, Transport
from physgen.experiments.measure.intervals import share
from physgen.experiments.measure.tables import Table
from physgen.experiments.moving.pieces import Piece
from physgen.experiments.moving.trials import EXACT, PLANTED, SIMULATOR, Trial
from physgen.grid import Grid
from physgen.measure import find_spots
from physgen.measure.degenerate import degenerate

REAL = "real"
#: px of a side of the middle that laws are tried on, as large as the simulators' clips, and frames that spots are from
CLIP, LOOKED_AT = 64, 5

Row = dict[str, Any]


def try_laws(trials: Mapping[str, Sequence[Trial]]) -> list[Row]:
    """Residual and verdict of each law in each of its trials."""
    rows = []
    for name, found in trials.items():
        for one in tqdm(found, name, disable=None):
            holds = bool(one.law.satisfied(one.fields, one.grid, one.tolerance))
            residual = float(_rms(one.law, one))
            rows.append(
                {"law": name, "kind": one.kind, "what": one.what, "holds": holds, "residual": residual, "reason": None}
            )
    return rows


def try_real(pieces: Sequence[Piece]) -> list[Row]:
    """What the laws say of the middle of pieces of real movies, in pixels and frames; abstentions with their reason."""
    rows = []
    for piece in tqdm(pieces, REAL, disable=None):
        y, x = (max(0, (size - CLIP) // 2) for size in piece.frames.shape[1:])
        frames = piece.frames[:, y : y + CLIP, x : x + CLIP]
        fields = torch.from_numpy(np.ascontiguousarray(frames)).double()[None, None]
        grid, spots = Grid((1.0, 1.0), 1.0), find_spots(frames[:LOOKED_AT])
        laws: dict[str, tuple[Constraint, float]] = {
            "transport": (Transport(steady=True), 0.0),
            "permanence": (Permanence(float(np.sqrt(2) * spots.scale)), 0.5),
            "static": (Static(), 0.1),
            "progression": (Progression(), 0.01),
            "periodic": (Periodic(), 0.3),
        }
        for name, (law, tolerance) in laws.items():
            trial = Trial(REAL, piece.movie, law, tolerance, fields, grid)
            if len(frames) < 5 and name == "periodic":
                continue
            rows.append(
                {
                    "law": name,
                    "kind": REAL,
                    "what": piece.movie,
                    "holds": bool(law.satisfied(fields, grid, tolerance)),
                    "residual": float(_rms(law, trial)),
                    "reason": _why(law, trial),
                }
            )
    return rows


def _rms(law: Constraint, trial: Trial) -> float:
    return float(law.violation(trial.fields, trial.grid).rms)


def _why(law: Constraint, trial: Trial) -> str | None:
    """Why a law says nothing."""
    if isinstance(law, Transport | Periodic):
        return (law.fit(trial.fields, trial.grid).reason or [None])[0]
    nothing = degenerate(trial.fields)[0]
    return None if nothing is None else f"the fields are {nothing}"


def law_tables(rows: Sequence[Row]) -> list[Table]:
    """Laws by kinds of truth: how many hold, with the residual; planted faults found; real movies."""
    laws = list(dict.fromkeys(row["law"] for row in rows))
    first = []
    for law in laws:
        cells: list[Any] = [law]
        for kind in (EXACT, SIMULATOR):
            mine = [row for row in rows if row["law"] == law and row["kind"] == kind]
            cells += [_held(mine), _residual(mine)]
        planted = [row for row in rows if row["law"] == law and row["kind"] == PLANTED]
        wrong = [row for row in rows if row["law"] == law and row["kind"] in (EXACT, SIMULATOR)]
        cells += [
            share(sum(not row["holds"] for row in wrong), len(wrong)),
            share(sum(not row["holds"] for row in planted), len(planted)),
        ]
        first.append(cells)
    found = [
        [law, what, f"{sum(not row['holds'] for row in mine)} of {len(mine)}", _residual(mine)]
        for law in laws
        for what, mine in _by(rows, law, PLANTED).items()
    ]
    real = [
        [law, what, _held(mine), _residual(mine), _reasons(mine)]
        for law in laws
        for what, mine in _by(rows, law, REAL).items()
    ]
    return [
        Table(
            "Laws where the truth is known: how many videos hold, root mean square residual (median), false alarms",
            ["law", "exact", "residual", "simulator", "residual", "false alarms", "faults found"],
            first,
        ),
        Table("Faults planted in the simulators' clips", ["law", "fault", "found", "residual"], found),
        Table(
            "The same laws on untouched real pieces, in pixels and frames",
            ["law", "movie", "holds", "residual", "abstains"],
            real,
        ),
    ]


def _by(rows: Sequence[Row], law: str, kind: str) -> dict[str, list[Row]]:
    mine = [row for row in rows if row["law"] == law and row["kind"] == kind]
    return {what: [row for row in mine if row["what"] == what] for what in dict.fromkeys(row["what"] for row in mine)}


def _held(rows: Sequence[Row]) -> str:
    return f"{sum(row['holds'] for row in rows)} of {len(rows)}" if rows else "-"


def _residual(rows: Sequence[Row]) -> float:
    return float(np.median([row["residual"] for row in rows])) if rows else float("nan")


def _reasons(rows: Sequence[Row]) -> str:
    said = [row["reason"] for row in rows if row["reason"]]
    if not said:
        return f"0 of {len(rows)}"
    return f"{len(said)} of {len(rows)}: {max(set(said), key=said.count)}"
