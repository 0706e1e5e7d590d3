"""Reaction-diffusion from one frame to the next, in as many sub-steps as it takes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from physgen.dynamics.spectral import heat_kernel, transform
from physgen.equations.reaction_system import ReactionSystem
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.ops.backend import resolve_backend
from physgen.ops.lawson import LawsonSteps, Linearised
from physgen.stencil import SECOND_DERIVATIVE, check_wall, laplacian

Step = Callable[[Tensor], Tensor]

SCHEMES = ("exponential", "explicit")
#: |z| up to which the Runge-Kutta method is stable on the negative real axis, and that of the first sub-steps tried
STABLE, CAUTIOUS = 2.78, 2.0
#: error, as a part of the motion, above which the sub-steps are halved, and the largest number of them
TOLERANCE, MOST = 2e-3, 1024
#: values of a chunk of frames that go through the sub-steps together
CHUNK = 2**16
#: cells of a frame below which steps are not worth a compiled kernel
FEW = 2**10
#: trajectories that are tried for sub-steps that suit them
ATTEMPTS = 16


class FlowMap:
    """Phi_dt: fields one frame later, under a reaction-diffusion equation.

    du/dt = D lap u + R(u; theta),  Phi_dt = (phi_h)^n,  h = dt / n

    ``exponential``: phi_h is a step of the classical Runge-Kutta method for exp(-t D lap) u, with the exact heat flow
    of the discrete Laplacian: fourth order, exact for diffusion alone, and stable below a step that the reactions set.
    ``explicit`` is that Runge-Kutta method for u itself: stable below a step that the Laplacian sets.

    All pairs of frames advance together, in chunks. Gradients go to the fields: chunks and segments of sqrt(n)
    sub-steps are recomputed in the backward pass, so memory does not grow with the number of frames, and as sqrt(n)
    with that of sub-steps. Lines and frames of `FEW` cells or more on a CPU take the exponential steps, and their first
    derivative, in a compiled kernel.

    Args:
        system: reactions R.
        diffusivity: D of each species, µm²/s.
        parameters: theta.
        grid: spacing, frame interval dt and boundary.
        order: of the Laplacian, 2 or 4.
        wall: value of each species at a ``dirichlet`` wall, 0 by default.
        scheme: ``exponential`` or ``explicit``.

    Raises:
        InvalidArgument: an unknown order or scheme, or a boundary that has no Laplacian.

    Source: integrating factor: Lawson (1967), SIAM J. Numer. Anal. 4:372; checkpoints: Griewank (1992), Optimization
        Methods and Software 1:35.

    >>> from physgen.equations.systems import reaction_system
    >>> grid = Grid(spacing=(1.0,), dt=1.0)
    >>> logistic = FlowMap(reaction_system("fisher_kpp"), {"u": 1.0}, {"r": math.log(3.0), "K": 1.0}, grid)
    >>> u = torch.full((1, 1, 1, 4), 0.5)
    >>> logistic(u, substeps=16).mul(100).round().flatten().tolist()
    [75.0, 75.0, 75.0, 75.0]
    """

    def __init__(
        self,
        system: ReactionSystem,
        diffusivity: Mapping[str, float],
        parameters: Mapping[str, float],
        grid: Grid,
        *,
        order: int = 2,
        wall: Mapping[str, float] | None = None,
        scheme: str = "exponential",
    ) -> None:
        check_wall(grid.boundary)
        if order not in SECOND_DERIVATIVE:
            raise InvalidArgument("order", order, ", ".join(map(str, SECOND_DERIVATIVE)))
        if scheme not in SCHEMES:
            raise InvalidArgument("scheme", scheme, ", ".join(SCHEMES))
        self.system, self.grid, self.order, self.scheme = system, grid, order, scheme
        self.parameters = system.values(parameters)
        self._still = not any(system.rates)
        self.diffusivity = torch.tensor([diffusivity[name] for name in system.species], dtype=torch.float64)
        self._kernels: dict[Any, list[Tensor]] = {}
        self._wall = torch.tensor([(wall or {}).get(name, 0.0) for name in system.species], dtype=torch.float64)

    def __call__(self, u: Float[Tensor, "B S T *space"], substeps: int | None = None) -> Float[Tensor, "B S T *space"]:
        """Every frame one frame interval later, differentiable in ``u``, as often as you like.

        Raises:
            InvalidArgument: sub-steps beyond the limit of stability, or a frame interval that needs too many of them.
        """
        march = self.march(u, self._allowed(u, substeps))
        if self.compiled(u):
            return march(u)
        frames = max(1, CHUNK * u.shape[2] // u.numel())
        return torch.cat([_recomputed(march, part) for part in u.split(frames, 2)], 2)

    @torch.no_grad()
    def trajectory(
        self,
        first: Float[Tensor, "B S 1 *space"],
        frames: int,
        substeps: int | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> tuple[Float[Tensor, "B S T *space"], int]:
        """The frames that follow on a first one, with it, and their sub-steps: those that `substeps` chooses for them.

        Frames are computed anew with the sub-steps chosen for the last ones, rounded to ``dtype``, until these are the
        same. (Where that goes round in a circle, the first frame is brought nearer to its mean, by 1e-4 of the way.)

        Raises:
            InvalidArgument: as a call.
            NoSolution: the law blows up, or no number of sub-steps holds for the whole trajectory.
        """
        steps = self._allowed(first, substeps)
        for attempt in range(ATTEMPTS):
            march, path = self.march(first, steps), [first]
            for _ in range(frames - 1):
                path.append(march(path[-1]))
            whole = torch.cat(path, 2)
            if not bool(whole.isfinite().all()):
                raise NoSolution("fields", "no trajectory nearby", "fields from which the law does not blow up")
            rounded = whole[:, :, :-1].to(dtype)
            chosen = self._allowed(rounded.to(torch.promote_types(dtype, torch.float32)), substeps)
            if chosen == steps:
                return whole, steps
            steps = chosen
            if attempt >= ATTEMPTS // 2:
                mean = first.mean(tuple(range(3, first.ndim)), keepdim=True)
                first = first + 1e-4 * (mean - first)
        raise NoSolution("trajectory", "no number of sub-steps is stable all along it", "sub-steps that are given")

    def _allowed(self, u: Tensor, substeps: int | None) -> int:
        if substeps is None:
            return self.substeps(u)
        if substeps < self.fewest(u):
            allowed = f"at least {self.fewest(u)}: longer steps are unstable at these fields"
            raise InvalidArgument("substeps", substeps, allowed)
        return substeps

    @torch.no_grad()
    def fewest(self, u: Float[Tensor, "B S T *space"]) -> int:
        """Smallest number of sub-steps that is stable at fields ``u``.

        Raises:
            InvalidArgument: a frame interval in which that is more than `MOST`.
        """
        stiffness = float(self._stiffness(u).amax())
        longest = MOST * STABLE / stiffness if stiffness else math.inf
        if not self.grid.dt <= longest:
            allowed = f"at most {longest:.3g}: {MOST} sub-steps of a longer interval are unstable at these fields"
            raise InvalidArgument("grid.dt", self.grid.dt, allowed)
        return max(1, math.ceil(self.grid.dt * stiffness / STABLE))

    @torch.no_grad()
    def substeps(self, u: Float[Tensor, "B S T *space"]) -> int:
        """Number of sub-steps that stiffness and accuracy at fields ``u`` ask for.

        From h * stiffness <= 2 on, doubled until that changes the stiffest frame's motion by less than `TOLERANCE`
        (root mean squares of every species), up to `MOST`.

        Raises:
            InvalidArgument: a frame interval in which `MOST` are too few.
        """
        fewest, stiffness = self.fewest(u), self._stiffness(u)
        frame = u.narrow(2, int(stiffness.argmax()), 1)
        cautious = math.ceil(self.grid.dt * float(stiffness.amax()) / CAUTIOUS)
        steps = min(MOST, max(fewest, cautious))
        coarse = self.march(frame, steps)(frame)
        while steps < MOST:
            fine = self.march(frame, 2 * steps)(frame)
            motion, error, size = (_rms(x) for x in (fine - frame, fine - coarse, frame))
            if not bool((error > TOLERANCE * motion.maximum(TOLERANCE * size)).any()):
                break
            steps, coarse = 2 * steps, fine
        return steps

    def _stiffness(self, u: Tensor) -> Tensor:
        """Bound of the spectral radius of what is integrated step by step, of every frame, 1/s."""
        if self._still and self.scheme == "exponential":
            return u.new_zeros(u.shape[2])
        rows = self.system.jacobian(u, self.parameters).abs().sum(2)
        if self.scheme == "explicit":
            rows = rows + _constant(self.diffusivity, u) * self._largest_eigenvalue
        return rows.transpose(1, 2).flatten(2).amax((0, 2))

    @property
    def _largest_eigenvalue(self) -> float:
        centre, *neighbours = SECOND_DERIVATIVE[self.order]
        return (abs(centre) + 2 * sum(map(abs, neighbours))) * sum(h**-2 for h in self.grid.spacing)

    def march(self, u: Float[Tensor, "B S T *space"], steps: int) -> Step:
        """Phi_dt of frames like ``u``, in ``steps`` sub-steps, stable or not."""
        h, wall = self.grid.dt / steps, _constant(self._wall, u)
        if self.scheme == "explicit":
            step = partial(_runge_kutta, partial(self._rate, wall), h)
            return lambda v: _repeated(step, steps, v - wall) + wall
        if self._still:
            flow = self._heat(u, self.grid.dt)
            return lambda v: transform(v - wall, flow) + wall
        half = self._heat(u, h / 2)
        lawson = partial(_lawson, partial(self._reaction, wall), partial(transform, matrices=half), h)

        def reference(v: Tensor) -> Tensor:
            return _repeated(lawson, steps, v - wall) + wall

        if not self.compiled(u):
            return reference
        constants = [*self._wall.tolist(), *(float(self.parameters[name]) for name in self.system.parameters)]
        compiled = LawsonSteps(self.system, half, constants, h, steps)
        return lambda v: _Compiled.apply(v - wall, compiled, lambda x: reference(x + wall) - wall) + wall

    def part(self, parts: int) -> FlowMap:
        """The flow of so many parts of the frame interval, one of them."""
        flow = copy.copy(self)
        flow.grid, flow._kernels = replace(self.grid, dt=self.grid.dt / parts), {}
        return flow

    def linearised(self, u: Float[Tensor, "1 S T *space"], parts: int) -> Callable[[Tensor], Linearised]:
        """The compiled tangent, by so many parts of a frame, of the Jacobian along a path like ``u``."""
        part = self.grid.dt / parts
        return partial(Linearised, self.system, self._heat(u, part), h=part, parts=parts)

    def compiled(self, u: Float[Tensor, "B S T *space"]) -> bool:
        """Whether fields like ``u`` take the compiled kernel."""
        usable = self.scheme == "exponential" and u.ndim < 6 and u.dtype in (torch.float32, torch.float64)
        large = not self._still and u[0, 0, 0].numel() >= FEW
        return usable and large and resolve_backend("auto", u.device, ("reference", "numba")) == "numba"

    def _heat(self, u: Tensor, time: float) -> list[Tensor]:
        key = time, u.shape[3:], u.dtype, u.device
        if key not in self._kernels:
            axes, variance = zip(u.shape[3:], self.grid.spacing, strict=True), self.diffusivity * time
            kernels = [heat_kernel(cells, h, self.grid.boundary, self.order, variance) for cells, h in axes]
            self._kernels[key] = [kernel.to(u) for kernel in kernels]
        return self._kernels[key]

    def _reaction(self, wall: Tensor, v: Tensor) -> Tensor:
        return _Reaction.apply(v + wall, self.system, self.parameters)

    def _rate(self, wall: Tensor, v: Tensor) -> Tensor:
        diffusion = laplacian(v, self.grid.spacing, self.grid.boundary, self.order)
        return _constant(self.diffusivity, v) * diffusion + self._reaction(wall, v)


class _Reaction(torch.autograd.Function):
    """R(u), whose gradient needs nothing but u."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, system: ReactionSystem, parameters: Mapping[str, float]) -> Tensor:
        ctx.save_for_backward(u)
        ctx.system, ctx.parameters = system, parameters
        return system.reaction(u, parameters)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        return ctx.system.vjp(u, cotangent, ctx.parameters), None, None


