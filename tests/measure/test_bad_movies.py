"""Movies in which nothing can be measured: every measurement says why, and gives no number."""

from __future__ import annotations

import numpy as np
import pytest
from moving_movies import Movie, draw_beads, texture

from physgen.measure import find_faults, measure_cells, measure_flow, measure_regions, measure_tracks

BEADS = draw_beads(4, frames=16)[0]
RNG = np.random.default_rng(0)
HOLE, JUMP = BEADS.copy(), BEADS.copy()
HOLE[5] = np.nan
JUMP[8:] = np.roll(JUMP[8:], 12, 1)
FAR = [1000 + 200 * np.roll(texture(0), (40 * t, 55 * t), (0, 1)) for t in range(10)]
#: words of the reason -> movie
EVERYWHERE: dict[str, Movie] = {
    "at least 16 x 16": RNG.uniform(100, 200, (12, 1, 1)),
    "at least 16 x 16 ": RNG.uniform(100, 200, (12, 1, 64)),
    "saturated": np.minimum(BEADS, 190),
    "NaN": HOLE,
    "camera jumps": JUMP,
}
NOTHING: dict[str, Movie] = {
    "constant": np.full((12, 64, 64), 700.0),
    "black": np.zeros((12, 64, 64)),
    "noise": 500 + 20 * RNG.standard_normal((12, 96, 96)),
    "still": np.repeat(BEADS[:1], 12, 0),
    "still, with noise": np.repeat(draw_beads(4, frames=1, noise=0)[0], 12, 0) + 5 * RNG.standard_normal((12, 96, 96)),
    "aliased": np.stack(FAR),
}


def reasons(movie: Movie) -> dict[str, str | None]:
    tracks, flow, cells, regions = (
        measure_tracks(movie), measure_flow(movie), measure_cells(movie), measure_regions(movie)
    )  # fmt: skip
    assert flow.reason is None or (flow.speed is None and flow.direction is None)
    assert cells.reason is None or not len(cells.frame)
    assert regions.reason is None or (regions.peak is None and (regions.recovery is None or not regions.recovery.model))
    return {"tracks": tracks.reason, "flow": flow.reason, "cells": cells.reason, "regions": regions.reason}


@pytest.mark.parametrize("words", EVERYWHERE)
def test_what_spoils_everything_is_named_by_all(words: str) -> None:
    for kind, reason in reasons(EVERYWHERE[words]).items():
        assert reason is not None, kind
        assert words.strip() in reason, kind


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_is_measured_where_nothing_moves_or_can_be_followed(name: str) -> None:
    for kind, reason in reasons(NOTHING[name]).items():
        assert reason, kind
    if name != "aliased":
        assert all(sign.value is None for sign in find_faults(NOTHING[name]))


def test_few_frames_are_refused_but_a_pair_has_a_flow() -> None:
    assert all(reason and "1 frame" in reason for reason in reasons(BEADS[:1]).values())
    two = reasons(BEADS[:2])
    assert [kind for kind, reason in two.items() if reason and "at least 3" in reason] == ["tracks", "cells", "regions"]


def test_an_empty_frame_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    movie = BEADS.copy()
    movie[3] = 0
    reasons(movie)
    assert not [str(one.message) for one in recwarn if "normalized" in str(one.message)]


def test_brightness_that_overflows_is_refused() -> None:
    movie = 1e200 * np.random.default_rng(0).random((8, 32, 32))
    assert "cannot be computed with" in str(measure_tracks(movie).reason)


def test_repeated_frames_have_no_tracks() -> None:
    movie = np.random.default_rng(0).random((8, 32, 32))
    assert "7 frames are the one before again" not in str(measure_tracks(movie).reason)
    assert "8 frames are the one before again" in str(measure_tracks(movie.repeat(2, axis=0)).reason)
