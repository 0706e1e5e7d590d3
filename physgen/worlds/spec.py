"""What a world is, without its weights: the schema of ``conf/world/*.yaml``, and what a prompt means there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.observables import ColourMap, Intensity, Observable
from physgen.worlds.levels import LEVEL_WORDS, words_of


@dataclass
class Family:
    """A kind of video: how prompts name it, its scale, its walls, its colours, the constraints its physics obeys.

    ``spacing`` is ``[dy, dx]`` in µm, ``dt`` in s between frames; ``rgb = background + sum_s c_s colours[s]``. Those in
    ``always`` are there beside any that the prompt names, and come first. Without ``colours`` the video is read by its
    brightness. Without ``words`` the family is a level of life, and has the words of `LEVEL_WORDS`.
    """

    spacing: list[float]
    dt: float
    boundary: str
    background: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    colours: dict[str, list[float]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    laws: list[str] = field(default_factory=list)
    always: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class WorldSpec:
    """Everything about a world but its weights; the schema of ``conf/world/*.yaml``.

    ``pipeline`` is the import path of a diffusers pipeline class. Its weights are ``path`` (a folder in diffusers'
    format or a hub id), else ``hub`` at ``revision``, else those inside the package. ``scheduler`` changes entries of
    the saved scheduler's configuration, ``_class_name`` included; ``arguments`` are for every call of the pipeline;
    ``dtype`` is by component, ``default`` for the others. ``threads`` is the number of CPU threads that suits the model
    (``None``: torch's choice). ``level`` names the family of every prompt (``None``: its words do). ``offload``,
    ``tiling``, ``slicing`` and ``attention`` are as in `place`; ``components`` are the models' published
    configurations, to plan with where the weights are not here. ``image_pipeline`` is the class that draws from a first
    frame where one was observed; ``saved_as`` is the class that the folder names, where it is another one.
    ``version`` is another number for other weights or families, so that results of the two are never mixed.
    """

    name: str
    pipeline: str
    height: int
    width: int
    num_frames: int
    fps: float
    steps: int
    guidance_scale: float
    families: dict[str, Family]
    max_sequence_length: int | None = None
    negative_prompt: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    hub: str | None = None
    revision: str | None = None
    scheduler: dict[str, Any] = field(default_factory=dict)
    dtype: dict[str, str] = field(default_factory=lambda: {"default": "float32"})
    path: str | None = None
    checkpoint: str | None = None
    checkpoint_alpha: float = 1.0
    trust_pickle: bool = False
    needs_checkpoint: bool = False
    threads: int | None = None
    level: str | None = None
    offload: str = "none"
    tiling: bool = False
    slicing: bool = False
    attention: str | None = None
    components: dict[str, dict[str, Any]] = field(default_factory=dict)
    image_pipeline: str | None = None
    saved_as: str | None = None
    version: int = 1

    @property
    def label(self) -> str:
        """Name and version, as every record of a run has them: ``micro 2``."""
        return f"{self.name} {self.version}"

    def family(self, prompt: str) -> str:
        """The family that most words of the prompt belong to; the first one when no word belongs to any.

        Raises:
            InvalidArgument: a ``level`` that is no family.
        """
        if self.level is not None:
            if self.level not in self.families:
                raise InvalidArgument("world.level", self.level, ", ".join(self.families))
            return self.level
        words = words_of(prompt)
        return max(self.families, key=lambda name: len(words & self.words(name)))

    def words(self, family: str) -> set[str]:
        """Words that speak for a family."""
        return set(self.families[family].words or LEVEL_WORDS.get(family, ()))

    def recognises(self, prompt: str) -> bool:
        """Whether any word of the prompt belongs to a family."""
        return any(words_of(prompt) & self.words(family) for family in self.families)

    def grid(self, prompt: str) -> Grid:
        """Spacing in µm, frame interval in s and walls of the prompt's family."""
        family = self.families[self.family(prompt)]
        return Grid(spacing=(family.spacing[0], family.spacing[1]), dt=family.dt, boundary=family.boundary)

    def observable(self, prompt: str, off_map: float | int = 1.0) -> Observable:
        """Colour map of the prompt's family: the colours that the prompt names, all of them when it names none.

        A family without colours is read by its brightness above the mean of its background. ``off_map``: see
        `ColourMap`.

        Raises:
            InvalidArgument: ``off_map`` other than 1 where no colours are known: without them a video would be grey.
        """
        family = self.families[self.family(prompt)]
        if not family.colours:
            if off_map != 1:
                raise InvalidArgument("off_map", off_map, f"1 in {self.name}, of which no colours are known")
            return Intensity(sum(family.background) / 3)
        words = words_of(prompt)
        named = {colour: rgb for colour, rgb in family.colours.items() if colour in words}
        colours = family.always | named if named else family.colours
        return ColourMap(list(colours.values()), family.background, species=tuple(colours), off_map=off_map)
