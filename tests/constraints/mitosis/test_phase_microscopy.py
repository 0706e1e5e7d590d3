"""The order of phases in real cells: tracked and classified MDCK cells, and a movie of dividing cancer cells."""

import csv
import gzip
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
import torch.nn.functional as F
from torch import Tensor

from physgen.constraints.mitosis.constraint import PhaseOrder
from physgen.experiments.audit.cells import read_cells
from physgen.grid import Grid
from physgen.ops.phase_order import phase_order_nll, viterbi

#: classes of the tracks: interphase, prometaphase, metaphase, anaphase or telophase, apoptosis
CLASSES = 5
#: class that shows each state: interphase before, prometaphase, metaphase, anaphase or telophase, interphase after
SHOWS = (0, 1, 2, 3, 0)
#: frames of the mother and of one daughter
BEFORE, AFTER = 30, 10
#: share of frames that are classified rightly; the others get any other class
RIGHT = 0.9


def legal(named: Iterable[int]) -> bool:
    """Stay, or the next of interphase, prometaphase, metaphase, anaphase or telophase, interphase."""
    return all((before, after) in STEPS for before, after in itertools.pairwise(named))


STEPS = {(k, k) for k in range(4)} | {(k, (k + 1) % 4) for k in range(4)}


def evidence(named: list[int]) -> Tensor:
    """Log-probability of the classes under each state ``[1, T, 5]``."""
    confusion = torch.full((len(SHOWS), CLASSES), (1 - RIGHT) / (CLASSES - 1), dtype=torch.float64)
    confusion[range(len(SHOWS)), list(SHOWS)] = RIGHT
    return confusion.log()[:, named].T[None]


FORWARD = torch.eye(len(SHOWS)) + torch.ones(len(SHOWS) - 1).diag(1)
ANY = torch.ones(len(SHOWS))


def nll(named: list[int]) -> float:
    return phase_order_nll(evidence(named), transitions=FORWARD, initial=ANY).item()


def path(named: list[int]) -> list[int]:
    return viterbi(evidence(named), transitions=FORWARD, initial=ANY)[0][0].tolist()


@pytest.fixture(scope="module")
def divisions(shared: Path) -> list[tuple[list[int], int]]:
    """Classes of the last frames of a mother and the first of her first daughter, and where these begin."""
    folder = shared / "microscopy"
    with (
        gzip.open(folder / "mdck_tracks.csv.gz", "rt") as tracks,
        gzip.open(folder / "mdck_properties.csv.gz", "rt") as properties,
        gzip.open(folder / "mdck_graph.json.gz", "rt") as graph,
    ):
        named: dict[int, list[int]] = defaultdict(list)
        for track, state in zip(csv.DictReader(tracks), csv.DictReader(properties), strict=True):
            named[int(float(track["ID"]))].append(int(state["state"]))
        daughters: dict[int, list[int]] = defaultdict(list)
        for daughter, (mother,) in json.load(graph).items():
            daughters[mother].append(int(daughter))
    assert len(named) == 409
    assert len(daughters) == 110
    return [
        (named[mother][-BEFORE:] + named[pair[0]][:AFTER], len(named[mother][-BEFORE:]))
        for mother, pair in daughters.items()
    ]


def test_mdck_divisions_after_the_hmm(divisions: list[tuple[list[int], int]]) -> None:
    rng = np.random.default_rng(0)
    paths = [path(named) for named, _ in divisions]
    changed, shuffled = (
        np.concatenate([np.array(named) != np.take(SHOWS, path(named)) for named in windows]).mean()
        for windows in (
            [named for named, _ in divisions],
            [rng.permutation(named).tolist() for named, _ in divisions],
        )
    )
    before = sum(legal(named) for named, _ in divisions)
    whole = [states for states in paths if {1, 2, 3} <= set(states)]
    offset = [
        next(t for t, state in enumerate(states) if state >= 3) - birth
        for (_, birth), states in zip(divisions, paths, strict=True)
        if max(states) >= 3
    ]
    print(f"\nlegal: {before} of {len(divisions)}; frames changed: {changed:.3f}, of shuffled windows {shuffled:.3f}")
    print(
        f"all three phases shown: {len(whole)}; anaphase relative to the birth of daughters: "
        f"within a frame {np.mean(np.abs(offset) <= 1):.2f}, median {np.median(offset)}, n = {len(offset)}"
    )
    assert (len(divisions), before) == (110, 40)
    assert changed < 0.1
    assert changed < shuffled / 2
    assert np.median(offset) == 0


