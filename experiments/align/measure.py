"""What every held-out video shows: laws, content, rendering and motion, and instruments that did not select."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from physgen.constraints import Constraint
from physgen.drawn import AFTERWARDS, UNGUIDED
from physgen.experiments.align.models import REFERENCE, TRUTH, Model
from physgen.experiments.align.options import AlignConfig, is_micro
from physgen.experiments.align.pool import run, videos_of
from physgen.experiments.align.select import domain_of, scoring, shows_nothing, subject_in
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import project
from physgen.experiments.draw.videos import Task
from physgen.experiments.evaluate.yardstick.pool import ALPHA, JUDGE, MOTION, RENDERING
from physgen.experiments.evaluate.yardstick.readings import JITTER, LOG, motion_of, rendering_of
from physgen.experiments.finetune import measure as finetuned
from physgen.experiments.instruments import examine
from physgen.experiments.instruments.clip import clips_of
from physgen.experiments.runs.progress import Record, read_records, write_records
from physgen.guidance.problem import Problem
from physgen.worlds import WorldSpec
from physgen.worlds.micro.judge import packaged_judge

#: begins the names of what is measured of one law, and by one instrument
VIOLATION, FAULT = "violation: ", "fault: "
FAULTS, DEGENERATE = "faults", "degenerate"


def measure_all(config: AlignConfig, models: list[Model], run_id: str) -> list[Record]:
    """A record of every video of every model, as drawn and projected afterwards; kept in a file beside the videos."""
    wanted = [(model, task) for model in models for task in model.tasks]
    run(_measure, config, [pair for pair in wanted if not records_of(pair[1]).exists()], run_id)
    return [record for _, task in wanted for record in read_records(records_of(task))]


def records_of(task: Task) -> Path:
    """The file of the records of a task."""
    return task.path.with_suffix(".json")


def _measure(rank: int, processes: int, config: AlignConfig, wanted: list[tuple[Model, Task]], run_id: str) -> None:
    laws = config.laws()
    for model, task in tqdm(wanted[rank::processes], desc="measure", unit="task", disable=rank != 0):
        about = {"run": run_id, "model": model.name, "seed": model.seed}
        records: list[Record] = []
        for prompt, video in zip(task.prompts, videos_of(task).split(1), strict=True):
            videos = {UNGUIDED: video}
            if model.name not in (TRUTH, REFERENCE):
                videos[AFTERWARDS] = project(config.world, laws, prompt, video)
            asked = {"prompt": prompt.index, "caption": prompt.caption, "noise": prompt.seed}
            for arm, one in videos.items():
                records.append({**about, "arm": arm, **asked, **measure(config, laws, prompt, one)})
        write_records(records_of(task), records)


def measure(
    config: AlignConfig, laws: dict[str, Constraint], prompt: Prompt, video: Float[Tensor, "1 3 T H W"]
) -> Record:
    """``values`` of one video by name, and ``readings``, the feature vectors in which distances are measured."""
    spec = config.world
    fields, grid = spec.observable(prompt.caption)(video.double()), spec.grid(prompt.caption)
    values = {
        f"{VIOLATION}{name}": Problem({name: law}, grid=grid).violations(fields)[name] for name, law in laws.items()
    }
    readings: dict[str, list[float]] = {}
    if judged(spec, prompt):
        found = finetuned.measure("", "", 0, [prompt], video, packaged_judge())
        values |= {name: float(one[0]) for name, one in found.values.items()}
        assert found.vectors is not None
        readings[JUDGE] = found.vectors[0].tolist()
    subject = subject_in(spec, prompt.caption)
    domain = domain_of(spec, prompt.caption)
    read = examine(video[0].transpose(0, 1), subject, scoring(domain, config.select))
    faults = {name: float(reading.p_value <= ALPHA) for name, reading in read.items()}
    clip = clips_of(video[0].transpose(0, 1), subject)[0]
    readings[RENDERING] = rendering_of(clip).tolist()
    if subject is not None:
        readings[MOTION] = motion_of(clip).tolist()
    values |= {f"{FAULT}{name}": fault for name, fault in faults.items()}
    values |= {
        FAULTS: float(np.mean(list(faults.values()))) if faults else float("nan"),
        "jitter, px": readings[RENDERING][0] * JITTER,
        "sharpness": readings[RENDERING][1] * LOG,
        DEGENERATE: float(shows_nothing(spec, prompt, video)),
    }
    return {"values": values, "readings": {name: found for name, found in readings.items() if found}}


def judged(spec: WorldSpec, prompt: Prompt) -> bool:
    """Whether the judge knows such videos."""
    return is_micro(spec) and bool(prompt.attributes)
