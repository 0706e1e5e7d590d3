"""Several guidances, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Float, Int64
from torch import Tensor

from physgen.arguments import instance
from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.guidance.base import Guidance
from physgen.guidance.replacement import Replacement
from physgen.guidance.step import Step, Update
from physgen.tensors import finite_samples, keep_finite


class Composition(Guidance):
    """Guidances one after the other, each inside its own window: a soft one early, a hard one late.

    x0* = G_n(... G_1(x0_hat))

    A correction that is not finite is dropped, and those of the others stay.

    The finished video is projected onto the constraints of those that are `terminal`, all together. What a
    `Replacement` knows is seen by all the others, wherever it stands, and moved by none.

    Args:
        guidances: what is composed; no two `through_network`, since the second would have lost the graph.

    Raises:
        InvalidArgument: fewer than two, two laws of one name, more than one `through_network`, or that one not the
            first but for a `Replacement`; a `recurrence` or a `renoise` that differ; a guidance with a `projection` or
            a `final` of its own, such as `Assimilation`.

    Source: the contract of this package.

    >>> from physgen.constraints import Equality
    >>> from physgen.guidance import Projection, X0Gradient
    >>> law = [Equality(lambda x: x.sum(1) - 1.0)]
    >>> composed = Composition([X0Gradient(law, stop=0.5), Projection(law, start=0.5)])
    >>> [composed.active(i, 4) for i in range(4)], composed.terminal
    ([True, True, True, True], True)
    """

    def __init__(self, guidances: Sequence[Guidance]) -> None:
        if not isinstance(guidances, Sequence) or len(guidances) < 2:
            raise InvalidArgument("guidances", guidances, "a list of two or more")
        for guidance in guidances:
            instance("guidances", guidance, Guidance, "guidances")
            if guidance.particles > 1 or guidance.searches:
                name = type(guidance).__name__
                raise InvalidArgument("guidances", name, f"{name}(..., inside=Composition(...))")
            if _ends_by_itself(guidance):
                name = type(guidance).__name__
                raise InvalidArgument("guidances", name, f"{name} alone, which projects the end in its own way")
        others = [guidance for guidance in guidances if not isinstance(guidance, Replacement)]
        if any(guidance.through_network for guidance in others[1:]):
            raise InvalidArgument("guidances", "through_network", "only the first one through the network")
        for name in ("renoise", "recurrence"):
            values = {getattr(guidance, name) for guidance in guidances}
            if len(values) > 1:
                raise InvalidArgument(name, sorted(values), "the same of all guidances")
        super().__init__(
            _joined(guidances), renoise=guidances[0].renoise, terminal=any(guidance.terminal for guidance in guidances)
        )
        self.guidances = tuple(guidances)
        first = others[0] if others else guidances[0]
        self.through_network = first.through_network  # type: ignore[misc]
        self.jacobian = first.jacobian
        self.recurrence = guidances[0].recurrence
        self.derivatives = max(guidance.derivatives for guidance in guidances)

    @property
    def parts(self) -> tuple[Guidance, ...]:
        return self.guidances

    @property
    def products(self) -> int:
        return max(guidance.products for guidance in self.guidances)

    @property
    def final(self) -> dict[str, Constraint]:
        return _joined([guidance for guidance in self.guidances if guidance.terminal]) or self.constraints

    def reset(self) -> None:
        super().reset()
        for guidance in self.guidances:
            guidance.reset()

    def follow(self, ancestors: Int64[Tensor, "B"]) -> None:
        super().follow(ancestors)
        for guidance in self.guidances:
            guidance.follow(ancestors)

    def active(self, step: int, total: int) -> bool:
        return any(guidance.active(step, total) for guidance in self.guidances)

    def measures(self, position: tuple[int, int] | None) -> bool:
        return any(one.measures(position) for one in self._acting(position))

    def settled(self, x0: Float[Tensor, "B *shape"], position: tuple[int, int] | None) -> Float[Tensor, "B *shape"]:
        for guidance in self._acting(position):
            x0 = guidance.settled(x0, position)
        return x0

    def _acting(self, position: tuple[int, int] | None) -> list[Guidance]:
        return [one for one in self.guidances if position is None or one.active(*position)]

    def update(self, step: Step) -> Update:
        acting = [one for one in self._acting(step.position) if one.measures(step.position)]
        found: Update | None = None
        for guidance in acting:
            part = replace(step, problem=step.problem.only(list(guidance.constraints)))
            if found is not None:
                z, fields = guidance.decoded(part.problem, found.x0)
                part = replace(part, x0=z, fields=fields)
            update = guidance.update(part)
            x0, dropped = keep_finite(update.x0.detach(), part.x0.detach())
            dropped -= int((~finite_samples(part.x0)).sum())  # nothing was there to be corrected
            before = found or Update(x0, {})
            found = Update(
                x0, update.residuals | before.residuals, update.cosines | before.cosines, before.dropped + dropped
            )
        return found or Update(step.x0, {})

    def citation(self) -> str:
        return "\n\n".join(dict.fromkeys(guidance.citation() for guidance in self.guidances))


def _ends_by_itself(guidance: Guidance) -> bool:
    own = type(guidance)
    other_laws = own.final is not Guidance.final and not isinstance(guidance, Composition)
    return other_laws or own.projection is not Guidance.projection


def _joined(guidances: Sequence[Guidance]) -> dict[str, Constraint]:
    """The laws of all guidances; one name is one law."""
    laws: dict[str, Constraint] = {}
    for guidance in guidances:
        for name, law in guidance.constraints.items():
            if laws.setdefault(name, law) is not law:
                raise InvalidArgument(
                    "guidances", f"two laws of the name {name}", "one law of a name, or names for each"
                )
    return laws
