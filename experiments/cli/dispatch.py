"""`physgen JOB [key=value ...]`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from physgen import __version__
from physgen.errors import InvalidArgument, PhysgenError
from physgen.experiments.cli.pipe import end_quietly
from physgen.experiments.runs.locks import let_go


@dataclass(frozen=True)
class Job:
    """A subcommand: the function that runs it and, where its options are typed, their dataclass (import paths).

    ``verbatim`` options are taken as they are typed, commas and brackets included; ``words`` is the option that
    collects what is not ``key=value``. The function of a ``raw`` job gets its arguments as they are and returns the
    exit code. An option in ``implied`` brings its override along, unless that is given as well. KEY=PATH of an option
    in ``files`` is its ``file``.
    """

    summary: str
    function: str
    schema: str | None = None
    options: bool = True
    verbatim: tuple[str, ...] = ()
    raw: bool = False
    words: str = ""
    files: tuple[str, ...] = ()
    implied: Mapping[str, str] = field(default_factory=dict)


JOBS = {
    "sample": Job(
        "generate a video, guided by physics, and measure it",
        "physgen.experiments.sample.job:run",
        "physgen.experiments.sample.options:SampleConfig",
        verbatim=("prompt", "out"),
        files=("observed",),
        implied={"pipeline": "world=other"},
    ),
    "audit": Job(
        "measure any MP4, TIFF or NPZ video, real microscopy included, or a folder of captioned clips",
        "physgen.experiments.audit.job:run",
        "physgen.experiments.cli.schema:AuditConfig",
        verbatim=("prompt", "observable", "out"),
        words="files",
    ),
    "train": Job(
        "train the embedded world on the simulators",
        "physgen.experiments.train.job:run",
        "physgen.experiments.train.job:TrainConfig",
        verbatim=("out",),
    ),
    "finetune": Job(
        "train a LoRA of the embedded world on real movies or a simulator, and compare",
        "physgen.experiments.finetune.job:run",
        "physgen.experiments.finetune.options:FinetuneConfig",
        verbatim=("data", "caption", "out"),
    ),
    "align": Job(
        "train a LoRA of a world on its own samples that instruments accept, projected onto their laws, and compare",
        "physgen.experiments.align.job:run",
        "physgen.experiments.align.options:AlignConfig",
        verbatim=("prompts", "held_out", "out"),
    ),
    "evaluate": Job(
        "measure the embedded world against the simulators",
        "physgen.experiments.evaluate.job:run",
        "physgen.experiments.evaluate.job:EvaluateConfig",
        verbatim=("trained", "judge", "out"),
    ),
    "benchmark-guidance": Job(
        "measure guided samplers against exact posteriors",
        "physgen.experiments.posterior.job:run",
        "physgen.experiments.posterior.job:BenchmarkGuidanceConfig",
        verbatim=("out",),
    ),
    "benchmark": Job(
        "make and score videos on MicroWorldBench: fetch, doctor, rules, generate, score, protocol",
        "physgen.experiments.microworldbench.job:run",
        "physgen.experiments.microworldbench.options:BenchmarkConfig",
        verbatim=("data", "tasks", "rubrics", "out"),
        words="action",
        implied={"pipeline": "world=other"},
    ),
    "benchmark-assimilate": Job(
        "fill in what was not seen: model, law, both, and published samplers (also: benchmark assimilate)",
        "physgen.experiments.assimilate.job:run",
        "physgen.experiments.assimilate.job:AssimilateConfig",
        verbatim=("movie", "caption", "lora", "out"),
    ),
    "benchmark-moving": Job(
        "laws of what moves: exact, simulated, real, with planted faults (also: benchmark moving)",
        "physgen.experiments.moving.job:run",
        "physgen.experiments.moving.job:MovingConfig",
        verbatim=("out",),
    ),
    "benchmark-content": Job(
        "choose samples by their content: best of n, pruned, particles, more steps (also: benchmark content)",
        "physgen.experiments.content.job:run",
        "physgen.experiments.content.job:ContentConfig",
        verbatim=("out",),
    ),
    "instruments": Job(
        "instruments that judge videos: calibrate, prove, microscopy, scores of the micro task set",
        "physgen.experiments.instruments.job:run",
        "physgen.experiments.instruments.job:InstrumentsConfig",
        verbatim=("out",),
        words="action",
    ),
    "ablate": Job(
        "sweep over constraints, guidances, seeds; finished runs are skipped",
        "physgen.experiments.ablate.job:run",
        raw=True,
    ),
    "results": Job(
        "one tidy table of a sweep, and paired differences between its arms",
        "physgen.experiments.results.job:run",
        "physgen.experiments.results.options:ResultsConfig",
        verbatim=("runs", "out"),
    ),
    "plot": Job(
        "draw two columns of a sweep's table with 95 % intervals, as PNG and SVG",
        "physgen.experiments.plot.job:run",
        "physgen.experiments.plot.job:PlotConfig",
        verbatim=("runs", "out"),
    ),
    "report": Job(
        "one page of runs: films that play, filters, a sortable table; opens from a file",
        "physgen.experiments.pages.gallery.job:run",
        "physgen.experiments.pages.gallery.job:ReportConfig",
        verbatim=("out",),
        words="runs",
    ),
    "showcase": Job(
        "films and bands for the pages of the site: one noise in each arm, the truth beside",
        "physgen.experiments.pages.showcase.job:run",
        "physgen.experiments.pages.showcase.job:ShowcaseConfig",
        verbatim=("out",),
    ),
    "figures": Job(
        "draw the paper's figures and tables, and collect its numbers, from committed results",
        "physgen.experiments.paper.figures_job:run",
        "physgen.experiments.paper.figures_job:FiguresConfig",
        verbatim=("paper", "out"),
    ),
    "paper": Job(
        "the paper: export results, build the pdf, run a part fresh and compare",
        "physgen.experiments.paper.job:run",
        "physgen.experiments.paper.job:PaperConfig",
        verbatim=("paper", "runs"),
        words="action",
    ),
    "worlds": Job("list the worlds", "physgen.experiments.cli.listing:worlds", options=False),
    "constraints": Job("list the constraints", "physgen.experiments.cli.listing:constraints", options=False),
    "rewards": Job("list the rewards", "physgen.experiments.content.rewards:show", options=False),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a job: 0 on success, 1 when it or a part of it failed, 2 and one line on bad usage, 130 when interrupted.

    It is 141 when the reader of its output goes away, as `head` does.
    With ``PHYSGEN_DEBUG=1`` in the environment an error shows its traceback.
    """
    try:
        code = dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return end_quietly()
    except KeyboardInterrupt:
        print("physgen: interrupted", file=sys.stderr)
        return 130
    except (PhysgenError, OSError) as error:
        if os.environ.get("PHYSGEN_DEBUG"):
            raise
        print(f"physgen: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, InvalidArgument | OSError) else 1
    finally:
        let_go()


def dispatch(argv: list[str]) -> int:
    """Find the job and the user's folders, and start it; 0, or what the job says."""
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    name, *arguments = argv
    if arguments and f"{name}-{arguments[0]}" in JOBS:
        name, arguments = f"{name}-{arguments[0]}", arguments[1:]
    if name not in JOBS:
        from physgen.experiments.cli.config import one_of

        raise one_of("job", name, JOBS)
    from physgen.experiments.cli.search import replaced, search, take_folders

    folders, arguments = take_folders(arguments)
    with search(folders):
        for note in replaced():
            print(f"physgen: {note}", file=sys.stderr)
        return start(name, JOBS[name], arguments)


def start(name: str, job: Job, arguments: list[str]) -> int:
    """Run a job, or explain it; 0, or what the job says."""
    if {"-h", "--help"} & set(arguments):
        print(explain(name, job))
        return 0
    function = load(job.function)
    if job.raw:
        return int(function(arguments))
    if job.options:
        return function(read_options(name, job, arguments)) or 0
    if arguments:
        raise InvalidArgument("argument", arguments[0], f"none (`physgen {name}` has no options)")
    function()
    return 0


def load(path: str) -> Any:
    """Import ``package.module:name``."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def read_options(name: str, job: Job, arguments: list[str]) -> Any:
    """Typed configuration of a job; for a job without a schema what Hydra composes."""
    from physgen.experiments.cli.config import configure, typed

    verbatim: dict[str, Any] = {}
    paths: dict[str, str | None] = {}
    overrides = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if job.words and (not equals or os.path.exists(argument)):  # noqa: PTH110
            verbatim.setdefault(job.words, []).append(argument)
        elif key in job.verbatim and value != "null":
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            verbatim[key] = value[1:-1] if quoted else value
        elif key in job.files and equals:
            paths[key] = None if value == "null" else value
        else:
            overrides.append(argument)
    given = {override.partition("=")[0] for override in overrides}
    implied = [job.implied[key] for key in given & job.implied.keys()]
    overrides += [override for override in implied if override.partition("=")[0] not in given]
    config = configure(name, overrides)
    if not job.schema:
        return config
    options = typed(config, load(job.schema))
    chosen = {key: replace(getattr(options, key), file=path) for key, path in paths.items()}
    return replace(options, **verbatim, **chosen)


def overview() -> str:
    """What `physgen --help` prints."""
    jobs = "\n".join(f"  {name:<12} {job.summary}" for name, job in JOBS.items())
    return (
        "usage: physgen JOB [KEY=VALUE ...] [--config-dir DIR]\n\n"
        "Generated microscope videos that obey physics.\n\n"
        f"jobs:\n{jobs}\n\n"
        "`physgen JOB --help` lists a job's options; PHYSGEN_DEBUG=1 shows tracebacks.\n"
        "Your own constraint/NAME.yaml, guidance/NAME.yaml, ... in DIR, with Python modules beside those folders, are "
        "choices like ours.\n\n"
        'example: physgen sample prompt="two drops of green dye diffusing slowly in water" constraint=mass '
        "guidance=projection seed=0 compare=true out=demo"
    )


def explain(name: str, job: Job) -> str:
    """What `physgen JOB --help` prints: the job's YAML, which is its own documentation."""
    words = {"files": " FILE ... | FOLDER", "action": " ACTION", "runs": " RUN ... | FOLDER | MANIFEST"}.get(
        job.words, ""
    )
    usage = f"usage: physgen {name}{words}{' [KEY=VALUE ...]' if job.options else ''}"
    parts = [usage, f"{job.summary[0].upper()}{job.summary[1:]}."]
    if job.options:
        from physgen.experiments.cli.config import groups, source

        parts.append("options and their defaults (nested.key=value reaches inside):\n\n" + source(name).rstrip())
        choices = [f"  {group:<12} {', '.join(values)}" for group, values in groups(name).items()]
        parts += ["choices:\n" + "\n".join(choices)] if choices else []
    return "\n\n".join(parts)
