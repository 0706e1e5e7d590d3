"""All laws, all arms, all prompts: a file a prompt, so that a killed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from physgen.experiments.micro.arms import draw_case
from physgen.experiments.micro.cases import LAWS, Case, cases, simulated
from physgen.experiments.micro.measure import measure
from physgen.experiments.micro.table import REFERENCE, SIMULATOR, report
from physgen.experiments.runs.progress import Record, read_records, write_records
from physgen.experiments.train.distributed import launch
from physgen.worlds import WorldSpec, world_spec
from physgen.worlds.loading import load
from physgen.worlds.micro.judge import Judge

PROCESSES = 2


def run_micro(seeds: Sequence[int], n: int, out: Path) -> None:
    """Write ``micro.json`` and ``micro.md``: ``n`` prompts of every law and seed."""
    wanted = [
        one for seed in seeds for group in zip(*(cases(law, n, seed) for law in LAWS), strict=True) for one in group
    ]
    missing = [case for case in wanted if not store(out, case).is_file()]
    if missing:
        store(out, missing[0]).parent.mkdir(parents=True, exist_ok=True)
        launch(_work, min(PROCESSES, len(missing)), world_spec("micro"), missing, out)
    records = [record for case in wanted for record in read_records(store(out, case))]
    report(records, out)


def store(out: Path, case: Case) -> Path:
    """Where a case's records are kept."""
    return out / "records" / f"{case.name}.json"


def _work(rank: int, processes: int, spec: WorldSpec, missing: Sequence[Case], out: Path) -> None:
    world, judge = load(spec, "cpu"), Judge.load(None)
    world.pipe.set_progress_bar_config(disable=True)
    for case in tqdm(missing[rank::processes], desc="prompts", disable=rank != 0):
        constraint = case.constraint()
        about: Record = {"law": case.law, "index": case.prompt.seed, "caption": case.prompt.caption}
        records = [
            {**about, "arm": arm, **measure(spec, judge, case, constraint, simulated(case, shift))}
            for shift, arm in enumerate((REFERENCE, SIMULATOR))
        ]
        for arm, drawn in draw_case(world, case).items():
            found = measure(spec, judge, case, constraint, drawn.video)
            terminal = drawn.log.terminal.as_json() if drawn.log.terminal else None
            certificate = {name: entry.as_json() for name, entry in drawn.log.certificate.items()}
            cost = {"seconds": drawn.seconds, "nfe": drawn.nfe}
            records.append({**about, "arm": arm, **found, **cost, "terminal": terminal, "certificate": certificate})
        write_records(store(out, case), records)
