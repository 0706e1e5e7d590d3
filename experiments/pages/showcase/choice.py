"""Several draws of one prompt, of which an instrument chooses one by its content."""

from __future__ import annotations

from pathlib import Path

from physgen.drawn import ANOTHER, UNGUIDED, draw
from physgen.experiments.content.arms import CANDIDATES
from physgen.experiments.content.asked import asked_of
from physgen.experiments.content.rewards import scores
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import simulate
from physgen.experiments.pages.showcase.counted import count_of
from physgen.experiments.pages.showcase.laws import TITLES, TRUTH
from physgen.experiments.pages.showcase.row import Row, Shot, write_film
from physgen.experiments.runs.progress import Record
from physgen.worlds import Request, World

#: questions of `physgen benchmark content` that are shown, by families
QUESTIONS = "growth.count", "blood.count", "beads.count", "vessel.count"
#: the reward that chooses
CHOOSES = "count"


def choice_record(world: World, question: str, prompt: Prompt, folder: Path, steps: int | None = None) -> Record:
    """Draw the candidates, choose as `BestOfN` does, and write the film of each, with what `Counted` says of it."""
    spec, asked = world.spec, asked_of(prompt.caption, world.spec)
    seeds = [prompt.seed + ANOTHER * k for k in range(CANDIDATES)]
    drawn = [draw(world, Request(prompt.caption, seed, steps=steps)).arms[UNGUIDED].video[0] for seed in seeds]
    videos = [simulate(prompt, spec, [TRUTH, prompt.seed])[0], *drawn]
    counts = [count_of(video, asked) for video in videos]
    chosen = max(range(1, len(videos)), key=lambda index: scores(videos[index], asked, [CHOOSES])[CHOOSES])
    name = f"{question}-{prompt.index}"
    shots = []
    for index, (video, found) in enumerate(zip(videos, counts, strict=True)):
        title = TITLES["simulator"] if index == 0 else f"draw {index}" + (", chosen" if index == chosen else "")
        film = write_film(folder / f"{name}-{index}.webp", video.permute(1, 2, 3, 0).numpy())
        shots.append(Shot(title, film, f"asked {found.asked}, peaks count", found.peaks, found.verdict))
    about = f"best of {CANDIDATES}, seeds {', '.join(map(str, seeds))}"
    dt = float(spec.grid(prompt.caption).dt)
    row = Row(name, prompt.caption, about, spec.num_frames, dt, spec.fps, shots)
    return {
        "question": question,
        "seeds": seeds,
        "chosen": chosen,
        "counts": [one.as_json() for one in counts],
        "row": row.as_json(),
    }
