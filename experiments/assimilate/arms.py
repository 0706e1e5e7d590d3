"""The ways to fill in what was not seen, each within the same number of network evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint, Observed
from physgen.experiments.assimilate import peers
from physgen.experiments.assimilate.cases import Case
from physgen.experiments.assimilate.network import Network
from physgen.experiments.assimilate.without_model import interpolated, law_alone, without_noise
from physgen.guidance import DPS, Afterwards, Assimilation
from physgen.sampling import sample_flow
from physgen.tensors import keep_finite
from physgen.worlds import World

#: names of the arms
BETWEEN, MEANS, LAW = "interpolation", "non-local means", "law alone"
FREE, BEST = "unguided, joined", "best of 2, joined"
MODEL, FORWARD, AFTER, BOTH = "model", "model, forward", "model, then law", "model and law"
INSIDE = "law on the way as well"
TUNED, TUNED_BOTH = "fine-tuned", "fine-tuned, and law"
PEERS = "ECI", "PCFM", "PPR", "DiffusionPDE", "FlowDAS"
#: evaluations of the network for each sample; one that a gradient is taken through counts 3
BUDGET = 120
#: of classifier-free guidance, of arms that know what was observed and of those that do not: each the better one on
#: development prompts
SCALE, FREE_SCALE = 1.0, 3.0
#: draws of which the one that is nearest to the observation is kept
BEST_OF = 2
#: part of the noise that is drawn anew at each step, see `Guidance`
RENOISE = 0.9


@dataclass(frozen=True)
class ObservedCase:
    """One case under one observation.

    Attributes:
        count: samples of the posterior.
        labels: what tells its random numbers from those of another observation.
    """

    world: World
    case: Case
    seen: Observed
    count: int
    label: str

    def network(self, scale: float) -> Network:
        """A new one, with no evaluations so far."""
        return Network(self.world, self.case.prompt.caption, self.case.observable, scale)

    def generator(self, what: str) -> torch.Generator:
        """Random numbers of one part of an arm."""
        return self.case.generator(f"{self.label} {what}")


@dataclass(frozen=True)
class Made:
    """Fields ``[M, S, T, H, W]``, and what one sample of them took."""

    fields: Float[Tensor, "M S T H W"]
    seconds: float
    calls: int


def timed(asked: ObservedCase, work: Callable[[Network], Tensor], scale: float = SCALE) -> Made:
    """What an arm makes."""
    network, began = asked.network(scale), time.perf_counter()
    fields = work(network)
    return Made(fields, (time.perf_counter() - began) / len(fields), network.calls)


def unguided(asked: ObservedCase, network: Network) -> Tensor:
    """As the world draws, with all evaluations."""
    return network.fields(_free(asked, network, BUDGET // 2, 0))


def pool(asked: ObservedCase, network: Network) -> Tensor:
    """Shorter draws, as many as `best_of` needs: the i-th of each turn for the i-th sample."""
    steps = BUDGET // 2 // BEST_OF
    return torch.cat([network.fields(_free(asked, network, steps, turn)) for turn in range(BEST_OF)])


def best_of(asked: ObservedCase, draws: Made) -> Made:
    """Of the draws of `pool` the ones that are nearest to what was observed."""
    turns = draws.fields.unflatten(0, (BEST_OF, asked.count))
    off = asked.seen.residual(draws.fields).square().sum(1).unflatten(0, (BEST_OF, asked.count))
    best = torch.stack([turns[turn, sample] for sample, turn in enumerate(off.argmin(0).tolist())])
    return Made(best, BEST_OF * draws.seconds, draws.calls)


def _free(asked: ObservedCase, network: Network, steps: int, turn: int) -> Tensor:
    noise = network.noise(asked.count, asked.case.generator(f"noise {turn}"))
    with torch.no_grad():
        return sample_flow(network, noise, network.sigmas(steps))


def observed(asked: ObservedCase, network: Network, jacobian: str, *, law: bool = False) -> Tensor:
    """The library's `DPS` towards what was observed; with ``law`` also towards the case's law, at every step."""
    steps = BUDGET // (3 if jacobian == "backward" else 2)
    constraints: dict[str, Constraint] = {"observed": asked.seen}
    if law:
        assert asked.case.law is not None
        constraints["law"] = asked.case.law
    found = sample_flow(
        network,
        network.noise(asked.count, asked.case.generator("noise 0")),
        network.sigmas(steps),
        guidance=DPS(constraints, jacobian=jacobian, renoise=RENOISE),
        decode=network.decoder,
        grid=asked.case.grid,
        generator=asked.generator("renoise"),
    )
    return network.fields(found)


def joined(asked: ObservedCase, fields: Tensor) -> Tensor:
    """The law's trajectory that is nearest to the observation and, as far as samples agree, to each of them.

    Without a law the observed values are put in; samples near which the law blows up stay as they are.
    """
    if asked.case.law is None:
        return asked.seen.project(fields, None)
    guidance = Assimilation({"observed": asked.seen, "law": asked.case.law})
    members = guidance.members(fields, asked.generator("more noise")) if len(fields) > 1 else (guidance,)
    found = [
        member.projection(one, asked.case.grid, asked.case.observable.bounds).fields
        for one, member in zip(fields.split(1), members, strict=True)
    ]
    return keep_finite(torch.cat(found), fields)[0]


def on_the_law(asked: ObservedCase, fields: Tensor) -> Tensor:
    """The law's trajectory that is nearest to each sample; what was observed plays no further part."""
    assert asked.case.law is not None
    return keep_finite(Afterwards({"law": asked.case.law}).projection(fields, asked.case.grid).fields, fields)[0]


