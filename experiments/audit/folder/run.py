"""`physgen audit FOLDER`."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from physgen import __version__
from physgen.errors import InvalidArgument
from physgen.experiments.audit.folder.meter import Meter
from physgen.experiments.audit.folder.parallel import in_parallel
from physgen.experiments.audit.folder.results import write
from physgen.experiments.audit.folder.store import read_records, source_of
from physgen.experiments.audit.reading_options import physical_scale
from physgen.experiments.cli.schema import AuditConfig
from physgen.experiments.runs.records import JsonlWriter, run_name
from physgen.experiments.runs.resume import resume
from physgen.video import Video
from physgen.video.captioned import Clip, Skipped, read_metadata

KILLED = "the process that measured it was killed: by its decoder, or for want of memory"


def audit_folder(folder: Path, config: AuditConfig) -> None:
    """Measure every clip that the folder's metadata lists, and write what is normal at each level.

    Raises:
        InvalidArgument: no metadata, options that no clip could be measured with, no clip that could be measured, a
            folder of other options or of another version.
    """
    check(config)
    clips, skipped = read_metadata(folder)
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "processes")}
    settings["files"] = [str(folder.resolve())]
    out = Path(config.out or Path("runs") / run_name("audit", settings))
    resume(out, {"version": __version__, **settings})
    began = time.perf_counter()
    records = measure_all(clips, config, out)
    skipped += [
        Skipped(clip.video, found["error"]) for clip, found in zip(clips, records, strict=True) if found["error"]
    ]
    write(out, settings, records, skipped, time.perf_counter() - began)
    if not any(record["constraints"] for record in records):
        raise InvalidArgument(
            "files", str(folder), f"at least one clip that can be measured, see {out / 'skipped.json'}"
        )


def check(config: AuditConfig) -> None:
    """Find out before any clip is opened whether the options make sense.

    Raises: InvalidArgument.
    """
    if config.processes < 1:
        raise InvalidArgument("processes", config.processes, "at least 1")
    Meter(config)
    config.world.observable("")
    physical_scale(Video(torch.zeros(1, 3, 1, 1)), config, None)


def measure_all(clips: list[Clip], config: AuditConfig, out: Path) -> list[dict[str, Any]]:
    """A record of every clip, those from before included if nothing that they depend on has changed."""
    known = read_records(out / "clips.jsonl")
    sources = {clip.video: source_of(clip) for clip in clips}
    waiting = [clip for clip in clips if known.get(clip.video, {}).get("source") != sources[clip.video]]
    if waiting:
        (out / "metrics.json").unlink(missing_ok=True)
    with (
        JsonlWriter(out / "clips.jsonl", "a") as log,
        tqdm(total=len(clips), initial=len(clips) - len(waiting), desc="audit", unit="clip") as bar,
    ):
        for clip, found in in_parallel(partial(Meter, config), waiting, config.processes):
            record = found or {"level": clip.level, "constraints": {}, "error": KILLED}
            known[clip.video] = {"source": sources[clip.video], **record}
            log.write(known[clip.video])
            bar.update()
            if record["error"]:
                bar.write(f"skipped {clip.video}: {record['error']}")
    return [known[clip.video] for clip in clips]
