"""`physgen benchmark moving`: laws and measurements of what moves, where truth is known and on planted faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from physgen.errors import InvalidArgument
from physgen.experiments.measure.tables import publish
from physgen.experiments.runs.records import run_name, with_contents, write_json_atomic
from physgen.experiments.runs.resume import resume

if TYPE_CHECKING:
    from physgen.experiments.moving.pieces import Movie, Piece

PARTS = ("held", "development")
#: pieces of each movie that all laws are tried on
REAL = 2

Rows = list[dict[str, Any]]


@dataclass
class MovingConfig:
    """Options of `physgen benchmark moving`, see ``conf/benchmark-moving.yaml``."""

    movies: list[str]
    part: str
    pieces: int
    n: int
    seed: int
    out: str | None


def run(config: MovingConfig) -> None:
    """Write ``moving.json`` and ``moving.md``; a run that was stopped goes on movie by movie.

    Raises: InvalidArgument.
    """
    from physgen.experiments.moving.faults import fault_tables
    from physgen.experiments.moving.laws import law_tables, try_laws, try_real
    from physgen.experiments.moving.pieces import find_movies, pieces_of, read_movie
    from physgen.experiments.moving.trials import make_trials

    if config.part not in PARTS:
        raise InvalidArgument("part", config.part, ", ".join(PARTS))
    for name, least in {"pieces": 1, "n": 0, "seed": 0}.items():
        if getattr(config, name) < least:
            raise InvalidArgument(name, getattr(config, name), f"at least {least}")
    paths = find_movies(config.movies) if config.movies else []
    if not paths and not config.n:
        raise InvalidArgument("movies", config.movies, "files or folders of movies, or n of 1 or more")
    settings = with_contents({key: value for key, value in asdict(config).items() if key != "out"}, "movies")
    out = Path(config.out or Path("runs") / run_name("benchmark-moving", settings))
    resume(out, settings)
    torch.set_num_threads(1)
    laws = _kept(out / "laws.json", lambda: try_laws(make_trials(config.n, config.seed)) if config.n else [])
    real: Rows = []
    faults: Rows = []
    for path in paths:
        movie = read_movie(path)
        mine = [piece for piece in pieces_of(path.stem, movie) if piece.held == (config.part == "held")]
        order = np.random.default_rng(config.seed).permutation(len(mine))[: config.pieces]
        chosen = [mine[k] for k in order]
        real += _kept(out / f"{path.stem}-laws.json", partial(try_real, chosen[:REAL]))
        half = movie[len(movie) // 2 :] if config.part == "development" else movie[: max(len(movie) // 2, 5)]
        faults += _kept(out / f"{path.stem}-faults.json", partial(_try_faults, chosen, half, config.seed))
    write_json_atomic(out / "moving.json", {"laws": laws + real, "faults": faults})
    publish(out / "moving.md", [*law_tables(laws + real), *(fault_tables(faults) if faults else [])])
    print(out)


def _try_faults(pieces: list[Piece], known: Movie, seed: int) -> Rows:
    from physgen.experiments.moving.faults import try_faults
    from physgen.experiments.moving.text import read_text

    return try_faults(pieces, read_text(known), seed)


def _kept(path: Path, make: Callable[[], Rows]) -> Rows:
    """Rows of a file, made and written where there is none."""
    if not path.exists():
        write_json_atomic(path, make())
    rows: Rows = json.loads(path.read_text(encoding="utf-8"))
    return rows
