"""The flow map against exact solutions, itself and a count of the bytes it holds."""

import math
import weakref
from collections.abc import Callable
from itertools import pairwise

import pytest
import scipy.special
import torch
from markers import slow_except
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from physgen.dynamics.flow_map import SCHEMES, TOLERANCE, FlowMap
from physgen.equations.reaction_system import ReactionSystem
from physgen.equations.systems import reaction_system
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.stencil import WALLS

every_scheme = pytest.mark.parametrize("scheme", SCHEMES)
every_wall = pytest.mark.parametrize("boundary", WALLS)

GRAY_SCOTT = {"u": 0.36, "v": 0.18}, {"F": 0.03, "k": 0.062}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spots(*space: int, frames: int = 1) -> Tensor:
    """Gray-Scott fields ``[1, 2, frames, *space]`` in the middle of forming a pattern."""
    smooth = FlowMap(reaction_system("diffusion"), {"c": 1.0}, {}, Grid((1.0,) * len(space), 3.0, "periodic"))
    noise = smooth(random(1, 1, frames, *space)) - 0.5
    return torch.cat([0.6 - noise, 0.2 + noise], 1)


def gray_scott(dt: float, space: int = 2, boundary: str = "periodic", scheme: str = "exponential") -> FlowMap:
    return FlowMap(reaction_system("gray_scott"), *GRAY_SCOTT, Grid((1.0,) * space, dt, boundary), scheme=scheme)


def orders(errors: list[float]) -> list[float]:
    return [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]


def decay(amount: float | int, rate: float, saturation: float, time: float) -> float:
    """Michaelis-Menten in closed form: Km W(S0/Km exp((S0 - Vmax t) / Km))."""
    ratio = amount / saturation
    return saturation * float(scipy.special.lambertw(ratio * math.exp(ratio - rate * time / saturation)).real)


@every_scheme
def test_logistic_growth_in_fourth_order(scheme: str) -> None:
    grid, start, rate, capacity = Grid((1.0, 1.0), dt=1.5), 0.1, 2.0, 0.8
    flow = FlowMap(reaction_system("fisher_kpp"), {"u": 0.1}, {"r": rate, "K": capacity}, grid, scheme=scheme)
    exact = capacity / (1 + (capacity / start - 1) * math.exp(-rate * grid.dt))
    u = torch.full((1, 1, 1, 3, 3), start, dtype=torch.float64)
    errors = [float((flow(u, n) - exact).abs().max()) for n in (8, 16, 32)]
    assert all(3.8 < order < 4.2 for order in orders(errors)), orders(errors)


