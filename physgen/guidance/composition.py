"""Several guidances, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.guidance.base import Guidance, Step


class Composition(Guidance):
    """Guidances one after the other, each inside its own window: a soft one early, a hard one late.

    x0* = G_n(... G_1(x0_hat))

    Constraints of all of them are projected onto at the end where any of them is `terminal`.

    Args:
        guidances: what is composed; no two `through_network`, since the second would have lost the graph.

    Raises:
        InvalidArgument: fewer than two, more than one `through_network`, or that one not the first; a `recurrence` or a
            `renoise` that differ.

    Source: the contract of this package.

    >>> from physgen.constraints import Equality
    >>> from physgen.guidance import Projection, X0Gradient
    >>> law = [Equality(lambda x: x.sum(1) - 1.0)]
    >>> composed = Composition([X0Gradient(law, stop=0.5), Projection(law, start=0.5)])
    >>> [composed.active(i, 4) for i in range(4)], composed.terminal
    ([True, True, True, True], True)
    """

    def __init__(self, guidances: Sequence[Guidance]) -> None:
        if len(guidances) < 2:
            raise InvalidArgument("guidances", len(guidances), "two or more")
        if any(guidance.through_network for guidance in guidances[1:]):
            raise InvalidArgument("guidances", "through_network", "only the first one through the network")
        for name in ("renoise", "recurrence"):
            values = {getattr(guidance, name) for guidance in guidances}
            if len(values) > 1:
                raise InvalidArgument(name, sorted(values), "the same of all guidances")
        distinct = list(dict.fromkeys(c for guidance in guidances for c in guidance.constraints))
        super().__init__(
            distinct, renoise=guidances[0].renoise, terminal=any(guidance.terminal for guidance in guidances)
        )
        self.guidances = tuple(guidances)
        self.through_network = guidances[0].through_network  # type: ignore[misc]
        self.recurrence = guidances[0].recurrence
        self._now: tuple[Guidance, ...] = self.guidances

    @property
    def parts(self) -> tuple[Guidance, ...]:
        return self.guidances

    def reset(self) -> None:
        super().reset()
        for guidance in self.guidances:
            guidance.reset()

    def active(self, step: int, total: int) -> bool:
        self._now = tuple(guidance for guidance in self.guidances if guidance.active(step, total))
        return bool(self._now)

    def update(self, x0: Tensor, step: Step) -> tuple[Tensor, dict[str, float]]:
        by_constraint = {constraint: name for name, constraint in zip(self.names, self.constraints, strict=True)}
        residuals: dict[str, float] = {}
        for guidance in self._now:
            names = [by_constraint[constraint] for constraint in guidance.constraints]
            part = Step(
                step.x_t,
                step.sigma,
                step.problem.only(names),
                step.network_vjp,
            )
            x0, found = guidance.update(x0, part)
            residuals = found | residuals
        return x0, residuals

    def citation(self) -> str:
        return "\n\n".join(dict.fromkeys(guidance.citation() for guidance in self.guidances))
