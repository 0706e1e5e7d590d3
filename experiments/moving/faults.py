"""Faults planted in pieces of real movies: what finds them, and what is found where none is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from physgen.experiments.measure.intervals import share
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.moving.pieces import Piece
from physgen.experiments.moving.plant import PLANTS, when
from physgen.experiments.moving.text import Text, runs_backward
from physgen.measure import find_faults
from physgen.measure.faults import FAULTS

#: what is planted in nothing, and the test that asks the text
UNTOUCHED, TEXT = "untouched", "text"
#: planted fault -> tests that are meant to find it
MEANT: dict[str, tuple[str, ...]] = {
    "reversed": (TEXT,),
    "second part reversed": ("gap", "order", "camera"),
    "three frames dropped": ("gap",),
    "one frame dropped": ("gap",),
    "light falls by 0.2 at once": ("light",),
    "light falls by 0.3 slowly": ("fade",),
    "a cell from nowhere": ("arrival",),
    "three frames permuted": ("order",),
    "neighbours swapped": ("order",),
}
#: faults that the goal does not count: beyond what was asked, or too small
BESIDE = ("second part reversed", "one frame dropped")
#: frames from a planted fault that it is found in
NEAR = 4
#: words of the tests
TESTS = {
    "order": "another order of three frames is shorter",
    "gap": "frames before and after are too unlike",
    "repeat": "a frame is the one before again",
    "light": "all of the picture is brighter or darker at once",
    "fade": "light is lost over the piece",
    "arrival": "something comes or goes at once",
    "camera": "the picture is shifted at once",
    TEXT: "flow or number of cells against the text",
}

Row = dict[str, Any]


def try_faults(pieces: Sequence[Piece], text: Text, seed: int) -> list[Row]:
    """What every test says of each piece, untouched and with each fault planted at a random frame."""
    rows = []
    for index, piece in enumerate(tqdm(pieces, pieces[0].movie if pieces else "", disable=None)):
        rng = np.random.default_rng([seed, index])
        at = when(len(piece.frames), rng)
        for name in (UNTOUCHED, *PLANTS):
            movie = piece.frames if name == UNTOUCHED else PLANTS[name](piece.frames, at, rng)
            if movie is None:
                continue
            signs = {
                sign.fault: {"value": sign.value, "frame": sign.frame, "found": sign.found, "reason": sign.reason}
                for sign in find_faults(movie)
            }
            if name in (UNTOUCHED, "reversed"):
                backward = runs_backward(movie, text, piece.y, piece.x)
                signs[TEXT] = {
                    "value": None if backward is None else float(backward),
                    "frame": None,
                    "found": bool(backward),
                    "reason": "the text says nothing of the direction of time" if backward is None else None,
                }
            rows.append({"movie": piece.movie, "piece": piece.name, "planted": name, "at": at, "signs": signs})
    return rows


def is_found(row: Row) -> bool | None:
    """Whether a test that is meant to find the planted fault does, near it; None where all of them abstain."""
    if all(row["signs"][test]["value"] is None for test in MEANT[row["planted"]]):
        return None
    return any(
        (sign := row["signs"][test])["found"] and (sign["frame"] is None or abs(sign["frame"] - row["at"]) <= NEAR)
        for test in MEANT[row["planted"]]
    )


def fault_tables(rows: Sequence[Row]) -> list[Table]:
    """Faults found by movie, alarms on untouched pieces, and which test says what."""
    movies = list(dict.fromkeys(row["movie"] for row in rows))
    untouched = [row for row in rows if row["planted"] == UNTOUCHED]
    found: list[list[Cell]] = []
    asked: list[bool] = []
    for name in MEANT:
        mine = [row for row in rows if row["planted"] == name]
        said = [is_found(row) for row in mine]
        told = [one for one in said if one is not None]
        if name not in BESIDE:
            asked += told
        found.append([
            name,
            ", ".join(MEANT[name]),
            *(_counted([is_found(row) for row in mine if row["movie"] == movie]) for movie in movies),
            share(sum(told), len(told)),
        ])  # fmt: skip
    found.append([
        "all that was asked for", "", *["" for _ in movies], share(sum(asked), len(asked)),
    ])  # fmt: skip
    alarms: list[list[Cell]] = [
        [
            movie,
            *(
                str(sum(row["signs"][test]["found"] for row in untouched if row["movie"] == movie))
                for test in (*FAULTS, TEXT)
            ),
            share(*_any([row for row in untouched if row["movie"] == movie])),
        ]
        for movie in movies
    ]
    alarms.append([
        "all",
        *(str(sum(row["signs"][test]["found"] for row in untouched)) for test in (*FAULTS, TEXT)),
        share(*_any(untouched)),
    ])  # fmt: skip
    matrix: list[list[Cell]] = [
        [name, *(_said([row for row in rows if row["planted"] == name], test) for test in (*FAULTS, TEXT))]
        for name in (UNTOUCHED, *MEANT)
    ]
    return [
        Table("Planted faults found by the test meant for them", ["fault", "test", *movies, "all"], found),
        Table("Untouched pieces that a test calls faulty", ["movie", *FAULTS, TEXT, "any"], alarms),
        Table("Share of pieces in which each test finds something", ["planted", *FAULTS, TEXT], matrix),
        Table("Tests", ["test", "what it says"], [[test, words] for test, words in TESTS.items()]),
    ]  # fmt: skip


def _counted(said: Sequence[bool | None]) -> str:
    told = [one for one in said if one is not None]
    return f"{sum(told)} of {len(told)}" if told else "says nothing" if said else "-"


def _any(rows: Sequence[Row]) -> tuple[int, int]:
    return sum(any(sign["found"] for sign in row["signs"].values()) for row in rows), len(rows)


def _said(rows: Sequence[Row], test: str) -> float:
    said = [
        row["signs"][test]["found"] for row in rows if test in row["signs"] and row["signs"][test]["value"] is not None
    ]
    return float(np.mean(said)) if said else float("nan")
