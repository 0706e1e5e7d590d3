"""Draw every arm of every task and seed, and measure it: a file a video, so that a killed run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR, reconstruct, simulate
from physgen.experiments.instruments.examine import Reading
from physgen.experiments.instruments.flow.arms import ARMS, draw_arms
from physgen.experiments.instruments.judge import Examined, InstrumentJudge
from physgen.experiments.instruments.scores.arms import prompt_of
from physgen.experiments.measure.recognition import features, recognised
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, Rubric, Task
from physgen.experiments.runs.progress import Record, read_records, write_records
from physgen.video import Video, read_video, write_mp4
from physgen.worlds import World
from physgen.worlds.micro.judge import Judge

#: faultless videos of the same prompts, then the arms
ROWS = (SIMULATOR, RECONSTRUCTION, *ARMS)
DRAWN, READINGS = "drawn", "readings"


def run_flow(
    world: World, tasks: Sequence[Task], rubrics: Sequence[Rubric], seeds: Sequence[int], alpha: float, out: Path
) -> list[Record]:
    """Records of every task, seed and arm: cost, answers and percentiles of its criteria, what the classifier sees."""
    wanted = [(prompt_of(task, seed), rubric) for seed in seeds for task, rubric in zip(tasks, rubrics, strict=True)]
    for folder in (DRAWN, READINGS, "videos"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for prompt, _ in tqdm(wanted, desc="prompts", disable=None):
        if not _file(out, DRAWN, prompt).is_file():
            _draw(world, prompt, out)
    judge, classifier = InstrumentJudge(alpha), Judge.load()
    records = []
    for prompt, rubric in tqdm(wanted, desc="readings", disable=None):
        path = _file(out, READINGS, prompt)
        if not path.is_file():
            costs = {row["arm"]: row for row in read_records(_file(out, DRAWN, prompt))}
            write_records(
                path,
                [costs[arm] | measure(classifier, prompt, _video(out, prompt, arm)) for arm in ROWS],
            )
        records += [decided(judge, rubric, record) for record in read_records(path)]
    return records


def measure(classifier: Judge, prompt: Prompt, path: Path) -> Record:
    """What one file shows: ``readings`` of all instruments, and whether anything is ``seen`` and ``moves``.

    Of the classifier its ``features``, and ``judge``: whether it recognises what was asked for, by attribute.
    """
    frames = read_video(path).frames
    examined = Examined.of(frames, prompt.caption)
    vectors = features(classifier, frames.transpose(0, 1)[None])
    seen = recognised(classifier, [prompt], vectors)
    return {
        "readings": {name: asdict(reading) for name, reading in examined.readings.items()},
        "seen": examined.seen,
        "moves": examined.moves,
        "features": vectors[0].tolist(),
        "judge": {name: float(seen[name][0]) for name in ("direction", "speed", "count")},
    }


def decided(judge: InstrumentJudge, rubric: Rubric, record: Record) -> Record:
    """A record with ``answers`` by criterion, ``ranks`` and ``statistics`` by instrument in place of its readings."""
    readings = {name: Reading(**values) for name, values in record["readings"].items()}
    examined = Examined(readings, record["seen"], record["moves"])
    criteria = [criterion for dimension in DIMENSIONS for criterion in rubric.criteria[dimension]]
    return {
        **{key: value for key, value in record.items() if key not in ("readings", "seen", "moves")},
        "answers": {criterion.measure: judge.answer(criterion, examined) for criterion in criteria},
        "ranks": {name: reading.rank for name, reading in readings.items()},
        "statistics": {name: reading.statistic for name, reading in readings.items()},
    }


def _draw(world: World, prompt: Prompt, out: Path) -> None:
    simulated = simulate(prompt, world.spec, [7, prompt.seed])
    true: list[tuple[str, Float[Tensor, "1 3 T H W"], Record]] = [
        (SIMULATOR, simulated, {}),
        (RECONSTRUCTION, reconstruct(world, simulated), {}),
    ]
    rows = []
    for arm, video, cost in [*true, *draw_arms(world, prompt)]:
        write_mp4(_video(out, prompt, arm), Video(video[0].transpose(0, 1), prompt=prompt.caption), world.fps)
        about = {"task": prompt.index, "seed": prompt.seed, "caption": prompt.caption, "arm": arm}
        rows.append({**about, **cost})
    write_records(_file(out, DRAWN, prompt), rows)


def _file(out: Path, folder: str, prompt: Prompt) -> Path:
    return out / folder / f"{prompt.seed}.json"


def _video(out: Path, prompt: Prompt, arm: str) -> Path:
    return out / "videos" / f"{prompt.seed}-{ROWS.index(arm):02d}.mp4"


def column(records: Sequence[Record], arm: str, key: str) -> np.ndarray:
    """A number of every record of an arm, NaN where it has none."""
    return np.array([record.get(key, np.nan) for record in records if record["arm"] == arm], float)
