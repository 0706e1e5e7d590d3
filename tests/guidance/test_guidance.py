"""What holds for every guidance."""

import itertools
import math
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from physgen.constraints import Constraint, Equality, MassConservation
from physgen.errors import InvalidArgument, ModelFailure, NoSolution
from physgen.grid import Grid
from physgen.guidance import Composition, Guidance, Projection, X0Gradient

GuidanceClass = type[X0Gradient] | type[Projection]
GUIDANCES: list[GuidanceClass] = [X0Gradient, Projection]


class Broken(Constraint):
    """NaN for the samples that are positive at the first pixel, half their mean for the others."""

    name = "broken"
    projects = True

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        flat = fields.flatten(1)
        return torch.where(flat[:, :1] > 0, math.nan, 0.5) * flat.mean(1, keepdim=True)

    def project(self, fields: Tensor, grid: Grid | None) -> Tensor:
        return fields * torch.where(fields.flatten(1)[:, 0] > 0, math.nan, 0.5).view(-1, 1, 1, 1, 1)


class Bound(Constraint):
    """fields <= maximum."""

    name, kind = "bound", "inequality"

    def __init__(self, maximum: float) -> None:
        self.maximum = maximum

    def residual(self, fields: Tensor, grid: Grid | None) -> Tensor:
        return fields.flatten(1).amax(1) - self.maximum


@pytest.fixture(params=GUIDANCES)
def guidance(request: pytest.FixtureRequest, hyperplane: Constraint) -> Guidance:
    return request.param([hyperplane])


@pytest.mark.parametrize("cls", GUIDANCES)
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"start": 0.5, "stop": 0.5}, "start, stop"),
        ({"start": -0.1}, "start, stop"),
        ({"stop": 1.1}, "start, stop"),
        ({"start": math.nan}, "start, stop"),
        ({"every": 0}, "every"),
        ({"steps": 0}, "steps"),
    ],
)
def test_bad_arguments_are_refused(cls: GuidanceClass, arguments: dict[str, Any], name: str, hyperplane: Any) -> None:
    with pytest.raises(InvalidArgument, match=name):
        cls([hyperplane], **arguments)


@pytest.mark.parametrize("cls", GUIDANCES)
def test_guidance_needs_constraints(cls: GuidanceClass) -> None:
    with pytest.raises(InvalidArgument, match="one or more constraints"):
        cls([])


@pytest.mark.parametrize(
    ("window", "total", "steps"),
    [
        ({}, 4, [0, 1, 2, 3]),
        ({"start": 0.5}, 4, [2, 3]),
        ({"stop": 0.5}, 4, [0, 1]),
        ({"stop": 0.07}, 100, list(range(7))),
        ({"start": 0.3, "stop": 0.7}, 10, [3, 4, 5, 6]),
        ({"every": 3}, 10, [0, 3, 6, 9]),
        ({"every": 3}, 9, [2, 5, 8]),
        ({"start": 0.9}, 30, [27, 28, 29]),
        ({"start": 0.9}, 3, [2]),
        ({"start": 0.9, "stop": 0.95}, 4, [3]),
        ({"stop": 0.1}, 1, [0]),
    ],
)
def test_active_steps(window: dict[str, Any], total: int, steps: Any, hyperplane: Any) -> None:
    guidance = X0Gradient([hyperplane], **window)
    assert [i for i in range(total) if guidance.active(i, total)] == steps


def test_correct_is_the_corrected_sample(guidance: Guidance, x0_hat: Tensor) -> None:
    correction = guidance.correction(x0_hat, x_t=x0_hat, sigma=0.5)
    assert torch.equal(guidance.correct(x0_hat, x_t=x0_hat, sigma=torch.tensor(0.5)), correction.x0)
    assert correction.norm == pytest.approx(float((correction.x0 - x0_hat).square().mean().sqrt()))
    expected = guidance.constraints["hyperplane"].residual(x0_hat, None).square().mean().sqrt()
    assert correction.residuals == {"hyperplane": pytest.approx(float(expected))}
    assert correction.dropped == 0


