"""The samplers that are compared, each from the same noise."""

from __future__ import annotations

from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED, Arm, Request, draw
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.micro.cases import Case
from physgen.guidance import BestOfN, Guidance
from physgen.worlds import World

#: settings of ``conf/guidance``, at their defaults; TFG visits a level twice, which no scheduler does, and
#: ConditionalMean takes 16 times the time of an unguided sample even under one law for each frame
SOFT, HARD = "x0_gradient", "projection"
GUIDANCES = (SOFT, HARD, "augmented_lagrangian", "dps", "pigdm")
#: guidances that take minutes a video: many products with the Jacobian, each through every sub-step of the flow map
SLOW = {
    "diffusion": ("pigdm",),
    "fisher_kpp": ("pigdm",),
    "gray_scott": ("augmented_lagrangian", "dps", "pigdm"),
}
BEST = "best of 2"
ARMS = (UNGUIDED, AFTERWARDS, BEST, *GUIDANCES)


def draw_case(world: World, case: Case) -> dict[str, Arm]:
    """The case in every arm that is not `SLOW`; seconds are of this process, one arm after the other."""
    laws = {case.law: case.constraint()}
    free = draw(world, request_of(case), default_guidance(HARD, laws), arms=[UNGUIDED, AFTERWARDS]).arms
    names = [name for name in GUIDANCES if name not in SLOW.get(case.law, ())]
    algorithms: dict[str, Guidance | BestOfN] = {name: default_guidance(name, laws) for name in names}
    algorithms = {BEST: BestOfN(laws, n=2), **algorithms}
    return free | {name: draw_guided(world, case, algorithm) for name, algorithm in algorithms.items()}


def draw_guided(world: World, case: Case, guidance: Guidance | BestOfN) -> Arm:
    """The case under a guidance."""
    arm = draw(world, request_of(case), guidance, arms=[GUIDED]).guided
    assert arm is not None
    return arm


def request_of(case: Case) -> Request:
    """The case's prompt and noise."""
    return Request(case.prompt.caption, case.prompt.seed)
