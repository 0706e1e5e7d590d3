"""Print the tables of `make bench`."""

from __future__ import annotations

import argparse

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from physgen.experiments.bench import guidance, memory, reaction_diffusion
from physgen.experiments.bench.ratios import Pair, ratios
from physgen.experiments.bench.traffic import bytes_per_element

FIELDS = (4, 2, 16, 256, 256)
#: a whole video of the real worlds' size
VIDEO = (1, 2, 81, 480, 832)


def print_ratios(console: Console, title: str, pairs: list[Pair]) -> None:
    """One row a pair, as soon as it is measured."""
    table = Table("work", "against", "median", "min", "max", "turns", title=title)
    for pair in pairs:
        measured = ratios(pair)
        figures = (np.median(measured), measured.min(), measured.max())
        table.add_row(pair.name, pair.against, *(f"{x:.3g}" for x in figures), str(pair.repeats))
    console.print(table)


def print_traffic(console: Console) -> None:
    """Bytes per element of the ways that torch can count, and of ours."""
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
        table.add_row(name, f"{bytes_per_element(work, u.numel()):.1f}")
    console.print(table)


def print_peaks(console: Console) -> None:
    """Peak memory of a guided sample, beside the unguided one's."""
    measured = memory.peaks()
    table = Table(
        "sample", "peak, MB", "over unguided", title="peak of tensors, as the allocator counts them; no weights"
    )
    for name, peak in measured.items():
        table.add_row(name, f"{peak / 2**20:.1f}", f"{peak / measured['unguided']:.1f}")
    console.print(table)


def main() -> None:
    """Every table; ``--video`` adds one at the size of a real video, which needs about 12 GB."""
    parser = argparse.ArgumentParser(prog="physgen.experiments.bench", description=main.__doc__)
    parser.add_argument("--video", action="store_true")
    options = parser.parse_args()
    console, generator = Console(), torch.Generator().manual_seed(0)
    print_traffic(console)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    title = f"time of ours over the other's, {threads} threads, fields"
    fields = torch.rand(FIELDS, generator=generator)
    print_ratios(console, f"{title} {list(FIELDS)} float32", reaction_diffusion.pairs(fields, 9))
    if options.video:
        video = torch.rand(VIDEO, generator=generator)
        print_ratios(console, f"{title} {list(VIDEO)} float32", reaction_diffusion.pairs(video, 3))
    torch.set_num_threads(1)
    print_peaks(console)
    title = f"time of ours over the other's, 1 thread, fields {list(guidance.SHAPE)} float32"
    print_ratios(console, title, guidance.pairs())


if __name__ == "__main__":
    main()