def test_samples_of_a_batch_are_corrected_one_by_one(guidance: Guidance, x0_hat: Tensor) -> None:
    together = guidance.correct(x0_hat, x_t=x0_hat, sigma=0.5)
    alone = torch.cat([guidance.correct(x[None], x_t=x[None], sigma=0.5) for x in x0_hat])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dtype_is_kept_around_float32_arithmetic(guidance: Guidance, x0_hat: Tensor, dtype: torch.dtype) -> None:
    x0_hat = x0_hat.to(dtype)
    x0 = guidance.correct(x0_hat, x_t=x0_hat, sigma=0.9)
    assert x0.dtype == dtype
    better = torch.promote_types(dtype, torch.float32)
    exact = guidance.correct(x0_hat.to(better), x_t=x0_hat.to(better), sigma=0.9)
    assert torch.equal(x0, exact.to(dtype))


def test_float64_reaches_float64_precision(guidance: Guidance, x0_hat: Tensor) -> None:
    x0 = guidance.correct(x0_hat.double(), x_t=x0_hat.double(), sigma=0.9)
    assert guidance.constraints["hyperplane"].residual(x0, None).abs().max() < 1e-12


@pytest.mark.parametrize("context", [torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16)])
def test_contexts_of_a_pipeline_do_not_matter(guidance: Guidance, x0_hat: Tensor, context: Any) -> None:
    decode = nn.Conv3d(2, 2, 1)
    expected, projected = guidance.correct(x0_hat, x_t=x0_hat, sigma=0.9, decode=decode), guidance.project(x0_hat)
    with context:
        x = x0_hat.clone()
        assert torch.equal(guidance.correct(x, x_t=x, sigma=0.9, decode=decode), expected)
        assert torch.equal(guidance.project(x), projected)
    assert all(parameter.grad is None for parameter in decode.parameters())
    assert not expected.requires_grad


def test_input_is_not_changed(guidance: Guidance, x0_hat: Tensor) -> None:
    before = x0_hat.clone()
    guidance.correct(x0_hat, x_t=x0_hat, sigma=0.9)
    assert torch.equal(x0_hat, before)


def test_what_one_of_several_guidances_drops_the_others_keep(hyperplane: Constraint) -> None:
    """Of two samples that the second one has no correction for, the corrections of the first and the third stay."""
    x0_hat = torch.ones(4, 2, 3, 4, 4) * torch.tensor([1.0, -1.0, 1.0, math.nan]).view(-1, 1, 1, 1, 1)
    plain, broken, last = X0Gradient([hyperplane]), X0Gradient([Broken()]), Projection([Bound(0.5)])
    both = Composition([plain, last]).correct(x0_hat, x_t=x0_hat, sigma=0.9)
    all_three = Composition([plain, broken, last]).correction(x0_hat, x_t=x0_hat, sigma=0.9)
    assert all_three.dropped == 3
    torch.testing.assert_close(all_three.x0[[0, 2]], both[[0, 2]])
    assert not torch.equal(all_three.x0[1], both[1])


@pytest.mark.parametrize("cls", GUIDANCES)
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("decode", [None, lambda z: 1 * z])
def test_nan_corrections_are_dropped_and_counted(cls: GuidanceClass, steps: int, decode: Any) -> None:
    x0_hat = torch.tensor([1.0, -1.0, 1.0]).view(3, 1, 1, 1, 1).expand(3, 1, 2, 2, 2)
    correction = cls([Broken()], steps=steps).correction(x0_hat, x_t=x0_hat, sigma=0.9, decode=decode)
    assert correction.dropped == 2
    assert torch.equal(correction.x0[[0, 2]], x0_hat[[0, 2]])
    assert correction.x0[1].isfinite().all()
    assert (correction.x0[1] != x0_hat[1]).all()


def test_samples_that_the_model_made_nan_stay_nan_and_alone(guidance: Guidance, x0_hat: Tensor) -> None:
    expected = guidance.correct(x0_hat, x_t=x0_hat, sigma=0.9)
    x0_hat[1, 0, 0, 0, 0] = math.inf
    correction = guidance.correction(x0_hat, x_t=x0_hat, sigma=0.9)
    assert correction.dropped == 1
    assert torch.equal(correction.x0[1], x0_hat[1])
    torch.testing.assert_close(correction.x0[[0, 2]], expected[[0, 2]])
    assert math.isfinite(correction.norm)


def test_a_batch_of_nothing_but_nan_is_refused(guidance: Guidance, x0_hat: Tensor) -> None:
    nan = torch.full_like(x0_hat, math.nan)
    with pytest.raises(ModelFailure, match="every sample"):
        guidance.correction(nan, x_t=nan, sigma=0.9)


