import re
from collections.abc import Callable

import jaxtyping
import pytest
import torch
from elsewhere import DEVICE, elsewhere
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.observables import ColourMap, Intensity, Observable

DARK, BRIGHT = (0.04, 0.04, 0.04), (0.95, 0.9, 0.93)
ONE = ColourMap([(0.05, 0.88, 0.15)], DARK, ("green",))
TWO = ColourMap([(0.30, 0.46, 0.04), (0.50, 0.05, 0.26)], DARK, ("a", "b"), unit="µM", maximum=1.2)
THREE = ColourMap([(0.8, 0.1, 0.0), (0.1, 0.7, 0.2), (0.0, 0.1, 0.6)], (0.02, 0.05, 0.1), ("r", "g", "b"))
STAIN = ColourMap([(-0.6, -0.8, -0.3)], BRIGHT, ("stain",))
GREY = Intensity(background=0.1, scale=0.5)
OBSERVABLES = [ONE, TWO, THREE, STAIN, GREY]


def render(observable: ColourMap, fields: Tensor) -> Tensor:
    mixing = torch.tensor(observable.colours, dtype=fields.dtype)
    background = torch.tensor(observable.background, dtype=fields.dtype).view(3, 1, 1, 1)
    return background + torch.einsum("sc,bsthw->bcthw", mixing, fields)


def random_fields(observable: ColourMap, generator: torch.Generator) -> Tensor:
    shape = (2, len(observable.species), 3, 8, 6)
    return torch.rand(shape, generator=generator, dtype=torch.float64) * min(observable.maximum, 1.0)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("observable", [TWO, GREY])
def test_fields_are_where_the_video_is(observable: ColourMap, generator: torch.Generator) -> None:
    fields = random_fields(observable, generator).float()
    video = observable.embed(torch.rand(2, 3, 3, 8, 6, generator=generator), fields)
    with elsewhere():
        far_video, far_fields = video.to(DEVICE), fields.to(DEVICE)
        assert torch.equal(observable(far_video).cpu(), observable(video))
        assert torch.equal(observable.embed(far_video, far_fields).cpu(), observable.embed(video, fields))
        assert observable.agreement(far_video, far_fields) == observable.agreement(video, fields)
        names = observable.species
        found = ColourMap.calibrate(far_video, far_fields, species=names)
        assert found.colours == ColourMap.calibrate(video, fields, species=names).colours


@pytest.mark.parametrize("observable", OBSERVABLES)
def test_reads_what_the_map_renders(observable: ColourMap, generator: torch.Generator) -> None:
    fields = random_fields(observable, generator)
    video = render(observable, fields)
    torch.testing.assert_close(observable(video), fields, rtol=0, atol=1e-14)
    single = observable(video.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), fields, rtol=0, atol=1e-6)


@pytest.mark.parametrize("observable", OBSERVABLES)
def test_is_the_least_squares_solution(observable: ColourMap, generator: torch.Generator) -> None:
    video = torch.rand(2, 3, 3, 8, 6, generator=generator, dtype=torch.float64)
    best = observable(video)
    error = (render(observable, best) - video).square().sum()
    for _ in range(20):
        other = best + 1e-3 * torch.randn(best.shape, generator=generator, dtype=torch.float64)
        assert (render(observable, other) - video).square().sum() > error


