"""Tables for the terminal and for documents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from physgen.experiments.measure.distances import Interval

Cell = str | float | Interval


@dataclass(frozen=True)
class Table:
    """A titled table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def show(self, console: Console) -> None:
        """Print it."""
        table = RichTable(*self.columns, title=self.title, title_justify="left", box=None, pad_edge=False)
        for row in self.rows:
            table.add_row(*map(text, row))
        console.print(table)
        console.print()

    def markdown(self) -> str:
        """The table in Markdown.

        >>> print(Table("t", ["a"], [[0.5]]).markdown())
        **t**
        <BLANKLINE>
        | a |
        |---|
        | 0.5 |
        <BLANKLINE>
        """
        lines = ["| " + " | ".join(map(text, row)) + " |" for row in [self.columns, *self.rows]]
        return "\n".join([f"**{self.title}**", "", lines[0], "|" + "---|" * len(self.columns), *lines[1:], ""])


def text(cell: Cell) -> str:
    """A cell as it is printed: three digits, an interval in brackets.

    >>> text(Interval(0.12345, 0.1, 0.2)), text(math.nan), text("dye")
    ('0.123 [0.1, 0.2]', '-', 'dye')
    """
    if isinstance(cell, Interval):
        return f"{text(cell.estimate)} [{text(cell.low)}, {text(cell.high)}]" if math.isfinite(cell.estimate) else "-"
    if isinstance(cell, str):
        return cell
    return f"{cell:.3g}" if math.isfinite(cell) else "-"


def publish(path: Path, tables: Sequence[Table]) -> None:
    """Print tables and write them as Markdown."""
    console = Console(highlight=False, soft_wrap=True)
    for table in tables:
        table.show(console)
    path.write_text("\n".join(table.markdown() for table in tables), encoding="utf-8")
