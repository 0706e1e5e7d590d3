"""The dial: a constant is imposed that no prompt can express, and measured back by an estimator of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from physgen.drawn import AFTERWARDS, UNGUIDED, draw
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.experiments.measure.laws import read_fields
from physgen.experiments.micro.arms import HARD, draw_guided, request_of
from physgen.experiments.micro.cases import Case, reworded
from physgen.experiments.micro.dial_table import SIMULATOR, report
from physgen.experiments.micro.estimators import feed_rate, front_speed, spread_diffusivity
from physgen.experiments.runs.progress import read_records, write_records
from physgen.experiments.train.distributed import launch
from physgen.grid import Grid
from physgen.simulators import dye, gray_scott, growth
from physgen.worlds import WorldSpec, world_spec
from physgen.worlds.loading import load

Read = Callable[[np.ndarray, Grid, Prompt], float]
Truth = Callable[[Prompt, float, np.random.Generator], np.ndarray]

VALUES, PROCESSES = 8, 2


@dataclass(frozen=True)
class Dial:
    """What is turned, from ``low`` to ``high`` by equal ratios, and how it is read off fields ``[S, T, H, W]``.

    ``imposed`` are the constants of ``law`` at a setting, ``truth`` the simulator's fields there, ``word`` the nearest
    of the prompt's words; only videos of this ``kind`` can be read. Before a front there must be nothing, ``absent``:
    what the eye does not see there moves it as fast as one likes.
    """

    law: str
    family: str
    kind: str
    unit: str
    low: float
    high: float
    imposed: Callable[[float], dict[str, float]]
    word: Callable[[float], dict[str, str]]
    read: Read
    truth: Truth
    absent: float | None = None

    @property
    def settings(self) -> list[float]:
        """The values that it is turned to."""
        return [float(value) for value in np.geomspace(self.low, self.high, VALUES)]


def _growth(speed: float) -> tuple[float, float]:
    """D in µm²/s and r in 1/s of a front of this speed 2 sqrt(r D) in µm/s, in the proportion of the simulator's."""
    grid = growth.GRID
    low, high = (
        2 * math.sqrt(growth.DIFFUSIVITY[word][end] * growth.RATE[word][end]) * grid.spacing[0] / grid.dt
        for word, end in (("slowly", 0), ("fast", 1))
    )
    part = math.log(speed / low) / math.log(high / low)
    d, r = (
        table["slowly"][0] * (table["fast"][1] / table["slowly"][0]) ** part
        for table in (growth.DIFFUSIVITY, growth.RATE)
    )
    return d * grid.cell_area / grid.dt, r / grid.dt


def _drops(prompt: Prompt, value: float, rng: np.random.Generator) -> np.ndarray:
    start = dye.drops(dye.COUNTS[prompt.attributes["count"]], dye.SIZE, rng)[None]
    dy, dx = dye.GRID.spacing
    return dye.diffuse(start, np.array([value]), dye.GRID.dt * np.arange(float(dye.FRAMES)), (dy, dx))


def _wound(prompt: Prompt, value: float, rng: np.random.Generator) -> np.ndarray:
    d, r = (np.array([x]) for x in _growth(value))
    start = growth.wound(prompt.attributes["orientation"], growth.SIZE, rng)[None]
    return growth.fisher_kpp(start, d, r, growth.GRID, growth.FRAMES, growth.SUBSTEPS)


def _pattern(prompt: Prompt, value: float, rng: np.random.Generator) -> np.ndarray:
    kill = gray_scott.PATTERNS[prompt.attributes["pattern"]][1]
    u, v = gray_scott.gray_scott(*gray_scott.seeds(gray_scott.SIZE, rng), value, kill, time=300.0)
    frames = [(u, v)]
    for _ in range(gray_scott.FRAMES - 1):
        frames.append(gray_scott.gray_scott(*frames[-1], value, kill, time=gray_scott.GRID.dt))
    return np.stack(frames, 1).astype(np.float64)


