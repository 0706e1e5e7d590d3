"""Movies that no motion can be measured in: too few frames, saturated, or with a camera that jumps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from physgen.places import file_frame, frames_read, pixels_read

Movie = npt.NDArray[np.float64]

#: brightness whose square, and the square of that, is a number
LARGEST = 1e75
#: px that a picture has along each side at least
SMALLEST = 16
#: part of the bright pixels that may have the largest value: more is a flat top
FLAT = 0.5
#: pixels of a side at which frames are compared, and standard deviations of what is kept of them, px
SIDE, KEPT = 256, (1.0, 8.0)
#: pixels that a jump is at least, and median absolute deviations of the shifts of other frames
JUMP, DEVIATIONS = 3.0, 8.0
#: gain of the correlation of two frames, as a part of what it lacks, that a shift needs to be one of the whole frame
GAIN = 0.25
#: px over which frames are smoothed before it is asked how much they change
BLUR = 2.0
#: correlation after the shift, as a part of that of other frames
ALIKE = 0.8


def why_unusable(movie: Movie, fewest: int = 3) -> str | None:
    """Why nothing that moves can be measured in a movie ``[T, H, W]``; None where it may be.

    >>> why_unusable(np.zeros((2, 32, 32)))
    '2 frames, at least 3 are needed'
    """
    if len(movie) < fewest:
        return f"{frames_read(len(movie))}, at least {fewest} are needed"
    if reason := why_unreadable(movie):
        return reason
    if (frame := find_jump(movie)) is not None:
        return f"the camera jumps between frames {file_frame(frame)} and {file_frame(frame + 1)}"
    return None


def why_unreadable(movie: Movie) -> str | None:
    """Why not even the pixels of a movie ``[T, H, W]`` can be compared; None where they can.

    >>> why_unreadable(np.zeros((5, 1, 1)))
    'frames of 1 x 1 px, at least 16 x 16 are needed'
    """
    height, width = movie.shape[1:]
    if min(height, width) < SMALLEST:
        return f"frames of {pixels_read(height, width)}, at least {SMALLEST} x {SMALLEST} are needed"
    if not np.isfinite(movie).all():
        return "some pixels are NaN or infinite"
    if (size := float(np.abs(movie).max())) > LARGEST:
        return f"brightness of up to {size:.0e} cannot be computed with"
    if (part := saturated(movie)) > FLAT:
        return f"saturated: {100 * part:.0f} % of the bright pixels have the largest value"
    return None


def repeats(movie: Movie) -> npt.NDArray[np.bool_]:
    """Which frames are shown again by the next one, ``[T - 1]``.

    >>> repeats(np.array([[[1.0]], [[2.0]], [[2.0]]]))
    array([False,  True])
    """
    same: npt.NDArray[np.bool_] = (movie[1:] == movie[:-1]).all((1, 2))
    return same


def why_repeated(movie: Movie) -> str | None:
    """That frames are shown twice, and where first; None where none is, or all are.

    >>> why_repeated(np.array([[[1.0]], [[2.0]], [[2.0]]]))
    '1 frame is the one before again, first after frame 1'
    """
    same = repeats(movie)
    if not same.any() or same.all():
        return None
    count, first = int(same.sum()), file_frame(int(same.argmax()))
    return f"{count} frame{'s are' if count > 1 else ' is'} the one before again, first after frame {first}"


def why_late(movie: Movie) -> str | None:
    """That frames were put in between, so that all after them is late and rates are too small; None where none were.

    d_k = < (I_t+k - I_t)² > of smoothed frames,  put in: d_1 after repeated frames is nearer to d_1 beside than to d_2

    A frame that is shown in the place of the next one, as a camera does that drops it, makes no later one late: after
    it as much changes as otherwise over two frames. Beside is before or after it, whichever is less.

    >>> movie = np.arange(12.0)[:, None, None] * np.ones((1, 4, 4))
    >>> late, dropped = movie[[0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]], movie[[0, 1, 2, 3, 4, 5, 5, 7, 8, 9, 10]]
    >>> why_late(late)
    '1 frame is the one before again, first after frame 5, and nothing is left out after it: all that follows is late'
    >>> why_late(dropped)
    """
    from scipy.ndimage import gaussian_filter

    reason = why_repeated(movie)
    if reason is None:
        return None
    shown = np.flatnonzero(np.append(True, ~repeats(movie)))
    frames, again = np.stack([gaussian_filter(movie[t], BLUR) for t in shown]), np.diff(shown) > 1
    once = ((frames[1:] - frames[:-1]) ** 2).mean((1, 2))
    twice = ((frames[2:] - frames[:-2]) ** 2).mean((1, 2))
    excess, found = 0.0, False
    for t in np.flatnonzero(again):
        one = [once[k] for k in (t - 1, t + 1) if 0 <= k < len(once) and not again[k]]
        two = [twice[k] for k in (t - 2, t + 1) if 0 <= k < len(twice) and not again[k : k + 2].any()]
        if one and two:
            excess, found = excess + float(once[t] - (min(one) + min(two)) / 2), True
    return f"{reason}, and nothing is left out after it: all that follows is late" if found and excess < 0 else None


def saturated(movie: Movie) -> float:
    """Part of the bright pixels, above the middle of median and largest, that have the largest value.

    >>> x = np.arange(64.0)
    >>> ramp = np.sin(x / 3)[None, None]
    >>> round(saturated(ramp), 2), saturated(np.minimum(ramp, 0.3)) > 0.8
    (0.04, True)
    """
    largest, middle = float(movie.max()), float(np.median(movie))
    bright = int((movie > (largest + middle) / 2).sum())
    return float((movie >= largest).sum()) / bright if bright else 0.0


def find_jump(movie: Movie) -> int | None:
    """The frame after which the whole picture is suddenly shifted; None of a camera that stands or drifts.

    Frames are compared by phase correlation. A shift counts that is not like those of other frames, and after which a
    frame agrees much better with the next, as those before and after do without it.

    Source: Kuglin and Hines (1975), Proc. IEEE Int. Conf. Cybernetics and Society, 163.

    >>> rng = np.random.default_rng(0)
    >>> frame = np.kron(rng.random((24, 24)), np.ones((4, 4)))
    >>> find_jump(np.stack([np.roll(frame, 0 if t < 4 else 9, axis=1) for t in range(8)]))
    3
    """
    from scipy.ndimage import gaussian_filter
    from skimage.registration import phase_cross_correlation

    if len(movie) < 5:
        return None
    block = max(1, -(-max(movie.shape[1:]) // SIDE))
    height, width = (size // block * block for size in movie.shape[1:])
    small = movie[:, :height, :width].reshape(len(movie), height // block, block, width // block, block).mean((2, 4))
    flat = small.max((1, 2)) == small.min((1, 2))
    shown = np.stack([gaussian_filter(frame, KEPT[0]) - gaussian_filter(frame, KEPT[1]) for frame in small])
    shifts = np.array(
        [
            (0.0, 0.0) if flat[t] or flat[t + 1] else phase_cross_correlation(b, a, normalization=None)[0]
            for t, (a, b) in enumerate(pairwise(shown))
        ]
    )
    away = np.hypot(*(shifts - np.median(shifts, 0)).T)
    still = np.array([_agreement(a, b, (0, 0)) for a, b in pairwise(shown)])
    for t in np.flatnonzero(away > max(JUMP / block, DEVIATIONS * float(np.median(away)), 1.0)):
        usual, shift = float(np.median(still)), (int(shifts[t, 0]), int(shifts[t, 1]))
        beside = np.concatenate([still[max(0, t - 1) : t], still[t + 1 : t + 2]])
        if _fits_shifted(shown[t], shown[t + 1], shift, usual) and (beside > ALIKE * usual).all():
            return int(t)
    return None


def _fits_shifted(before: Movie, after: Movie, shift: tuple[int, int], usual: float) -> bool:
    """Whether a frame agrees much better with a later one when it is shifted, about as frames usually do."""
    moved, still = _agreement(before, after, shift), _agreement(before, after, (0, 0))
    return min(moved, usual) - still > GAIN * (1 - still) and moved > ALIKE * usual


def _agreement(before: Movie, after: Movie, shift: tuple[int, int]) -> float:
    """Correlation of what two frames share when the first is shifted."""
    parts = []
    for frame, sign in ((before, -1), (after, 1)):
        rows, columns = (slice(max(0, sign * s), n + min(0, sign * s)) for s, n in zip(shift, frame.shape, strict=True))
        parts.append(frame[rows, columns].ravel())
    if parts[0].size < 64 or min(part.std() for part in parts) == 0:
        return 0.0
    return float(np.corrcoef(parts[0], parts[1])[0, 1])
