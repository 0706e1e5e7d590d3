"""Tables for the terminal and for documents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from physgen.experiments.measure.intervals import Interval

Cell = str | float | Interval


@dataclass(frozen=True)
class Table:
    """A titled table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def show(self, console: Console) -> None:
        """Print it as wide as the console, 80 columns where the output is no terminal; nothing is cut off."""
        console.print(self.title, markup=False)
        table = RichTable(box=None, pad_edge=False)
        for column in self.columns:
            table.add_column(escape(column), overflow="fold")
        for row in self.rows:
            table.add_row(*(escape(text(cell)) for cell in row))
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
        cells = [[text(cell).replace("|", r"\|") for cell in row] for row in [self.columns, *self.rows]]
        lines = [f"| {' | '.join(row)} |" for row in cells]
        return "\n".join([f"**{self.title}**", "", lines[0], "|" + "---|" * len(self.columns), *lines[1:], ""])


def text(cell: Cell, digits: int = 3) -> str:
    """A cell as it is printed: three digits, an interval in brackets where there is one.

    >>> text(Interval(0.12345, 0.1, 0.2)), text(Interval(0.1, math.nan, math.nan)), text(math.nan), text("dye")
    ('0.123 [0.1, 0.2]', '0.1', '-', 'dye')
    """
    if isinstance(cell, Interval):
        estimate, low, high = (text(one, digits) for one in (cell.estimate, cell.low, cell.high))
        return f"{estimate} [{low}, {high}]" if math.isfinite(cell.low) else estimate
    if isinstance(cell, str):
        return cell
    return f"{cell:.{digits}g}" if math.isfinite(cell) else "-"


def publish(path: Path, tables: Sequence[Table]) -> None:
    """Print tables and write them as Markdown."""
    console = Console(highlight=False, soft_wrap=True)
    for table in tables:
        table.show(console)
    path.write_text("\n".join(table.markdown() for table in tables), encoding="utf-8")
