import itertools
import math
import subprocess
import sys
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from markers import slow_except
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.kernels.forward_backward import exponential
from physgen.ops.phase_order import left_to_right, phase_order_nll, posterior, viterbi

BACKENDS = ["reference", "numba"]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stay(states: int) -> Tensor:
    return 0.4 + 0.5 * torch.rand(states, generator=torch.Generator().manual_seed(states), dtype=torch.float64)


def with_exceptions(states: int) -> Tensor:
    """Skipping phases, and returning to the first from the last."""
    moves = left_to_right(stay(states)).clone()
    moves[0, states - 1] += 0.05
    moves[states - 1, 0] += 0.01
    return moves


def systems(states: int) -> dict[str, dict[str, Any]]:
    uniform = torch.full((states,), 1 / states, dtype=torch.float64)
    return {
        "default": {"stay": stay(states)},
        "never stays": {"stay": torch.zeros(states, dtype=torch.float64)},
        "any start": {"stay": stay(states), "initial": uniform},
        "exceptions": {"transitions": with_exceptions(states)},
        "exceptions from any start": {"transitions": with_exceptions(states), "initial": uniform},
        "mask": {"transitions": (with_exceptions(states) > 0).double(), "initial": torch.ones_like(uniform)},
    }


def enumerate_paths(evidence: Tensor, system: dict[str, Any]) -> dict[tuple[int, ...], float]:
    """Logarithm of the weight of every possible path of one sample ``[T, K]``."""
    frames, states = evidence.shape
    moves = left_to_right(system["stay"]) if "stay" in system else system["transitions"]
    first = system.get("initial", torch.eye(states)[0])
    weights = {}
    for path in itertools.product(range(states), repeat=frames):
        factors = [float(first[path[0]]), *(float(moves[a, b]) for a, b in itertools.pairwise(path))]
        if min(factors) > 0:
            weights[path] = sum(map(math.log, factors)) + math.fsum(float(evidence[t, k]) for t, k in enumerate(path))
    return weights


def sum_of_paths(evidence: Tensor, system: dict[str, Any]) -> tuple[float, Tensor]:
    weights = enumerate_paths(evidence, system)
    top = max(weights.values())
    total = math.fsum(math.exp(weight - top) for weight in weights.values())
    share = torch.zeros_like(evidence)
    for path, weight in weights.items():
        share[range(len(path)), path] += math.exp(weight - top) / total
    return -top - math.log(total), share


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", systems(1))
@pytest.mark.parametrize(("frames", "states"), [(1, 1), (1, 3), (3, 1), (2, 2), (4, 3), (5, 4)])
def test_agrees_with_the_sum_over_all_paths(frames: int, states: int, name: str, backend: str) -> None:
    system = systems(states)[name]
    evidence = 3 * random(3, frames, states, seed=frames)
    nll, share = phase_order_nll(evidence, **system, backend=backend), posterior(evidence, **system, backend=backend)
    path, log_weight = viterbi(evidence, **system)
    for sample in range(3):
        expected_nll, expected_share = sum_of_paths(evidence[sample], system)
        assert nll[sample].item() == pytest.approx(expected_nll, rel=1e-12, abs=1e-12)
        torch.testing.assert_close(share[sample], expected_share, rtol=0, atol=1e-12)
        weights = enumerate_paths(evidence[sample], system)
        assert tuple(path[sample].tolist()) == max(weights, key=weights.__getitem__)
        assert log_weight[sample].item() == pytest.approx(max(weights.values()), rel=1e-12, abs=1e-12)


def test_ties_go_to_the_earlier_phase_from_the_end() -> None:
    """Whole numbers, so that sums of different order are equal."""
    system = systems(4)["mask"]
    several = 0
    for evidence in torch.randint(-1, 1, (20, 1, 5, 4), generator=torch.Generator().manual_seed(0)).double():
        weights = enumerate_paths(evidence[0], system)
        tied = [path for path, weight in weights.items() if weight == max(weights.values())]
        several += len(tied) > 1
        assert tuple(viterbi(evidence, **system)[0][0].tolist()) == min(tied, key=lambda path: path[::-1])
    assert several > 10


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", systems(1))
def test_gradient(name: str, backend: str) -> None:
    system = systems(4)[name]
    evidence = random(2, 5, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda e: phase_order_nll(e, **system, backend=backend).square(), (evidence,))
    (gradient,) = torch.autograd.grad(phase_order_nll(evidence, **system, backend=backend).sum(), evidence)
    torch.testing.assert_close(-gradient, posterior(evidence, **system, backend=backend), rtol=0, atol=1e-12)


