"""What is asked of the world, and what was there: prompts, their law, and a simulator's fields."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint, ReactionDiffusion
from physgen.errors import InvalidArgument
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import simulate
from physgen.experiments.micro import cases as micro
from physgen.experiments.movies.cut import Cut, Movie, cut_piece, open_movie, part_of
from physgen.grid import Grid
from physgen.observables import Observable
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
        truth: fields ``[1, S, T, H, W]`` of the simulator's clip, or of a piece of a movie.
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


@dataclass(frozen=True)
class Source:
    """A real movie in place of simulated clips.

    Attributes:
        path: of its file or folder.
        part: of it that pieces come from, see `physgen.experiments.movies.cut.PARTS`.
        caption: what it is taken to show; None: what the prompts of each family ask for.
    """

    path: str
    cut: Cut
    part: str
    caption: str | None

    def open(self) -> Movie:
        """Read it."""
        return part_of(open_movie(self.path, self.cut), self.part)


def crop_of(movie: Movie, cut: Cut, caption: str | None, prompt: Prompt, spec: WorldSpec) -> Case:
    """A piece of a real movie in place of a simulator's clip, read as what the prompt's family shows.

    Its brightness is the first species, and there is nothing of the others. The law is the family's: whether the movie
    obeys it is not known, and the arms that use it say so.

    Raises:
        InvalidArgument: as `cut_piece`; a caption of another family.
    """
    if caption is not None:
        if spec.family(caption) != prompt.family:
            raise InvalidArgument("caption", caption, f"words of families={prompt.family}, as which the movie is read")
        prompt = replace(prompt, caption=caption)
    observable = spec.observable(prompt.caption)
    fields, _ = cut_piece(movie, cut, np.random.default_rng([TRUTH, prompt.seed]), spec)
    truth = torch.zeros(1, len(observable.species), *fields.shape)
    truth[0, 0] = fields
    return Case(prompt, truth, _law(prompt), observable, spec.grid(prompt.caption))


def _law(prompt: Prompt) -> ReactionDiffusion | None:
    name = LAWS[prompt.family]
    if name is None:
        return None
    law: Constraint = micro.Case(name, prompt).constraint()
    assert isinstance(law, ReactionDiffusion)
    return law
