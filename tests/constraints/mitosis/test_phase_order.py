"""The order of phases on simulated divisions, and what is done to them."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import jaxtyping
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from physgen.constraints.mitosis.classifier import PHASES, phase_classifier
from physgen.constraints.mitosis.constraint import PhaseOrder
from physgen.constraints.mitosis.evidence import phase_evidence
from physgen.constraints.mitosis.transitions import EXCEPTIONS, allowed, phase_model
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.observables import ColourMap
from physgen.simulators.mitosis import BACKGROUND, COLOURS, GRID, Clips, simulate

VIDEOS, FRAMES = 64, 25
#: the simulator gives each phase a seventh of the division, on average
DURATIONS = dict.fromkeys(PHASES, FRAMES * GRID.dt / len(PHASES))
CHROMATIN, CELL = 0, 3
SMALL = Grid(spacing=(2.0, 0.5), dt=0.25)


@dataclass(frozen=True)
class Videos:
    """Chromatin and cell ``[B, 2, T, H, W]`` of true divisions, and of divisions without one of their phases."""

    true: Tensor
    skipped: Tensor
    phases: npt.NDArray[np.int64]


def equal_steps(frames: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]


def take(video: Tensor, frames: npt.NDArray[np.int64] | list[int]) -> Tensor:
    return video[:, torch.as_tensor(np.asarray(frames))]


@pytest.fixture(scope="module")
def videos() -> Videos:
    """Held out: the classifier was trained on other seeds. Twice the frames are simulated, half of them are taken."""
    rng = np.random.default_rng(2024)
    true: list[Tensor] = []
    skipped, phases = [], []
    for _ in range(VIDEOS // 8):
        clips: Clips = simulate(8, rng=rng, frames=2 * FRAMES)
        assert clips.phases is not None
        for video, phase in zip(torch.from_numpy(clips.fields[:, [CHROMATIN, CELL]]), clips.phases, strict=True):
            shown = np.arange(0, 2 * FRAMES, 2)
            without = len(true) % 5 + 1
            true.append(take(video, shown))
            phases.append(phase[shown])
            skipped.append(take(video, equal_steps(np.flatnonzero(phase != without))))
    return Videos(torch.stack(true), torch.stack(skipped), np.stack(phases))


def swapped(phases: npt.NDArray[np.int64], rng: np.random.Generator) -> list[int]:
    """Order of frames with two neighbouring phases in each other's place."""
    first = int(rng.integers(len(PHASES) - 1))
    order = [*range(first), first + 1, first, *range(first + 2, len(PHASES))]
    return [int(frame) for phase in order for frame in np.flatnonzero(phases == phase)]


def auroc(true: Tensor, false: Tensor) -> float:
    """Probability that a false video has the greater loss."""
    difference = false[:, None] - true[None]
    return ((difference > 0).double() + (difference == 0).double() / 2).mean().item()


