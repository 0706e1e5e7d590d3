"""Rules against readers, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from physgen.experiments.draw.rules import Decision
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.microworldbench.readers.agreement import LawScore, Pair, pairs_of, score_pairs
from physgen.experiments.microworldbench.readers.labels import Reader

WORDS = {1: "1", 0: "0", None: "?"}


def report_readers(
    console: Console, readers: tuple[Reader, Reader], decisions: Mapping[int, Decision]
) -> dict[str, Any]:
    """Print precision by law, the rules' pairs that are not right and the readers' disagreements; all of it as JSON."""
    pairs = pairs_of(readers, decisions)
    scores = score_pairs(pairs)
    names, tasks = [reader.name for reader in readers], len(readers[0].labels)
    spoken = len({pair.task for pair in pairs if pair.fires})
    _precision(scores).show(console)
    wrong = [pair for pair in pairs if pair.fires and not pair.both]
    apart = [pair for pair in pairs if {1, 0} == {*pair.said}]
    _listed("The rules have a law that not both readers have", names, wrong).show(console)
    _listed("One reader says 1 and the other 0", names, apart).show(console)
    console.print(
        f"{tasks} tasks read by {' and '.join(names)}, {spoken} of them with a law by the rules", markup=False
    )
    return {
        "readers": names,
        "tasks": tasks,
        "tasks_with_a_law": spoken,
        "laws": [asdict(score) for score in scores],
        "not_right": [asdict(pair) for pair in wrong],
        "disagreements": [asdict(pair) for pair in apart],
    }


def _precision(scores: Sequence[LawScore]) -> Table:
    columns = ["law", "fires", "both say 1", "one does", "labelled", "found", "kappa"]
    rows: list[list[Cell]] = [
        [s.law, str(s.fires), s.right, s.half_right.estimate, str(s.labelled), s.found.estimate, s.kappa]
        for s in scores
    ]
    return Table("Rules against two readers, with Wilson's 95 % interval and Cohen's kappa", columns, rows)


def _listed(title: str, names: Sequence[str], pairs: Sequence[Pair]) -> Table:
    rows = [
        [str(pair.task), pair.law, *(WORDS[said] for said in pair.said), "yes" if pair.fires else "no"]
        for pair in pairs
    ]
    return Table(f"{title}: {len(pairs)}", ["task", "law", *names, "fires"], rows)
