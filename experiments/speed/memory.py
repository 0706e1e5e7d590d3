"""Peak memory of guided sampling against unguided, of tensors as the allocator counts them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from physgen.constraints import MassConservation
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.sampling.diffusers import guide
from physgen.worlds import load_world

GUIDANCES = ("x0_gradient", "projection", "dps", "conditional_mean")
PROMPT = "two drops of green dye diffusing slowly in water"
#: of which the last one or two are corrected; peaks do not depend on their number
STEPS = 3


def peak_bytes(work: Callable[[], object]) -> int:
    """Most bytes that the tensors made by ``work`` held at once, above what there was before.

    Counted by the CPU allocator through the profiler: the same at every run, which the resident size of a process is
    not (it holds loaded code, caches and what the system has not taken back). Scratch memory of operators is not in it.

    >>> import torch
    >>> peak_bytes(lambda: torch.zeros(1 << 20, dtype=torch.uint8)) >> 20
    1
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = [(event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes, key=lambda x: x[0]):
        held += change
        peak = max(peak, held)
    return peak


def peaks() -> dict[str, int]:
    """Peak of one sample of the embedded world, unguided and with every guidance's defaults, mass conserved."""
    world = load_world("micro")
    world.pipe.set_progress_bar_config(disable=True)

    def sample() -> None:
        world.sample(PROMPT, seed=0, steps=STEPS)

    def guided(name: str) -> Callable[[], None]:
        guidance = default_guidance(name, [MassConservation()])

        def work() -> None:
            with guide(world.pipe, guidance, observable=world.observable(PROMPT), grid=world.grid(PROMPT)):
                sample()

        return work

    sample()
    return {"unguided": peak_bytes(sample), **{name: peak_bytes(guided(name)) for name in GUIDANCES}}
