"""Videos of one prompt of blood or a vessel: unguided, the best of several draws, guided; each also projected."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from physgen.drawn import ANOTHER, GUIDED, UNGUIDED, Request, draw
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.micro.cases import Case
from physgen.experiments.micro.flow import EVERY, START, Video, project_colours
from physgen.experiments.runs.progress import Record
from physgen.guidance import DPS, BestOfN, Guidance, X0Gradient
from physgen.worlds import World

#: whose `Transport` is steady along the rows of a periodic frame, or along curves that leave it
FAMILIES = ("blood", "vessel")
#: draws of the arm that takes about as much time as guidance
N = 8
BEST, PROJECTED = f"best of {N}", "projected"
#: guided by `X0Gradient`, which takes no derivative of the network, in place of `DPS`
NO_JACOBIAN = f"{GUIDED}, no Jacobian"
#: what is added to the name of an arm
THEN = " + projection"
DRAWN = (UNGUIDED, BEST, GUIDED, NO_JACOBIAN)
ARMS = (*DRAWN, PROJECTED, *(arm + THEN for arm in DRAWN[1:]))


def draw_arms(world: World, prompt: Prompt) -> Iterator[tuple[str, Video, Record]]:
    """Every arm's name, video and cost: seconds of this process, evaluations of the network, whether it was projected.

    All begin from the noise of the prompt's seed. An arm costs what it takes by itself: projection and selection the
    draws as well.
    """
    grid, observable = world.grid(prompt.caption), world.observable(prompt.caption)
    transport = Case("transport", prompt).constraint()
    laws = {"transport": transport}
    draws = [
        draw(world, Request(prompt.caption, prompt.seed + k * ANOTHER), arms=[UNGUIDED]).arms[UNGUIDED]
        for k in range(N)
    ]
    free, began = draws[0], time.perf_counter()
    videos = iter([one.video for one in draws])
    best = BestOfN(laws, n=N).sample(partial(next, videos), decode=observable, grid=grid)
    choosing = time.perf_counter() - began
    chosen = {"seconds": sum(one.seconds for one in draws) + choosing, "nfe": sum(one.nfe for one in draws)}
    made = {UNGUIDED: (free.video, {"seconds": free.seconds, "nfe": free.nfe}), BEST: (best, chosen)}
    kinds: dict[str, type[Guidance]] = {GUIDED: DPS, NO_JACOBIAN: X0Gradient}
    for arm, kind in kinds.items():
        guidance = kind(laws, start=START, every=EVERY, terminal=False)
        guided = draw(world, Request(prompt.caption, prompt.seed), guidance, arms=[GUIDED]).guided
        assert guided is not None
        made[arm] = guided.video, {"seconds": guided.seconds, "nfe": guided.nfe}
    for arm, (video, cost) in made.items():
        yield arm, video, cost
        began = time.perf_counter()
        near, found = project_colours(video, transport, grid)
        then = PROJECTED if arm == UNGUIDED else arm + THEN
        yield then, near, cost | {"seconds": cost["seconds"] + time.perf_counter() - began, "law": found}
