"""`physgen benchmark-guidance`: guided samplers against exact posteriors, and in the embedded world."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from physgen.errors import InvalidArgument
from physgen.experiments.runs.records import run_name

PROBLEMS = ("heat", "plain", "seen", "reaction", "micro", "dial")
#: those whose videos the embedded world draws
OF_THE_WORLD = ("micro", "dial")


@dataclass
class BenchmarkGuidanceConfig:
    """Options of `physgen benchmark-guidance`, see ``conf/benchmark-guidance.yaml``."""

    problem: str
    n: int
    seeds: list[int]
    steps: int
    out: str | None


def run(config: BenchmarkGuidanceConfig) -> None:
    """Run every arm on a problem and write ``<problem>.json``, a table and a picture into the folder.

    Raises: InvalidArgument for an unknown problem, too few samples, steps or seeds, or a folder with other options.
    """
    if config.problem not in PROBLEMS:
        raise InvalidArgument("problem", config.problem, ", ".join(PROBLEMS))
    for name, least in {"n": 2, "steps": 5}.items():
        if getattr(config, name) < least:
            raise InvalidArgument(name, getattr(config, name), f"at least {least}")
    if not config.seeds or min(config.seeds) < 0 or len(set(config.seeds)) < len(config.seeds):
        raise InvalidArgument("seeds", config.seeds, "a list of different numbers from 0, as [100,101]")
    from physgen.experiments.micro.dial import run_dial
    from physgen.experiments.micro.run import run_micro
    from physgen.experiments.posterior.heat.seen import run_seen
    from physgen.experiments.posterior.heat.table import run_heat
    from physgen.experiments.posterior.reaction.table import run as run_reaction
    from physgen.experiments.runs.resume import resume
    from physgen.worlds import world_spec

    settings = {key: value for key, value in asdict(config).items() if key != "out"}
    if config.problem in OF_THE_WORLD:
        settings["world"] = world_spec("micro").label
    out = Path(config.out or Path("runs") / run_name("benchmark-guidance", settings))
    resume(out, settings, left_out=("world",))
    if config.problem in ("heat", "plain"):
        run_heat(config.seeds, config.n, config.steps, out, plain=config.problem == "plain")
    elif config.problem == "seen":
        run_seen(config.seeds, config.n, config.steps, out)
    elif config.problem == "reaction":
        run_reaction(config.seeds, config.n, config.steps, out)
    elif config.problem == "micro":
        run_micro(config.seeds, config.n, out)
    else:
        run_dial(config.seeds, out)
    print(out)
