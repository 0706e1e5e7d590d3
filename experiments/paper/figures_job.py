"""`physgen figures`: every figure and table of the paper, and the numbers in it, from committed results."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import one_of
from physgen.experiments.paper.equations import equations
from physgen.experiments.paper.results.facts import about
from physgen.experiments.paper.results.numbers import Made
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec, read_figures
from physgen.experiments.plot.style import save, styled
from physgen.experiments.runs.records import write_json_atomic

KEY = re.compile(r"\{([^{}]+)\}")


@dataclass
class FiguresConfig:
    """Options of `physgen figures`, see ``conf/figures.yaml``."""

    paper: str
    only: list[str]
    out: str | None


def run(config: FiguresConfig) -> None:
    """Write ``NAME.svg`` of figures, ``results.json`` with numbers, tables and captions.

    Raises: InvalidArgument naming the run, figure or file that is wrong; nothing is written of that figure.
    """
    paper = Path(config.paper)
    out = Path(config.out or paper / "build")
    print(build(paper, out, config.only))


def build(paper: Path, out: Path, only: list[str]) -> Path:
    """Make figures and ``results.json`` in a folder; with ``only`` the others stay as they are there."""
    version, specs = read_figures(paper / "figures.yaml")
    for name in only:
        if name not in specs:
            raise one_of("only", name, specs)
    store = Store(paper / "results", version)
    out.mkdir(parents=True, exist_ok=True)
    target = out / "results.json"
    known = json.loads(target.read_text(encoding="utf-8"))["figures"] if only and target.is_file() else {}
    made = {name: figure(specs[name], store, out) for name in only or specs}
    facts = about(store)
    write_json_atomic(target, {"about": facts, "equations": equations(), "figures": {**known, **made}})
    return target


def figure(spec: FigureSpec, store: Store, out: Path) -> dict[str, Any]:
    """Draw one, and return what ``results.json`` says of it."""
    module = importlib.import_module(f"physgen.experiments.paper.figures.{spec.module}")
    with styled():
        made: Made = module.make(spec, store)
        if made.picture is not None:
            save(made.picture, out / f"{spec.name}.svg")
    numbers = {name: number.record() for name, number in made.numbers.items()}
    texts = {name: number["text"] for name, number in numbers.items()} | dict(made.words)
    return {
        "caption": filled(spec.name, spec.caption, texts),
        "from": {key: value for key, value in asdict(spec).items() if key in ("module", "sweep", "seeds", "runs")},
        "numbers": numbers,
        "words": dict(made.words),
        "columns": list(made.columns),
        "rows": [list(row) for row in made.rows],
    }


def filled(name: str, caption: str, texts: Mapping[str, str]) -> str:
    """A caption with its numbers.

    Raises: InvalidArgument for a number that the figure does not have.

    >>> filled("pareto", "{n} seeds", {"n": "16"})
    '16 seeds'
    """

    def text(match: re.Match[str]) -> str:
        if match[1] not in texts:
            raise InvalidArgument(f"caption of {name}", match[1], ", ".join(sorted(texts)))
        return texts[match[1]]

    return KEY.sub(text, caption)
