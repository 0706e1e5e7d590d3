"""Loss and gradient of the Crank-Nicolson residual of Gray-Scott, the ways one would write it, and ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional

from physgen.equations.systems import reaction_system
from physgen.experiments.speed.ratios import Pair
from physgen.grid import Grid
from physgen.ops.reaction_diffusion import reaction_diffusion_loss

DIFFUSIVITY, FEED, KILL = {"u": 0.16, "v": 0.08}, 0.037, 0.060
GRID = Grid(spacing=(1.0, 1.0), dt=1.0, boundary="periodic")
KERNEL = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])

Loss = Callable[[Tensor], Tensor]


def rolled_laplacian(u: Tensor) -> Tensor:
    """Periodic neighbours by `torch.roll`."""
    return u.roll(1, -1) + u.roll(-1, -1) + u.roll(1, -2) + u.roll(-1, -2) - 4 * u


def convolved_laplacian(u: Tensor) -> Tensor:
    """Periodic neighbours by a convolution."""
    frames = functional.pad(u.flatten(0, 2)[:, None], (1, 1, 1, 1), mode="circular")
    return functional.conv2d(frames, KERNEL.to(u)[None, None]).view_as(u)


def naive_rate(u: Tensor, laplacian: Callable[[Tensor], Tensor]) -> Tensor:
    """D lap u + R(u) as one writes it first."""
    a, b = u[:, 0], u[:, 1]
    reaction = torch.stack([-a * b * b + FEED * (1 - a), a * b * b - (FEED + KILL) * b], 1)
    return u.new_tensor(list(DIFFUSIVITY.values())).view(1, 2, 1, 1, 1) * laplacian(u) + reaction


def crank_nicolson_loss(u: Tensor, rate: Tensor) -> Tensor:
    """Half the squared residual, of the right-hand side of every frame."""
    residual = u.diff(dim=2) / GRID.dt - (rate[:, :, 1:] + rate[:, :, :-1]) / 2
    return residual.square().sum() / 2


def rolled_loss(u: Tensor) -> Tensor:
    """Naive, by `torch.roll`."""
    return crank_nicolson_loss(u, naive_rate(u, rolled_laplacian))


def convolved_loss(u: Tensor) -> Tensor:
    """Naive, by a convolution."""
    return crank_nicolson_loss(u, naive_rate(u, convolved_laplacian))


def fused_loss(u: Tensor) -> Tensor:
    """The library's."""
    system = reaction_system("gray_scott")
    return reaction_diffusion_loss(u, system, DIFFUSIVITY, {"F": FEED, "k": KILL}, GRID).sum()


def with_gradient(loss: Loss, u: Tensor) -> Callable[[], Tensor]:
    """The loss and its gradient with respect to the fields."""

    def work() -> Tensor:
        fields = u.detach().requires_grad_()
        return torch.autograd.grad(loss(fields), fields)[0]

    return work


def py_pde_rate(u: Tensor) -> Callable[[], object]:
    """Right-hand side of every frame by py-pde, compiled by its numba backend: no residual, no gradient."""
    pde = import_module("pde")
    height, width = u.shape[-2:]
    grid = pde.CartesianGrid([[0, height], [0, width]], [height, width], periodic=True)
    equation = pde.PDE(
        {
            "u": f"{DIFFUSIVITY['u']}*laplace(u) - u*v**2 + {FEED}*(1 - u)",
            "v": f"{DIFFUSIVITY['v']}*laplace(v) + u*v**2 - {FEED + KILL}*v",
        }
    )
    state = pde.FieldCollection([pde.ScalarField(grid, u[0, s, 0].double().numpy()) for s in range(2)])
    rate = equation.make_pde_rhs(state, backend="numba")
    frames = u.transpose(1, 2).flatten(0, 1).double().numpy()
    return lambda: [rate(frame, 0.0) for frame in frames]


def physicsnemo_loss() -> Loss:
    """The same with PhysicsNeMo's right-hand side, frame by frame: of a batch it reads ``u[0, 0]`` alone."""
    import sympy as sp

    equations, informers = (import_module(f"physicsnemo.sym.eq.{name}") for name in ("pde", "phy_informer"))
    x, y = sp.symbols("x y")
    u, v = (sp.Function(name)(x, y) for name in DIFFUSIVITY)

    class GrayScott(equations.PDE):  # type: ignore[name-defined]
        """Right-hand side of both species."""

        def __init__(self) -> None:
            self.dim = 2
            spread = [d * (c.diff(x, 2) + c.diff(y, 2)) for d, c in zip(DIFFUSIVITY.values(), (u, v), strict=True)]
            self.equations = {
                "rate_u": spread[0] - u * v**2 + FEED * (1 - u),
                "rate_v": spread[1] + u * v**2 - (FEED + KILL) * v,
            }

    names = ["rate_u", "rate_v"]
    informer = informers.PhysicsInformer(names, GrayScott(), "finite_difference", fd_dx=list(GRID.spacing))

    def frame_rate(frame: Tensor) -> Tensor:
        rates = informer.forward({"u": frame[None, None, 0], "v": frame[None, None, 1]})
        return torch.stack([rates[name][0, 0] for name in names])

    def loss(fields: Tensor) -> Tensor:
        rates = [torch.stack([frame_rate(frame) for frame in video.unbind(1)], 1) for video in fields]
        return crank_nicolson_loss(fields, torch.stack(rates))

    return loss


def contenders(u: Tensor) -> Mapping[str, Callable[[], object]]:
    """Every way to the loss and its gradient on these fields, and a plain copy of them."""
    ways: dict[str, Callable[[], object]] = {
        "plain copy (clone)": u.clone,
        "naive: roll + autograd": with_gradient(rolled_loss, u),
        "naive: conv + autograd": with_gradient(convolved_loss, u),
        "naive, torch.compile": with_gradient(torch.compile(rolled_loss, dynamic=False), u),
    }
    if find_spec("pde"):
        ways["py-pde, right-hand side only, float64"] = py_pde_rate(u)
    if find_spec("physicsnemo"):
        ways["PhysicsNeMo finite differences + autograd"] = with_gradient(physicsnemo_loss(), u)
    return ways


def pairs(u: Tensor, repeats: int) -> list[Pair]:
    """Ours against each of the others."""
    ours = with_gradient(fused_loss, u)
    return [
        Pair("reaction-diffusion, loss + gradient", ours, name, way, repeats) for name, way in contenders(u).items()
    ]
