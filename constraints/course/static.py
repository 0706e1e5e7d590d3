"""A layer that stays where it is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from physgen.arguments import finite, instance, whole
from physgen.constraints.base import Constraint, check_fields, given_values, values_of
from physgen.constraints.course.layer import Axis, fit_shifts, layer_of, least_slope, picture_of, still_layer
from physgen.constraints.fit import ENOUGH, Fit
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.measure.degenerate import degenerate
from physgen.tensors import single

#: part of the fields' size that the scale of the residual is at least
FLOOR = 1e-3
#: power of slopes in one direction over that in the other, below which a layer is uniform along it
UNIFORM = 1e-3
#: change of a layer, over its contrast, that shifts should explain
CHANGES = 0.02
CONSTANTS = ("shift_y", "shift_x")


class Static(Constraint):
    """The coarse layer of a picture (walls, networks, tissue) stays where it is, but for motion of the camera.

    l_t = amplitudes of the first ``waves`` cosines along each axis,  residual = (l_t - R(d_t) M) / contrast
    M, d = argmin sum_t |l_t - R(d_t) M|^2

    R(d) moves a layer by d; without ``camera`` d = 0 and M is the mean over time. The finest wave of the layer is
    2 H / (waves - 1) pixels long. ``contrast`` is the size of the layer about its mean brightness (root of the mean
    sum of squares), at least 1/1000 of the fields'; it is differentiated. M is linear in the fields. Shifts are held in
    the gradient of the residual; since they make the loss of a given scale least, that gradient is exact (envelope
    theorem).

    What moves all the time, such as cells in a vessel, is part of the layer as far as it is coarse: take the layer by
    an observable of its own where there is one, or fewer waves.

    Args:
        waves: cosines along each axis.
        camera: whether the frames may be shifted against each other, by motion of a camera, which is fitted.

    Raises:
        InvalidArgument: ``waves`` that is no whole number of 2 or more.

    Source: cosine transform, Ahmed, Natarajan and Rao (1974), IEEE Trans. Comput. C-23:90; registration, Lucas and
        Kanade (1981), IJCAI, 674.

    >>> grid = Grid(spacing=(2.0, 2.0), dt=1.0)
    >>> wall = torch.exp(-((torch.arange(32.0, dtype=torch.float64) - 15) ** 2) / 40).expand(32, 32)
    >>> still, moved = wall.expand(1, 1, 4, 32, 32), torch.stack([wall, wall, wall.roll(3, 1), wall])[None, None]
    >>> law = Static()
    >>> law.satisfied(torch.cat([still, moved]), grid, 0.1).tolist()
    [True, False]
    >>> [round(d, 1) + 0.0 for d in Static(camera=True).fit(moved, grid).values["shift_x"][0]]
    [0.0, 0.0, 6.0, 0.0]
    """

    name = "static"
    true_within = 0.1
    needs_constant_dt = False
    projects = True

    def __init__(self, waves: int = 8, camera: bool = False) -> None:
        self.waves = whole("waves", waves, least=2)
        self.camera = instance("camera", camera, bool, "true or false")
        self._held: dict[str, Tensor] = {}

    @property
    def fitted(self) -> tuple[str, ...]:  # type: ignore[override]
        """The shifts of a camera that moves."""
        return CONSTANTS if self.camera and not self._held else ()

    def residual(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Float[Tensor, "B S T K"]:
        """Deviation of each frame's layer, wave by wave, relative to the layer's contrast.

        The sum of its squares over the waves of a frame is the mean square deviation over that of the contrast.

        Raises:
            InvalidArgument: fewer than two frames, fields that are not ``[B, S, T, H, W]`` on this grid, NaN or Inf, no
                grid.
        """
        fields, grid = self._checked(fields, grid)
        layers, still = self._layers(fields, grid)
        waves = layers.flatten(3)[..., 1:].square().sum(3).mean(2)
        square = (waves + FLOOR**2 * fields.square().sum((3, 4)).mean(2))[..., None, None]
        return (layers - still).flatten(3) / torch.where(square > 0, square, 1).sqrt()

    def satisfied(self, fields: Float[Tensor, "B *shape"], grid: Grid | None, tolerance: float) -> Bool[Tensor, "B"]:
        """Which samples have a layer that stays: no frame's deviates by more than this part of the contrast."""
        tolerance = finite("tolerance", tolerance, "a number >= 0", lambda value: value >= 0)
        return self._deviation(fields, grid).flatten(1).amax(1) <= tolerance

    @torch.no_grad()
    def project(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Float[Tensor, "B S T H W"]:
        """The nearest fields whose layer stays, in float64, in the dtype of the fields, detached.

        argmin |c' - c|^2 over {l'_t = R(d_t) M for some M}  =  c - (what of l_t is not R(d_t) M)

        For the shifts that are fitted to c. Everything finer than the layer is left as it is.
        """
        checked, grid = self._checked(fields, grid)
        exact = checked.double()
        layers, still = self._layers(exact, grid)
        return (exact - picture_of(layers - still, *self._axes(exact))).to(fields.dtype)

    @torch.no_grad()
    def fit(self, fields: Float[Tensor, "B S T H W"], grid: Grid | None) -> Fit:
        """``shift_y`` (down) and ``shift_x`` (right) of every frame against the first, µm, each ``[B][T]``.

        Not measured, with the reason: nothing is shown; the layer is uniform along one direction; or one still layer
        that is shifted explains less than half of how the layers differ from their mean, although that is more than
        1/50 of their contrast.
        """
        if not self.fitted:
            return Fit()
        fields, grid = self._checked(fields, grid)
        shifts = self._shifts(fields, grid) * fields.new_tensor(grid.spacing, dtype=torch.float64)
        fixed = Static(self.waves)._deviation(fields, grid).square().sum((1, 2))
        moving = self._deviation(fields, grid).square().sum((1, 2))
        explained = (1 - moving / torch.where(fixed > 0, fixed, 1)).tolist()
        size = (fixed / fields.shape[2]).sqrt().tolist()
        shown = degenerate(fields)
        axes = self._axes(fields)
        slopes = [least_slope(x.double().mean(1), *axes) for x in layer_of(fields, *axes)]
        reasons = [self._why_unmeasured(*one) for one in zip(shown, slopes, explained, size, strict=True)]
        return Fit(
            {name: shifts[..., axis].tolist() for axis, name in enumerate(CONSTANTS)},
            explained=explained,
            measured=[reason is None for reason in reasons],
            reason=reasons,
        )

    def with_constants(self, constants: Fit | Mapping[str, Any]) -> Static:
        """The law with the shifts given, each ``[B][T]`` in µm."""
        law = copy.copy(self)
        law._held = self._held | given_values(constants, self.fitted)
        return law

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> Static:
        """The law with the shifts of these samples, where they were given."""
        law = copy.copy(self)
        law._held = {name: values_of(name, values, chosen) for name, values in self._held.items()}
        return law

    @torch.no_grad()
    def describe(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> dict[str, Any]:
        """``deviation``: the largest of a frame, over the contrast; ``abstains``: why nothing can be said."""
        empty = [f"the fields are {why}" if why in ("empty", "uniform") else None for why in degenerate(fields)]
        return {"deviation": self._deviation(fields, grid).flatten(1).amax(1).tolist(), "abstains": empty}

    @staticmethod
    def _why_unmeasured(shown: str | None, slope: float, explained: float, size: float) -> str | None:
        if shown in ("empty", "uniform"):
            return f"the fields are {shown}"
        if slope < UNIFORM:
            return "the layer is uniform along one direction: no shift along it can be seen"
        if size > CHANGES and explained < ENOUGH:
            return f"shifts explain {100 * max(explained, 0.0):.0f} % of how the layer changes"
        return None

    def _deviation(self, fields: Tensor, grid: Grid | None) -> Float[Tensor, "B S T"]:
        return self.residual(fields, grid).detach().square().sum(3).sqrt()

    def _checked(self, fields: Tensor, grid: Grid | None) -> tuple[Tensor, Grid]:
        grid = check_fields(fields, grid)
        if len(grid.spacing) != 2:
            raise InvalidArgument("fields", fields, "[B, S, T, H, W]")
        return single(fields), grid

    def _axes(self, fields: Tensor) -> tuple[Axis, Axis]:
        return Axis.of(fields.shape[3], self.waves), Axis.of(fields.shape[4], self.waves)

    def _layers(self, fields: Tensor, grid: Grid) -> tuple[Float[Tensor, "B S T Ky Kx"], Float[Tensor, "B S T Ky Kx"]]:
        """Layers of all frames, and the still one as each frame would show it."""
        axes = self._axes(fields)
        layers, shifts = layer_of(fields, *axes), self._shifts(fields, grid)
        return layers, torch.stack([still_layer(*one, *axes) for one in zip(layers, shifts, strict=True)])

    def _shifts(self, fields: Tensor, grid: Grid) -> Float64[Tensor, "B T 2"]:
        """In pixels."""
        shape = (len(fields), fields.shape[2])
        if not self.camera:
            return torch.zeros(*shape, 2, dtype=torch.float64, device=fields.device)
        if not self._held:
            axes = self._axes(fields)
            return torch.stack([fit_shifts(x, *axes) for x in layer_of(fields.detach().double(), *axes)])
        for name, values in self._held.items():
            if values.shape != shape:
                raise InvalidArgument(name, list(values.shape), f"one of each sample and frame, {list(shape)}")
        pixels = [self._held[name] / h for name, h in zip(CONSTANTS, grid.spacing, strict=True)]
        return torch.stack(pixels, -1).to(fields.device)
