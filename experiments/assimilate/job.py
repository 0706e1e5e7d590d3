"""`physgen benchmark assimilate`: what information about a video is worth to a model, to a law, and to both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from physgen.errors import InvalidArgument
from physgen.experiments.movies.cut import Cut
from physgen.experiments.runs.records import run_name, with_contents

if TYPE_CHECKING:
    from physgen.experiments.assimilate.cases import Source


@dataclass
class AssimilateConfig:
    """Options of `physgen benchmark assimilate`, see ``conf/benchmark-assimilate.yaml``."""

    families: list[str]
    observations: list[str]
    thorough: list[str]
    n: int
    samples: int
    calibrate: int
    seed: int
    processes: int
    movie: str | None
    caption: str | None
    part: str
    cut: Cut
    lora: str | None
    out: str | None

    def source(self) -> Source | None:
        """The real movie that clips are cut from, if there is one."""
        from physgen.experiments.assimilate.cases import Source

        return None if self.movie is None else Source(self.movie, self.cut, self.part, self.caption)


def run(config: AssimilateConfig) -> None:
    """Run every arm and write ``assimilate.json`` and tables into the folder.

    Raises: FileNotFoundError; InvalidArgument for families, observations or numbers that there are not, a movie that
    cannot be cut, or a folder with other options.
    """
    from physgen.experiments.assimilate.cases import LAWS, crop_of
    from physgen.experiments.assimilate.observations import OBSERVATIONS
    from physgen.experiments.assimilate.run import run_assimilate
    from physgen.experiments.draw.prompts import prompts
    from physgen.experiments.runs.resume import resume
    from physgen.worlds import world_spec

    choices: dict[str, Iterable[str]] = {"families": LAWS, "observations": OBSERVATIONS, "thorough": OBSERVATIONS}
    for name, known in choices.items():
        chosen = getattr(config, name)
        if not set(chosen) <= set(known) or len(set(chosen)) < len(chosen) or not (chosen or name == "thorough"):
            raise InvalidArgument(name, chosen, f"different ones of {', '.join(known)}")
    for name, least in {"n": 2, "samples": 2, "calibrate": 0, "seed": 0, "processes": 1}.items():
        if getattr(config, name) < least:
            raise InvalidArgument(name, getattr(config, name), f"at least {least}")
    if (source := config.source()) is not None:
        movie = source.open()
        for family in config.families:
            prompt = prompts(family, 1, "held_out", config.seed)[0]
            crop_of(movie, config.cut, config.caption, prompt, world_spec("micro"))
    elif config.caption is not None or config.lora is not None:
        raise InvalidArgument("movie", None, "a movie, of which caption= and lora= are")
    if config.lora is not None and not Path(config.lora).expanduser().is_file():
        raise FileNotFoundError(f"lora={config.lora}: no such file")
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "processes")}
    settings = with_contents(settings | {"world": world_spec("micro").label}, "movie", "lora")
    out = Path(config.out or Path("runs") / run_name("benchmark-assimilate", settings))
    resume(out, settings)
    run_assimilate(config, out)
    print(out)
