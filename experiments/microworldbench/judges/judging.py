"""Ask a judge about every dimension of every video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from physgen.experiments.microworldbench.judges.base import Judge, Reply, Unanswered
from physgen.experiments.microworldbench.judges.frames import sample_frames
from physgen.experiments.microworldbench.judges.question import Question
from physgen.experiments.microworldbench.judges.store import Store
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, Rubric, Task


@dataclass(frozen=True)
class Judged:
    """Results as the released evaluator writes them, what failed, and the tokens it took."""

    results: list[dict[str, Any]]
    notes: list[str]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Panel:
    """A judge with the tasks and rubrics that it judges by, and where the frames that it saw are kept."""

    judge: Judge
    tasks: Mapping[int, Task]
    rubrics: Mapping[int, Rubric]
    mode: str
    store: Store | None = None

    def __call__(self, videos: Sequence[tuple[int, Path | None]], repeat: int = 0) -> Judged:
        """Judge videos by task; ``None`` in place of a video is for judges that see nothing.

        A video that cannot be read, and a question without an answer, are noted and left open. ``upstream`` drops a
        video of which a dimension is open.
        """
        outcomes: list[tuple[dict[str, Any], list[Reply], list[str]]] = []
        with ThreadPoolExecutor(self.judge.concurrency) as pool:
            jobs = [pool.submit(self._video, index, path, repeat) for index, path in videos]
            try:
                for job in tqdm(jobs, unit="video", disable=None):
                    outcomes.append(job.result())
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        replies = [reply for _, given, _ in outcomes for reply in given]
        items = [item for item, _, notes in outcomes if item and not (notes and self.mode == "upstream")]
        return Judged(
            list({item["index"]: item for item in items}.values()),
            [note for _, _, notes in outcomes for note in notes],
            sum(reply.prompt_tokens for reply in replies),
            sum(reply.completion_tokens for reply in replies),
        )

    def _video(self, index: int, path: Path | None, repeat: int) -> tuple[dict[str, Any], list[Reply], list[str]]:
        try:
            frames = sample_frames(path, self.mode) if path and self.judge.sees else None
        except (ValueError, OSError) as error:
            return {}, [], [f"task {index}: {error}"]
        item: dict[str, Any] = {"index": index, "video_path": str(path) if path else None}
        if frames and self.store:
            item["frames"] = [self.store.image(image) for image in frames.images]
        replies, notes = [], []
        if frames and self.mode == "corrected" and frames.count < frames.stated:
            notes.append(f"task {index}: only {frames.count} of {frames.stated} frames can be read")
        for dimension in DIMENSIONS:
            criteria = self.rubrics[index].criteria[dimension]
            task = self.tasks.get(index) or Task(index, "Unknown", "", "")
            try:
                reply = self.judge(Question(task, dimension, criteria, self.mode, frames, repeat, path))
            except Unanswered as error:
                item[f"{dimension}_eval"] = None
                notes.append(f"task {index}, {dimension}: {error}")
            else:
                item[f"{dimension}_eval"] = reply.evaluation
                replies.append(reply)
        return item, replies, notes