@pytest.mark.parametrize("observable", [ONE, THREE])
def test_gradient(observable: ColourMap, generator: torch.Generator) -> None:
    video = torch.randn(1, 3, 2, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(observable, (video,))
    (gradient,) = torch.autograd.grad(observable(video.float()).sum(), video)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("observable", OBSERVABLES)
def test_embed_sets_the_fields_inside_the_range(observable: ColourMap, generator: torch.Generator) -> None:
    fields = random_fields(observable, generator)
    low, high = observable.gamut
    if low < 0 or high > 1:
        fields *= 0.5
    raw = 0.5 + torch.randn(2, 3, 3, 8, 6, generator=generator, dtype=torch.float64)
    for dtype, tolerance in ((torch.float64, 1e-14), (torch.float32, 2e-6)):
        video = observable.embed(raw.to(dtype), fields)
        assert video.dtype == dtype
        assert video.min() >= 0
        assert video.max() <= 1
        torch.testing.assert_close(observable(video).double(), fields, rtol=0, atol=tolerance)


@pytest.mark.parametrize("observable", [ONE, TWO, STAIN])
def test_embed_is_nearest_where_there_is_room(observable: ColourMap, generator: torch.Generator) -> None:
    """Projection onto an affine set: the move is orthogonal to every colour that the fields do not see."""
    fields = 0.4 + 0.1 * random_fields(observable, generator)
    video = render(observable, fields) + 0.01 * torch.randn(2, 3, 3, 8, 6, generator=generator, dtype=torch.float64)
    move = observable.embed(video, fields + 0.05) - video
    unseen = torch.linalg.svd(torch.tensor(observable.colours, dtype=torch.float64)).Vh[len(observable.species) :]
    assert move.abs().min() > 0
    torch.testing.assert_close(
        torch.einsum("kc,bcthw->bkthw", unseen, move), torch.zeros(2, len(unseen), 3, 8, 6).double()
    )


@pytest.mark.parametrize("observable", [ONE, TWO])
def test_embed_leaves_out_what_no_dye_explains(observable: ColourMap, generator: torch.Generator) -> None:
    """None of it, or half of it; of a video that shows its fields alone nothing is lost."""
    fields = 0.5 * random_fields(observable, generator)
    video = render(observable, fields)
    beside = 0.02 * torch.rand(video.shape, generator=generator, dtype=torch.float64)
    beside = beside - (render(observable, observable(video + beside)) - video)
    for part in (0.0, 0.5, 1.0):
        kept = ColourMap(observable.colours, observable.background, observable.species, off_map=part)
        torch.testing.assert_close(kept.embed(video + beside, fields), video + part * beside, rtol=0, atol=1e-12)


def test_embed_is_nearest_at_the_edge_of_the_range(generator: torch.Generator) -> None:
    """Two species leave one free colour: compare with all its multiples that stay inside."""
    fields = random_fields(TWO, generator)
    video = torch.rand(2, 3, 3, 8, 6, generator=generator, dtype=torch.float64)
    embedded = TWO.embed(video, fields)
    unseen = torch.linalg.svd(torch.tensor(TWO.colours, dtype=torch.float64)).Vh[2].view(3, 1, 1, 1)
    multiples = torch.linspace(-2, 2, 4001, dtype=torch.float64).view(-1, 1, 1, 1, 1, 1)
    for b in range(2):
        candidates = render(TWO, fields[b : b + 1])[0] + multiples[:, 0] * unseen
        inside = ((candidates >= 0) & (candidates <= 1)).all(1)
        distance = (candidates - video[b]).square().sum(1).masked_fill(~inside, torch.inf).amin(0)
        found = (embedded[b] - video[b]).square().sum(0)
        assert inside.any(0).all()
        assert (found <= distance + 1e-12).all()
        assert (found >= distance - 1e-2).all()


def test_embed_keeps_overlapping_dyes_and_leaves_the_range() -> None:
    overlapping = torch.full((1, 3, 1, 2, 2), 0.9, dtype=torch.float64)
    assert THREE.gamut == pytest.approx((0.02, 0.95))
    bright = ColourMap([(0.9, 0.3, 0.0), (0.3, 0.9, 0.0), (0.0, 0.1, 0.8)], (0.02,) * 3, ("r", "g", "b"))
    assert bright.gamut[1] > 1
    video = bright.embed(torch.rand(1, 3, 1, 2, 2, dtype=torch.float64), overlapping)
    assert video.max() > 1
    torch.testing.assert_close(bright(video), overlapping)


@pytest.mark.parametrize("peak", [1.0, 1e-3])
@pytest.mark.parametrize("observable", [ONE, STAIN])
def test_float32_video_keeps_the_mass(observable: ColourMap, peak: float, generator: torch.Generator) -> None:
    """Even of a faint dye, where rounding each pixel by itself shifts the whole background the same way."""
    x = torch.linspace(-3, 3, 64, dtype=torch.float64)
    spot = (peak * torch.exp(-(x[:, None] ** 2) - x**2)).view(1, 1, 1, 64, 64).expand(1, 1, 4, 64, 64)

    def drift(video: Tensor) -> float:
        mass = observable(video).sum((-2, -1), dtype=torch.float64)
        return float((mass / spot.sum((-2, -1)) - 1).abs().max())

    video = observable.embed(torch.rand(1, 3, 4, 64, 64, generator=generator), spot)
    assert drift(video) < 1e-7
    if peak < 1:
        assert drift(render(observable, spot).float()) > 5 * drift(video)


def test_embedding_rounds_each_pixel_to_its_own_precision(generator: torch.Generator) -> None:
    video, faint = torch.rand(1, 3, 2, 16, 16, generator=generator), torch.full((1, 1, 2, 16, 16), 1e-3)
    exact = ONE.embed(video.double(), faint)
    error = ONE.embed(video, faint).double() - exact
    assert (error.abs() <= torch.finfo(torch.float32).eps * exact.clamp(min=2**-9)).all()


def test_embed_half_precision(generator: torch.Generator) -> None:
    fields = random_fields(ONE, generator)
    video = ONE.embed(torch.rand(2, 3, 3, 8, 6, generator=generator).bfloat16(), fields)
    assert video.dtype == torch.bfloat16
    assert (ONE(video).double() - fields).abs().max() < 0.02
    assert (ONE(video).double().mean((-2, -1)) - fields.mean((-2, -1))).abs().max() < 2e-3


@pytest.mark.parametrize("truth", [ONE, TWO, THREE, STAIN])
def test_calibration_recovers_the_map(truth: ColourMap, generator: torch.Generator) -> None:
    fields = random_fields(truth, generator)
    video = render(truth, fields)
    found = ColourMap.calibrate(video, fields, species=truth.species, unit=truth.unit, maximum=truth.maximum)
    torch.testing.assert_close(torch.tensor(found.colours), torch.tensor(truth.colours), rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.tensor(found.background), torch.tensor(truth.background), rtol=0, atol=1e-6)
    assert (found.species, found.unit, found.maximum) == (truth.species, truth.unit, truth.maximum)


def test_calibration_under_noise(generator: torch.Generator) -> None:
    fields = torch.rand(4, 1, 5, 32, 32, generator=generator)
    video = render(ONE, fields)
    video += 0.05 * torch.randn(video.shape, generator=generator)
    found = ColourMap.calibrate(video, fields, species=["green"])
    error = torch.tensor(found.colours[0]) - torch.tensor(ONE.colours[0])
    assert error.abs().max() < 5 * 0.05 / (fields.std() * fields.numel() ** 0.5)
    length = torch.tensor(ONE.colours[0]).norm()
    agreement = found.agreement(video, fields)["green"]
    assert agreement["rms"] == pytest.approx(float(0.05 / length), rel=0.02)
    assert agreement["r2"] == pytest.approx(1 - agreement["rms"] ** 2 / float(fields.var()), rel=1e-3)


def test_intensity_is_the_mean_of_the_channels(generator: torch.Generator) -> None:
    video = torch.rand(1, 3, 2, 4, 4, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(GREY(video), (video.mean(1, keepdim=True) - 0.1) / 0.5)
    assert GREY.maximum == pytest.approx(1.8)
    assert GREY.species == ("intensity",)
    assert GREY.gamut == pytest.approx((0.1, 1.0))


def test_observable_is_abstract() -> None:
    with pytest.raises(TypeError):
        Observable()  # type: ignore[abstract]


GOOD = torch.rand(1, 3, 2, 4, 4)
CONSTANT = torch.ones(1, 1, 2, 4, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ColourMap([(1, 0, 0), (2, 0, 0)], DARK, ("a", "b")), "linearly independent"),
        (lambda: ColourMap([(0, 0, 0)], DARK, ("a",)), "linearly independent"),
        (lambda: ColourMap([(1, 0, 0)] * 4, DARK, ("a", "b", "c", "d")), "at most 3"),
        (lambda: ColourMap([(1, 0, 0)], DARK, ("a", "b")), "one per species"),
        (lambda: ColourMap([], DARK, ()), "one per species"),
        (lambda: ColourMap([(1, 0)], DARK, ("a",)), "colours=(1, 0): allowed: three numbers, rgb"),
        (lambda: ColourMap([(1, 0, float("nan"))], DARK, ("a",)), "colours=nan: allowed: finite"),
        (lambda: ColourMap([(1, 0, 0)], (0, 0), ("a",)), "background=(0, 0): allowed: three numbers, rgb"),
        (lambda: ColourMap([(1, 0, 0)], DARK, ("a",), maximum=-1), "maximum=-1: allowed: a finite number > 0"),
        (lambda: Intensity(scale=0), "scale=0: allowed"),
        (lambda: Intensity(background=1), "background=1: allowed"),
        (lambda: ONE(GOOD[0]), "allowed: floating point [B, 3, T, H, W]"),
        (lambda: ONE(GOOD[:, :1]), "allowed: floating point [B, 3, T, H, W]"),
        (lambda: ONE((GOOD * 255).byte()), "video=torch.uint8 (1, 3, 2, 4, 4): allowed: floating point"),
        (lambda: ONE.embed(GOOD[0], GOOD[:, :1]), "allowed: floating point [B, 3, T, H, W]"),
        (lambda: ONE.embed(GOOD, GOOD), "fields=(1, 3, 2, 4, 4): allowed: shape (1, 1, 2, 4, 4)"),
        (lambda: ColourMap.calibrate(GOOD, CONSTANT, species=("a",)), "vary independently"),
        (lambda: ColourMap.calibrate(GOOD, GOOD[:, :2] * 0 + GOOD[:, :1], species=("a", "b")), "vary independently"),
        (lambda: ColourMap.calibrate(GOOD, GOOD, species=("a",)), "allowed: shape (1, 1, 2, 4, 4)"),
        (lambda: ColourMap.calibrate(GOOD, GOOD[:, :1] / 0, species=("a",)), "allowed: finite values"),
    ],
)
def test_refuses(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object], message: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        call()


def test_embedding_what_a_saturated_video_shows_changes_nothing() -> None:
    """Other light on top of the dye: the dye alone is out of the gamut, the pixel is not."""
    video = torch.tensor([1.0, 0.9, 0.3]).view(1, 3, 1, 1, 1).expand(1, 3, 1, 2, 2).contiguous()
    observable = ColourMap([(0.82, 0.72, 0.10)], (0.04, 0.05, 0.05), ("dye",))
    fields = observable(video)
    assert 0.04 + 0.82 * fields.max() > 1
    torch.testing.assert_close(observable.embed(video, fields), video, rtol=0, atol=1e-6)
    assert (observable.embed(video, fields + 1e-3).clamp(0, 1) - video).abs().max() < 2e-3