def losses(constraint: PhaseOrder, fields: Tensor, noise: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noisy = fields + noise * torch.randn(fields.shape, generator=generator)
    return torch.cat([constraint.loss(part, GRID) for part in noisy.split(12)])


def planted(videos: Videos) -> dict[str, Tensor]:
    rng = np.random.default_rng(7)
    orders = [swapped(phases, rng) for phases in videos.phases]
    return {
        "swapped": torch.stack([take(video, order) for video, order in zip(videos.true.unbind(), orders, strict=True)]),
        "skipped": videos.skipped,
        "reversed": videos.true.flip(2),
    }


def show(title: str, true: Tensor, false: dict[str, Tensor]) -> dict[str, float]:
    found = {name: auroc(true, loss) for name, loss in false.items()}
    print(f"\n{title}: -log Z of true videos {np.percentile(true, [5, 50, 95]).round(2)}")
    for name, loss in false.items():
        print(f"  {name}: AUROC {found[name]:.4f}, n = {len(loss)}, -log Z {np.percentile(loss, [5, 50, 95]).round(2)}")
    return found


@pytest.mark.parametrize(("noise", "least"), [(0.0, 0.99), pytest.param(0.1, 0.9, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_planted_violations_are_told_from_truth(videos: Videos, noise: float, least: float) -> None:
    constraint = PhaseOrder(durations=DURATIONS)
    true = losses(constraint, videos.true, noise)
    false = {name: losses(constraint, fields, noise) for name, fields in planted(videos).items()}
    found = show(f"with durations, noise {noise}", true, false)
    assert found["reversed"] == 1
    assert found["swapped"] >= 0.99
    assert found["skipped"] >= least


@pytest.mark.slow
def test_order_alone_tells_reversed_and_swapped(videos: Videos) -> None:
    constraint = PhaseOrder()
    true = losses(constraint, videos.true)
    found = show("order alone", true, {name: losses(constraint, fields) for name, fields in planted(videos).items()})
    assert found["reversed"] == 1
    assert found["swapped"] >= 0.99
    assert found["skipped"] >= 0.9


@pytest.mark.slow
def test_true_videos_satisfy(videos: Videos) -> None:
    for constraint in (PhaseOrder(), PhaseOrder(cell=1)):
        loss = losses(constraint, videos.true[:32])
        assert loss.median() < 0.5
        assert loss.quantile(0.95) < 2.0
        readings = constraint.violations(videos.true[32:], GRID)
        assert np.mean([not reading.illegal for reading in readings]) >= 0.9
        paths, truth = np.array([reading.path for reading in readings]), videos.phases[32:]
        assert np.mean(paths == truth) >= 0.93
        assert np.abs(paths - truth).max() == 1


@pytest.mark.slow
def test_clock_runs_forward(videos: Videos) -> None:
    constraint = PhaseOrder(form="clock")
    true, false = losses(constraint, videos.true), losses(constraint, videos.true.flip(2))
    assert constraint.residual(videos.true[:1], GRID).shape == (1, FRAMES - 1)
    assert true.quantile(0.95) < 0.1
    assert false.min() > 1


def test_videos_of_the_embedded_world_are_read_through_their_colour_map() -> None:
    clips = simulate(8, rng=np.random.default_rng(5))
    readings = []
    for video, attributes in zip(torch.from_numpy(clips.video), clips.attributes, strict=True):
        name = attributes["colour"]
        observable = ColourMap([COLOURS[name].tolist()], BACKGROUND.tolist(), [name])
        readings += PhaseOrder().violations(observable(video[None]), clips.grid)
    assert np.mean(np.array([reading.named for reading in readings]) == clips.phases) >= 0.9
    assert sum(len(reading.illegal) for reading in readings) <= 1


def test_a_planted_step_back_is_named(videos: Videos) -> None:
    phases = videos.phases[0]
    order = [*range(FRAMES)]
    first, last = (int(np.flatnonzero(phases == k)[1]) for k in (1, 5))
    order[first], order[last] = order[last], order[first]
    reading = PhaseOrder().violations(take(videos.true[0], order)[None], GRID)[0]
    assert reading.illegal == [(first, 1, 5), (first + 1, 5, 1), (last, 5, 1), (last + 1, 1, 5)]
    assert all(0 <= after - before <= 1 for before, after in itertools.pairwise(reading.path))


def test_loss_is_the_probability_of_a_broken_order() -> None:
    """Against the sum over all 7^4 sequences of four frames."""
    fields = torch.rand(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    constraint = PhaseOrder(exceptions=["arrest"])
    probability = constraint.log_probability(fields, SMALL).exp()
    legal = torch.zeros(2, dtype=torch.float64)
    for path in itertools.product(range(len(PHASES)), repeat=4):
        if all(allowed(["arrest"])[before, after] for before, after in itertools.pairwise(path)):
            legal += probability[:, range(4), list(path)].prod(1)
    torch.testing.assert_close(constraint.loss(fields, SMALL), -legal.log())
    residual = constraint.residual(fields, SMALL)
    torch.testing.assert_close(residual.square().sum(1) / 2, constraint.loss(fields, SMALL))


def test_gradient_is_minus_the_posterior_of_phases(videos: Videos) -> None:
    fields = videos.true[:2].flip(2).double().requires_grad_()
    constraint = PhaseOrder(durations=DURATIONS)
    (gradient,) = torch.autograd.grad(constraint.loss(fields, GRID).sum(), fields)
    weight = -torch.tensor([reading.posterior for reading in constraint.violations(fields, GRID)], dtype=torch.float64)
    (expected,) = torch.autograd.grad((weight * constraint.log_probability(fields, GRID)).sum(), fields)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "constraint",
    [PhaseOrder(), PhaseOrder(cell=1, exceptions=["abnormal"], durations={"metaphase": 1.0}), PhaseOrder(form="clock")],
    ids=["hmm", "hmm, durations", "clock"],
)
def test_gradient(constraint: PhaseOrder) -> None:
    generator = torch.Generator().manual_seed(1)
    fields = (torch.rand(1, 2, 4, 3, 3, generator=generator, dtype=torch.float64) - 0.2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: constraint.residual(x, SMALL), (fields,))


def test_descent_repairs_an_order(videos: Videos) -> None:
    """A frame out of place is pulled to where it belongs: what guidance needs of a gradient."""
    order = [*range(FRAMES)]
    order[6], order[12] = order[12], order[6]
    fields = take(videos.true[1], order)[None].double()
    constraint = PhaseOrder()
    before = constraint.loss(fields, GRID)
    for _ in range(30):
        fields.requires_grad_()
        (gradient,) = torch.autograd.grad(constraint.loss(fields, GRID).sum(), fields)
        fields = (fields - 1.0 * gradient / gradient.norm()).detach()
    assert constraint.loss(fields, GRID) < before / 2


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions_allow_what_they_name(name: str) -> None:
    more = allowed([name]) & ~allowed()
    named = {(PHASES.index(before), PHASES.index(after)) for before, after in EXCEPTIONS[name]}
    assert {(int(i), int(j)) for i, j in more.nonzero()} == named
    assert PhaseOrder(exceptions=[name]).allowed.equal(allowed([name]))


def test_arrest_and_slippage_are_violations_only_unless_asked_for(videos: Videos) -> None:
    """A cell that is held before anaphase, falls back and goes back to interphase without division."""
    interphase, prometaphase, metaphase = (np.flatnonzero(videos.phases[0] == k)[1:] for k in (0, 2, 3))
    frames = [*range(np.flatnonzero(videos.phases[0] == 3)[-1]), *prometaphase, *metaphase, *interphase]
    held = take(videos.true[0], frames)[None]
    strict, lenient = PhaseOrder(), PhaseOrder(exceptions=["arrest", "slippage"])
    assert {(3, 2), (3, 0)} == {step[1:] for step in strict.violations(held, GRID)[0].illegal}
    assert lenient.violations(held, GRID)[0].illegal == []
    assert lenient.loss(held, GRID) < 2 < strict.loss(held, GRID)


@pytest.mark.parametrize(("duration", "states"), [(0.4, 1), (1.0, 1), (2.5, 2), (7.0, 3)])
def test_durations_have_their_mean(duration: float, states: int) -> None:
    model = phase_model(allowed(["arrest"]), durations={"metaphase": duration * 100.0}, dt=100.0)
    inside = model.phase == PHASES.index("metaphase")
    assert int(inside.sum()) == states
    transient = model.transitions[inside][:, inside]
    mean = torch.linalg.solve(
        torch.eye(states, dtype=torch.float64) - transient, torch.ones(states, dtype=torch.float64)
    )
    assert mean[0].item() == pytest.approx(max(1.0, duration))
    assert model.transitions[inside].sum(1).tolist() == pytest.approx([1.0] * states)
    assert model.initial[inside].sum() == 1


def test_classifier_does_not_know_the_order() -> None:
    clips = simulate(1, rng=np.random.default_rng(11))
    chromatin = torch.from_numpy(clips.fields[:, CHROMATIN])
    log_p = phase_classifier()(phase_evidence(chromatin, None, clips.grid), False)
    order = torch.randperm(FRAMES, generator=torch.Generator().manual_seed(0))
    shuffled = phase_classifier()(phase_evidence(chromatin[:, order], None, clips.grid), False)
    torch.testing.assert_close(shuffled, log_p[:, order])


def test_more_pixels_show_the_same() -> None:
    """The same cells at twice the resolution."""
    small, large = (simulate(4, rng=np.random.default_rng(13), size=size) for size in (64, 128))
    named = [
        PhaseOrder().log_probability(torch.from_numpy(clips.fields[:, :1]), clips.grid).argmax(-1)
        for clips in (small, large)
    ]
    assert (named[0] == named[1]).double().mean() >= 0.9


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: PhaseOrder(form="free"), "form"),
        (lambda: PhaseOrder(form="clock", start="interphase"), "form"),
        (lambda: PhaseOrder(chromatin=-1), "chromatin"),
        (lambda: PhaseOrder(chromatin="a"), "chromatin"),  # type: ignore[arg-type]
        (lambda: PhaseOrder(cell=0.5), "cell"),  # type: ignore[arg-type]
        (lambda: PhaseOrder(exceptions=["magic"]), "exceptions"),
        (lambda: PhaseOrder(start="G1"), "start"),
        (lambda: PhaseOrder(durations={"S": 3.0}), "durations"),
        (lambda: PhaseOrder(durations={"anaphase": 0.0}), r"durations\[anaphase\]"),
        (lambda: PhaseOrder().residual(torch.zeros(1, 1, 1, 8, 8), SMALL), "fields"),
        (lambda: PhaseOrder().residual(torch.zeros(1, 1, 3, 8), Grid(spacing=(1.0,), dt=1.0)), "grid"),
        (lambda: PhaseOrder().residual(torch.full((1, 1, 3, 8, 8), torch.nan), SMALL), "fields"),
        (lambda: PhaseOrder(chromatin=1).residual(torch.zeros(1, 1, 3, 8, 8), SMALL), "chromatin"),
        (lambda: PhaseOrder(cell=2).loss(torch.zeros(1, 1, 3, 8, 8), SMALL), "cell"),
        (lambda: PhaseOrder().loss(torch.zeros(1, 1, 3, 8, 8), None), "grid"),
    ],
)
def test_bad_input(monkeypatch: pytest.MonkeyPatch, build: Callable[[], object], name: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument, match=f"^{name}="):
        build()
