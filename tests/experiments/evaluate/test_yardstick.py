"""Planted errors are what they say, readings see them, pairs are drawn rightly, and a killed run resumes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.experiments.evaluate import job
from physgen.experiments.evaluate.yardstick import planted, suite
from physgen.experiments.evaluate.yardstick.planted import (
    BLURRED,
    CONSTANT,
    COUNT,
    DIRECTION,
    EMPTY,
    ERRORS,
    JITTERED,
    NOTHING,
    variants,
)
from physgen.experiments.evaluate.yardstick.pool import CONTENT, JUDGE, MOTION, RENDERING, SCORES, Pool, fill
from physgen.experiments.evaluate.yardstick.power import p_values, repetition
from physgen.experiments.evaluate.yardstick.readings import (
    DIRECTION as DIRECTION_UNIT,
)
from physgen.experiments.evaluate.yardstick.readings import (
    JITTER,
    LOG,
    OBJECTS,
    content_of,
    motion_of,
    rendering_of,
)
from physgen.experiments.instruments.clip import Clip
from physgen.experiments.instruments.devices.forms import beat_of, fibres_of, shape_of
from physgen.experiments.instruments.subject import Subject
from physgen.simulators import SIMULATORS, blood, dye
from physgen.worlds import world_spec
from physgen.worlds.micro.judge import Judge


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Knows nothing: plain readings ask it for the phases of mitosis only."""
    torch.manual_seed(0)
    return Judge().eval()


def clips(prompt: Prompt) -> dict[str, Clip]:
    subject = Subject(prompt.family, prompt.attributes["kind"], prompt.attributes)
    return {error: Clip(video, subject) for error, video in variants(prompt, 0).items()}


def test_errors_of_drops_are_read(judge: Judge):
    """Counts and constants are those of the simulator; its ranges are as before."""
    before = dict(dye.DIFFUSIVITY)
    prompt = prompts("dye", 1, "held_out", 3)[0]
    found = clips(prompt)
    assert before == dye.DIFFUSIVITY
    assert set(found) == {NOTHING, COUNT, CONSTANT, EMPTY, JITTERED, BLURRED}
    counts = {error: content_of(clip, judge)[3] * OBJECTS for error, clip in found.items()}
    assert counts[NOTHING] == dye.COUNTS[prompt.attributes["count"]] != counts[COUNT]
    assert counts[JITTERED] == counts[BLURRED] == counts[CONSTANT] == counts[NOTHING]
    assert counts[EMPTY] == 0
    faster = (motion_of(found[CONSTANT]) - motion_of(found[NOTHING])) * LOG
    assert faster == pytest.approx(np.log(planted.FACTOR), abs=0.02)


def test_errors_of_blood_are_read(judge: Judge):
    prompt = prompts("blood", 1, "held_out", 3)[0]
    found = clips(prompt)
    towards = {error: content_of(found[error], judge)[-2:] * DIRECTION_UNIT for error in (NOTHING, DIRECTION, COUNT)}
    turned, sign = blood.DIRECTIONS[prompt.attributes["direction"]]
    asked = np.array([sign, 0.0] if turned else [0.0, sign])
    assert towards[NOTHING] @ asked > 0.95
    assert towards[COUNT] @ asked > 0.95
    assert towards[DIRECTION] @ asked < 0.3
    jitter, sharpness = np.array([rendering_of(found[e]) for e in (NOTHING, JITTERED, BLURRED)]).T
    assert jitter[0] * JITTER < 0.02 < 0.15 < jitter[1] * JITTER
    assert jitter[2] * JITTER < 0.02
    assert sharpness[2] < sharpness[0] - 0.5


def test_errors_of_vessels_are_read(judge: Judge):
    before = dict(blood.SPEED)
    prompt = prompts("vessel", 2, "held_out", 3)[1]
    found = clips(prompt)
    assert set(found) == {NOTHING, COUNT, DIRECTION, CONSTANT, EMPTY, JITTERED, BLURRED}
    assert before == blood.SPEED
    read = {error: content_of(clip, judge) for error, clip in found.items()}
    assert abs(read[COUNT][3] - read[NOTHING][3]) * OBJECTS >= 3
    assert read[DIRECTION][4:6] @ read[NOTHING][4:6] * DIRECTION_UNIT**2 < 0.5
    assert np.abs(read[JITTERED][3:] - read[NOTHING][3:]).max() <= 2
    faster = (motion_of(found[CONSTANT]) - motion_of(found[NOTHING])) * LOG
    assert faster == pytest.approx(np.log(planted.FACTOR), abs=0.15)


def test_errors_of_beads_sheets_and_vesicles_are_read(judge: Judge):
    (beads,), (sheet,), (vesicles,) = (prompts(f, 1, "held_out", 3) for f in ("beads", "sheet", "vesicles"))
    found = clips(beads)
    read = {error: content_of(clip, judge)[3] * OBJECTS for error, clip in found.items()}
    assert read[NOTHING] == read[JITTERED] == read[BLURRED] == read[CONSTANT] != read[COUNT]
    slower = (motion_of(found[CONSTANT]) - motion_of(found[NOTHING]))[0] * LOG
    assert slower == pytest.approx(-np.log(planted.FACTOR), abs=0.4)
    found = clips(sheet)
    assert set(found) == {NOTHING, CONSTANT, EMPTY, JITTERED, BLURRED}
    longer = (motion_of(found[CONSTANT]) - motion_of(found[NOTHING]))[0] * LOG
    assert longer == pytest.approx(np.log(planted.FACTOR), abs=0.1)
    found = clips(vesicles)
    first = {error: content_of(clip, judge)[3] * OBJECTS for error, clip in found.items()}
    assert first[NOTHING] == first[JITTERED] != first[COUNT]
    assert motion_of(found[NOTHING]).shape == (0,)