@pytest.mark.slow
def test_mdck_divisions_in_another_order_are_less_likely(divisions: list[tuple[list[int], int]]) -> None:
    losses = defaultdict(list)
    for named, _ in divisions:
        states = np.array(path(named))
        losses["true"].append(nll(named))
        losses["reversed"].append(nll(named[::-1]))
        shown = [k for k in (1, 2, 3) if (states == k).any()]
        if len(shown) >= 2:
            first, second = shown[-2:]
            blocks = [np.flatnonzero(states == k) for k in range(len(SHOWS))]
            blocks[first], blocks[second] = blocks[second], blocks[first]
            losses["unswapped"].append(losses["true"][-1])
            losses["swapped"].append(nll([named[t] for t in np.concatenate(blocks)]))
    result = {}
    for false, true in (("reversed", "true"), ("swapped", "unswapped")):
        a, b = np.array(losses[true]), np.array(losses[false])
        result[false] = np.mean(b > a)
        spread = np.mean(b[:, None] > a[None]) + np.mean(b[:, None] == a[None]) / 2
        print(
            f"\n{false}: less likely in {np.sum(b > a)} of {len(a)}, AUROC over windows {spread:.3f}, "
            f"median difference {np.median(b - a):.1f}"
        )
    assert min(result.values()) >= 0.93


@dataclass(frozen=True)
class Division:
    """First frame, and row and column of the middle of the dividing cell in each frame, read off the movie."""

    start: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def window(self, movie: Tensor, radius: int = 19) -> Tensor:
        """The cell alone ``[1, 1, T, H, W]``: above the background, within a disc."""
        half = radius + 3
        padded = F.pad(movie, (half,) * 4, mode="replicate")
        offset = torch.arange(2 * half + 1, dtype=movie.dtype) - half
        disc = torch.sigmoid(radius - torch.hypot(offset[:, None], offset[None]))
        frames = [
            padded[self.start + t, y : y + 2 * half + 1, x : x + 2 * half + 1]
            for t, (y, x) in enumerate(zip(self.rows, self.columns, strict=True))
        ]
        return ((torch.stack(frames) - movie.quantile(0.2)) * disc)[None, None]


DIVISIONS = {
    "regular, below": Division(
        0,
        (111, 111, 111, 111, 111, 111, 110, 110, 107, 107, 106, 106, 106, 104, 104),
        (59, 59, 59, 59, 59, 59, 58, 58, 57, 57, 58, 58, 58, 58, 58),
    ),
    "regular, right": Division(
        17,
        (60, 60, 56, 57, 54, 54, 53, 53, 60, 63, 67, 69, 70, 71),
        (84, 85, 85, 86, 89, 93, 93, 95, 94, 88, 86, 85, 85, 84),
    ),
    "arrested, along the optical axis": Division(
        8,
        (23, 20, 20, 20, 19, 19, 20, 19, 20, 20, 20, 21, 21, 21, 21, 25, 26, 31, 36, 35, 37, 35, 35, 37),
        (81, 80, 77, 77, 75, 74, 72, 74, 72, 73, 76, 75, 76, 78, 80, 78, 82, 83, 84, 80, 76, 75, 75, 75),
    ),
}


@pytest.fixture(scope="module")
def movie(shared: Path) -> Tensor:
    frames: npt.NDArray[np.uint16] = tifffile.imread(shared / "microscopy/cancer_nuclei_48x130x130_u16.tif")
    return torch.from_numpy(frames.astype(np.float64))


@pytest.mark.parametrize("name", DIVISIONS)
def test_nuclei_divide_forward(movie: Tensor, name: str) -> None:
    """Frames are further apart than anaphase lasts."""
    window, grid = DIVISIONS[name].window(movie), Grid(spacing=(1.0, 1.0), dt=1.0)
    order, clock = PhaseOrder(exceptions=["undersampled"]), PhaseOrder(form="clock")
    loss, reversed_loss = (order.loss(video, grid).item() for video in (window, window.flip(2)))
    going, going_back = (clock.loss(video, grid).item() for video in (window, window.flip(2)))
    reading = order.violations(window, grid)[0]
    print(f"\n{name}: -log Z {loss:.1f} forward, {reversed_loss:.1f} reversed; clock {going:.2f}, {going_back:.2f}")
    print(f"  frame by frame {reading.named}\n  path {reading.path}")
    assert loss < reversed_loss
    assert going < going_back
    assert PhaseOrder().describe(window, grid)["order"] == ["forward"]
    assert PhaseOrder().describe(window.flip(2), grid)["order"] == ["reversed"]


@pytest.mark.slow
def test_one_verdict_a_cell(movie: Tensor) -> None:
    """Two divisions are seen whole; nothing wrong is said of the others, nor in the reversed movie."""
    grid, laws = Grid(spacing=(1.0, 1.0), dt=1.0), {"order": PhaseOrder()}
    forward, back = (read_cells(video, laws, grid) for video in (movie[None, None], movie[None, None].flip(2)))
    for title, cells, right in (("forward", forward, "forward"), ("reversed", back, "reversed")):
        said = Counter(cell.order for cell in cells)
        print(f"\n{title}: {dict(said)}")
        assert {"forward", "reversed"} & set(said) == {right}
        assert said[right] == 2
    assert len(forward) == 22
    assert all("several cells" not in cell.words for cell in forward)
