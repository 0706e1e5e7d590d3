"""Four separate reports on videos of held-out prompts: content, motion, rendering; laws have a table of their own.

Content is read twice, by the judge and by instruments that follow objects and fit constants. Every distance compares
videos of the same prompt only, see `ConditionalDiscrepancy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.evaluate.yardstick.pool import CONTENT, FEATURES, JUDGE, MOTION, RENDERING
from physgen.experiments.evaluate.yardstick.readings import JITTER, LOG, content_of, motion_of, rendering_of
from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.registry import ATTRIBUTES, DOMAINS, statistics
from physgen.experiments.instruments.subject import Subject
from physgen.experiments.measure.conditional import ConditionalDiscrepancy, bandwidth_within, same_class
from physgen.experiments.measure.intervals import Interval, bootstrap, mean_interval
from physgen.experiments.measure.tables import Cell, Table
from physgen.worlds.micro.judge import Judge

#: instruments that say whether what is asked for is shown; those that ask the judge are left out
ASKED = tuple(name for name in ATTRIBUTES if name not in ("recognised", "pattern"))
#: degrees by which an axis may be off; captions know three
TURNED = 22.5
_TITLES = {
    "distance": "conditional MMD²",
    "judge": "conditional MMD², judge",
    "jitter_px": "jitter",
    "jitter_judge_px": "jitter, judge",
    "log_sharpness": "sharpness",
}
DRAWS = 500


@dataclass(frozen=True)
class Read:
    """What was read of the videos of one arm, a row each.

    Attributes:
        features: judge, content, motion and rendering, ``[N, F]`` each, in units of what may differ unnoticed.
        right: of each attribute 1 where an instrument finds what is asked for, else 0; NaN where it is not asked for.
        empty: 1 where nothing is seen, ``[N]``.
        jitter: of the frames in pixels, by the judge's own output, ``[N]``.
    """

    features: dict[str, Array]
    right: dict[str, Array]
    empty: Array
    jitter: Array


def read(judge: Judge, asked: Sequence[Prompt], videos: Tensor, vectors: Array) -> Read:
    """Read the videos ``[N, 3, T, H, W]`` of some prompts, whose features the judge has found."""
    clips = [
        Clip(video, Subject(p.family, p.attributes["kind"], p.attributes))
        for p, video in zip(asked, videos, strict=True)
    ]
    right = [shown(clip) for clip in clips]
    return Read(
        {
            JUDGE: vectors,
            CONTENT: np.stack([content_of(clip, judge) for clip in clips]),
            MOTION: np.stack([motion_of(clip) for clip in clips]),
            RENDERING: np.stack([rendering_of(clip) for clip in clips]),
        },
        {
            name: np.array([one.get(name, np.nan) for one in right])
            for name in ASKED
            if any(name in one for one in right)
        },
        np.array([float(not clip.seen) for clip in clips]),
        judge.jitter(videos).double().numpy(),
    )


def shown(clip: Clip) -> dict[str, float]:
    """1 for each attribute of which an instrument finds what is asked for, else 0; 0 where it finds nothing.

    >>> import torch
    >>> from physgen.simulators import SIMULATORS
    >>> clips = SIMULATORS["dye"](1, rng=np.random.default_rng(0))
    >>> asked = Subject("dye", clips.attributes[0]["kind"], clips.attributes[0])
    >>> set(shown(Clip(torch.from_numpy(clips.video[0]), asked)).values())
    {1.0}
    """
    assert clip.subject
    names = [name for name in DOMAINS[clip.subject.domain] if name in ASKED]
    found = statistics(clip, names) if clip.seen else dict.fromkeys(names, np.nan)
    return {name: float(value < TURNED if name == "orientation" else value <= 0) for name, value in found.items()}


def report(found: Mapping[str, Read], reference: str, asked: Sequence[Prompt], seed: int) -> dict[str, dict[str, Any]]:
    """The three reports by arm, of readings of every arm and of the videos that they are compared with."""
    classes = [tuple(sorted(p.attributes.items())) for p in asked]
    truth = found[reference]
    result: dict[str, dict[str, Any]] = {name: {} for name in ("content", "motion", "rendering")}
    for arm, mine in found.items():
        if arm == reference:
            continue
        far = {
            name: distance(mine.features[name], truth.features[name], classes, name == JUDGE, seed)
            for name in FEATURES
            if truth.features[name].shape[1]
        }
        right = {name: asdict(mean_interval(values)) for name, values in mine.right.items()}
        result["content"][arm] = {
            "right": right,
            "empty": asdict(mean_interval(mine.empty)),
            "distance": far[CONTENT],
            "judge": far[JUDGE],
        }
        result["motion"][arm] = {"distance": far[MOTION]} if MOTION in far else {}
        trembling, sharp = mine.features[RENDERING].T
        result["rendering"][arm] = {
            "jitter_px": asdict(mean_interval(trembling * JITTER)),
            "jitter_judge_px": asdict(mean_interval(mine.jitter)),
            "log_sharpness": asdict(mean_interval(sharp * LOG)),
            "distance": far[RENDERING],
        }
    return result


def tables(result: Mapping[str, Any], families: Sequence[str], arms: Sequence[str]) -> list[Table]:
    """What the reports of each family show, arm beside arm."""
    rows: dict[str, list[list[Cell]]] = {"content": [], "motion": [], "rendering": []}
    for family in families:
        content, motion, rendering = (result[family][name] for name in rows)
        for name in content[arms[0]]["right"]:
            rows["content"].append([family, name, *(cell(content[arm]["right"][name]) for arm in arms)])
        for name in ("empty", "distance", "judge"):
            rows["content"].append([family, _TITLES.get(name, name), *(cell(content[arm][name]) for arm in arms)])
        if motion[arms[0]]:
            rows["motion"].append([family, _TITLES["distance"], *(cell(motion[arm]["distance"]) for arm in arms)])
        for name in ("jitter_px", "jitter_judge_px", "log_sharpness", "distance"):
            rows["rendering"].append([family, _TITLES.get(name, name), *(cell(rendering[arm][name]) for arm in arms)])
    titles = {
        "content": "Content: share in which an instrument finds what is asked for, and conditional MMD² to truth",
        "motion": "Motion: conditional MMD² of the constants that say how fast",
        "rendering": "Rendering: jitter in pixels, by a plain reading and by the judge; logarithm of sharpness",
    }
    return [Table(titles[name], ["family", "what", *arms], found) for name, found in rows.items()]


def cell(found: Mapping[str, float]) -> Interval:
    """Back from a dictionary."""
    return Interval(found["estimate"], found["low"], found["high"])


def distance(x: Array, y: Array, classes: Sequence[object], plain: bool, seed: int) -> dict[str, float]:
    """Conditional MMD^2 of ``x [N, F]`` and ``y [N, F]`` with an interval over prompts, and the p-value of none.

    Readings that are not ``plain`` are divided by ``sqrt(1 + variance within a prompt)`` of ``y``: at least a unit of
    what may differ unnoticed. The bandwidth is the median distance within a prompt of ``y``, for these at least 1.

    Raises: InvalidArgument where no two prompts ask for the same.
    """
    if not plain:
        weights = same_class(classes) + np.eye(len(classes))
        spread = y - weights @ y / weights.sum(1)[:, None]
        scale = np.sqrt(1.0 + np.square(spread).mean(0))
        x, y = x / scale, y / scale
    width = max(bandwidth_within(y, classes), 1e-9 if plain else 1.0)
    found = ConditionalDiscrepancy.gaussian(x, y, classes, width)
    interval = bootstrap(found, len(x), seed=seed, draws=DRAWS)
    return {**asdict(interval), "p_value": found.p_value(seed=seed)}
