"""The memory that a sample will need, told before it starts."""

from __future__ import annotations

import torch
from rich.console import Console
from rich.table import Table

from physgen.arguments import finite
from physgen.errors import InvalidArgument
from physgen.experiments.sample.options import SampleConfig
from physgen.guidance import Guidance
from physgen.observables import Observable
from physgen.worlds.memory.architecture import TRANSFORMERS, configurations
from physgen.worlds.memory.plan import RESERVE, MemoryPlan, Planner, require_fit

GIB = 2**30
NOTE = (
    "extrapolated: tensors followed through the models without memory, scratch of operators not counted, "
    f"{RESERVE / GIB:g} GiB kept for the device's own; never measured on a GPU"
)


def plan_memory(
    config: SampleConfig, guidance: Guidance | None, observable: Observable, console: Console
) -> MemoryPlan | None:
    """Print the plan and refuse what cannot fit; ``None`` where no device is named that could be too small.

    That is memory= where it is given, else what is free on the accelerator.

    Raises:
        InvalidArgument: it does not fit, a world that cannot be planned, a device that is not there.
    """
    memory = device_memory(config)
    asked = config.plan or config.memory is not None
    if not asked and (memory is None or not _known(config)):
        return None
    planner = Planner(config.world, guidance, observable)
    if not config.plan:
        assert memory is not None
        plan = require_fit(planner, memory, "device memory")
        print_plan(plan, console)
        return plan
    plan = planner.plan()
    print_plan(plan, console)
    if memory is not None:
        for other in planner.alternatives(memory):
            console.print(f"fits {memory / GIB:g} GiB: {other} ({other.peak / GIB:.1f} GiB)", markup=False)
        require_fit(planner, memory, "device memory")
    return plan


def device_memory(config: SampleConfig) -> int | None:
    """Bytes of the device that a sample may use.

    Raises:
        InvalidArgument: a memory that is not positive, a device that is not there.
    """
    if config.memory is not None:
        return round(finite("memory", config.memory, "GiB of the device, > 0", lambda value: value > 0) * GIB)
    try:
        device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise InvalidArgument("device", config.device, "cpu, cuda, cuda:1, ...") from error
    if device.type != "cuda":
        return None
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        allowed = ", ".join(["cpu", *(f"cuda:{i}" for i in range(count))])
        raise InvalidArgument("device", config.device, f"{allowed}, which are here")
    return torch.cuda.mem_get_info(device)[0]


def _known(config: SampleConfig) -> bool:
    return configurations(config.world).get("transformer", {}).get("_class_name") in TRANSFORMERS


def print_plan(plan: MemoryPlan, console: Console) -> None:
    """A row for each phase."""
    table = Table("phase", "weights, GiB", "activations, GiB", "together", title=f"device memory, {plan}", box=None)
    for phase in plan.phases:
        figures = (phase.weights, phase.activations, phase.total)
        table.add_row(phase.name, *(f"{figure / GIB:.2f}" for figure in figures))
    console.print(table)
    back = f", {plan.ways_back} ways back through it" if plan.ways_back else ""
    console.print(f"a guided step: {plan.evaluations} evaluations of the network{back}", markup=False)
    console.print(f"peak {plan.peak / GIB:.1f} GiB, host {plan.host / GIB:.1f} GiB of weights ({NOTE})", markup=False)
