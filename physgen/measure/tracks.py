"""Spots of a movie, followed, and how they diffuse: or why that is not measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from physgen.measure.diffusion import STEPS, Diffusion, Frames, Values, measure_diffusion
from physgen.measure.linking import Links, link_spots
from physgen.measure.spots import Movie, find_spots
from physgen.measure.unusable import why_repeated, why_unusable
from physgen.places import file_pixels, frames_read

#: aliased: nearest distances are this part of those by chance, or steps this part of the distance between spots, from
#: which on so many are linked to a wrong one that D is 5 % too small, and soon 20 %
CHANCE, FAR = 0.5, 0.35
#: tracks that are needed, and below which long ones are cut into pieces of so many frames
FEWEST, FEW, PIECE = 5, 10, 25
#: spots of a frame from which the drift of each frame is known
DRIFTING = 10
#: distance of spots that shift each other's fits, in standard deviations of a spot, and widths that two in one have
CROWDED, BROADER = 2.5, 1.25
#: exponents below and above which, with their whole interval, motion is confined and directed
CONFINED, DIRECTED = 0.5, 1.5


@dataclass(frozen=True)
class Tracks:
    """Spots and their tracks, and their diffusion where it is measured.

    Attributes:
        links: spots with the numbers of their tracks; None where none were looked for.
        used: indices of the spots of each track that counts.
        diffusion: lengths and times in the units that were given.
        drift: ``[T - 1, 2]``, px, the motion of all spots together from frame to frame, which is taken off.
        reason: why nothing is measured; None where it is.
    """

    links: Links | None
    used: list[npt.NDArray[np.int64]]
    diffusion: Diffusion | None
    drift: Values
    reason: str | None


def measure_tracks(movie: Movie, spacing: tuple[float, float] = (1.0, 1.0), dt: float = 1.0) -> Tracks:
    """Follow the spots of a movie ``[T, H, W]`` and measure how they diffuse beside their common drift.

    Args:
        movie: ``[T, H, W]``, brightness.
        spacing: of pixels along y and x, µm.
        dt: from frame to frame, s.

    Source: see `find_spots`, `link_spots` and `measure_diffusion`.

    >>> measure_tracks(np.zeros((5, 32, 32))).reason
    'nothing to track'
    """
    movie = np.ascontiguousarray(movie, dtype=np.float64)
    twice = why_repeated(movie)
    if reason := why_unusable(movie) or (f"{twice}: what moved meanwhile is not seen" if twice else None):
        return Tracks(None, [], None, np.zeros((max(len(movie) - 1, 0), 2)), reason)
    links = link_spots(find_spots(movie))
    used = links.tracks(STEPS + 1)
    frames, places, drift = _beside_drift(links, used, spacing)
    reason = why_unfollowed(links, used)
    diffusion = None if reason else measure_diffusion(frames, places, dt, fewest=1)
    if diffusion is not None:
        reason = why_no_diffusion(diffusion)
    return Tracks(links, used, diffusion, drift, reason)


def why_unfollowed(links: Links, used: list[npt.NDArray[np.int64]]) -> str | None:
    """Why tracks tell nothing: no spots, spots that go too far, too few tracks."""
    spots = links.spots
    if len(spots) < spots.frames:
        return "nothing to track"
    spacing = spots.spacing()
    away, part = file_pixels(spacing), links.step * np.sqrt(2) / spacing
    if links.scrambled > CHANCE:
        return f"aliased: spots go as far from frame to frame as half of their distance to others, {away:.3g} px"
    if part > FAR:
        return (
            f"aliased: spots go {part:.2f} of their distance to others, {away:.3g} px, from frame to frame: "
            f"above {FAR} too many are taken for each other"
        )
    steps = sum(len(track) for track in used)
    if len(used) < FEWEST and steps < FEWEST * PIECE:
        return f"{len(used)} track{'s' * (len(used) != 1)} of {frames_read(STEPS + 1)} or more: {FEWEST} are needed"
    return None


def why_no_diffusion(diffusion: Diffusion) -> str | None:
    """Why tracks have no diffusion coefficient: spots that stay, that come back, or that go on and on."""
    value, low, high = diffusion.exponent
    if diffusion.coefficient[1] <= 0:
        return "still: the spots move no more than the error of their places"
    if low > DIRECTED or high < CONFINED:
        kind = "directed" if low > DIRECTED else "confined"
        return f"{kind} motion, exponent {value:.2f} [{low:.2f}, {high:.2f}]: it has no diffusion coefficient"
    return None


def _beside_drift(
    links: Links, used: list[npt.NDArray[np.int64]], spacing: tuple[float, float]
) -> tuple[list[Frames], list[Values], Values]:
    """Frames and places of tracks, the drift taken off; NaN for spots too near to others; few tracks in pieces."""
    spots = links.spots
    together = sum(len(track) for track in used) / max(spots.frames, 1)
    drift = links.drift if together >= DRIFTING else np.tile(_mean_step(links, used), (len(links.drift), 1))
    moved = np.vstack([np.zeros((1, 2)), drift.cumsum(0)])
    places = (np.column_stack([spots.y, spots.x]) - moved[spots.frame]) * spacing
    if together >= DRIFTING:
        places *= np.sqrt(together / (together - 1))  # the mean of the spots' own steps was taken off as well
    places[_crowded(links, used)] = np.nan
    if len(used) < FEW:
        used = [track[at : at + PIECE + 1] for track in used for at in range(0, max(len(track) - STEPS, 1), PIECE)]
    return [spots.frame[track] for track in used], [places[track] for track in used], drift


def _crowded(links: Links, used: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.bool_]:
    """Spots with another one so near, seen or not, that their places are wrong."""
    spots = links.spots
    found = spots.nearest() < CROWDED * spots.scale
    for track in used:
        found[track] |= spots.width[track] > BROADER * np.median(spots.width[track])
    return found


def _mean_step(links: Links, used: list[npt.NDArray[np.int64]]) -> Values:
    spots = links.spots
    gone = [np.array([spots.y[t[-1]] - spots.y[t[0]], spots.x[t[-1]] - spots.x[t[0]]]) for t in used]
    lasted = sum(int(spots.frame[t[-1]] - spots.frame[t[0]]) for t in used)
    return np.sum(gone, 0) / lasted if lasted else np.zeros(2)
