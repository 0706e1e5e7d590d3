"""`physgen benchmark score`: judge, score, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from physgen import __version__
from physgen.errors import InvalidArgument
from physgen.experiments.cli.target import build
from physgen.experiments.microworldbench.judges.base import Judge, PerfectJudge, RandomJudge
from physgen.experiments.microworldbench.judges.judging import Panel
from physgen.experiments.microworldbench.judges.keep import Kept, SeeingJudge
from physgen.experiments.microworldbench.judges.store import Store
from physgen.experiments.microworldbench.options import SCORING, BenchmarkConfig, data_file
from physgen.experiments.microworldbench.pages.details import details
from physgen.experiments.microworldbench.pages.markdown import report
from physgen.experiments.microworldbench.pages.page import Agreement, Comparison, Usage, render, write_page
from physgen.experiments.microworldbench.scoring.compare import fleiss_kappa
from physgen.experiments.microworldbench.scoring.corrected import answers
from physgen.experiments.microworldbench.scoring.results import SUFFIX, model_of, read_results, write_results
from physgen.experiments.microworldbench.scoring.score import check_mode, score
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard
from physgen.experiments.microworldbench.scoring.videos import find_videos
from physgen.experiments.microworldbench.tasks.data import (
    DIMENSIONS,
    RUBRICS,
    TASKS,
    Rubric,
    Task,
    read_rubrics,
    read_tasks,
)
from physgen.experiments.runs.records import git_sha, run_name, write_json_atomic
from physgen.experiments.runs.resume import resume

Results = list[dict[str, Any]]
Listed = Sequence[tuple[int, Path | None]]


@dataclass
class Scoring:
    """Tasks, rubrics and mode, and what has come of them so far."""

    tasks: Mapping[int, Task]
    rubrics: Mapping[int, Rubric]
    mode: str
    notes: list[str] = field(default_factory=list)
    agreement: dict[str, Agreement] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def judge(self, name: str, judge: Judge, listed: Listed, repeats: int, out: Path) -> Results:
        """Judge a model's videos, keep the results of every repeat, and hand back those of the first."""
        store = Store(out) if isinstance(judge, SeeingJudge) else None
        asked = Kept(judge, store) if isinstance(judge, SeeingJudge) and store else judge
        panel, runs = Panel(asked, self.tasks, self.rubrics, self.mode, store), []
        for repeat in range(repeats):
            judged = panel(listed, repeat)
            path = out / (f"repeats/{name}_{repeat + 1}.json" if repeat else name + SUFFIX)
            path.parent.mkdir(exist_ok=True)
            write_results(path, judged.results)
            runs.append(judged.results)
            self.notes += [f"{name}: {note}" for note in judged.notes]
            self.prompt_tokens += judged.prompt_tokens
            self.completion_tokens += judged.completion_tokens
        if repeats > 1:
            rows = answered_by_all(runs, self.rubrics)
            self.agreement[name] = Agreement(fleiss_kappa(rows), repeats, len(rows))
        return runs[0]

    def score(self, results: Mapping[str, Any]) -> dict[str, Scorecard]:
        """Score every model; one whose results cannot be scored is noted and left out."""
        cards = {}
        for name, found in results.items():
            try:
                cards[name] = score(found, [*self.rubrics.values()], [*self.tasks.values()], self.mode)
            except InvalidArgument as error:
                self.notes.append(f"{name}: not scored: {error}")
            else:
                self.notes += [f"{name}: {note}" for note in cards[name].notes]
        return cards

    def references(self) -> dict[str, Scorecard]:
        """Scores of the two judges that need no video."""
        everything = [(index, None) for index in self.rubrics]
        judges: dict[str, Judge] = {"coin flip": RandomJudge(), "perfect": PerfectJudge()}
        return self.score(
            {name: Panel(j, self.tasks, self.rubrics, self.mode)(everything).results for name, j in judges.items()}
        )