DIALS = {
    "D": Dial(
        "diffusion",
        "dye",
        "drop",
        "µm²/s",
        12.0,
        100.0,
        lambda value: {"D_c": value},
        lambda value: {"speed": "slowly" if value < 38 else "quickly"},
        lambda fields, grid, prompt: spread_diffusivity(fields[0], grid),
        _drops,
    ),
    "front speed": Dial(
        "fisher_kpp",
        "growth",
        "wound",
        "µm/s",
        1.03e-3,
        4.27e-3,
        lambda value: dict(zip(("D_u", "r"), _growth(value), strict=True)),
        lambda value: {"speed": "slowly" if value < 2.1e-3 else "fast"},
        lambda fields, grid, prompt: front_speed(fields[0], grid, prompt.attributes["orientation"]),
        _wound,
        absent=0.05,
    ),
    "F": Dial(
        "gray_scott",
        "gray_scott",
        "pattern",
        "1/s",
        0.028,
        0.044,
        lambda value: {"F": value},
        lambda value: {"pattern": "stripes"},
        lambda fields, grid, prompt: feed_rate(fields, grid, gray_scott.PATTERNS[prompt.attributes["pattern"]][1]),
        _pattern,
    ),
}


@dataclass(frozen=True)
class Turn:
    """One setting of a dial, and the case that asks for it in the words that come nearest."""

    dial: str
    setting: float
    seed: int
    case: Case

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.case.law}-{self.setting:.4g}-{self.seed}"


def turns(name: str, seeds: Sequence[int]) -> list[Turn]:
    """Every setting of a dial with every seed, on prompts in turn.

    >>> [turn.name for turn in turns("D", [0])][:2]
    ['diffusion-12-0', 'diffusion-16.25-0']
    """
    dial = DIALS[name]
    found = []
    for seed in seeds:
        asked = [p for p in prompts(dial.family, 4 * VALUES, "all", seed) if p.attributes["kind"] == dial.kind]
        for prompt, value in zip(asked, dial.settings, strict=False):
            case = Case(dial.law, reworded(prompt, **dial.word(value)), dial.imposed(value), dial.absent)
            found.append(Turn(name, value, seed, case))
    return found


def run_dial(seeds: Sequence[int], out: Path) -> None:
    """Write ``dial.json``, ``dial.md`` and ``dial.png``."""
    wanted = [turn for group in zip(*(turns(name, seeds) for name in DIALS), strict=True) for turn in group]
    missing = [turn for turn in wanted if not store(out, turn).is_file()]
    if missing:
        store(out, missing[0]).parent.mkdir(parents=True, exist_ok=True)
        launch(_work, min(PROCESSES, len(missing)), world_spec("micro"), missing, out)
    report([record for turn in wanted for record in read_records(store(out, turn))], out)


def store(out: Path, turn: Turn) -> Path:
    """Where the records of a setting are kept."""
    return out / "records" / f"{turn.name}.json"


def _work(rank: int, processes: int, spec: WorldSpec, missing: Sequence[Turn], out: Path) -> None:
    world = load(spec, "cpu")
    world.pipe.set_progress_bar_config(disable=True)
    for turn in tqdm(missing[rank::processes], desc="settings", disable=rank != 0):
        dial, prompt = DIALS[turn.dial], turn.case.prompt
        guidance = default_guidance(HARD, {turn.case.law: turn.case.constraint()})
        drawn = draw(world, request_of(turn.case), guidance, arms=[UNGUIDED, AFTERWARDS]).arms
        videos = {arm: one.video for arm, one in drawn.items()}
        videos[HARD] = draw_guided(world, turn.case, guidance).video
        fields = {arm: read_fields(dial.family, prompt.attributes, video[0]) for arm, video in videos.items()}
        fields[SIMULATOR] = dial.truth(prompt, turn.setting, np.random.default_rng([turn.seed, prompt.index]))
        about = {"dial": turn.dial, "unit": dial.unit, "setting": turn.setting, "seed": turn.seed}
        grid = world.grid(prompt.caption)
        records = [{**about, "arm": arm, "reading": dial.read(seen, grid, prompt)} for arm, seen in fields.items()]
        write_records(store(out, turn), records)
