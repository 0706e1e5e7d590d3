"""The PDF, compiled by Typst from the manuscript and ``results.json``."""

from __future__ import annotations

from pathlib import Path

from physgen.errors import InvalidArgument
from physgen.experiments.paper.figures_job import build


def compile_pdf(paper: Path) -> Path:
    """Make figures and numbers again in ``PAPER/build``, then the PDF.

    Raises: InvalidArgument for results that are missing or differ, see `build`, and see `typeset`.
    """
    build(paper, paper / "build", [])
    return typeset(paper)


def typeset(paper: Path) -> Path:
    """The PDF from what is in ``PAPER/build``; fonts are those that come with Typst.

    Raises: InvalidArgument without Typst, or for a manuscript that asks for a number that there is not.
    """
    try:
        import typst
    except ImportError as error:
        raise InvalidArgument("paper", "typst", "an installed package: pip install physgen[paper]") from error
    target = paper / "build" / "paper.pdf"
    try:
        typst.compile(paper / "main.typ", output=target, root=paper, ignore_system_fonts=True)
    except RuntimeError as error:
        raise InvalidArgument("paper", str(paper / "main.typ"), f"a manuscript that compiles ({error})") from error
    return target
