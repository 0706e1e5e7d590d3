"""Data-parallel workers: one single-threaded process a core, gradients averaged over gloo.

Two torch threads beside other jobs spin-wait and can be twenty times slower than one, so threads are fixed at one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor


def _die_with_parent() -> None:
    """Have the kernel kill this worker when its parent is killed (Linux), so that none trains on as an orphan."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _pin(rank: int) -> None:
    """Keep a worker on one core: workers wait for each other every step, so two on one core halve the speed."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})


def _worker(rank: int, world: int, rendezvous: str, job: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    _die_with_parent()
    torch.set_num_threads(1)
    if world > 1:
        _pin(rank)
        dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world)
    job(rank, world, *arguments)
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


def launch(job: Callable[..., None], processes: int, *arguments: Any) -> None:
    """Run ``job(rank, world, *arguments)`` in ``processes`` workers; a failure of one ends all."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if processes == 1:
        _worker(0, 1, "", job, arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_worker, (processes, str(Path(folder) / "rendezvous"), job, arguments), nprocs=processes)


def average_gradients(parameters: Sequence[Tensor], world: int) -> None:
    """Replace every gradient by its mean over the workers."""
    if world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= world
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()


def gather(value: Tensor, world: int) -> Tensor:
    """A tensor of each worker ``[world, ...]``, on all of them.

    >>> gather(torch.ones(2), world=1)
    tensor([[1., 1.]])
    """
    found = [torch.empty_like(value) for _ in range(world)]
    if world == 1:
        found[0].copy_(value)
    else:
        dist.all_gather(found, value)
    return torch.stack(found)