def run_score(config: BenchmarkConfig) -> None:
    """Judge videos and score them, score recorded results, and write both reports and ``metrics.json``.

    Raises: InvalidArgument; FileNotFoundError.
    """
    check_mode(config.mode)
    if config.repeats < 1:
        raise InvalidArgument("repeats", config.repeats, "at least 1")
    if not (config.videos or config.results):
        raise InvalidArgument("videos", [], "videos=[FOLDER, …] to judge, results=[FILE, …] that are judged, or both")
    names = [Path(folder).name for folder in config.videos] + [model_of(file) for file in config.results]
    if len(set(names)) < len(names):
        raise InvalidArgument("models", names, "different names of video folders and result files")
    for file in config.results:
        if not Path(file).is_file():
            raise FileNotFoundError(f"results={file!r}: no such file")
    scoring = Scoring(
        {task.index: task for task in read_tasks(data_file(config, TASKS))},
        {rubric.index: rubric for rubric in read_rubrics(data_file(config, RUBRICS))},
        config.mode,
    )
    found = {folder: find_videos(folder, scoring.rubrics, config.mode) for folder in config.videos}
    judge: Judge | None = build(Judge, config.judge) if found else None
    settings = {key: value for key, value in asdict(config).items() if key in SCORING}
    settings["judge"] = {key: value for key, value in config.judge.items() if not key.startswith("price_")}
    out = Path(config.out or Path("runs") / run_name("benchmark", settings))
    resume(out, settings)
    results: dict[str, Any] = {}
    for folder, (listed, notes) in found.items():
        assert judge
        name = Path(folder).name
        scoring.notes += [f"{name}: {note}" for note in notes]
        results[name] = scoring.judge(name, judge, listed, config.repeats, out)
    results |= {model_of(file): file for file in config.results}
    cards = scoring.score(results)
    (out / "details").mkdir(exist_ok=True)
    for name, card in cards.items():
        found_results = read_results(results[name], salvage=True)[0]
        pages = details(found_results, card, scoring.tasks, scoring.rubrics)
        render(out / "details" / f"{name}.html", "microworldbench_details", name=name, mode=config.mode, details=pages)
    tokens = (scoring.prompt_tokens, scoring.completion_tokens)
    usage = Usage(*tokens, judge.cost(*tokens) if judge else None)
    comparison = Comparison(config.mode, cards, scoring.references(), scoring.agreement, scoring.notes, usage)
    write(out, comparison)


def answered_by_all(runs: Sequence[Results], rubrics: Mapping[int, Rubric]) -> list[list[int]]:
    """Answers of every repeat to each criterion that all of them scored."""
    by_index = [{item["index"]: item for item in results} for results in runs]
    rows = []
    for index, rubric in rubrics.items():
        for dimension in DIMENSIONS:
            count = len(rubric.criteria[dimension])
            given = [answers(run.get(index, {}).get(f"{dimension}_eval"), count) for run in by_index]
            rows += [[a for a in row if a is not None] for row in zip(*given, strict=True) if None not in row]
    return rows


def write(out: Path, comparison: Comparison) -> None:
    """Print the tables and write ``evaluation_report.md``, ``report.html`` and, last, ``metrics.json``."""
    console = Console(highlight=False, soft_wrap=True)
    for table in comparison.tables():
        table.show(console)
    for note in comparison.notes[:20]:
        console.print(note, markup=False)
    if len(comparison.notes) > 20:
        console.print(f"and {len(comparison.notes) - 20} more in metrics.json", markup=False)
    (out / "evaluation_report.md").write_text(report(comparison.models), encoding="utf-8", errors="replace")
    write_page(out / "report.html", comparison)
    write_json_atomic(
        out / "metrics.json",
        {
            "version": __version__,
            "git_sha": git_sha(),
            "mode": comparison.mode,
            "models": {name: asdict(card) for name, card in comparison.models.items()},
            "references": {name: asdict(card) | {"per_task": None} for name, card in comparison.references.items()},
            "agreement": {name: asdict(agreement) for name, agreement in comparison.agreement.items()},
            "tokens": {"prompt": comparison.usage.prompt_tokens, "completion": comparison.usage.completion_tokens},
            "cost": comparison.usage.cost,
            "notes": [*comparison.notes],
        },
    )
    console.print(str(out), markup=False)
