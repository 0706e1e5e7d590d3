"""A world: a text-to-video pipeline with a physical scale."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.observables import ColourMap, Observable

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


def words_of(prompt: str) -> set[str]:
    """Lower-case words of a prompt.

    >>> sorted(words_of("Gray-Scott SPOTS!"))
    ['gray', 'scott', 'spots']
    """
    return set(re.findall(r"[^\W_]+", prompt.lower()))


@dataclass
class Family:
    """A kind of video: how prompts name it, its scale, its walls, its colours, the constraints its physics obeys.

    ``spacing`` is ``[dy, dx]`` in µm, ``dt`` in s between frames; ``rgb = background + sum_s c_s colours[s]``. Those in
    ``always`` are there beside any that the prompt names, and come first.
    """

    words: list[str]
    spacing: list[float]
    dt: float
    boundary: str
    background: list[float]
    colours: dict[str, list[float]]
    laws: list[str] = field(default_factory=list)
    always: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class WorldSpec:
    """Everything about a world but its weights; the schema of ``conf/world/*.yaml``.

    ``pipeline`` is the import path of a diffusers pipeline class and ``path`` a folder in its format (``None``: the
    one inside the package). ``threads`` is the number of CPU threads that suits the model (``None``: torch's choice).
    """

    name: str
    pipeline: str
    height: int
    width: int
    num_frames: int
    fps: float
    steps: int
    guidance_scale: float
    max_sequence_length: int
    families: dict[str, Family]
    path: str | None = None
    threads: int | None = None

    def family(self, prompt: str) -> str:
        """The family that most words of the prompt belong to; the first one when no word belongs to any."""
        words = words_of(prompt)
        return max(self.families, key=lambda name: len(words & set(self.families[name].words)))

    def recognises(self, prompt: str) -> bool:
        """Whether any word of the prompt belongs to a family."""
        return any(words_of(prompt) & set(family.words) for family in self.families.values())

    def grid(self, prompt: str) -> Grid:
        """Spacing in µm, frame interval in s and walls of the prompt's family."""
        family = self.families[self.family(prompt)]
        return Grid(spacing=(family.spacing[0], family.spacing[1]), dt=family.dt, boundary=family.boundary)

    def observable(self, prompt: str) -> Observable:
        """Colour map of the prompt's family: the colours that the prompt names, all of them when it names none."""
        family = self.families[self.family(prompt)]
        words = words_of(prompt)
        named = {colour: rgb for colour, rgb in family.colours.items() if colour in words}
        colours = family.always | named if named else family.colours
        return ColourMap(list(colours.values()), family.background, species=tuple(colours))

    def load(self, device: str | None = None) -> World:
        """Load the weights.

        Raises: FileNotFoundError when they are not there.
        """
        default = Path(str(files("physgen.worlds"))) / self.name / "weights"
        folder = Path(self.path) if self.path else default
        if not (folder / "model_index.json").is_file():
            raise FileNotFoundError(f"world.path={str(folder)!r}: allowed: a diffusers folder with a model_index.json")
        quiet_loading()
        module, _, name = self.pipeline.rpartition(".")
        pipe = getattr(importlib.import_module(module), name).from_pretrained(
            folder, dtype=torch.float32, local_files_only=True
        )
        pipe.set_progress_bar_config(disable=None, leave=False)
        return World(self, pipe.to(device or ("cuda" if torch.cuda.is_available() else "cpu")))


def quiet_loading() -> None:
    """No progress bars for reading a few files; sampling keeps its own."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


@dataclass
class World:
    """A loaded text-to-video pipeline and the physical scale of what it draws."""

    spec: WorldSpec
    pipe: DiffusionPipeline

    @property
    def name(self) -> str:
        """Name of the world."""
        return self.spec.name

    @property
    def fps(self) -> float:
        """Frames per second at which its videos are shown."""
        return self.spec.fps

    def grid(self, prompt: str) -> Grid:
        """See `WorldSpec.grid`."""
        return self.spec.grid(prompt)

    def observable(self, prompt: str) -> Observable:
        """See `WorldSpec.observable`."""
        return self.spec.observable(prompt)

    def ignored_words(self, prompt: str) -> list[str]:
        """Words that never reach the model, for pipelines with a vocabulary (those with a method ``known``)."""
        if not hasattr(self.pipe, "known"):
            return []
        return list(dict.fromkeys(self.pipe.known(prompt)[1]))

    def sample(
        self, prompt: str, *, seed: int, steps: int | None = None, guidance_scale: float | None = None
    ) -> Float[Tensor, "1 3 T H W"]:
        """Draw one video in [0, 1]; the noise depends on ``seed`` alone, on every device.

        Raises: InvalidArgument for an empty prompt or less than one step.
        """
        if not prompt.strip():
            raise InvalidArgument("prompt", prompt, "a description of the video")
        steps = self.spec.steps if steps is None else steps
        if steps < 1:
            raise InvalidArgument("steps", steps, "at least 1")
        options: dict[str, Any] = {
            "height": self.spec.height,
            "width": self.spec.width,
            "num_frames": self.spec.num_frames,
            "max_sequence_length": self.spec.max_sequence_length,
            "num_inference_steps": steps,
            "guidance_scale": self.spec.guidance_scale if guidance_scale is None else guidance_scale,
        }
        generator = torch.Generator("cpu").manual_seed(seed)
        frames = self.pipe(prompt, generator=generator, output_type="pt", **options).frames
        return frames.to("cpu", torch.float32).permute(0, 2, 1, 3, 4).contiguous()
