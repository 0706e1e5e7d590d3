"""What is asked of the world, and what was there: prompts, their law, and a simulator's fields."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint, ReactionDiffusion
from physgen.errors import InvalidArgument
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import simulate
from physgen.experiments.micro import cases as micro
from physgen.grid import Grid
from physgen.observables import Observable
from physgen.video import Video
from physgen.worlds import WorldSpec

#: family of prompts -> constraint of ``conf/constraint`` that is joined with what was observed
LAWS = {
    **{"dye": "diffusion", "growth": "fisher_kpp", "blood": None, "mitosis": None, "gray_scott": "gray_scott"},
    **dict.fromkeys(("vessel", "beads", "sheet", "vesicles")),
}
#: between the noise of a sample and what the truth is made from
TRUTH = 7


@dataclass(frozen=True)
class Case:
    """A prompt, and how its videos are read.

    Attributes:
        truth: fields ``[1, S, T, H, W]`` of the simulator's clip.
        law: what they obey, constants unknown; None where the world has no law of reaction and diffusion.
    """

    prompt: Prompt
    truth: Float[Tensor, "1 S T H W"]
    law: ReactionDiffusion | None
    observable: Observable
    grid: Grid

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.prompt.family}-{self.prompt.seed:06d}"

    def generator(self, what: str) -> torch.Generator:
        """Random numbers of one part of the experiment, the same in every run."""
        return torch.Generator().manual_seed(zlib.crc32(f"{self.name} {what}".encode()))


def read_case(prompt: Prompt, spec: WorldSpec) -> Case:
    """The case of a prompt.

    >>> from physgen.experiments.draw.prompts import prompts
    >>> from physgen.worlds import world_spec
    >>> case = read_case(prompts("dye", 1, "held_out", 0)[0], world_spec("micro"))
    >>> list(case.truth.shape[2:]), case.law.fitted
    ([25, 64, 64], ('D_c',))
    """
    observable = spec.observable(prompt.caption)
    truth = observable(simulate(prompt, spec, [TRUTH, prompt.seed]))
    return Case(prompt, truth, _law(prompt), observable, spec.grid(prompt.caption))


def crop_of(movie: Video, prompt: Prompt, spec: WorldSpec) -> Case:
    """A piece of a real movie in place of a simulator's clip, read as what the prompt's family shows.

    As many frames as the world has and a square of two thirds of the picture, both at random; brightness from its 0.01
    to its 0.999 quantile is the first species from 0 to 1. No law: what a real movie obeys is not known.

    Raises:
        InvalidArgument: a movie that is shorter or smaller than the world's, that is not finite everywhere, or a piece
            that is the same everywhere.
    """
    observable, frames = spec.observable(prompt.caption), movie.frames.float().mean(1)
    side = int(2 * min(frames.shape[1:]) / 3)
    if len(frames) < spec.num_frames or side < spec.height:
        got = f"{len(frames)} frames of {frames.shape[1]} x {frames.shape[2]} pixels"
        raise InvalidArgument("movie", got, f"at least {spec.num_frames} frames, and {spec.height * 3 // 2} pixels")
    if not bool(frames.isfinite().all()):
        raise InvalidArgument("movie", "NaN or Inf in some pixels", "finite values everywhere")
    rng = np.random.default_rng([TRUTH, prompt.seed])
    start, top, left = (
        int(rng.integers(room + 1))
        for room in (len(frames) - spec.num_frames, frames.shape[1] - side, frames.shape[2] - side)
    )
    piece = frames[start : start + spec.num_frames, top : top + side, left : left + side]
    small = F.interpolate(piece[:, None], (spec.height, spec.width), mode="area").transpose(0, 1)[None]
    low, high = np.quantile(small.numpy(), [0.01, 0.999])
    if not high > low:
        raise InvalidArgument("movie", "the same brightness everywhere", "a movie that shows something")
    truth = torch.zeros(1, len(observable.species), spec.num_frames, spec.height, spec.width)
    truth[:, :1] = ((small - low) / (high - low)).clamp(0, 1)
    return Case(prompt, truth, None, observable, spec.grid(prompt.caption))


def _law(prompt: Prompt) -> ReactionDiffusion | None:
    name = LAWS[prompt.family]
    if name is None:
        return None
    law: Constraint = micro.Case(name, prompt).constraint()
    assert isinstance(law, ReactionDiffusion)
    return law
