"""The released report: coverage, Table 1, Table 2, and each model's figures."""

from __future__ import annotations

from collections.abc import Mapping

from physgen.experiments.microworldbench.scoring.scorecard import Scorecard
from physgen.experiments.microworldbench.tasks.data import DIMENSIONS, LEVELS


def report(cards: Mapping[str, Scorecard]) -> str:
    """Markdown with the tables of the released ``evaluation_report.md``, models by falling average."""
    ranked = sorted(cards.items(), key=lambda pair: (pair[1].average, pair[0]), reverse=True)
    coverage = [[name, card.valid_tasks, card.n_tasks, f"{card.coverage:.1%}"] for name, card in sorted(cards.items())]
    levels = [[name, *(f"{x:.1f}" for x in (card.average, *(card.levels[k] for k in LEVELS)))] for name, card in ranked]
    parts = [[name, *(f"{getattr(card, k):.1f}" for k in ("average", *DIMENSIONS))] for name, card in ranked]
    blocks = [
        "# MicroWorldBench Model Evaluation Report",
        _table("Coverage", ["Model", "Valid Tasks", "Total Tasks", "Coverage"], coverage),
        _table("Table 1: Overall and Category Scores", ["Model", "Average", *LEVELS], levels),
        _table(
            "Table 2: Overall and Dimension Scores", ["Model", "Average", "Scientific", "Visual", "Instruction"], parts
        ),
        "## Detailed Statistics",
        *(_details(name, card) for name, card in sorted(cards.items())),
    ]
    return "\n\n".join(blocks) + "\n"


def _table(title: str, columns: list[str], rows: list[list[object]] | list[list[str]]) -> str:
    lines = [f"## {title}", "", _line(columns), "|" + "|".join("-" * (len(c) + 2) for c in columns) + "|"]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(cells: list[object] | list[str]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _details(name: str, card: Scorecard) -> str:
    counts = {level: sum(task.level == level for task in card.per_task) for level in LEVELS}
    lines = [
        f"### {name}",
        "",
        f"- **Valid tasks**: {card.valid_tasks}",
        f"- **Overall average**: {card.average:.2f}",
        *(f"- **{dimension.capitalize()} average**: {getattr(card, dimension):.2f}" for dimension in DIMENSIONS),
        "",
        "**Category breakdown:**",
        *(f"- {level}: {card.levels[level]:.2f} ({counts[level]} tasks)" for level in LEVELS),
    ]
    return "\n".join(lines)
