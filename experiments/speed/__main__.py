"""Print the tables of `make bench`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from physgen.experiments.runs.records import write_json_atomic
from physgen.experiments.speed import guidance, memory, moving, reaction_diffusion
from physgen.experiments.speed.ratios import Pair, ratios
from physgen.experiments.speed.traffic import bytes_per_element
from physgen.grid import Grid

Row = dict[str, Any]

FIELDS = (4, 2, 16, 256, 256)
#: a whole video of the real worlds' size
VIDEO = (1, 2, 81, 480, 832)


def print_ratios(console: Console, title: str, pairs: list[Pair]) -> list[Row]:
    """One row a pair."""
    rows: list[Row] = []
    table = Table("work", "against", "median", "min", "max", "turns", title=title)
    for pair in pairs:
        measured = ratios(pair)
        figures = (np.median(measured), measured.min(), measured.max())
        table.add_row(pair.name, pair.against, *(f"{x:.3g}" for x in figures), str(pair.repeats))
        rows.append({"work": pair.name, "against": pair.against, "ratios": measured.tolist()})
    console.print(table)
    return rows


def print_traffic(console: Console) -> list[Row]:
    """Bytes per element of the ways that torch can count, and of ours."""
    rows: list[Row] = []
    u = torch.rand(2, 2, 8, 64, 64)
    ways = {"eager, roll + autograd": reaction_diffusion.rolled_loss, "fused": reaction_diffusion.fused_loss}
    table = Table(
        "loss + gradient",
        "bytes read and written an element",
        title="memory traffic of operations, counted; what a kernel re-reads from caches is not in it",
    )
    for name, loss in ways.items():
        work = reaction_diffusion.with_gradient(loss, u)
        work()
        moved = bytes_per_element(work, u.numel())
        table.add_row(name, f"{moved:.1f}")
        rows.append({"work": "reaction-diffusion, loss + gradient", "way": name, "bytes_per_element": moved})
    console.print(table)
    return rows


def print_peaks(console: Console) -> list[Row]:
    """Peak memory of a guided sample, beside the unguided one's."""
    measured = memory.peaks()
    table = Table(
        "sample", "peak, MB", "over unguided", title="peak of tensors, as the allocator counts them; no weights"
    )
    for name, peak in measured.items():
        table.add_row(name, f"{peak / 2**20:.1f}", f"{peak / measured['unguided']:.1f}")
    console.print(table)
    return [{"work": "sample", "way": name, "peak_bytes": peak} for name, peak in measured.items()]


def main() -> None:
    """Every table; ``--video`` adds one at the size of a real video, which needs about 12 GB."""
    parser = argparse.ArgumentParser(prog="physgen.experiments.speed", description=main.__doc__)
    parser.add_argument("--video", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file to write as well")
    options = parser.parse_args()
    console, generator = Console(), torch.Generator().manual_seed(0)
    rows = print_traffic(console)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    title = f"time of ours over the other's, {threads} threads, fields"
    fields = torch.rand(FIELDS, generator=generator)
    rows += print_ratios(console, f"{title} {list(FIELDS)} float32", reaction_diffusion.pairs(fields, 9))
    if options.video:
        video = torch.rand(VIDEO, generator=generator)
        rows += print_ratios(console, f"{title} {list(VIDEO)} float32", reaction_diffusion.pairs(video, 3))
    torch.set_num_threads(1)
    rows += print_peaks(console)
    title = f"time of ours over the other's, 1 thread, fields {list(guidance.SHAPE)} float32"
    rows += print_ratios(console, title, guidance.pairs())
    title = "time of ours over the other's, 1 thread, a clip of blood [1, 1, 25, 64, 64] float32"
    rows += print_ratios(console, title, moving.pairs())
    if options.video:
        large, grid = moving.large_video(), Grid(spacing=(1.0, 1.0), dt=1.0, boundary="open")
        title = f"time of ours over the other's, 1 thread, fields {list(large.shape)} float32"
        rows += print_ratios(console, title, moving.flow_pairs(large, grid, 1))
    if options.out:
        write_json_atomic(options.out, rows)


if __name__ == "__main__":
    main()
