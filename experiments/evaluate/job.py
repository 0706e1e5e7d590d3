"""`physgen evaluate`: measure a world against the simulators it learned from.

``suite=quality`` shows what samples are worth and which goals they meet; ``suite=mass`` what conserving mass does to
them; ``suite=yardstick`` which errors each metric sees. Videos, or what is read of them, are kept in ``out``, so a
killed run resumes; the result is written last.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from physgen.errors import InvalidArgument
from physgen.experiments.runs.records import run_name, with_contents
from physgen.experiments.runs.resume import resume
from physgen.worlds import WorldSpec

SUITES = ("quality", "mass", "yardstick")


@dataclass
class EvaluateConfig:
    """Options of `physgen evaluate`, see ``conf/evaluate.yaml``."""

    suite: str
    world: WorldSpec
    n: int
    seed: int
    processes: int
    trained: str | None
    judge: str | None
    out: str | None


def run(config: EvaluateConfig) -> None:
    """Run a suite and write ``<suite>.json``, a table and pictures into the folder.

    Raises: InvalidArgument for an unknown suite, too few prompts, or a folder with other options.
    """
    if config.suite not in SUITES:
        raise InvalidArgument("suite", config.suite, ", ".join(SUITES))
    for name, least in {"n": 8, "seed": 0, "processes": 1}.items():
        if getattr(config, name) < least:
            raise InvalidArgument(name, getattr(config, name), f"at least {least}")
    if config.trained and not (Path(config.trained).expanduser() / "latents").is_dir():
        raise InvalidArgument("trained", config.trained, "a folder of `physgen train` with its latents")
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "processes")}
    settings = with_contents(settings, "judge")
    out = Path(config.out or Path("runs") / run_name("evaluate", settings))
    resume(out, settings)
    if config.suite == "quality":
        from physgen.experiments.evaluate.quality import evaluate
    elif config.suite == "yardstick":
        from physgen.experiments.evaluate.yardstick.suite import evaluate
    else:
        from physgen.experiments.evaluate.mass import evaluate
    evaluate(config, out)
    print(out)
