"""`physgen paper`: export results, build the PDF from them, or run a part again and compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of

ACTIONS = ("export", "pdf", "fresh")


@dataclass
class PaperConfig:
    """Options of `physgen paper`, see ``conf/paper.yaml``."""

    action: list[str]
    paper: str
    runs: str
    sweeps: list[str]
    benchmarks: list[str]
    only: list[str]


def run(config: PaperConfig) -> int:
    """Do what is asked; 1 when runs made again differ from the committed ones.

    Raises: InvalidArgument for none or an unknown action, and see `build`, `export`.
    """
    if len(config.action) != 1:
        raise InvalidArgument("action", " ".join(config.action), ", ".join(ACTIONS))
    (action,), paper = config.action, Path(config.paper)
    if action == "pdf":
        from physgen.experiments.paper.pdf import compile_pdf

        print(compile_pdf(paper))
        return 0
    if action == "export":
        from physgen.experiments.paper.results.export import export

        export(paper, Path(config.runs), config.sweeps, [Path(file) for file in config.benchmarks])
        return 0
    if action == "fresh":
        from physgen.experiments.paper.fresh.run import rerun

        return rerun(paper, config.only)
    raise one_of("action", action, ACTIONS)
