"""From the colours of a video to physical fields, and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import finite, floating, instance
from physgen.errors import InvalidArgument

CONDITION = 1e3
#: exponent of the binade (0 for values of 1/2 to 1) that the darkest pixels are rounded as if they were in
DARKEST = -8
#: spread of concentrations, as a part of the largest one, below which a colour shows nothing
LEAST = 0.25


class Observable(ABC):
    """Differentiable map from decoded video to physical fields.

    Attributes:
        species: name of each field.
        unit: unit of the fields.
        bounds: lowest and highest value of a field that a video in [0, 1] can show.
        least: spread of a field's values below which a video shows nothing of it; 0 where no scale is known, and noise
            alone says what is something.
    """

    species: tuple[str, ...]
    unit: str
    bounds: tuple[float, float] = (-math.inf, math.inf)
    least: float = 0.0

    @abstractmethod
    def __call__(self, video: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B S T H W"]:
        """Fields ``[B, S, T, H, W]`` in ``unit`` of a video ``[B, 3, T, H, W]`` in [0, 1]."""

    @abstractmethod
    def embed(
        self, video: Float[Tensor, "B 3 T H W"], fields: Float[Tensor, "B S T H W"]
    ) -> Float[Tensor, "B 3 T H W"]:
        """Video closest to ``video``, in [0, 1], whose fields are ``fields``."""

    def agreement(
        self, video: Float[Tensor, "B 3 T H W"], fields: Float[Tensor, "B S T H W"]
    ) -> dict[str, dict[str, float]]:
        """How well the observable reads known fields off a video, per species.

        r2 = 1 - sum (c_hat - c)^2 / sum (c - mean c)^2,  rms = sqrt(mean (c_hat - c)^2)

        ``video`` is ``[B, 3, T, H, W]`` in [0, 1], ``fields`` ``[B, S, T, H, W]`` in ``unit``, and so is ``rms``;
        ``r2`` is NaN for a constant field.

        >>> dye = Intensity()
        >>> video = torch.rand(1, 3, 2, 4, 4, generator=torch.manual_seed(0))
        >>> dye.agreement(video, video.mean(1, keepdim=True))["intensity"]["r2"] > 1 - 1e-9
        True
        """
        seen = self(video)
        if floating("fields", fields, f"{tuple(seen.shape)}").shape != seen.shape:
            raise InvalidArgument("fields", tuple(fields.shape), f"shape {tuple(seen.shape)}, as the video's")
        error = (seen.double() - fields.double()).transpose(0, 1).flatten(1)
        truth = fields.double().transpose(0, 1).flatten(1)
        spread = (truth - truth.mean(1, keepdim=True)).square().sum(1)
        r2 = torch.where(spread > 0, 1 - error.square().sum(1) / spread, torch.nan)
        rms = error.square().mean(1).sqrt()
        return {name: {"r2": float(r2[s]), "rms": float(rms[s])} for s, name in enumerate(self.species)}


class ColourMap(Observable):
    """Dyes that add up: colour linear in concentration.

    rgb = background + A c,  c = A^+ (rgb - background),  A = [colours_1 ... colours_S]

    Computed in float64, returned in the dtype of the video. A video outside [0, 1], as an unclamped decoder makes them,
    is read by the same line.

    Args:
        colours: columns of A, the change of rgb per unit of concentration, one per species, at most three.
        background: rgb where there is nothing.
        species: name of each field.
        unit: unit of the fields.
        maximum: largest concentration that the map is meant to show, in ``unit``.
        off_map: part of the colour that no dye explains which `embed` keeps, 0 to 1. 0: a video shows its fields and
            nothing else, and they survive a file whose compression mixes colours, as that of MP4 does.

    Raises:
        InvalidArgument: not one colour of three finite numbers per species, more than three species, colours that are
            not linearly independent (condition number of A above 1000), a maximum that is not positive, a part outside
            0 to 1.

    Source: linear unmixing of spectra, Zimmermann, Rietdorf and Pepperkok (2003), FEBS Letters 546:87.

    >>> dye = ColourMap([(0.05, 0.88, 0.15)], background=(0.04, 0.04, 0.04), species=("dye",))
    >>> video = torch.tensor([0.065, 0.48, 0.115]).view(1, 3, 1, 1, 1)
    >>> round(dye(video).item(), 6)
    0.5
    """

    def __init__(
        self,
        colours: Sequence[Sequence[float | int]],
        background: Sequence[float | int],
        species: Sequence[str],
        unit: str = "a.u.",
        maximum: float | int = 1.0,
        off_map: float | int = 1.0,
    ) -> None:
        for name, given in (("species", species), ("colours", colours)):
            if not isinstance(given, Sequence) or isinstance(given, str):
                raise InvalidArgument(name, given, "a list, one of each species")
        if not 1 <= len(species) == len(colours) <= 3:
            raise InvalidArgument("colours", colours, f"one per species, at most 3, for species {tuple(species)}")
        self.colours = tuple(_rgb("colours", colour) for colour in colours)
        self.background = _rgb("background", background)
        self.species = tuple(species)
        self.unit = unit
        self.maximum = finite("maximum", maximum, "a finite number > 0", lambda value: value > 0)
        self.off_map = finite("off_map", off_map, "a number from 0 to 1", lambda value: 0 <= value <= 1)
        self.bounds = (0.0, self.maximum)
        self.least = LEAST * self.maximum
        self._mixing = torch.tensor(self.colours, dtype=torch.float64).T
        singular = torch.linalg.svdvals(self._mixing)
        if singular[-1] * CONDITION <= singular[0]:
            raise InvalidArgument("colours", colours, "linearly independent colours")
        self._unmixing = torch.linalg.pinv(self._mixing)

    @property
    def gamut(self) -> tuple[float, float]:
        """Lowest and highest rgb value of background + A c over 0 <= c <= maximum.

        >>> ColourMap([(0.5, 0.0, 0.0), (0.6, 0.5, 0.0)], (0.0, 0.0, 0.0), ("a", "b")).gamut
        (0.0, 1.1)
        """
        background = torch.tensor(self.background, dtype=torch.float64)
        reach = self._mixing * self.maximum
        low, high = background + reach.clamp(max=0).sum(1), background + reach.clamp(min=0).sum(1)
        return float(low.min()), float(high.max())

    def __call__(self, video: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B S T H W"]:
        _check_video(video)
        return self._unmix(self._above_background(video)).to(video.dtype)

    @torch.no_grad()
    def embed(
        self, video: Float[Tensor, "B 3 T H W"], fields: Float[Tensor, "B S T H W"]
    ) -> Float[Tensor, "B 3 T H W"]:
        """Video near ``video``, in [0, 1], whose fields are ``fields``.

        rgb' = background + A c' + alpha (I - A A^+) (rgb - background)

        with alpha per pixel the largest number up to ``off_map`` that keeps rgb' in [0, 1]. Where alpha = 1 this is the
        L2-nearest video with those fields; elsewhere the nearest with a scaled off-map colour. Where background + A c'
        leaves [0, 1] (several dyes on top of each other, see `gamut`, or a pixel that is saturated) and no such alpha
        exists, the pixel stays outside: the fields are kept, and whoever shows the video clips it.

        ``video`` is ``[B, 3, T, H, W]`` and may lie outside [0, 1], ``fields`` ``[B, S, T, H, W]`` in ``unit``. The
        result has the dtype of ``video``. Below float64 it is rounded to a neighbour by error diffusion along each
        frame, which keeps the sum of each channel over the pixels of a frame in one binade to within one step of that
        binade: equal pixels would otherwise all round the same way, and mass would drift.
        Detached.

        Raises:
            InvalidArgument: ``fields`` does not match ``video`` and the species.

        Source: orthogonal projection onto an affine set; error diffusion, Floyd and Steinberg (1976).

        >>> dye = ColourMap([(0.05, 0.88, 0.15)], background=(0.04, 0.04, 0.04), species=("dye",))
        >>> video = dye.embed(torch.rand(1, 3, 2, 8, 8), torch.full((1, 1, 2, 8, 8), 0.3))
        >>> bool((dye(video) - 0.3).abs().max() < 1e-6), bool((video >= 0).all() and (video <= 1).all())
        (True, True)
        """
        _check_video(video)
        expected = (video.shape[0], len(self.species), *video.shape[2:])
        if floating("fields", fields, f"{expected}").shape != expected:
            raise InvalidArgument("fields", tuple(fields.shape), f"shape {expected}, [B, S, T, H, W] as the video")
        frames = zip(video.split(1, dim=2), fields.split(1, dim=2), strict=True)
        return torch.cat([self._embed_frame(frame, field) for frame, field in frames], dim=2)

    @staticmethod
    def calibrate(
        video: Float[Tensor, "B 3 T H W"],
        fields: Float[Tensor, "B S T H W"],
        *,
        species: Sequence[str],
        unit: str = "a.u.",
        maximum: float | int = 1.0,
    ) -> ColourMap:
        """Colour map that renders known fields as a known video best.

        A, background = argmin sum |rgb - background - A c|^2

        ``video`` is ``[B, 3, T, H, W]`` in [0, 1], ``fields`` ``[B, S, T, H, W]`` in ``unit``. `agreement`, best on
        other clips than these, tells how far to trust it.

        Raises:
            InvalidArgument: fields that do not vary independently, or do not match the video, or a value that is not
                finite.

        Source: ordinary least squares, normal equations of the centred data in float64.

        >>> truth = ColourMap([(0.05, 0.88, 0.15)], background=(0.04, 0.04, 0.04), species=("dye",))
        >>> c = torch.rand(1, 1, 2, 8, 8, generator=torch.manual_seed(0))
        >>> found = ColourMap.calibrate(truth.embed(torch.zeros(1, 3, 2, 8, 8), c), c, species=("dye",))
        >>> [round(x, 4) for x in found.colours[0]]
        [0.05, 0.88, 0.15]
        """
        _check_video(video)
        instance("species", species, Sequence, "a list of names")
        expected = (len(video), len(species), *video.shape[2:])
        if floating("fields", fields, f"{expected}").shape != expected:
            raise InvalidArgument("fields", tuple(fields.shape), f"shape {expected}, [B, S, T, H, W] as the video")
        c, rgb = (x.double().transpose(0, 1).flatten(1) for x in (fields, video))
        if not (c.isfinite().all() and rgb.isfinite().all()):
            raise InvalidArgument("fields", "NaN or Inf in fields or video", "finite values")
        mean_c, mean_rgb = c.mean(1, keepdim=True), rgb.mean(1, keepdim=True)
        covariance = (c - mean_c) @ (c - mean_c).T
        spread = torch.linalg.eigvalsh(covariance)
        if spread[0] * CONDITION**2 <= spread[-1]:
            raise InvalidArgument("fields", "constant or dependent fields", "fields that vary independently")
        mixing = torch.linalg.solve(covariance, (c - mean_c) @ (rgb - mean_rgb).T).T
        background = (mean_rgb - mixing @ mean_c).flatten()
        return ColourMap(mixing.T.tolist(), background.tolist(), species, unit, maximum)

    def _embed_frame(self, video: Tensor, fields: Tensor) -> Tensor:
        above = self._above_background(video)
        off_map = self.off_map * (above - self._mix(self._unmix(above)))
        on_map = self._mix(fields.double()) + self._background(video)
        low, high = _scaling(on_map, off_map)
        reachable = low <= high
        embedded = on_map + high.clamp(min=0) * off_map
        rounded = _diffuse_rounding(embedded, video.dtype)
        return torch.where(reachable, rounded.clamp(0, 1), rounded)

    def _background(self, video: Tensor) -> Tensor:
        return torch.tensor(self.background, dtype=torch.float64, device=video.device).view(3, 1, 1, 1)

    def _above_background(self, video: Tensor) -> Tensor:
        return video.double() - self._background(video)

    def _mix(self, fields: Tensor) -> Tensor:
        return torch.einsum("cs,bsthw->bcthw", self._mixing.to(fields.device), fields)

    def _unmix(self, above: Tensor) -> Tensor:
        return torch.einsum("sc,bcthw->bsthw", self._unmixing.to(above.device), above)


class Intensity(ColourMap):
    """Concentration read off the brightness of a grey video.

    I = background + scale c,  c = (mean_rgb - background) / scale

    Args:
        background: intensity of the dark camera, below 1; negative where too much was taken off before.
        scale: intensity per unit of concentration.

    Raises:
        InvalidArgument: background that is not below 1, or scale that is not positive.

    Source: fluorescence far below saturation is linear in concentration, Lakowicz (2006), Principles of Fluorescence
        Spectroscopy.

    >>> nuclei = Intensity(background=0.1, scale=0.5)
    >>> round(nuclei(torch.full((1, 3, 1, 1, 1), 0.35)).item(), 6)
    0.5
    """

    def __init__(self, background: float | int = 0.0, scale: float | int = 1.0) -> None:
        dark = finite("background", background, "a number below 1", lambda value: value < 1)
        gain = finite("scale", scale, "a finite number > 0", lambda value: value > 0)
        super().__init__([(gain,) * 3], (dark,) * 3, ("intensity",), maximum=(1 - dark) / gain)
        self.least = 0.0


def _rgb(name: str, colour: Sequence[float | int]) -> tuple[float, ...]:
    if not isinstance(colour, Sequence) or isinstance(colour, str) or len(colour) != 3:
        raise InvalidArgument(name, colour, "three numbers, rgb")
    return tuple(finite(name, value, "finite numbers, rgb") for value in colour)


def _check_video(video: Tensor) -> None:
    if floating("video", video, "[B, 3, T, H, W]").ndim != 5 or video.shape[1] != 3 or 0 in video.shape:
        raise InvalidArgument("video", video, "floating point [B, 3, T, H, W], none of them 0")


def _scaling(on_map: Tensor, off_map: Tensor) -> tuple[Tensor, Tensor]:
    """Ends of the alpha in [0, 1] with on_map + alpha off_map in [0, 1], per pixel; low > high if there is none."""
    flat = off_map.abs() < 1e-12
    inside = (on_map >= 0) & (on_map <= 1)
    step = torch.where(flat, 1.0, off_map)
    ends = torch.stack([-on_map / step, (1 - on_map) / step])
    low = torch.where(flat, torch.where(inside, 0.0, torch.inf), ends.amin(0))
    high = torch.where(flat, 1.0, ends.amax(0))
    return low.amax(1, keepdim=True).clamp(min=0), high.amin(1, keepdim=True).clamp(max=1)


def _diffuse_rounding(video: Tensor, dtype: torch.dtype) -> Tensor:
    """Round to neighbours in the dtype so that each channel's sum over a frame is kept, binade by binade."""
    if dtype == torch.float64:
        return video
    exponent = torch.frexp(video)[1].clamp(min=DARKEST)
    rounded = torch.zeros_like(video)
    for binade in exponent.unique().tolist():
        inside, step = exponent == binade, torch.finfo(dtype).eps * 2.0 ** (binade - 1)
        running = (torch.where(inside, video, 0.0).flatten(-2).cumsum(-1) / step).round()
        steps = running.diff(dim=-1, prepend=torch.zeros_like(running[..., :1])).view_as(video)
        rounded = torch.where(inside, steps * step, rounded)
    return rounded.to(dtype)


def observe(observable: Observable, video: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B S T H W"]:
    """Fields of a video in [0, 1], once they have the shape that the observable says.

    Raises:
        InvalidArgument: fields of another shape.

    >>> observe(Intensity(), torch.full((1, 3, 2, 4, 4), 0.5)).shape
    torch.Size([1, 1, 2, 4, 4])
    """
    fields = read_observable(observable)(video)
    expected = (len(video), len(observable.species), *video.shape[2:])
    if fields.shape != expected:
        raise InvalidArgument("observable", f"fields {list(fields.shape)}", f"fields {list(expected)}")
    return fields


def read_observable(observable: Any) -> Observable:
    """The observable, once it is one.

    >>> read_observable(Intensity)
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: observable=<class '...Intensity'>: allowed: an Observable; Intensity(...) makes one
    """
    return instance("observable", observable, Observable, "an Observable")
