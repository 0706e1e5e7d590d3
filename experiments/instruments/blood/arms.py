"""Blood videos of one prompt: unguided, the best of several draws, guided; each also projected onto `Transport`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Transport
from physgen.drawn import ANOTHER, GUIDED, UNGUIDED, Request, draw
from physgen.errors import NoSolution
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.runs.progress import Record
from physgen.grid import Grid
from physgen.guidance import DPS, BestOfN
from physgen.worlds import World

#: draws of the arms that cost as much as guidance, and schedule of guidance
N, START, EVERY = 3, 0.5, 2
BEST, PROJECTED = f"best of {N}", "projected"
#: what is added to the name of an arm
THEN, TOLD = " + projection", ", direction told"
ARMS = (
    UNGUIDED,
    *(f"{arm}{told}" for arm in (BEST, PROJECTED, GUIDED, BEST + THEN, GUIDED + THEN) for told in ("", TOLD)),
)

Video = Float[Tensor, "1 3 T H W"]


def law(prompt: Prompt, told: bool) -> Transport:
    """The law of a straight vessel, with or without the direction that the prompt asks for."""
    return Transport(form="steady", direction=prompt.attributes["direction"] if told else None)


def project(video: Video, transport: Transport, grid: Grid) -> tuple[Video, bool]:
    """The nearest steady flow of the three colours, in [0, 1], and whether there is one: else the video itself."""
    try:
        return transport.project(video.double(), grid).clamp(0, 1).float(), True
    except NoSolution:
        return video, False


def draw_arms(world: World, prompt: Prompt) -> Iterator[tuple[str, Video, Record]]:
    """Every arm's name, video and cost: seconds of this process, evaluations of the network, whether it was projected.

    All begin from the noise of the prompt's seed. An arm costs what it takes by itself: projection and selection the
    draws as well.
    """
    grid, observable = world.grid(prompt.caption), world.observable(prompt.caption)
    draws = [
        draw(world, Request(prompt.caption, prompt.seed + k * ANOTHER), arms=[UNGUIDED]).arms[UNGUIDED]
        for k in range(N)
    ]
    free = draws[0]
    yield UNGUIDED, free.video, {"seconds": free.seconds, "nfe": free.nfe}
    for told in (False, True):
        transport, name = law(prompt, told), TOLD if told else ""
        laws = {"transport": transport}
        began = time.perf_counter()
        videos = iter([one.video for one in draws])
        best = BestOfN(laws, n=N).sample(partial(next, videos), decode=observable, grid=grid)
        chosen = {
            "seconds": sum(one.seconds for one in draws) + time.perf_counter() - began,
            "nfe": sum(one.nfe for one in draws),
        }
        guidance = DPS(laws, start=START, every=EVERY)
        guided = draw(world, Request(prompt.caption, prompt.seed), guidance, arms=[GUIDED]).guided
        assert guided is not None
        acted = {"seconds": guided.seconds, "nfe": guided.nfe}
        yield BEST + name, best, chosen
        yield GUIDED + name, guided.video, acted
        cost = {"seconds": free.seconds, "nfe": free.nfe}
        for arm, video, before in (
            (PROJECTED, free.video, cost),
            (BEST + THEN, best, chosen),
            (GUIDED + THEN, guided.video, acted),
        ):
            began = time.perf_counter()
            with torch.no_grad():
                near, found = project(video, transport, grid)
            yield arm + name, near, before | {"seconds": before["seconds"] + time.perf_counter() - began, "law": found}
