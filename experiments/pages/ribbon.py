"""A ribbon: which of several named states is shown in each frame, and the steps that an order forbids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from physgen.experiments.pages.axes import Axes, ticks


@dataclass(frozen=True)
class Ribbon:
    """States of each frame, a row of each state, the first at the bottom.

    Attributes:
        times: of the frames, in the unit of ``x_label``.
        states: their names, in order.
        path: state of each frame on the most probable path that the order allows, drawn as a band.
        named: state of each frame by itself, drawn as dots.
        illegal: frames at which the step from the state named before is forbidden, drawn as crossed lines.
    """

    title: str
    x_label: str
    times: Sequence[float | int]
    states: Sequence[str]
    path: Sequence[int]
    named: Sequence[int]
    illegal: Sequence[int]

    @property
    def key(self) -> list[tuple[Markup, str]]:
        """What each mark looks like, 26 x 8 pixels, and its name."""
        marks = [
            (_band(0, 26, 4, 8), "most probable path that the order allows"),
            ("".join(_dot(x, 4) for x in (4, 13, 22)), "each frame by itself"),
            (_step((0, 7), (26, 1)), f"forbidden step between two frames: {len(self.illegal) or 'none'}"),
        ]
        return [(Markup(mark), words) for mark, words in marks]

    def svg(self) -> Markup:
        """Inline SVG in the page's own colours (CSS classes ``s0`` … and ``band``)."""
        half = (self.times[-1] - self.times[0]) / max(len(self.times) - 1, 1) / 2 or 0.5
        first, last = self.times[0] - half, self.times[-1] + half
        axes = Axes(
            title=self.title,
            x=(first, last),
            y=(-0.6, len(self.states) - 0.4),
            x_label=self.x_label,
            y_label="",
            x_ticks=ticks(self.times[0], self.times[-1], whole=all(time == round(time) for time in self.times)),
            y_ticks=list(enumerate(self.states)),
            left=104,
        )
        height = 0.8 * (axes.down(0) - axes.down(1))
        body = [_band(axes.across(a), axes.across(b), axes.down(state), height) for a, b, state in self._runs(half)]
        at = [(axes.across(time), axes.down(state)) for time, state in zip(self.times, self.named, strict=True)]
        body += [_step(at[frame - 1], at[frame]) for frame in self.illegal]
        return axes.svg(body + [_dot(x, y) for x, y in at])

    def _runs(self, half: float | int) -> list[tuple[float, float, int]]:
        """Begin, end and state of each part of the path that stays the same."""
        starts = [frame for frame, state in enumerate(self.path) if not frame or state != self.path[frame - 1]]
        edges = [self.times[0] - half, *((self.times[f - 1] + self.times[f]) / 2 for f in starts[1:])]
        ends = [*edges[1:], self.times[-1] + half]
        return [(begin, end, self.path[frame]) for begin, end, frame in zip(edges, ends, starts, strict=True)]


def _band(left: float | int, right: float | int, middle: float | int, height: float | int) -> str:
    place = f'x="{left:.1f}" y="{middle - height / 2:.1f}" width="{right - left:.1f}" height="{height:.1f}"'
    return f'<rect class="s5 band" {place}/>'


def _dot(x: float | int, y: float | int) -> str:
    return f'<circle class="s0" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>'


def _step(start: tuple[float | int, float | int], end: tuple[float | int, float | int]) -> str:
    """A line from one point to another, and a cross in its middle."""
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    cross = f"M{x - 3:.1f} {y - 3:.1f}l6 6m-6 0l6 -6"
    line = f"M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"
    return f'<path class="s1" fill="none" stroke-width="2" d="{line}{cross}"/>'