def test_nan_does_not_reach_constraints_that_refuse_it() -> None:
    grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    fields = torch.rand(2, 1, 3, 4, 4)
    fields[0] = math.nan
    for cls in GUIDANCES:
        correction = cls([MassConservation()]).correction(fields, x_t=fields, sigma=0.9, grid=grid)
        assert correction.dropped == 1
        assert correction.norm > 0


@pytest.mark.parametrize(
    "decode", [lambda z: z[:1], lambda z: z.flatten(1).mean(1), lambda z: z.flatten(1), lambda z: z.long()]
)
def test_decode_with_a_wrong_result_is_refused(guidance: Guidance, x0_hat: Tensor, decode: Any) -> None:
    with pytest.raises(InvalidArgument, match="decode"):
        guidance.correct(x0_hat, x_t=x0_hat, sigma=0.5, decode=decode)


@pytest.mark.parametrize("sigma", [-0.1, 1.5, math.nan])
def test_sigma_is_a_flow_matching_noise_level(guidance: Guidance, x0_hat: Tensor, sigma: float) -> None:
    with pytest.raises(InvalidArgument, match="sigma"):
        guidance.correct(x0_hat, x_t=x0_hat, sigma=sigma)


def test_inequalities_act_only_where_they_are_violated(x0_hat: Tensor) -> None:
    maximum = float(x0_hat.flatten(1).amax(1).median())
    correction = X0Gradient([Bound(maximum)]).correction(x0_hat, x_t=x0_hat, sigma=0.9)
    violated = x0_hat.flatten(1).amax(1) > maximum
    assert correction.dropped == 0
    assert ((correction.x0 != x0_hat).flatten(1).any(1) == violated).all()
    assert correction.residuals["bound"] == pytest.approx(
        float((x0_hat.flatten(1).amax(1) - maximum).clamp(min=0).square().mean().sqrt())
    )


def test_the_name_that_is_given_is_the_key(hyperplane: Any, x0_hat: Tensor) -> None:
    guidance = X0Gradient({"one": hyperplane, "bound": Bound(0.0), "two": hyperplane})
    residuals = guidance.correction(x0_hat, x_t=x0_hat, sigma=0.5).residuals
    assert list(residuals) == ["one", "bound", "two"]


@pytest.mark.parametrize("laws", [[], {}, [MassConservation], MassConservation, "mass", [3], 3])
def test_what_is_no_law_is_refused(monkeypatch: pytest.MonkeyPatch, laws: Any) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument, match="constraints="):
        X0Gradient(laws)


def test_two_of_one_name_are_refused_with_the_remedy(hyperplane: Any) -> None:
    with pytest.raises(InvalidArgument, match=r'two of the name hyperplane.*names that differ: \{"hyperplane"'):
        X0Gradient([hyperplane, hyperplane])


def test_a_single_law_is_taken(hyperplane: Any) -> None:
    assert X0Gradient(hyperplane).constraints == {"hyperplane": hyperplane}


def test_own_sampling_loop(guidance: Guidance) -> None:
    """Euler steps of the exact flow of a standard Gaussian: nothing of diffusers is needed."""
    x = torch.randn(4, 2, 3, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    sigmas = torch.linspace(1, 0, 21, dtype=torch.float64)
    for sigma, following in itertools.pairwise(sigmas):
        x0_hat = (1 - sigma) * x / ((1 - sigma) ** 2 + sigma**2)
        x0 = guidance.correct(x0_hat, x_t=x, sigma=sigma)
        x = x + (following - sigma) * (x - x0) / sigma
    assert guidance.constraints["hyperplane"].residual(x, None).abs().max() < 1e-12


def test_citations_are_bibtex(guidance: Guidance) -> None:
    entries = guidance.citation().split("\n\n")
    assert all(entry.startswith("@inproceedings{") and entry.count("{") == entry.count("}") for entry in entries)


def test_samples_without_a_solution_are_left_as_they_are() -> None:
    class Blows(Equality):
        def residual(self, fields: Tensor, grid: Grid | None = None) -> Tensor:
            if bool((fields.flatten(1).amax(1) > 1).any()):
                raise NoSolution("fields", "no trajectory nearby", "fields from which the law does not blow up")
            return super().residual(fields, grid)

    x = torch.tensor([[0.2, 0.4], [5.0, 0.1]])
    correction = X0Gradient([Blows(lambda x: x.sum(1) - 1.0)]).correction(x, x_t=x, sigma=0.5)
    assert correction.dropped == 1
    assert correction.x0[1].tolist() == x[1].tolist()
    assert correction.x0[0].sum().item() == pytest.approx(1.0)
