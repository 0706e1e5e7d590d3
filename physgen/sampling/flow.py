"""Flow matching from noise to sample, for velocities that no diffusers pipeline holds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import finite, floating, function, instance
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Guidance, NoiseSearch, Particles
from physgen.guidance.base import read_guidance
from physgen.guidance.problem import Decode
from physgen.sampling.functional import corrected
from physgen.tensors import keep_finite

Velocity = Callable[[Tensor, Tensor], Tensor]
Callback = Callable[[int, Tensor, Tensor], None]


def sample_flow(
    velocity: Velocity,
    noise: Float[Tensor, "B *shape"],
    sigmas: Float[Tensor, "N"],
    *,
    guidance: Guidance | None = None,
    decode: Decode | None = None,
    grid: Grid | None = None,
    renoise: float = 0.0,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Float[Tensor, "_ *shape"]:
    """Euler's method on the flow, every estimate of the clean sample guided.

    x0_hat = x - s v(x, s),  e = (x - (1 - s) x0*) / s,  x <- (1 - s') x0* + s' (sqrt(1 - eta) e + sqrt(eta) xi)

    Guidances with a `recurrence` visit each level so often: x goes from s' back to s with fresh noise. `Particles`
    compete in groups of n neighbours, and one of each group is returned. `NoiseSearch` first moves the noise.

    Args:
        velocity: v(x, sigma) = noise - x0 of diffusers' convention, with sigma a 0-d tensor in [0, 1].
        noise: x at the first sigma.
        sigmas: noise levels, descending from at most 1; the last one is 0.
        guidance: what corrects x0_hat; a `terminal` one also projects the result, on samples (without ``decode``).
        decode: from samples to the fields that the constraints act on; the samples themselves when None.
        grid: of the fields.
        renoise: eta in [0, 1], also without guidance; where the guidance corrects, its own if that is larger.
        generator: of xi.
        callback: called with step, x before the step and x0* after every step.

    Raises:
        InvalidArgument: sigmas that do not descend to 0, or a renoise outside [0, 1].

    Source: Lipman et al., arXiv:2210.02747; renoising: Kim et al., arXiv:2503.08136; recurrence: Ye et al.,
        arXiv:2409.15761.

    >>> gaussian = lambda x, s: (2 * s - 1) * x / (s**2 + (1 - s) ** 2)  # samples of a standard normal prior
    >>> x = torch.tensor([[1.0, -2.0]])
    >>> sample_flow(gaussian, x, torch.linspace(1, 0, 401)).round(decimals=1).tolist()
    [[1.0, -2.0]]
    """
    guidance = None if guidance is None else read_guidance(guidance)
    renoise = finite("renoise", renoise, "0 to 1", lambda eta: 0 <= eta <= 1)
    if callback is not None:
        function("callback", callback, "a function of step, x and x0*")
    if generator is not None:
        instance("generator", generator, torch.Generator, "a torch.Generator")
    x, sigmas = _batch(noise), _levels(sigmas)
    particles = guidance if isinstance(guidance, Particles) else None
    network = velocity if particles is None else _counted(velocity, particles)
    for position, s, following, guided in _schedule(sigmas, guidance):
        where: dict[str, Any] = {"guidance": guided, "decode": decode, "grid": grid, "position": position}
        if isinstance(guidance, NoiseSearch) and not position[0]:
            x = guidance.search(
                x, lambda z, k: _velocity(velocity, z, sigmas[k]), sigmas.tolist(), decode=decode, grid=grid
            ).noise
        visits = guided.recurrence if guided else 1
        eta = max(renoise, guided.renoise if guided else 0.0)
        for visit in range(visits):
            if visit:
                x = _noised(x, float(following), float(s), generator)
            before, x0 = x, estimate(network, x, s, **where)
            e = (x - (1 - s) * x0) / s
            if particles and visit == visits - 1:
                before, x0, e = _survivors(particles, before, x0, e, float(s), generator, where)
            if eta and following > 0:
                e = math.sqrt(1 - eta) * e + math.sqrt(eta) * _normal(e, generator)
            x = (1 - following) * x0 + following * e
        if callback:
            callback(position[0], before, x0)
    if particles:
        x = x[particles.finish(x, decode=decode, grid=grid).to(x.device)]
    return _finished(x, guidance, decode, grid)


def _counted(velocity: Velocity, particles: Particles) -> Velocity:
    def counted(x: Tensor, sigma: Tensor) -> Tensor:
        particles.log.evaluations += len(x)
        return velocity(x, sigma)

    return counted


def _survivors(
    particles: Particles,
    x: Tensor,
    x0: Tensor,
    e: Tensor,
    sigma: float,
    generator: torch.Generator | None,
    where: dict[str, Any],
) -> tuple[Tensor, Tensor, Tensor]:
    """x, x0* and the noise of the particles that live on."""
    seen = {"position": where["position"], "decode": where["decode"], "grid": where["grid"]}
    found = particles.offspring(x0, sigma=sigma, generator=generator, **seen)
    if found is None:
        return x, x0, e
    x, x0, e = (part[found.ancestors.to(part.device)] for part in (x, x0, e))
    return x, x0, particles.renewed(e, _normal(e, generator), found.fresh) if bool(found.fresh.any()) else e


def sample_flow_heun(
    velocity: Velocity,
    noise: Float[Tensor, "B *shape"],
    sigmas: Float[Tensor, "N"],
    *,
    guidance: Guidance | None = None,
    decode: Decode | None = None,
    grid: Grid | None = None,
    callback: Callback | None = None,
) -> Float[Tensor, "B *shape"]:
    """Heun's method on the guided flow: second order, two evaluations per step but the last.

    d = (x - x0*(x, s)) / s,  y = x + (s' - s) d,  x <- x + (s' - s) (d + (y - x0*(y, s')) / s') / 2

    Arguments and errors are those of `sample_flow`; without noise, a recurrence is refused.

    Source: Karras et al., arXiv:2206.00364, algorithm 1.

    >>> gaussian = lambda x, s: (2 * s - 1) * x / (s**2 + (1 - s) ** 2)
    >>> sample_flow_heun(gaussian, torch.tensor([[1.0, -2.0]]), torch.linspace(1, 0, 41)).round(decimals=2).tolist()
    [[1.0, -2.0]]
    """
    if guidance is not None:
        read_guidance(guidance)
        for name, plain in {"renoise": 0.0, "recurrence": 1, "particles": 1, "searches": False}.items():
            if (value := getattr(guidance, name)) != plain:
                raise InvalidArgument(name, value, f"{plain} in Heun's method; sample_flow takes others")
    x, sigmas = _batch(noise), _levels(sigmas)
    for position, s, following, guided in _schedule(sigmas, guidance):
        where: dict[str, Any] = {"guidance": guided, "decode": decode, "grid": grid, "position": position}
        x0 = estimate(velocity, x, s, **where)
        slope = (x - x0) / s
        before, x = x, x + (following - s) * slope
        if following > 0:
            again = estimate(velocity, x, following, **where)
            x = before + (following - s) * (slope + (x - again) / following) / 2
        if callback:
            callback(position[0], before, x0)
    return _finished(x, guidance, decode, grid)


def estimate(
    velocity: Velocity,
    x: Float[Tensor, "B *shape"],
    sigma: Float[Tensor, ""],
    *,
    guidance: Guidance | None = None,
    decode: Decode | None = None,
    grid: Grid | None = None,
    position: tuple[int, int] | None = None,
) -> Float[Tensor, "B *shape"]:
    """x0* = guidance(x - sigma v(x, sigma)), with the graph of the network where the guidance asks for it."""
    if guidance is None:
        return x - sigma * _velocity(velocity, x, sigma)

    def predict(x_t: Tensor) -> Tensor:
        return x_t - sigma * _velocity(velocity, x_t, sigma)

    return corrected(guidance, predict, x, float(sigma), decode, grid, position)


def _batch(noise: Tensor) -> Tensor:
    if floating("noise", noise, "[B, ...]").ndim < 1 or 0 in noise.shape:
        raise InvalidArgument("noise", noise, "[B, ...], one sample or more")
    return noise


def _velocity(velocity: Velocity, x: Tensor, sigma: Tensor) -> Tensor:
    found = function("velocity", velocity, "a function of x and sigma")(x, sigma)
    if not isinstance(found, Tensor) or found.shape != x.shape:
        raise InvalidArgument("velocity", found, f"a tensor like x, {list(x.shape)}")
    return found


def _levels(sigmas: Tensor) -> Tensor:
    """The levels, once they descend to 0, for a graph: those that were made in inference mode cannot be in one."""
    allowed = "noise levels that descend from at most 1 to 0"
    if not isinstance(sigmas, Tensor) or sigmas.ndim != 1 or len(sigmas) < 2:
        raise InvalidArgument("sigmas", sigmas, f"a tensor [N] of {allowed}")
    if not bool((sigmas.diff() < 0).all()) or float(sigmas[-1]) != 0 or not float(sigmas[0]) <= 1:
        raise InvalidArgument("sigmas", sigmas.tolist(), allowed)
    with torch.inference_mode(False):
        return sigmas.clone()


def _schedule(
    sigmas: Tensor, guidance: Guidance | None
) -> Iterator[tuple[tuple[int, int], Tensor, Tensor, Guidance | None]]:
    """Number of the step and of all, its level, the next one, and the guidance where it is active, of a new run."""
    if guidance:
        guidance.reset()
    for step, (s, following) in enumerate(itertools.pairwise(sigmas)):
        position = (step, len(sigmas) - 1)
        yield position, s, following, guidance if guidance and guidance.active(*position) else None


def _finished(x: Tensor, guidance: Guidance | None, decode: Decode | None, grid: Grid | None) -> Tensor:
    """The samples, projected where a terminal guidance acts on them and can."""
    if guidance is None or not guidance.terminal or decode is not None:
        return x
    projected = guidance.projection(x, grid)
    if projected.contradiction:
        raise projected.contradiction
    return keep_finite(projected.fields, x)[0]


def _normal(x: Tensor, generator: torch.Generator | None) -> Tensor:
    device = generator.device if generator else x.device
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=device).to(x.device)


def _noised(x: Tensor, low: float, high: float, generator: torch.Generator | None) -> Tensor:
    """Samples of level ``low``, brought to level ``high`` by fresh noise."""
    if high == 1:
        return _normal(x, generator)
    part = (1 - high) / (1 - low)
    return part * x + math.sqrt(high**2 - (part * low) ** 2) * _normal(x, generator)
