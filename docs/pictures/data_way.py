"""The figure of the data's way: `python docs/pictures/data_way.py docs/pictures/data-way.svg`."""

from __future__ import annotations

import sys
from pathlib import Path

#: left, top, width, first line, second line, whether physgen does it
BOXES = [
    (8, 44, 180, "Noisy sample x_t", "noise level σ", False),
    (8, 134, 180, "Network", "predicts v", False),
    (8, 224, 180, "Clean estimate", "x0", False),
    (212, 314, 180, "Decoder", "x0 becomes a video", False),
    (212, 224, 180, "Observable", "colours become fields", True),
    (212, 134, 180, "Constraint", "fields give a residual", True),
    (212, 44, 180, "Guidance", "x0 is corrected", True),
    (8, 428, 384, "After the last step: projection onto the law", "float video, certificate, report", True),
]
ARROWS = [
    "M98 98 V128",
    "M98 188 V218",
    "M98 278 V340 H206",
    "M302 314 V284",
    "M302 224 V194",
    "M302 134 V104",
    "M212 71 H194",
    "M302 368 V422",
]
NOTES = [(200, 26, "the scheduler steps to the next, lower σ"), (112, 322, "x_t − σ v")]


def box(x: int, y: int, width: int, first: str, second: str, ours: bool) -> str:
    """A rectangle with two lines of text; physgen's are grey with a thick border."""
    fill, border = ("#e3e3e3", 2.5) if ours else ("#ffffff", 1.2)
    middle = x + width / 2
    shape = f'x="{x}" y="{y}" width="{width}" height="54" rx="6"'
    return (
        f'<rect {shape} fill="{fill}" stroke="#111" stroke-width="{border}"/>'
        f'<text x="{middle}" y="{y + 23}" font-weight="bold">{first}</text>'
        f'<text x="{middle}" y="{y + 43}">{second}</text>'
    )


def figure() -> str:
    """The SVG, 400 wide: one sampling step is a turn of the loop."""
    arrows = "".join(
        f'<path d="{way}" fill="none" stroke="#111" stroke-width="2" marker-end="url(#head)"/>' for way in ARROWS
    )
    notes = f'<text x="{NOTES[0][0]}" y="{NOTES[0][1]}" font-style="italic">{NOTES[0][2]}</text>'
    notes += f'<text x="{NOTES[1][0]}" y="{NOTES[1][1]}" font-style="italic" text-anchor="start">{NOTES[1][2]}</text>'
    label = "One sampling step as a loop: network, estimate, decoder, observable, constraint, guidance, next step"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 490" role="img" aria-label="{label}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="15" text-anchor="middle">'
        '<defs><marker id="head" markerWidth="9" markerHeight="9" refX="6" refY="3.5" orient="auto">'
        '<path d="M0 0 L7 3.5 L0 7 Z" fill="#111"/></marker></defs>'
        f'<rect width="400" height="490" fill="#fff"/>{"".join(box(*entry) for entry in BOXES)}{arrows}{notes}</svg>\n'
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(figure(), encoding="utf-8")