def without_a_model(asked: ObservedCase) -> dict[str, Callable[[], Tensor]]:
    """What needs no network."""
    seen, law, grid = asked.seen, asked.case.law, asked.case.grid
    arms: dict[str, Callable[[], Tensor]] = {BETWEEN: partial(interpolated, seen)}
    if bool(seen.mask.all()):
        arms[MEANS] = partial(without_noise, seen)
    if law is not None:
        arms[LAW] = partial(law_alone, seen, law, grid)
    return arms


def published(asked: ObservedCase, network: Network, name: str) -> Tensor:
    """One sample of a peer, from the same noise as the first of the others."""
    noise = network.noise(1, asked.case.generator("noise 0"))
    samplers: dict[str, Callable[[], Tensor]] = {
        "ECI": lambda: peers.run_eci(network, asked.seen, noise, BUDGET),
        "PCFM": lambda: peers.run_pcfm(network, asked.seen, noise, BUDGET),
        "PPR": lambda: peers.run_ppr(network, asked.seen, noise, BUDGET, asked.generator(name)),
        "DiffusionPDE": lambda: peers.run_diffusion_pde(network, asked.seen, noise, BUDGET // 3),
        "FlowDAS": lambda: peers.run_flow_das(network, asked.seen, noise, BUDGET // 3, asked.generator(name)),
    }
    return network.fields(samplers[name]())


def every_arm(asked: ObservedCase, free: Made, draws: Made, *, thorough: bool) -> dict[str, Made]:
    """All arms on one observation; `unguided` and `pool` know nothing of it and are made once a prompt.

    Peers, and the model without a backward pass, run where it is ``thorough``.
    """
    found: dict[str, Made] = {}
    for name, work in without_a_model(asked).items():
        found[name] = timed(asked, partial(_ignoring_network, work))
    found[FREE] = _then(asked, free, joined)
    found[BEST] = _then(asked, best_of(asked, draws), joined)
    found[MODEL] = timed(asked, partial(observed, asked, jacobian="backward"))
    if asked.case.law is not None:
        found[AFTER] = _then(asked, found[MODEL], on_the_law)
        found[BOTH] = _then(asked, found[MODEL], joined)
        inside = timed(asked, partial(observed, asked, jacobian="backward", law=True))
        found[INSIDE] = _then(asked, inside, joined)
    if thorough:
        found[FORWARD] = timed(asked, partial(observed, asked, jacobian="forward"))
        for name in PEERS:
            found[name] = timed(asked, partial(published, asked, name=name))
    return found


def arms_of_movie(asked: ObservedCase, tuned: World | None) -> dict[str, Made]:
    """The arms of a piece of a real movie, and those of the world that was fine-tuned on such movies."""
    found = {name: timed(asked, partial(_ignoring_network, work)) for name, work in without_a_model(asked).items()}
    for world, name, with_law in ((asked.world, MODEL, BOTH), (tuned, TUNED, TUNED_BOTH)):
        if world is None:
            continue
        found[name] = timed(
            replace(asked, world=world), partial(observed, replace(asked, world=world), jacobian="backward")
        )
        if asked.case.law is not None:
            found[with_law] = _then(asked, found[name], joined)
    return found


def _ignoring_network(work: Callable[[], Tensor], network: Network) -> Tensor:
    return work()


def _then(asked: ObservedCase, made: Made, change: Callable[[ObservedCase, Tensor], Tensor]) -> Made:
    began = time.perf_counter()
    fields = change(asked, made.fields)
    return Made(fields, made.seconds + (time.perf_counter() - began) / len(fields), made.calls)
