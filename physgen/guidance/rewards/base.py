"""What guidances by rewards share: they leave each single sample to a guidance inside them, or to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from jaxtyping import Float, Int64
from torch import Tensor

from physgen.arguments import instance
from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance.base import Guidance
from physgen.guidance.log import ParticlesLog, SearchLog
from physgen.guidance.problem import Decode, Problem
from physgen.guidance.rewards.reward import OfVideo, Reward
from physgen.guidance.solve.gauss_newton import UNBOUNDED
from physgen.guidance.solve.projected_fields import ProjectedFields
from physgen.guidance.step import Correction, Step, Update


class RewardGuidance(Guidance):
    """Corrects nothing by itself: every sample is corrected, and projected at the end, by the guidance inside.

    Args:
        rewards: its own, by name; laws among them are only measured; there may be none.
        inside: what corrects samples; None where nothing does.

    Attributes:
        log: of the last run, which counts what is decoded for rewards.
        reference: BibTeX of what is to be cited besides the guidance inside.

    Raises:
        InvalidArgument: something inside that is no guidance of single samples.

    Source: the contract of this package.

    >>> import torch
    >>> from physgen.constraints import Equality
    >>> from physgen.guidance import Projection
    >>> x = torch.ones(1, 2)
    >>> RewardGuidance({}, Projection(Equality(lambda x: x.sum(1) - 1.0))).correct(x, x_t=x, sigma=0.5).tolist()
    [[0.5, 0.5]]
    >>> RewardGuidance({}, None).active(0, 1)
    False
    """

    derivatives = 0
    reference: ClassVar[str] = ""
    log: ParticlesLog | SearchLog

    def __init__(self, rewards: Mapping[str, Reward], inside: Guidance | None) -> None:
        if inside is not None:
            instance("inside", inside, Guidance, "a Guidance")
            if inside.particles > 1 or any(part.searches for part in inside.parts):
                raise InvalidArgument("inside", type(inside).__name__, "a guidance of single samples")
        self.rewards, self.inside = dict(rewards), inside
        self.laws = {name: law for name, law in rewards.items() if isinstance(law, Constraint)}
        self.constraints = {**self.laws, **(inside.constraints if inside else {})}
        self.imposes = bool(self.constraints)  # type: ignore[misc]
        self.start, self.stop, self.every, self.steps = 0.0, 1.0, 1, 1
        self.renoise, self.terminal = (inside.renoise, inside.terminal) if inside else (0.0, False)
        if inside:
            self.derivatives, self.recurrence, self.jacobian = inside.derivatives, inside.recurrence, inside.jacobian
            self.through_network = inside.through_network  # type: ignore[misc]
        super().reset()

    @property
    def parts(self) -> tuple[Guidance, ...]:
        return (self, *self.inside.parts) if self.inside else (self,)

    def reset(self) -> None:
        super().reset()
        if self.inside:
            self.inside.reset()

    def follow(self, ancestors: Int64[Tensor, "B"]) -> None:
        super().follow(ancestors)
        if self.inside:
            self.inside.follow(ancestors)

    @property
    def final(self) -> dict[str, Constraint]:
        return self.inside.final if self.inside else self.laws

    @property
    def needs_graph(self) -> bool:
        return self.inside is not None and self.inside.needs_graph

    def active(self, step: int, total: int) -> bool:
        return self.inside is not None and self.inside.active(step, total)

    def problem(self, grid: Grid | None = None, decode: Decode | None = None) -> Problem:
        return self.inside.problem(grid, decode) if self.inside else Problem(self.laws, decode, grid)

    def projection(
        self,
        fields: Float[Tensor, "B *shape"],
        grid: Grid | None = None,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> ProjectedFields:
        if self.inside:
            return self.inside.projection(fields, grid, bounds)
        return super().projection(fields, grid, bounds)

    def correction(self, x0_hat: Float[Tensor, "B *shape"], **where: Any) -> Correction:
        correct = self.inside.correction if self.inside else super().correction
        return correct(x0_hat, **where)

    def update(self, step: Step) -> Update:
        return Update(step.x0, {})

    def seen(
        self, x: Float[Tensor, "B *shape"], decode: Decode | None, grid: Grid | None, video: Decode | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """The fields and the videos of samples, None where no reward looks at them."""
        kinds = {isinstance(reward, OfVideo) for reward in self.rewards.values()}
        fields = Problem({}, decode, grid).fields(x) if False in kinds else None
        shown = video(x) if True in kinds and video else None
        self.log.decodes += len(x) * ((fields is not None and decode is not None) + (shown is not None))
        return fields, shown

    def citation(self) -> str:
        return "\n\n".join(filter(None, [self.reference, self.inside.citation() if self.inside else ""]))