class _Compiled(torch.autograd.Function):
    """Steps whose first derivative is a kernel, and whose further ones are those of the reference."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, compiled: LawsonSteps, reference: Step) -> Tensor:
        ctx.save_for_backward(u)
        ctx.compiled, ctx.reference = compiled, reference
        return compiled(u)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return ctx.compiled.vjp(u, cotangent), None, None
        (product,) = torch.autograd.grad(ctx.reference(u), u, cotangent, create_graph=True)
        return product, None, None


def _runge_kutta(rate: Step, h: float, u: Tensor) -> Tensor:
    first = rate(u)
    second = rate(u + h / 2 * first)
    third = rate(u + h / 2 * second)
    fourth = rate(u + h * third)
    return u + h / 6 * (first + 2 * (second + third) + fourth)


def _lawson(rate: Step, half: Step, h: float, u: Tensor) -> Tensor:
    """The same in the frame that moves with the linear part, ``half`` = exp(h/2 D lap)."""
    first = rate(u)
    moved, pushed = half(u), half(first)
    second = rate(moved + h / 2 * pushed)
    third = rate(moved + h / 2 * second)
    fourth = rate(half(moved + h * third))
    return half(moved + h / 6 * pushed + h / 3 * (second + third)) + h / 6 * fourth


def _repeated(step: Step, times: int, u: Tensor) -> Tensor:
    """``step`` applied ``times`` times; in the backward pass, segments of its square root are recomputed."""

    def segment(count: int, v: Tensor) -> Tensor:
        for _ in range(count):
            v = step(v)
        return v

    length = math.isqrt(max(times - 1, 0)) + 1
    for start in range(0, times, length):
        u = _recomputed(partial(segment, min(length, times - start)), u)
    return u


def _recomputed(step: Step, u: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return step(u)
    return checkpoint(step, u, use_reentrant=False, preserve_rng_state=False)


def _constant(values: Tensor, u: Tensor) -> Tensor:
    """Values of the species, against fields."""
    return values.to(u).view(-1, *[1] * (u.ndim - 2))


def _rms(u: Tensor) -> Tensor:
    return u.transpose(0, 1).flatten(1).square().mean(1).sqrt()
