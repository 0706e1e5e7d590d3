"""How far a video is from the law of its family, measured on fields read off its colours.

Diffusion and growth are tested in weak form, against cosine modes in space and sines in time, so that no derivative of
the video is taken; both are linear in their parameters, which are either fitted or held inside the range of the
simulator's ("slowly", "quickly").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn
from scipy.integrate import simpson
from scipy.ndimage import gaussian_filter
from scipy.optimize import lsq_linear
from torch import Tensor

from physgen.experiments.measure.moving import beads_law, sheet_law, vesicles_law, vessel_law
from physgen.grid import Grid
from physgen.observables import ColourMap
from physgen.simulators import beads, blood, dye, gray_scott, growth, sheet, vesicles

Array = npt.NDArray[np.float64]
Bounds = Sequence[tuple[float, float]]

GRIDS = {"dye": dye.GRID, "growth": growth.GRID}
#: highest cosine mode along each axis and highest sine in time of the weak forms; frames that a half-wave needs
MODES, SINES, FRAMES_A_SINE = 6, 4, 6
#: frames that the Gray-Scott flow map spans
LAG = 4


def colour_map(family: str, attributes: Mapping[str, str]) -> ColourMap:
    """The colour map that the simulator drew a video with.

    >>> colour_map("gray_scott", {"colour": "cyan"}).species
    ('u', 'v')
    """
    if family == "gray_scott":
        colours = [gray_scott.SUBSTRATE.tolist(), gray_scott.COLOURS[attributes["colour"]].tolist()]
        return ColourMap(colours, gray_scott.BACKGROUND.tolist(), ("u", "v"))
    if family in ("blood", "vessel"):
        colours = [c.tolist() for c in (blood.ERYTHROCYTE, blood.LUMEN, blood.WALL)]
        return ColourMap(colours, blood.TISSUE.tolist(), ("erythrocytes", "lumen", "wall"))
    if family == "sheet":
        return ColourMap([sheet.ACTIN.tolist(), sheet.NUCLEI.tolist()], sheet.BACKGROUND.tolist(), ("actin", "nuclei"))
    if family == "vesicles":
        colours = [vesicles.COLOURS[attributes["colour"]].tolist(), vesicles.MEMBRANE.tolist()]
        return ColourMap(colours, vesicles.BACKGROUND.tolist(), ("content", "membrane"))
    module = {"dye": dye, "growth": growth, "beads": beads}[family]
    return ColourMap([module.COLOURS[attributes["colour"]].tolist()], module.BACKGROUND.tolist(), (family,))


def read_fields(family: str, attributes: Mapping[str, str], video: Tensor) -> Array:
    """Fields ``[S, T, H, W]`` of one video ``[3, T, H, W]`` in [0, 1], in float64."""
    return np.asarray(colour_map(family, attributes)(video[None].double())[0].numpy())


def drift(mass: Array) -> float:
    """``max_t |m(t) - m(0)| / m(0)`` of one mass curve ``[T]``.

    >>> drift(np.array([2.0, 1.0, 2.5]))
    0.5
    """
    return float(np.abs(mass - mass[0]).max() / max(abs(mass[0]), 1e-12))


def modes(field: Array) -> Array:
    """Cosine coefficients ``[T, K, K]`` of ``[T, H, W]``, per pixel: the low no-flux modes, the mean first."""
    size = np.sqrt(field.shape[1] * field.shape[2])
    return np.asarray(dctn(field, axes=(1, 2), norm="ortho")[:, : MODES + 1, : MODES + 1] / size)


def eigenvalues(grid: Grid, shape: tuple[int, int]) -> Array:
    """``|k|^2`` of the modes in 1/µm², ``[K, K]``, of the continuous operator."""
    ky, kx = (np.pi * np.arange(MODES + 1) / (n * h) for n, h in zip(shape, grid.spacing, strict=True))
    return np.asarray(ky[:, None] ** 2 + kx[None] ** 2)


def in_time(signal: Array, dt: float, *, derivative: bool = False) -> Array:
    """``int psi_j(t) signal dt`` (or ``psi_j'``) for ``psi_j = sin(pi j t / T)``, ``[J, ...]`` of ``[T, ...]``."""
    t = np.arange(len(signal)) * dt
    count = max(1, min(SINES, (len(signal) - 1) // FRAMES_A_SINE))
    order = np.pi * np.arange(1, count + 1)[:, None] / t[-1]
    psi = order * np.cos(order * t) if derivative else np.sin(order * t)
    return np.asarray(simpson(psi.reshape(*psi.shape, *[1] * (signal.ndim - 1)) * signal, x=t, axis=1))


def weak_heat(field: Array, grid: Grid) -> tuple[Array, Array]:
    """Terms of ``-int psi' a dt = D (-|k|^2 int psi a dt)``, for every mode but the mean: ``y`` and ``x``, 1D.

    ``field`` is ``[T, H, W]``; with no flux through the walls every cosine mode ``a`` obeys ``a' = -D |k|^2 a``.
    """
    a = modes(field)
    y = -in_time(a, grid.dt, derivative=True)
    x = -eigenvalues(grid, field.shape[1:]) * in_time(a, grid.dt)
    return y.reshape(len(y), -1)[:, 1:].ravel(), x.reshape(len(x), -1)[:, 1:].ravel()


def heat_residual(field: Array, grid: Grid, diffusivity: tuple[float, float] | float | None = None) -> dict[str, float]:
    """Weak-form residual of the heat equation, relative to what moved or should have.

    residual = |y - D x| / max(|y|, |D x|),  see `weak_heat`

    ``D`` in µm²/s is given, or the best inside a range, or the best of all. 0 where the video diffuses so; 1 where it
    does not move, or moves in a way that has nothing to do with diffusion; at most 2.

    Source: weak-form identification, Messenger and Bortz (2021), Multiscale Model. Simul. 19:1474.

    >>> grid = Grid(spacing=(2.0, 2.0), dt=0.1)
    >>> spot = dye.drops(1, 64, np.random.default_rng(0))[None]
    >>> field = dye.diffuse(spot, np.array([20.0]), 0.1 * np.arange(25.0), (2.0, 2.0))[0]
    >>> found = heat_residual(field, grid)
    >>> found["residual"] < 1e-3, round(found["D"], 2), round(heat_residual(field, grid, 40.0)["residual"], 2)
    (True, 20.0, 0.5)
    """
    y, x = weak_heat(field, grid)
    best = float(x @ y / max(float(x @ x), 1e-300))
    if isinstance(diffusivity, tuple):
        best = float(np.clip(best, *diffusivity))
    elif diffusivity is not None:
        best = diffusivity
    return {"D": best, "residual": relative(y, best * x)}


def relative(observed: Array, expected: Array) -> float:
    """``|observed - expected| / max(|observed|, |expected|)``, between 0 and 2.

    >>> relative(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    0.5
    """
    scale = max(float(np.linalg.norm(observed)), float(np.linalg.norm(expected)), 1e-300)
    return float(np.linalg.norm(observed - expected) / scale)


def growth_residual(field: Array, grid: Grid, bounds: Bounds | None = None) -> dict[str, float]:
    """Weak-form residual of Fisher-KPP, relative to what moved or should have.

    -int psi' a = D (-|k|^2 int psi a) + r int psi b,  b the modes of u (1 - u)
    residual = |y - X p| / max(|y|, |X p|),  p = (D, r)

    ``field`` is ``[T, H, W]``; ``bounds`` are those of (D, r) in µm²/s and 1/s, positive where not given. A constant
    that the field says nothing of is 0, or the bound next to it.

    >>> grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    >>> growth_residual(np.zeros((25, 16, 16)), grid)
    {'D': 0.0, 'r': 0.0, 'residual': 0.0}
    >>> u0 = growth.colonies(2, 64, np.random.default_rng(0))[None]
    >>> u = growth.fisher_kpp(u0, np.array([0.5]), np.array([0.2]), grid, 25, 4)[0]
    >>> found = growth_residual(u, grid)
    >>> found["residual"] < 0.01, abs(found["D"] / 0.5 - 1) < 0.05, abs(found["r"] / 0.2 - 1) < 0.05
    (True, True, True)
    """
    a, b = modes(field), modes(field * (1.0 - field))
    y = -in_time(a, grid.dt, derivative=True).ravel()
    terms = [-eigenvalues(grid, field.shape[1:]) * in_time(a, grid.dt), in_time(b, grid.dt)]
    x = np.stack([term.ravel() for term in terms], axis=1)
    size = np.linalg.norm(x, axis=0)
    size[size == 0.0] = 1.0
    low, high = np.array(bounds if bounds else [(0.0, np.inf)] * 2).T
    best = lsq_linear(x / size, y, (low * size, high * size)).x / size
    return {"D": float(best[0]), "r": float(best[1]), "residual": relative(y, x @ best)}


def gray_scott_residual(fields: Array, pattern: str, dt: float) -> float:
    """Flow-map residual of ``v`` from every `LAG`-th frame to the next such, fields ``(u, v) [2, T, H, W]``.

    relative(v(t + L dt) - v(t), Phi_v(u(t), v(t)) - v(t)),  see `relative`

    ``Phi`` is the simulator over ``L dt`` with the parameters of ``pattern``. From one frame to the next a pattern
    changes less than compression does to the faint substrate ``u``; over several it does not. 0 for the simulator.
    """
    feed, kill = gray_scott.PATTERNS[pattern]
    u, v = fields.clip(0.0, 1.0).astype(np.float32)
    lag = min(LAG, len(v) - 1)
    starts = range(0, len(v) - lag, lag)
    expected = [gray_scott.gray_scott(u[t], v[t], feed, kill, time=lag * dt)[1] - v[t] for t in starts]
    observed = [v[t + lag] - v[t] for t in starts]
    return relative(np.stack(observed).astype(np.float64), np.stack(expected).astype(np.float64))


def legal_order(phases: Sequence[int], last: int) -> bool:
    """Whether a recording runs from the first to the last phase without a step back or a phase left out.

    >>> legal_order([0, 0, 1, 2, 2, 3], 3), legal_order([0, 1, 0, 2, 3], 3), legal_order([0, 2, 3], 3)
    (True, False, False)
    """
    steps = np.diff(phases)
    return phases[0] == 0 and phases[-1] == last and bool(np.all((steps == 0) | (steps == 1)))


def mean_flow(cells: Array) -> tuple[float, float]:
    """One velocity ``(vy, vx)`` in pixels a frame for all of ``[T, H, W]``, by least-squares optical flow.

    >>> x = np.arange(32.0)
    >>> cells = np.exp(-((x - 10 - np.arange(6.0)[:, None, None]) ** 2) / 8) * np.exp(-((x[:, None] - 16) ** 2) / 8)
    >>> bool(abs(mean_flow(cells)[1] - 1) < 0.1)
    True
    """
    smooth = gaussian_filter(cells, (0.0, 1.0, 1.0))
    middle = 0.5 * (smooth[1:] + smooth[:-1])
    gy, gx = np.gradient(middle, axis=(1, 2))
    a = np.stack([gy.ravel(), gx.ravel()], axis=1)
    vy, vx = np.linalg.lstsq(a, -np.diff(smooth, axis=0).ravel(), rcond=None)[0]
    return float(vy), float(vx)


def flow_direction(cells: Array) -> str:
    """Direction that the red cells ``[T, H, W]`` move in, see `mean_flow`.

    >>> x = np.arange(32.0)
    >>> cells = np.exp(-((x - 10 - np.arange(6.0)[:, None, None]) ** 2) / 8) * np.exp(-((x[:, None] - 16) ** 2) / 8)
    >>> flow_direction(cells)
    'right'
    """
    vy, vx = mean_flow(cells)
    if abs(vx) > abs(vy):
        return "right" if vx > 0 else "left"
    return "down" if vy > 0 else "up"


def ranges(family: str, attributes: Mapping[str, str]) -> Bounds:
    """Range of every parameter that the simulator draws for these attributes, in µm and s.

    >>> ranges("dye", {"speed": "slowly"})
    [(12.0, 24.0)]
    """
    if family == "dye":
        return [dye.DIFFUSIVITY[attributes["speed"]]]
    area, dt = growth.GRID.cell_area, growth.GRID.dt
    (d0, d1), (r0, r1) = growth.DIFFUSIVITY[attributes["speed"]], growth.RATE[attributes["speed"]]
    return [(d0 * area / dt, d1 * area / dt), (r0 / dt, r1 / dt)]


def law(
    family: str, attributes: Mapping[str, str], video: Tensor, truth: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Every law of the family on one video ``[3, T, H, W]`` in [0, 1]; ``truth`` are the simulator's parameters.

    Mitosis has none here: its order of phases is read by the judge.
    """
    fields = read_fields(family, attributes, video)
    if family == "gray_scott":
        return {"flow_map": gray_scott_residual(fields, attributes["pattern"], gray_scott.GRID.dt)}
    if family == "blood":
        right = flow_direction(fields[0]) == attributes["direction"]
        return {"cell_area_drift": drift(fields[0].sum((1, 2))), "direction_right": float(right)}
    if family == "vessel":
        return {"direction_right": float(flow_direction(fields[0]) == attributes["direction"]), **vessel_law(fields)}
    if family == "beads":
        return beads_law(fields, attributes)
    if family == "sheet":
        return sheet_law(fields, attributes)
    if family == "vesicles":
        return vesicles_law(fields)
    bounds, grid = ranges(family, attributes), GRIDS[family]
    if family == "growth":
        return {
            "fisher_kpp_fitted": growth_residual(fields[0], grid)["residual"],
            "fisher_kpp_in_range": growth_residual(fields[0], grid, bounds)["residual"],
        }
    found = {
        "mass_drift": drift(fields[0].sum((1, 2))),
        "heat_fitted": heat_residual(fields[0], grid)["residual"],
        "heat_in_range": heat_residual(fields[0], grid, (bounds[0][0], bounds[0][1]))["residual"],
    }
    if truth:
        found["heat_true"] = heat_residual(fields[0], grid, truth["D"])["residual"]
    return found