@pytest.mark.parametrize("shape", ["straight", "curved", "branching"])
def test_shapes_and_fibres_are_read(shape: str):
    for direction in ("right", "up"):
        asked = {"kind": "vessel", "direction": direction, "shape": shape, "speed": "fast", "count": "a few"}
        video = SIMULATORS["vessel"](1, rng=np.random.default_rng(4), attributes=[asked]).video[0]
        assert shape_of(Clip(torch.from_numpy(video), Subject("vessel", "vessel", asked))) == shape
    asked = {"kind": "sheet", "orientation": "diagonal", "speed": "fast", "strength": "strongly"}
    drawn = SIMULATORS["sheet"](1, rng=np.random.default_rng(4), attributes=[asked])
    clip = Clip(torch.from_numpy(drawn.video[0]), Subject("sheet", "sheet", asked))
    angle = np.rad2deg(0.5 * np.arctan2(*fibres_of(clip)[::-1]))
    assert angle == pytest.approx(drawn.parameters[0]["angle"], abs=12)
    assert 0.4 < 2 * np.ptp(beat_of(clip)) / drawn.parameters[0]["amplitude"] < 1.1


@pytest.mark.parametrize("family", ["growth", "gray_scott", "mitosis", "vessel", "beads", "sheet", "vesicles"])
def test_an_empty_video_reads_otherwise_and_all_is_finite(judge: Judge, family: str):
    found = clips(prompts(family, 1, "held_out", 3)[0])
    values = {error: content_of(clip, judge) for error, clip in found.items()}
    assert all(np.isfinite(v).all() and v.shape == values[NOTHING].shape for v in values.values())
    assert np.abs(values[EMPTY] - values[NOTHING]).max() > 3
    assert np.abs(values[BLURRED] - values[NOTHING]).max() < 3


def made_up(shift: float, count: int = 264) -> Pool:
    """Readings of normal numbers about a mean of each prompt; wrong counts are shifted in content only."""
    rng = np.random.default_rng(0)
    asked = prompts("dye", count, "held_out", 0)
    read = {}
    for error in (NOTHING, COUNT):
        for name in (JUDGE, CONTENT, MOTION, RENDERING, *SCORES):
            means = np.array([hash_of(p) for p in asked])[:, None]
            values = 4.0 * means + rng.normal(size=(count, 1 if name in SCORES else 3))
            read[error, name] = values + shift if (error, name) == (COUNT, CONTENT) else values
    unable = [i for i, p in enumerate(asked) if "count" not in p.attributes]
    for name in (JUDGE, CONTENT):
        read[COUNT, name][unable] = np.nan
    return Pool(asked, read)


def hash_of(prompt: Prompt) -> int:
    return ["green", "red", "blue"].index(prompt.attributes["colour"])


def test_pairs_share_their_prompt_and_the_share_is_planted():
    pool = made_up(3.0)
    rep = repetition(pool, COUNT, 36, np.random.default_rng(0))
    classes = pool.classes
    assert [classes[i] for i in rep.truth] == [classes[i] for i in rep.sample]
    assert len({*rep.truth, *rep.sample}) == 72
    able = np.array(["count" in pool.prompts[i].attributes for i in rep.sample])
    assert not rep.faulty[~able].any()
    assert rep.faulty.sum() == round(ERRORS[COUNT] * able.sum())


def test_power_is_where_the_error_is():
    found = p_values(made_up(12.0), COUNT, 128, 60, 0)
    told = {name: np.mean(np.array(p) <= 0.05) for name, p in found.items()}
    assert told["conditional MMD, content"] > 0.8
    assert max(told[f"conditional MMD, {name}"] for name in ("judge", "motion", "rendering")) < 0.2
    nothing = p_values(made_up(12.0), NOTHING, 128, 60, 0)
    assert max(np.mean(np.array(p) <= 0.05) for p in nothing.values()) < 0.2


def test_a_killed_pool_resumes(judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("physgen.experiments.evaluate.yardstick.pool.CHUNK", 1)
    asked = prompts("blood", 2, "held_out", 0)
    first = fill(tmp_path, asked, judge, 0)
    kept, removed = sorted(tmp_path.iterdir())
    when = kept.stat().st_mtime_ns
    removed.unlink()
    again = fill(tmp_path, asked, judge, 0)
    assert kept.stat().st_mtime_ns == when
    assert first.read.keys() == again.read.keys()
    assert all(np.array_equal(first.read[key], again.read[key], equal_nan=True) for key in first.read)


@pytest.mark.slow
def test_suite_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(suite, "REPETITIONS", 10)
    out = tmp_path / "yardstick"
    config = job.EvaluateConfig("yardstick", world_spec("micro"), 8, 0, 1, None, None, str(out))
    job.run(config)
    first = json.loads((out / "yardstick.json").read_text())
    assert {r["error"] for r in first["records"]} == set(ERRORS)
    jitter = [r for r in first["records"] if (r["error"], r["n"]) == (JITTERED, 16)]
    assert all(r["told"] == 10 for r in jitter if r["metric"] == "conditional MMD, rendering")
    (out / "yardstick.json").unlink()
    job.run(config)
    assert json.loads((out / "yardstick.json").read_text()) == first
