"""Tables of a comparison, for the terminal and for a self-contained HTML page."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from physgen.experiments.measure.intervals import Interval
from physgen.experiments.measure.tables import Cell, Table
from physgen.experiments.microworldbench.scoring.compare import difference, interval
from physgen.experiments.microworldbench.scoring.published import PUBLISHED, SOURCE
from physgen.experiments.microworldbench.scoring.scorecard import Scorecard
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, LEVELS
from physgen.experiments.pages.render import render


@dataclass(frozen=True)
class Agreement:
    """Of a judge with itself: Fleiss' kappa of so many repeats over the criteria that all of them scored."""

    kappa: float
    repeats: int
    criteria: int


@dataclass(frozen=True)
class Usage:
    """Tokens of all answers, those kept from earlier runs included, and their price where it is known."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Models and reference rows scored in one mode."""

    mode: str
    models: Mapping[str, Scorecard]
    references: Mapping[str, Scorecard]
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    notes: Sequence[str] = ()
    usage: Usage = Usage()

    def tables(self) -> list[Table]:
        """Everything but single tasks."""
        rows = {**self.models, **self.references}
        tables = [
            Table(
                "Scores, mean [95 % bootstrap interval over tasks]",
                ["model", "tasks scored", "answers scored", "average", *DIMENSIONS],
                [[name, *_coverage(card), *_intervals(card)] for name, card in rows.items()],
            ),
            Table(
                "By level",
                ["model", *LEVELS],
                [[name, *(_level(card, level) for level in LEVELS)] for name, card in rows.items()],
            ),
        ]
        pairs = [*itertools.combinations(self.models, 2), *itertools.product(self.models, self.references)]
        if pairs:
            differences: list[list[Cell]] = [[f"{a} − {b}", *_differences(rows[a], rows[b])] for a, b in pairs]
            title = "Paired differences on the tasks that both have"
            tables.append(Table(title, ["models", "tasks", "average", *DIMENSIONS], differences))
        if self.agreement:
            repeated: list[list[Cell]] = [
                [n, str(a.repeats), str(a.criteria), a.kappa] for n, a in self.agreement.items()
            ]
            tables.append(
                Table("Agreement of repeated judging", ["model", "repeats", "criteria", "Fleiss' kappa"], repeated)
            )
        if self.usage.prompt_tokens:
            tokens = [str(self.usage.prompt_tokens), str(self.usage.completion_tokens)]
            cost = "price not given" if self.usage.cost is None else f"{self.usage.cost:.4g}"
            tables.append(Table("Judging, tokens", ["read", "written", "cost"], [[*tokens, cost]]))
        published: list[list[Cell]] = [[row.model, row.average, *row.dimensions, *row.levels] for row in PUBLISHED]
        tables.append(Table(f"Published: {SOURCE}", ["model", "average", *DIMENSIONS, *LEVELS], published))
        return tables


def write_page(path: Path, comparison: Comparison) -> None:
    """Render the page; all text is escaped, nothing is loaded from elsewhere."""
    render(path, "microworldbench", comparison=comparison, tables=comparison.tables(), dimensions=DIMENSIONS)


def _coverage(card: Scorecard) -> list[str]:
    return [f"{card.valid_tasks} of {card.n_tasks}", f"{card.scored} of {card.criteria}"]


def _intervals(card: Scorecard) -> list[Interval]:
    return [interval(card, name) for name in ("average", *DIMENSIONS)]


def _level(card: Scorecard, level: str) -> Interval:
    return interval(card, "average", level)


def _differences(first: Scorecard, second: Scorecard) -> list[str | Interval]:
    return [str(difference(first, second)[1]), *(difference(first, second, n)[0] for n in ("average", *DIMENSIONS))]
