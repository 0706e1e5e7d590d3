"""The micro task set: MicroWorldBench's schema over scenes that a simulator knows the truth of.

Every attribute combination that is held out from the embedded world's training, in every wording of its grammar.
``python -m physgen.experiments.microworldbench.tasks.micro_tasks`` writes the two files again from
``micro/criteria.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from physgen.experiments.microworldbench.tasks.data import DIMENSIONS
from physgen.experiments.microworldbench.tasks.named import FOLDER, named_tasks
from physgen.experiments.runs.records import write_json_atomic
from physgen.simulators import GRAMMARS


def captions() -> Iterator[tuple[str, str]]:
    """Kind of scene, ``family.kind``, and caption of every task, in order."""
    for family, kinds in GRAMMARS.items():
        for kind, grammar in kinds.items():
            for attributes in grammar.combinations("held_out"):
                for template in grammar.templates:
                    yield f"{family}.{kind}", template.format(**attributes)


def make() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tasks and rubrics; ``m1`` … name the instrument of each criterion, which judges that look do not read."""
    scenes = yaml.safe_load((FOLDER / "criteria.yaml").read_text(encoding="utf-8"))
    tasks, rubrics = [], []
    for index, (kind, caption) in enumerate(captions(), 1):
        scene = scenes[kind]
        task = {"index": index, "任务": caption, "具体要求": scene["requirement"]}
        tasks.append(task | {"final_label": scene["level"]})
        rubrics.append(task | {f"rubrics_{name}": _block(scene[name]) for name in DIMENSIONS})
    return tasks, rubrics


def _block(criteria: list[list[Any]]) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for n, (instrument, sign, weight, text) in enumerate(criteria, 1):
        block |= {f"d{n}": text, f"s{n}": f"{sign:+d}", f"w{n}": weight, f"m{n}": instrument}
    return block


if __name__ == "__main__":
    for path, entries in zip(named_tasks("micro"), make(), strict=True):
        write_json_atomic(path, entries)
