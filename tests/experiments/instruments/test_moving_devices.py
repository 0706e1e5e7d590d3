"""The laws of what moves as instruments, and a direction that is wrong told from tracks that are lost."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from physgen.experiments.instruments import Subject, examine
from physgen.experiments.instruments.clip import Clip
from physgen.experiments.instruments.devices import attributes, forms, laws, moving, permanence
from physgen.experiments.instruments.devices.medium import filed
from physgen.experiments.instruments.nulls import SIMULATOR, p_value, read_nulls
from physgen.experiments.instruments.proof.faultless import simulated
from physgen.experiments.instruments.registry import statistics
from physgen.simulators import SIMULATORS

ALPHA = 0.01
WAYS = ("right", "left", "up", "down")
#: devices of families that need no null: what they read of true clips is at most this
LEAST = {
    "vessel.vessel": {"direction": 0, "shape": 0, "speed": 0, "count": 0, "permanence": 0.1, "static": 0.05},
    "beads.beads": {"brownian": 0.2, "count": 0, "speed": 0, "permanence": 0.1, "mass": 1e-6},
    "sheet.sheet": {"orientation": 22.5, "speed": 0, "strength": 0, "shear": 0.5},
    "vesicles.vesicles": {"arrow": 0.01, "count": 0, "outcome": 0, "permanence": 0.1, "mass": 1e-6},
}


def flow(direction: str, count: str = "many", seed: int = 5) -> tuple[Subject, Tensor]:
    asked = {"kind": "flow", "direction": direction, "speed": "fast", "count": count}
    clips = SIMULATORS["blood"](1, rng=np.random.default_rng(seed), attributes=[asked], split="all")
    return Subject("blood", "flow", asked), torch.from_numpy(clips.video[0])


@cache
def beating(count: int = 2) -> list[tuple[Subject, Tensor]]:
    return list(simulated("sheet.sheet", count, 77))


@pytest.mark.parametrize("true", WAYS)
def test_only_the_direction_of_the_flow_is_right(true: str) -> None:
    subject, video = flow(true)
    for asked in WAYS:
        told = Subject("blood", "flow", {**subject.attributes, "direction": asked})
        off = attributes.direction(Clip(video, told))
        assert (off == 0) == (asked == true)
        assert off in (0, pytest.approx(45, abs=6), pytest.approx(135, abs=6))


def test_cells_that_wobble_do_not_move_the_wrong_way() -> None:
    subject, video = flow("right")
    shaken = torch.stack([video[:, t].roll(t % 2, 1) for t in range(video.shape[1])], 1)
    readings = examine(filed(shaken.transpose(0, 1)), subject)
    assert readings["direction"].p_value > 0.5
    assert readings["lost"].p_value > ALPHA


@pytest.mark.parametrize("domain", LEAST)
def test_devices_read_true_clips_as_true(domain: str) -> None:
    for subject, video in simulated(domain, 3, 77):
        found = statistics(Clip(video, subject), LEAST[domain])
        assert all(found[name] <= most for name, most in LEAST[domain].items()), found


def test_outcomes_and_beads_that_drift_are_read() -> None:
    subject, video = next(iter(simulated("vesicles.vesicles", 1, 77)))
    asked = {**subject.attributes, "count": "four", "outcome": "all fuse"}
    clips = SIMULATORS["vesicles"](1, rng=np.random.default_rng(3), attributes=[asked], split="all")
    told = Subject("vesicles", "vesicles", {**asked, "outcome": "a pair fuses"})
    assert forms.outcome(Clip(torch.from_numpy(clips.video[0]), told)) == 2.0
    backwards = Clip(video.flip(1), subject)
    assert laws.arrow(backwards) > 0.5
    subject, video = next(iter(simulated("beads.beads", 1, 77)))
    drifting = torch.stack([video[:, t].roll(2 * t, 2) for t in range(25)], 1)
    assert attributes.brownian(Clip(drifting, subject)) > 0.5


def test_lost_tracks_are_not_the_wrong_way() -> None:
    subject, video = flow("right")
    generator = torch.Generator().manual_seed(0)
    shuffled = video[:, torch.randperm(video.shape[1], generator=generator)]
    places = [video.roll(tuple(torch.randint(64, (2,), generator=generator).tolist()), (2, 3))[:, t] for t in range(25)]
    for lost in (shuffled, torch.stack(places, 1)):
        clip = Clip(lost, subject)
        assert np.isnan(attributes.direction(clip)) or permanence.lost(clip) > 0.1
    assert np.isnan(attributes.direction(Clip(torch.stack(places, 1), subject)))
    assert examine(filed(torch.stack(places, 1).transpose(0, 1)), subject)["lost"].p_value < ALPHA
    assert permanence.lost(Clip(video, subject)) == 0


def test_nothing_to_follow_is_not_measured() -> None:
    subject, video = flow("right")
    still = video[:, :1].expand(-1, 25, -1, -1)
    assert np.isnan(attributes.direction(Clip(still, subject)))
    empty = Clip(torch.full((3, 25, 64, 64), 0.5), subject)
    assert np.isnan(permanence.lost(empty))


def test_a_steady_flow_explains_true_blood_and_not_a_turning_one() -> None:
    subject, video = flow("left")
    turned = torch.cat([video[:, :15], video[:, 5:15].flip(1)], 1)
    true, false = (examine(filed(v.transpose(0, 1)), subject)["transport"] for v in (video, turned))
    assert true.statistic < 0.05 < 0.2 < false.statistic
    assert true.p_value > ALPHA > false.p_value
    assert true.rank < 99 < false.rank


def test_walls_that_jump_are_seen() -> None:
    subject, video = flow("up")
    jumped = torch.cat([video[:, :12], video[:, 12:].roll((4, 4), (2, 3))], 1)
    true, false = (examine(filed(v.transpose(0, 1)), subject)["static"].p_value for v in (video, jumped))
    assert true > ALPHA > false


def test_a_cell_that_comes_or_goes_breaks_permanence() -> None:
    subject, video = flow("right", "a few")
    other = flow("right", "many", seed=6)[1]
    clip = Clip(torch.cat([video[:, :12], other[:, 12:]], 1), subject)
    assert moving.permanence(Clip(video, subject)) == 0
    assert moving.permanence(clip) > 0.5


def test_number_is_that_of_the_words() -> None:
    subject, video = flow("right", "a few")
    many = Subject("blood", "flow", {**subject.attributes, "count": "many"})
    assert moving.number(Clip(video, subject)) == 0
    assert moving.number(Clip(video, many)) >= 5 / 12


def test_a_beat_that_pauses_is_not_periodic_among_simulator_videos() -> None:
    """The autoencoder hides small beats: of 200 reconstructions 46 are as aperiodic, so a video's p-value is larger."""
    null = read_nulls()["sheet.sheet"][SIMULATOR]["periodic"]
    for subject, video in beating():
        order = [*range(8), *[8] * 10, *range(18, 25)]
        true, false = (examine(filed(v.transpose(0, 1)), subject)["periodic"] for v in (video, video[:, order]))
        assert p_value(true.statistic, null) > ALPHA > p_value(false.statistic, null)
        assert true.p_value > false.p_value > ALPHA


def test_growth_that_goes_back_is_seen() -> None:
    subject, video = next(iter(simulated("growth.colony", 1, 77)))
    back = torch.cat([video[:, :18], video[:, 10:17].flip(1)], 1)
    true, false = (examine(filed(v.transpose(0, 1)), subject)["progression"] for v in (video, back))
    assert true.p_value > ALPHA > false.p_value