def test_reference_is_differentiable_twice_and_in_the_parameters() -> None:
    evidence, probabilities = random(2, 4, 3).requires_grad_(), stay(3).requires_grad_()

    def nll(evidence: Tensor, probabilities: Tensor) -> Tensor:
        return phase_order_nll(evidence, probabilities, backend="reference")

    assert torch.autograd.gradcheck(nll, (evidence, probabilities))
    assert torch.autograd.gradgradcheck(nll, (evidence, probabilities))


def test_numba_is_differentiable_once_in_the_evidence() -> None:
    evidence = random(2, 4, 3).requires_grad_()
    nll = phase_order_nll(evidence, stay(3), backend="numba")
    (gradient,) = torch.autograd.grad(nll.square().sum(), evidence, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()
    with pytest.raises(InvalidArgument, match="backend='numba': allowed: reference, for parameters that require"):
        phase_order_nll(evidence, stay(3).requires_grad_(), backend="numba")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("batch", [1, 3, 65])
@pytest.mark.parametrize("frames", slow_except({1, 17}, [1, 2, 17, 64]))
@pytest.mark.parametrize("states", slow_except({2, 7}, [2, 5, 7, 9]))
def test_numba_agrees_with_float64_reference(batch: int, frames: int, states: int, dtype: torch.dtype) -> None:
    evidence = (4 * random(batch, frames, states)).to(dtype).requires_grad_()
    exact = evidence.detach().double().requires_grad_()
    moves = with_exceptions(states)
    nll = phase_order_nll(evidence, transitions=moves, backend="numba")
    expected = phase_order_nll(exact, transitions=moves, backend="reference")
    (gradient,), (exact_gradient,) = (torch.autograd.grad(a.sum(), b) for a, b in ((nll, evidence), (expected, exact)))
    assert nll.dtype == torch.promote_types(dtype, torch.float32)
    assert gradient.dtype == dtype
    torch.testing.assert_close(nll.double(), expected, rtol=max(1e-12, torch.finfo(nll.dtype).eps), atol=1e-12)
    tolerance = max(1e-12, torch.finfo(dtype).eps)
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["default", "exceptions from any start"])
@pytest.mark.parametrize("size", [0.1, 10.0, 100.0, 1e3, 1e4])
def test_evidence_of_any_size(size: float, name: str) -> None:
    """From where weights are multiplied as they are to where only their logarithms can be."""
    system = systems(7)[name]
    evidence = size * random(40, 33, 7).sign() * torch.rand(40, 33, 7, dtype=torch.float64)
    nll, expected = (phase_order_nll(evidence, **system, backend=backend) for backend in ("numba", "reference"))
    torch.testing.assert_close(nll, expected, rtol=1e-12, atol=1e-12)
    share, exact_share = (posterior(evidence, **system, backend=backend) for backend in ("numba", "reference"))
    torch.testing.assert_close(share, exact_share, rtol=0, atol=1e-9)
    torch.testing.assert_close(share.sum(2), torch.ones(40, 33, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_phase_that_loses_by_far_may_win_later(dtype: torch.dtype, backend: str) -> None:
    """Time reversed: ten frames of the last phase, then the first, whose weight is by then exp(-1e4) of the largest."""
    evidence = torch.full((1, 60, 7), -1000.0, dtype=dtype)
    evidence[:, :10, 6] = 0
    evidence[:, 10:, 0] = 0
    probabilities = torch.full((7,), 0.5, dtype=dtype)
    nll = phase_order_nll(evidence, probabilities, backend=backend)
    assert nll.item() == pytest.approx(10 * 1000 - 59 * math.log(0.5), rel=1e-6)
    expected = torch.zeros(1, 60, 7, dtype=dtype)
    expected[:, :, 0] = 1
    torch.testing.assert_close(posterior(evidence, probabilities, backend=backend), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_impossible_sample_is_infinite_and_harms_no_other(backend: str) -> None:
    """No evidence at all; a forbidden start; a phase that cannot be reached in time; and one that is possible."""
    evidence = random(4, 5, 3)
    evidence[0] = -torch.inf
    evidence[1, 0, 0] = -torch.inf
    evidence[2, 1, :2] = -torch.inf
    evidence[3, 2, 0] = -torch.inf
    evidence.requires_grad_()
    nll = phase_order_nll(evidence, stay(3), backend=backend)
    assert nll.isposinf().tolist() == [True, True, True, False]
    (gradient,) = torch.autograd.grad(nll.sum(), evidence)
    assert gradient.isfinite().all()
    assert (gradient[:3] == 0).all()
    assert gradient[3, 2, 0] == 0
    torch.testing.assert_close(-gradient[3].sum(1), torch.ones(5, dtype=torch.float64))
    path, log_weight = viterbi(evidence, stay(3))
    assert (path[:3] == -1).all()
    assert log_weight.isneginf().tolist() == [True, True, True, False]
    assert path[3].tolist() == sorted(path[3].tolist())
    assert path[3, 2] > 0
    expected = phase_order_nll(evidence[3:].detach(), stay(3), backend=backend)
    torch.testing.assert_close(nll[3:].detach(), expected)


def test_only_possible_path_is_certain() -> None:
    evidence = torch.full((1, 6, 7), -torch.inf)
    order = [0, 1, 2, 2, 3, 4]
    evidence[0, range(6), order] = torch.tensor([1e4, -1e4, 3.0, 0.0, 1e4, -2e4])
    probabilities = torch.full((7,), 0.5)
    for backend in BACKENDS:
        nll = phase_order_nll(evidence, probabilities, backend=backend)
        assert nll.item() == pytest.approx(9997 + 5 * math.log(2), rel=1e-6)
        expected = torch.nn.functional.one_hot(torch.tensor([order]), 7).float()
        torch.testing.assert_close(posterior(evidence, probabilities, backend=backend), expected, rtol=0, atol=1e-6)
    assert viterbi(evidence, probabilities)[0].tolist() == [order]


def test_exponential() -> None:
    for x in np.linspace(-700.0, 0.0, 5001):
        assert exponential(x) == pytest.approx(math.exp(x), rel=1e-12, abs=0)
    assert exponential(0.0) == 1
    assert exponential(-700.1) == exponential(-np.inf) == 0


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, dict[str, Any]]:
    batch, frames, states = draw(st.integers(1, 4)), draw(st.integers(1, 9)), draw(st.integers(1, 6))
    size = draw(st.sampled_from([1.0, 30.0, 1000.0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))

    def sparse(*shape: int) -> Tensor:
        uniform = torch.rand(2, *shape, generator=generator, dtype=torch.float64)
        return torch.where(uniform[0] < 0.7, 2 * uniform[1], 0.0)

    evidence = size * torch.randn(batch, frames, states, generator=generator, dtype=torch.float64)
    evidence[torch.rand(evidence.shape, generator=generator) < 0.1] = -torch.inf
    return evidence, {"initial": sparse(states), "transitions": sparse(states, states)}


@settings(max_examples=100, deadline=None)
@given(problems())
def test_random_systems(problem: tuple[Tensor, dict[str, Any]]) -> None:
    evidence, system = problem
    nll, expected = (phase_order_nll(evidence, **system, backend=backend) for backend in ("numba", "reference"))
    torch.testing.assert_close(nll, expected, rtol=1e-12, atol=1e-10)
    share, exact_share = (posterior(evidence, **system, backend=backend) for backend in ("numba", "reference"))
    torch.testing.assert_close(share, exact_share, rtol=0, atol=1e-10)
    possible = nll.isfinite()
    torch.testing.assert_close(share.sum(2), possible.double()[:, None].expand(evidence.shape[:2]))
    assert (share[evidence.isneginf()] == 0).all()
    path, log_weight = viterbi(evidence, **system)
    assert torch.equal(log_weight.isfinite(), possible)
    assert torch.equal((path >= 0).all(1), possible)
    assert (log_weight[possible] <= -nll[possible] + 1e-9 * (1 + nll[possible].abs())).all()
    paths = evidence.shape[1] * math.log(evidence.shape[2])
    assert (-nll[possible] <= log_weight[possible] + paths + 1e-9 * (1 + nll[possible].abs())).all()
    shifted = phase_order_nll(evidence + 7, **system, backend="numba")
    torch.testing.assert_close(shifted, nll - 7 * evidence.shape[1], rtol=1e-12, atol=1e-9)


def test_threads_and_layout_change_nothing() -> None:
    evidence = random(7, 40, 301).permute(2, 1, 0)
    once = phase_order_nll(evidence.contiguous(), stay(7), backend="numba")
    try:
        torch.set_num_threads(3)
        torch.testing.assert_close(phase_order_nll(evidence, stay(7), backend="numba"), once, rtol=1e-13, atol=0)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_posterior_and_path_are_detached(backend: str) -> None:
    evidence = random(2, 4, 3).requires_grad_()
    assert not posterior(evidence, stay(3), backend=backend).requires_grad
    assert not viterbi(evidence, stay(3))[1].requires_grad
    with torch.inference_mode():
        inferred = posterior(evidence.clone(), stay(3), backend=backend)
    torch.testing.assert_close(inferred.clone(), posterior(evidence, stay(3), backend=backend))


@pytest.mark.parametrize("backend", [*BACKENDS, "auto"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_operator_is_registered_properly(dtype: torch.dtype, backend: str) -> None:
    evidence = random(2, 5, 3).to(dtype).requires_grad_()
    model = (torch.eye(3, dtype=torch.float64)[0].log(), left_to_right(stay(3)).log())
    torch.library.opcheck(torch.ops.physgen.phase_order_nll, (evidence, *model, backend))


@pytest.mark.parametrize("backend", [*BACKENDS, "auto"])
def test_compiles_as_one_graph(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    evidence = random(2, 5, 7).float().requires_grad_()
    probabilities = stay(7).float()

    def loss(e: Tensor) -> Tensor:
        return phase_order_nll(2 * e, probabilities, backend=backend).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected, found = (torch.autograd.grad(f(evidence), evidence)[0] for f in (loss, compiled))
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected)


@pytest.mark.slow
def test_import_loads_no_compiler() -> None:
    code = "import sys, physgen.ops.phase_order; print(sorted({'numba', 'triton'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


EVIDENCE, STAY = torch.zeros(2, 4, 3), torch.full((3,), 0.5)


@pytest.mark.parametrize("function", [phase_order_nll, posterior, viterbi])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"log_evidence": EVIDENCE[0]}, r"log_evidence='torch.float32 \(4, 3\)': allowed: floating point \[B, T, K\]"),
        ({"log_evidence": EVIDENCE.long()}, r"log_evidence='torch.int64 \(2, 4, 3\)': allowed: floating point"),
        ({"log_evidence": EVIDENCE[:, :0]}, r"log_evidence='torch.float32 \(2, 0, 3\)': allowed: floating point"),
        ({"log_evidence": EVIDENCE * torch.nan}, "log_evidence='NaN or .inf': allowed: numbers, or -inf"),
        ({"log_evidence": EVIDENCE + torch.inf}, "log_evidence='NaN or .inf': allowed: numbers, or -inf"),
        ({"stay": STAY[:2]}, r"stay='torch.float32 \(2,\)': allowed: floating point \[3\]"),
        ({"stay": STAY.long()}, r"stay='torch.int64 \(3,\)': allowed: floating point \[3\]"),
        ({"stay": STAY + 0.75}, r"stay=\[1.25, .*allowed: 0 to 1"),
        ({"stay": STAY - 0.75}, r"stay=\[-0.25, .*allowed: 0 to 1"),
        ({"stay": STAY * torch.nan}, r"stay=\[nan, .*allowed: 0 to 1"),
        ({"stay": None}, "stay, transitions='neither': allowed: one of them"),
        ({"transitions": torch.eye(3)}, "stay, transitions='both': allowed: one of them"),
        ({"stay": None, "transitions": torch.eye(2)}, r"transitions='torch.float32 \(2, 2\)': allowed: .*\[3, 3\]"),
        ({"stay": None, "transitions": -torch.eye(3)}, r"transitions=\[\[-1.0, .*allowed: 0 to 1.8e\+308"),
        ({"initial": torch.tensor([1.0, torch.inf, 0.0])}, r"initial=\[1.0, inf, 0.0\]: allowed: 0 to 1.8e\+308"),
        ({"initial": torch.zeros(3, 1)}, r"initial='torch.float32 \(3, 1\)': allowed: floating point \[3\]"),
    ],
)
def test_refuses(monkeypatch: pytest.MonkeyPatch, function: Any, arguments: dict[str, Any], message: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(InvalidArgument, match=message):
        function(**{"log_evidence": EVIDENCE, "stay": STAY, **arguments})


@pytest.mark.parametrize("function", [phase_order_nll, posterior])
@pytest.mark.parametrize(
    ("backend", "dtype", "message"),
    [
        ("cuda", torch.float32, "backend='cuda': allowed: auto, reference, numba, triton"),
        ("triton", torch.float32, "backend='triton': allowed: reference, numba for tensors on cpu"),
        ("triton", torch.float64, "backend='triton': allowed: reference, numba"),
    ],
)
def test_refuses_backend(
    monkeypatch: pytest.MonkeyPatch, function: Any, backend: str, dtype: torch.dtype, message: str
) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1" if dtype == torch.float64 else "0")
    with pytest.raises(InvalidArgument, match=message):
        function(EVIDENCE.to(dtype), STAY, backend=backend)
