"""`physgen benchmark content`: what choosing among samples is worth for content, at equal network evaluations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from physgen.errors import InvalidArgument
from physgen.experiments.runs.records import run_name


@dataclass
class ContentConfig:
    """Options of `physgen benchmark content`, see ``conf/benchmark-content.yaml``."""

    questions: list[str]
    n: int
    particles: list[int]
    search: list[int]
    steps: list[int]
    seed: int
    processes: int
    out: str | None


def run(config: ContentConfig) -> None:
    """State the power, run every arm, and write ``content.json`` and ``content.md`` into the folder.

    Raises: InvalidArgument for questions or numbers that there are not, or a folder with other options.
    """
    from rich.console import Console

    from physgen.experiments.content.power import power_table
    from physgen.experiments.content.questions import QUESTIONS
    from physgen.experiments.content.run import run_content
    from physgen.experiments.runs.resume import resume
    from physgen.worlds import world_spec

    if not config.questions or not set(config.questions) <= set(QUESTIONS) or _repeats(config.questions):
        raise InvalidArgument("questions", config.questions, f"different ones of {', '.join(QUESTIONS)}")
    for name, least in {"n": 2, "seed": 0, "processes": 1}.items():
        if getattr(config, name) < least:
            raise InvalidArgument(name, getattr(config, name), f"at least {least}")
    for name in ("particles", "steps"):
        if any(value < 2 for value in getattr(config, name)) or _repeats(getattr(config, name)):
            raise InvalidArgument(name, getattr(config, name), "different whole numbers, 2 or more each, or []")
    if any(value < 1 for value in config.search) or _repeats(config.search):
        raise InvalidArgument("search", config.search, "different whole numbers, 1 or more each, or []")
    besides = ("out", "processes") if config.search else ("out", "processes", "search")
    settings = {key: value for key, value in asdict(config).items() if key not in besides}
    settings["world"] = world_spec("micro").label
    out = Path(config.out or Path("runs") / run_name("benchmark-content", settings))
    resume(out, settings, left_out=("search",))
    power_table(config.n).show(Console(highlight=False, soft_wrap=True))
    run_content(config, out)
    print(out)


def _repeats(values: list[str] | list[int]) -> bool:
    return len(set(values)) < len(values)
