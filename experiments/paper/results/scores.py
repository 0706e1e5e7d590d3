"""MicroWorldBench's scores of runs whose prompts are tasks of the micro task set, answered by instruments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from physgen.errors import InvalidArgument
from physgen.experiments.instruments.judge import InstrumentJudge
from physgen.experiments.microworldbench.judges.question import Question
from physgen.experiments.microworldbench.scoring.corrected import score_corrected
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, read_rubrics, read_tasks
from physgen.experiments.microworldbench.tasks.named import named_tasks


def scored(runs: Path, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row a run: task, level, average and the three dimensions, 0 to 100, and the share of criteria answered.

    Marks are None where a dimension has no answer, as that of a video which shows nothing to measure. The MP4 file is
    measured: the instruments are calibrated on such files.

    Raises: InvalidArgument for a run whose prompt is no task of the set.
    """
    tasks, rubrics = named_tasks("micro")
    by_caption = {task.task: task for task in read_tasks(tasks)}
    by_index = {rubric.index: rubric for rubric in read_rubrics(rubrics)}
    judge = InstrumentJudge()
    for run in tqdm(ids, desc="instruments", disable=None):
        prompt = json.loads((runs / run / "metrics.json").read_text(encoding="utf-8"))["prompt"]
        if prompt not in by_caption:
            raise InvalidArgument("run", f"{run} ({prompt})", "a prompt of the micro task set")
        task = by_caption[prompt]
        item: dict[str, Any] = {"index": task.index}
        for name in DIMENSIONS:
            asked = by_index[task.index].criteria[name]
            question = Question(task, name, asked, "corrected", video=runs / run / "video.mp4")
            item[f"{name}_eval"] = judge(question).evaluation
        card = score_corrected([item], {task.index: by_index[task.index]}, {task.index: task.level})
        one = card.per_task[0] if card.per_task else None
        marks = {name: getattr(one, name, None) for name in ("average", *DIMENSIONS)}
        yield {"run": run, "task": task.index, "level": task.level, **marks, "answered": card.scored / card.criteria}
