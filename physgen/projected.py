"""A finished video, projected onto laws: the free baseline of every guidance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import floating
from physgen.grid import Grid
from physgen.guidance import Guidance, TerminalRecord
from physgen.guidance.base import read_guidance
from physgen.guidance.solve.certificate import certify
from physgen.guidance.solve.projected_fields import ProjectedFields
from physgen.observables import Observable, observe
from physgen.tensors import keep_finite, rms


@dataclass(frozen=True)
class Projected:
    """A projected video ``[B, 3, T, H, W]`` in [0, 1], float32, and what the projection did and certifies."""

    video: Float[Tensor, "B 3 T H W"]
    record: TerminalRecord


def project_video(
    video: Float[Tensor, "B 3 T H W"], guidance: Guidance, observable: Observable, grid: Grid | None
) -> Projected:
    """The nearest float32 video in [0, 1] whose fields satisfy the guidance's constraints.

    u = O(video);  u* = argmin ||u' - u||  subject to  h(u') = 0, g(u') <= 0;  video* = clip(O^-1(u*; video), 0, 1)

    Fields are read and projected in float64. A sample that nothing near satisfies stays as it is, and so do all of them
    where the constraints contradict each other (`TerminalRecord.contradiction`).

    Args:
        video: in [0, 1].
        guidance: any that holds the constraints; only its projection is used.
        observable: how fields are read off the colours, and put back.
        grid: of the fields.

    Raises:
        InvalidArgument: fields of another shape than the observable says, or that a constraint refuses.

    Source: the contract of this package.

    >>> from physgen.constraints import MassConservation
    >>> from physgen.guidance import Projection
    >>> from physgen.observables import Intensity
    >>> fading = torch.tensor([0.9, 0.5]).view(1, 1, 2, 1, 1) * torch.linspace(0, 1, 8).expand(1, 3, 2, 8, 8)
    >>> grid = Grid(spacing=(2.0, 2.0), dt=0.5)
    >>> projected = project_video(fading, Projection([MassConservation()]), Intensity(), grid)
    >>> [round(value, 6) for value in projected.video.mean((0, 1, 3, 4)).tolist()]
    [0.35, 0.35]
    >>> projected.record.certificate["mass"].satisfied
    True
    """
    video, guidance = floating("video", video, "[B, 3, T, H, W] in [0, 1]"), read_guidance(guidance)
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(video.device.type, enabled=False):
        video = video.float().clamp(0, 1)
        fields = observe(observable, video.double())
        target = guidance.projection(fields, grid, observable.bounds)
        projected, dropped = keep_finite(observable.embed(video, target.fields).clamp(0, 1), video)
        seen = observe(observable, projected.double())
        rounded = observe(observable, observable.embed(video.double(), target.fields).float().double())
        record = terminal_record(rms(projected - video), fields, target, seen, rounded, dropped, observable.least)
    return Projected(projected, record)


def terminal_record(
    moved: float,
    before: Tensor,
    target: ProjectedFields,
    after: Tensor,
    rounded: Tensor,
    dropped: int,
    least: float | None = None,
) -> TerminalRecord:
    """What a projection did: from the fields before it, to those of what is delivered.

    ``rounded`` are the exact fields, stored as what is delivered is; ``least``: see `certify`.
    """
    return TerminalRecord(
        moved_rms=moved,
        residual_before=target.violations(before),
        residual_after=target.violations(after),
        dropped=dropped,
        certificate=certify(target, after, rounded, least),
        contradiction=str(target.contradiction) if target.contradiction else None,
    )
