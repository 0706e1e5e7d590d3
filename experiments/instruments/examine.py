"""Instruments on one finished video."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.experiments.instruments.clip import Clip, clips_of
from physgen.experiments.instruments.devices.medium import as_filed
from physgen.experiments.instruments.nulls import FOLDER, Null, p_value, read_nulls
from physgen.experiments.instruments.registry import ANY, DOMAINS, MICROSCOPY, statistics
from physgen.experiments.instruments.subject import Subject, subject_of


@dataclass(frozen=True)
class Reading:
    """A statistic, larger for a worse video, how probable as much is without a fault, and of how many that was seen.

    >>> Reading(0.3, 0.25, 199).rank
    75.0
    """

    statistic: float
    p_value: float
    n_null: int

    @property
    def rank(self) -> float:
        """Percentile among videos without a fault, 100 (1 - p): those that read less, 0 to 100.

        A video without a fault is below 50 as a mean: p is the larger of those of two nulls, and ties count into p.
        """
        return 100.0 * (1.0 - self.p_value)


def percentile_title(own: Sequence[float]) -> str:
    """Title of a table of mean percentiles, with what the simulator's own videos have.

    >>> percentile_title([0.0, 40.0])
    "Mean percentile among videos without a fault (the simulator's own: 20; above 99: failed)"
    """
    mean = f"{np.mean(own):.0f}" if len(own) else "none"
    return f"Mean percentile among videos without a fault (the simulator's own: {mean}; above 99: failed)"


def examine(
    video: Float[Tensor, "T 3 H W"], prompt: str | Subject | None = None, names: Collection[str] | None = None
) -> dict[str, Reading]:
    """Read every instrument that applies to a finished video in [0, 1], as `read_video` gives it, or those of `names`.

    The prompt tells family, colour map and grid; without one of the embedded world's captions only instruments that
    need none of them are read, at 25 frames and about 64 pixels at a time. A video of more than 8 bits goes through an
    MP4 file first, as those of the nulls did. An instrument that cannot measure is absent.

    p = min(1, parts * min_parts max_nulls p_null),  p_null = (1 + #{null >= statistic}) / (n + 1)

    over the nulls that the video may belong to: a caption's family as simulated and as reconstructed; for other videos
    the camera's where they are grey, else all families' together. ``n`` is that of the smallest.

    Raises: InvalidArgument for pixels that are not finite.

    >>> from physgen.simulators import SIMULATORS
    >>> clips = SIMULATORS["dye"](1, rng=np.random.default_rng(0))
    >>> leaking = torch.from_numpy(clips.video[0]).transpose(0, 1) * torch.linspace(1, 0.5, 25).view(-1, 1, 1, 1)
    >>> examine(leaking, clips.captions[0])["mass"].p_value < 0.01
    True
    """
    subject = subject_of(prompt) if isinstance(prompt, str) else prompt
    if not bool(torch.isfinite(video).all()):
        raise InvalidArgument("video", "NaN or Inf", "finite pixels")
    clips = clips_of(as_filed(video), subject)
    domain = subject.domain if subject else MICROSCOPY if _grey(video) else ANY
    wanted = [name for name in DOMAINS[domain] if names is None or name in names]
    parts = [read(clip, domain, wanted) for clip in clips]
    return {name: _worst([part[name] for part in parts]) for name in wanted if parts and all(name in p for p in parts)}


def shows(video: Float[Tensor, "T 3 H W"], prompt: str) -> bool:
    """Whether anything of what a caption of the embedded world asks for is there; of other prompts nobody can say no.

    >>> grey = torch.full((25, 3, 64, 64), 0.5)
    >>> shows(grey, "a plate of bacteria"), shows(grey, "two drops of green dye diffusing slowly in water")
    (True, False)
    """
    return all(clip.seen for clip in clips_of(as_filed(video), subject)) if (subject := subject_of(prompt)) else True


def moves(video: Float[Tensor, "T 3 H W"], prompt: str) -> bool:
    """Whether anything happens in what a caption of the embedded world asks for; of other prompts nobody can say no.

    >>> still = torch.rand(1, 3, 64, 64).expand(25, 3, 64, 64)
    >>> moves(still, "a plate of bacteria"), moves(still, "two drops of green dye diffusing slowly in water")
    (True, False)
    """
    return all(clip.moves for clip in clips_of(as_filed(video), subject)) if (subject := subject_of(prompt)) else True


def _grey(video: Tensor) -> bool:
    return bool((video[:, :1] - video[:, 1:]).abs().max() < 1e-6)


def read(clip: Clip, domain: str, names: Iterable[str]) -> dict[str, Reading]:
    """Read some of a domain's instruments; those that cannot measure are absent."""
    found = {}
    for name, value in statistics(clip, names).items():
        if np.isfinite(value):
            nulls = _nulls(domain, name)
            p = max(p_value(value, null) for null in nulls)
            found[name] = Reading(value, p, min(len(null) for null in nulls))
    return found


@cache
def _nulls(domain: str, name: str) -> list[Null]:
    """Null distributions of an instrument.

    Raises: InvalidArgument for one that is in the registry and was not calibrated.
    """
    families = [floors for key, floors in read_nulls().items() if key != MICROSCOPY]
    try:
        if domain == ANY:
            return [np.sort(np.concatenate([floor[name] for floors in families for floor in floors.values()]))]
        return [floor[name] for floor in read_nulls()[domain].values()]
    except KeyError as error:
        allowed = (
            f"one with nulls of {domain} videos: `physgen instruments calibrate out={FOLDER}` adds what is missing"
        )
        raise InvalidArgument("instrument", name, allowed) from error


def _worst(readings: list[Reading]) -> Reading:
    worst = min(readings, key=lambda reading: reading.p_value)
    return Reading(worst.statistic, min(1.0, len(readings) * worst.p_value), worst.n_null)