@every_scheme
def test_michaelis_menten_in_fourth_order(scheme: str) -> None:
    grid, start, rate, saturation = Grid((1.0,), dt=2.0), 1.0, 1.0, 0.5
    constants = {"S": 0.1, "P": 0.1}, {"Vmax": rate, "Km": saturation}
    flow = FlowMap(reaction_system("michaelis_menten"), *constants, grid, scheme=scheme)
    left = decay(start, rate, saturation, grid.dt)
    u = torch.tensor([start, 0.0], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    exact = torch.tensor([left, start - left], dtype=torch.float64).view(1, 2, 1, 1)
    errors = [float((flow(u, n) - exact).abs().max()) for n in (8, 16, 32)]
    assert all(3.8 < order < 4.3 for order in orders(errors)), orders(errors)


@every_wall
@pytest.mark.parametrize("order", [2, 4])
def test_heat_flow_is_exact_in_time_and_of_the_order_of_the_laplacian_in_space(boundary: str, order: int) -> None:
    """Decay of a mode of the continuous Laplacian, 1-D, in one step."""
    phase = {"no-flux": (1, 0.5), "dirichlet": (1, 0.0), "periodic": (2, 0.3)}[boundary]
    errors = []
    for cells in (16, 32, 64):
        grid = Grid((1.0 / cells,), dt=0.1, boundary=boundary)
        x = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
        mode = torch.sin(math.pi * (phase[0] * x + phase[1])).view(1, 1, 1, -1)
        flow = FlowMap(reaction_system("diffusion"), {"c": 0.7}, {}, grid, order=order)
        decayed = math.exp(-0.7 * (phase[0] * math.pi) ** 2 * grid.dt) * mode
        errors.append(float((flow(mode, 1) - decayed).abs().max()))
        torch.testing.assert_close(flow(mode), flow(mode, 7), rtol=0, atol=1e-13)
    assert all(order - 0.15 < measured < order + 0.15 for measured in orders(errors)), orders(errors)


@pytest.mark.parametrize("space", [1, 2, 3])
def test_gaussian_spreads_as_the_heat_kernel(space: int) -> None:
    """sigma^2(t) = sigma^2 + 2 D t, from the exact solution, on lines, frames and volumes."""
    errors = []
    for h in (1.0, 0.5):
        cells, grid = int(24 / h), Grid((h,) * space, dt=0.5, boundary="no-flux")
        x = (torch.arange(cells, dtype=torch.float64) + 0.5) * h - 12
        line = [torch.exp(-x.square() / (2 * s)) / s**0.5 for s in (4.0, 4.0 + 2 * 3.0 * grid.dt)]
        before, after = (line[i] for i in range(2))
        for _ in range(space - 1):
            before, after = before[..., None] * line[0], after[..., None] * line[1]
        flow = FlowMap(reaction_system("diffusion"), {"c": 3.0}, {}, grid, order=4)
        errors.append(float((flow(before[None, None, None]) - after).abs().max() / after.max()))
    assert errors[1] < 1e-3
    assert 3.7 < orders(errors)[0] < 4.2


@every_scheme
@pytest.mark.parametrize("space", slow_except({(24,), (12, 10)}, [(24,), (12, 10), (6, 5, 4)]))
def test_reactions_and_diffusion_together_in_fourth_order(scheme: str, space: tuple[int, ...]) -> None:
    u = spots(*space)
    flow = gray_scott(6.0, len(space), scheme=scheme)
    first = 5 if scheme == "exponential" else 20
    exact = flow(u, 12 * first)
    errors = [float((flow(u, n * first) - exact).abs().max()) for n in (1, 2, 4)]
    assert all(3.6 < order < 4.4 for order in orders(errors)), orders(errors)


@every_wall
def test_schemes_agree(boundary: str) -> None:
    u = spots(10, 12)
    flows = [gray_scott(8.0, boundary=boundary, scheme=scheme) for scheme in SCHEMES]
    first, second = (flow(u, 96) for flow in flows)
    assert (first - u).abs().max() > 0.05
    tolerance = 1e-7 if boundary != "dirichlet" else 1e-5
    torch.testing.assert_close(first, second, rtol=0, atol=tolerance)


@every_scheme
def test_two_intervals_are_one_of_twice_the_length(scheme: str) -> None:
    u = spots(8, 8)
    once, twice = gray_scott(10.0, scheme=scheme), gray_scott(20.0, scheme=scheme)
    torch.testing.assert_close(once(once(u, 20), 20), twice(u, 40), rtol=0, atol=1e-13)


@pytest.mark.parametrize("scheme", slow_except({"exponential"}, SCHEMES))
def test_chosen_substeps_meet_the_tolerance(scheme: str) -> None:
    u, flow = spots(12, 12, frames=2), gray_scott(40.0, scheme=scheme)
    chosen, fine = flow.substeps(u), flow(u, 400)
    error, motion = (x.square().mean((0, 2, 3, 4)).sqrt() for x in (flow(u) - fine, fine - u))
    assert flow.fewest(u) <= chosen < 200
    assert (error < 2 * TOLERANCE * motion).all()


def test_explicit_substeps_beyond_the_limit_are_refused_and_would_blow_up() -> None:
    flow = FlowMap(
        reaction_system("diffusion"), {"c": 1.0}, {}, Grid((0.1, 0.2), dt=1.0, boundary="periodic"), scheme="explicit"
    )
    u = random(1, 1, 1, 8, 8)
    fewest = flow.fewest(u)
    assert fewest == math.ceil(4 * (1 / 0.1**2 + 1 / 0.2**2) / 2.78)
    with pytest.raises(InvalidArgument, match=rf"substeps={fewest - 1}: allowed: at least {fewest}"):
        flow(u, fewest - 1)
    checkered = torch.ones(8, dtype=torch.float64) * torch.tensor([1.0, -1.0]).repeat(4)
    worst = (checkered * checkered[:, None]).view(1, 1, 1, 8, 8)
    assert flow(worst, fewest).abs().max() < 1
    assert flow.march(worst, int(0.9 * fewest))(worst).abs().max() > 1e3


def test_stiff_reactions_bound_the_substeps_too() -> None:
    system = ReactionSystem(["c"], ["k"], ["-k*c"])
    flow = FlowMap(system, {"c": 1.0}, {"k": 1e3}, Grid((1.0,), dt=0.1))
    with pytest.raises(InvalidArgument, match="substeps=10: allowed: at least 36"):
        flow(random(1, 1, 1, 4), 10)
    assert flow(random(1, 1, 1, 4)).abs().max() < 1e-12


@pytest.mark.parametrize("substeps", [None, 64, 4096])
@pytest.mark.parametrize(
    ("scheme", "system", "diffusivity", "parameters"),
    [
        ("explicit", reaction_system("diffusion"), 100.0, {}),
        ("exponential", ReactionSystem(["c"], ["k"], ["-k*c"]), 1.0, {"k": 1e4}),
    ],
)
def test_intervals_of_too_many_substeps_are_refused(
    scheme: str, system: ReactionSystem, diffusivity: float, parameters: dict, substeps: int | None
) -> None:
    flow = FlowMap(system, {"c": diffusivity}, parameters, Grid((1.0, 1.0), dt=20.0), scheme=scheme)
    with pytest.raises(InvalidArgument, match=r"grid.dt=20.0: allowed: at most \d"):
        flow(random(1, 1, 2, 8, 8), substeps)


@every_scheme
@pytest.mark.parametrize("boundary", slow_except({"dirichlet"}, WALLS))
def test_gradient(scheme: str, boundary: str) -> None:
    flow = FlowMap(
        reaction_system("gray_scott"),
        *GRAY_SCOTT,
        Grid((1.0, 2.0), 2.0, boundary),
        wall={"u": 0.5, "v": 0.1},
        scheme=scheme,
    )
    u = random(1, 2, 1, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: flow(x, 5), (u,))


@every_scheme
def test_gradient_is_the_adjoint_of_the_tangent(scheme: str) -> None:
    """<J v, w> = <v, J^T w>, J v by a central difference."""
    u, flow = spots(8, 8, frames=3), gray_scott(10.0, scheme=scheme)
    v, w = random(*u.shape, seed=1) - 0.5, random(*u.shape, seed=2) - 0.5
    tangent = (flow(u + 1e-5 * v, 16) - flow(u - 1e-5 * v, 16)) / 2e-5
    leaf = u.clone().requires_grad_()
    (adjoint,) = torch.autograd.grad(flow(leaf, 16), leaf, w)
    torch.testing.assert_close((tangent * w).sum(), (v * adjoint).sum(), rtol=1e-8, atol=0)


@every_wall
def test_diffusion_conserves_and_walls_hold(boundary: str) -> None:
    grid = Grid((1.0, 1.5), dt=4.0, boundary=boundary)
    flow = FlowMap(reaction_system("diffusion"), {"c": 2.0}, {}, grid, wall={"c": 0.3})
    u = random(2, 1, 3, 6, 5)
    if boundary == "dirichlet":
        torch.testing.assert_close(flow(torch.full_like(u, 0.3)), torch.full_like(u, 0.3))
        assert (flow(u) - 0.3).abs().max() < (u - 0.3).abs().max()
    else:
        torch.testing.assert_close(flow(u).sum((-2, -1)), u.sum((-2, -1)), rtol=0, atol=1e-12)


class _Held(TorchDispatchMode):
    """Bytes of tensors that are alive, and the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self._hold(tensor.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:
            self._seen.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def held(frames: int, substeps: int) -> float:
    """Largest memory of a gradient beyond what is there before, in frames of all species."""
    u, flow = spots(16, 16, frames=frames).requires_grad_(), gray_scott(10.0)
    with _Held() as memory:
        flow(u, substeps).sum().backward()
    return memory.most / (2 * 256 * 8)


@pytest.mark.slow
def test_memory_does_not_grow_with_frames_and_as_the_root_of_the_substeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physgen.dynamics.flow_map.CHUNK", 2 * 256)
    few, many = held(4, 9), held(12, 9)
    assert many - few < 8 * 4.5, "of each frame: itself, its image, their gradients"
    one, four, nine = (held(1, substeps) for substeps in (9, 36, 81))
    assert nine < 2.5 * one
    assert nine - four < 1.1 * (four - one)
