"""Fusing vesicles against their law: the number falls and never rises, content and area stay, membrane gets shorter."""

import numpy as np
import pytest
from scipy import ndimage

from physgen.simulators import GRAMMARS, Clips
from physgen.simulators.fusion import DOCKED, GAP, SIDE, draw_vesicles
from physgen.simulators.vesicles import COUNTS, OUTCOMES, simulate

ATTRIBUTES = [{"kind": "vesicles", **a} for a in GRAMMARS["vesicles"]["vesicles"].combinations()]


@pytest.fixture(scope="module")
def clips() -> Clips:
    return simulate(len(ATTRIBUTES), rng=np.random.default_rng(0), attributes=ATTRIBUTES)


def true_counts(clips: Clips) -> np.ndarray:
    assert clips.places is not None
    return np.isfinite(clips.places[..., 0]).sum(1)


def test_counts_fall_by_one_at_each_fusion(clips: Clips) -> None:
    for count, attribute, parameters in zip(true_counts(clips), clips.attributes, clips.parameters, strict=True):
        first = COUNTS[attribute["count"]]
        fusions = 1 if attribute["outcome"] == OUTCOMES[0] else first - 1
        assert (count[0], count[-1]) == (first, first - fusions)
        assert set(np.diff(count)) <= {0, -1}
        times = [parameters[f"fused_{i}_s"] for i in range(1, fusions + 1)]
        assert np.flatnonzero(np.diff(count)).tolist() == [int(np.ceil(t / clips.grid.dt)) - 1 for t in times]
        assert parameters["fusions"] == fusions


def test_what_is_seen_is_as_many_within_a_frame(clips: Clips) -> None:
    for fields, count in zip(clips.fields, true_counts(clips), strict=True):
        seen = np.array([ndimage.label(frame > 0.6)[1] for frame in fields[0]])
        late, early = np.append(count[1:], count[-1]), np.insert(count[:-1], 0, count[0])
        assert ((seen == count) | (seen == late) | (seen == early)).all()
        assert (np.diff(seen) <= 0).all()
        assert (seen == count).mean() > 0.85


def test_content_is_conserved(clips: Clips) -> None:
    content = clips.fields[:, 0].sum((2, 3), dtype=np.float64)
    assert (np.ptp(content, axis=1) / content.mean(1)).max() < 1e-6


def test_membrane_only_gets_shorter(clips: Clips) -> None:
    membrane = clips.fields[:, 1].sum((2, 3), dtype=np.float64)
    assert (np.diff(membrane, axis=1) < 0.015 * membrane[:, :-1]).all()
    assert (membrane[:, -1] < 0.92 * membrane[:, 0]).all()


def test_areas_add_up() -> None:
    for seed in range(20):
        vesicles = draw_vesicles(4, 3, np.random.default_rng(seed))
        last = vesicles[-1]
        assert last.radius**2 == pytest.approx(sum(v.radius**2 for v in vesicles[:4]))
        for v in vesicles:
            if v.parents:
                assert v.radius**2 == pytest.approx(sum(p.radius**2 for p in v.parents))
                one, other = (p.middle(np.array([v.born]))[0] for p in v.parents)
                assert np.hypot(*(one - other)) == pytest.approx(sum(p.radius for p in v.parents) + DOCKED)


@pytest.mark.parametrize("seed", range(8))
def test_those_that_do_not_fuse_keep_apart(seed: int) -> None:
    vesicles = draw_vesicles(4, 1, np.random.default_rng(seed))
    times = np.linspace(0.0, 1.0, 101)
    for i, a in enumerate(vesicles):
        middle = a.middle(times[a.seen(times)])
        assert middle.min() > a.radius
        assert middle.max() < SIDE - a.radius
        for b in vesicles[i + 1 :]:
            both = times[a.seen(times) & b.seen(times)]
            if both.size and not (a.goal is not None and b.goal is not None):
                gap = np.hypot(*(a.middle(both) - b.middle(both)).T).min() - a.radius - b.radius
                assert gap > 0.9 * GAP


def test_nothing_jumps(clips: Clips) -> None:
    """Outlines flow: from frame to frame no more than a small part of the content is elsewhere."""
    content = clips.fields[:, 0].astype(np.float64)
    moved = np.abs(np.diff(content, axis=1)).sum((2, 3)) / content.sum((2, 3))[:, :-1]
    assert moved.max() < 0.75
