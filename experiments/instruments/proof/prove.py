"""Are the instruments right? Sensitivity to planted faults, specificity on videos without one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from physgen.experiments.instruments.clip import Clip, clips_of
from physgen.experiments.instruments.devices.medium import filed
from physgen.experiments.instruments.examine import read
from physgen.experiments.instruments.nulls import RECONSTRUCTION, SIMULATOR
from physgen.experiments.instruments.proof.calibrate import floors_of
from physgen.experiments.instruments.proof.catalogue import FAULTS
from physgen.experiments.instruments.proof.faultless import simulated, through
from physgen.experiments.instruments.proof.planted_fault import plant_fault
from physgen.experiments.instruments.registry import ANY, DOMAINS, MICROSCOPY
from physgen.experiments.measure.intervals import share
from physgen.experiments.measure.tables import Table
from physgen.experiments.runs.records import write_json_atomic
from physgen.worlds import World

#: videos that nothing is planted in
NONE = "none"
#: and how many for each that faults are planted in
FAULTLESS = 5

Row = dict[str, Any]


def prove(world: World, count: int, seed: int, out: Path, domains: Iterable[str] = DOMAINS) -> list[Row]:
    """p-values of every instrument on five times ``count`` videos a domain, of a fault's targets where one is planted.

    Every video goes into an MP4 file, by itself and through the autoencoder. Rows are kept in ``out/DOMAIN.json``.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for domain in domains:
        if domain in (ANY, MICROSCOPY):
            continue
        path = out / f"{domain}.json"
        if not path.exists():
            videos = tqdm(simulated(domain, FAULTLESS * count, seed), domain, FAULTLESS * count, disable=None)
            found = [row for i, (s, v) in enumerate(videos) for row in _rows(world, Clip(v, s), [seed, i], i < count)]
            write_json_atomic(path, found)
        rows += json.loads(path.read_text(encoding="utf-8"))
    return rows


def _rows(world: World, clip: Clip, seed: Sequence[int], faulty: bool) -> Iterable[Row]:
    assert clip.subject
    domain = clip.subject.domain
    cases = [(NONE, 0, clip.video, DOMAINS[domain])]
    for kind, fault in FAULTS.items() if faulty else ():
        if targets := fault.found_by(domain):
            for level, strength in enumerate(fault.strengths, 1):
                video = plant_fault(clip, fault, strength, np.random.default_rng([*seed, level]))
                cases.append((kind, level, video, targets))
    for kind, level, video, names in cases:
        for floor in floors_of(domain):
            (seen,) = clips_of(filed(through(world, floor, video).transpose(0, 1)), clip.subject)
            p = {name: reading.p_value for name, reading in read(seen, domain, names).items()}
            yield {"domain": domain, "kind": kind, "level": level, "floor": floor, "p": p}


def summary(rows: Sequence[Row], alpha: float) -> dict[str, Any]:
    """Specificity of every instrument and sensitivity to every fault and strength, with Wilson's 95 % intervals.

    A fault is found by an instrument where p < alpha; ``any`` is by one of its targets. Instruments that do not apply
    are left out, an instrument that abstains finds nothing.
    """
    found: dict[str, Any] = {"alpha": alpha, "specificity": {}, "sensitivity": {}}
    for floor in (SIMULATOR, RECONSTRUCTION):
        good: dict[str, list[bool]] = {}
        hits: dict[tuple[str, str, int], list[bool]] = {}
        for row in (r for r in rows if r["floor"] == floor):
            alarms = {name: p < alpha for name, p in row["p"].items()}
            if row["kind"] == NONE:
                for name, alarm in alarms.items():
                    good.setdefault(name, []).append(not alarm)
            else:
                targets = FAULTS[row["kind"]].found_by(row["domain"])
                for name in targets:
                    hits.setdefault((row["kind"], name, row["level"]), []).append(alarms.get(name, False))
                if len(FAULTS[row["kind"]].targets) > 1:
                    hits.setdefault((row["kind"], "any", row["level"]), []).append(any(alarms.values()))
        found["specificity"][floor] = {n: asdict(share(sum(v), len(v))) | {"n": len(v)} for n, v in good.items()}
        found["sensitivity"][floor] = [
            {"kind": kind, "instrument": name, "strength": FAULTS[kind].strengths[level - 1]}
            | asdict(share(sum(v), len(v)))
            | {"n": len(v)}
            for (kind, name, level), v in hits.items()
        ]
    return found


def tables(found: dict[str, Any]) -> list[Table]:
    """What `summary` says, as tables."""
    floors = (SIMULATOR, RECONSTRUCTION)
    sensitivity = []
    keys = {(e["kind"], e["instrument"]) for e in found["sensitivity"][SIMULATOR]}
    for kind, fault in FAULTS.items():
        for name in (*fault.targets, "any"):
            if (kind, name) in keys:
                row: list[Any] = [kind, name, ", ".join(f"{s:g}" for s in fault.strengths)]
                for floor in floors:
                    entries = [e for e in found["sensitivity"][floor] if (e["kind"], e["instrument"]) == (kind, name)]
                    row += [" ".join(_short(e) for e in entries) or "-"]
                first = [e for e in found["sensitivity"][SIMULATOR] if (e["kind"], e["instrument"]) == (kind, name)]
                row.append(str(first[0]["n"]))
                sensitivity.append(row)
    names = found["specificity"][SIMULATOR]
    specificity = [
        [
            name,
            *(_short(e) if (e := found["specificity"][floor].get(name)) else "-" for floor in floors),
            str(names[name]["n"]),
        ]
        for name in names
    ]
    return [
        Table(
            f"Sensitivity: share of videos with p < {found['alpha']:g} at each strength [95 % interval]",
            ["planted fault", "instrument", "strengths", *floors, "n"],
            sensitivity,
        ),
        Table(
            f"Specificity: share of videos without a fault with p >= {found['alpha']:g} [95 % interval]",
            ["instrument", *floors, "n"],
            specificity,
        ),
    ]


def _short(entry: Row) -> str:
    return f"{entry['estimate']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"
