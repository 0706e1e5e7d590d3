"""The Triton kernel of the phase order on Triton's interpreter; as a script, what runs there."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from interpreter import interpret
from markers import slow_except

from physgen.ops.phase_order import left_to_right, phase_order_nll, posterior

SHAPES = [(1, 1, 2), (65, 1, 7), (2, 3, 1), (1, 2, 5), (3, 2, 9), (65, 2, 2), (3, 17, 7), (1, 17, 9), (3, 64, 7)]
DTYPES = [torch.float32, torch.bfloat16]
KINDS = ["default", "exceptions", "large", "reversed", "impossible"]

Case = tuple[tuple[int, int, int], torch.dtype, str]
CASES: list[Case] = [
    *((shape, dtype, "exceptions") for shape in SHAPES for dtype in DTYPES),
    *(((5, 17, 7), dtype, kind) for dtype in DTYPES for kind in KINDS),
]
QUICK: list[Case] = [
    *((shape, torch.float32, "exceptions") for shape in [(2, 3, 1), (65, 2, 2), (3, 17, 7)]),
    *(((5, 17, 7), torch.bfloat16, kind) for kind in KINDS),
]
GROUPS = {"quick": QUICK, "slow": [case for case in CASES if case not in QUICK]}


def problem(shape: tuple[int, int, int], dtype: torch.dtype, kind: str) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(sum(shape))
    evidence = 3 * torch.randn(shape, generator=generator)
    states = shape[2]
    stay = 0.4 + 0.5 * torch.rand(states, generator=generator)
    if kind == "large":
        evidence = (evidence * 3e3).clamp(-1e4, 1e4)
    if kind == "reversed":
        evidence = -400 * (torch.arange(states) != torch.arange(shape[1]).flip(0)[:, None] // 3) + evidence
    if kind == "impossible":
        evidence[torch.rand(shape, generator=generator) < 0.3] = -torch.inf
        evidence[0] = -torch.inf
    if kind != "exceptions":
        return evidence.to(dtype), {"stay": stay}
    moves = left_to_right(stay)
    moves[0, -1] += 0.05
    moves[-1, 0] += 0.01
    return evidence.to(dtype), {"transitions": moves, "initial": torch.rand(states, generator=generator)}


def run(group: str) -> list[tuple[Tensor, Tensor, Tensor]]:
    results = []
    for case in GROUPS[group]:
        evidence, system = problem(*case)
        evidence.requires_grad_()
        nll = phase_order_nll(evidence, **system, backend="triton")
        (gradient,) = torch.autograd.grad(nll.sum(), evidence)
        results.append((nll.detach(), gradient, posterior(evidence, **system, backend="triton")))
    return results


@pytest.mark.parametrize("case", slow_except(QUICK, CASES), ids=str)
def test_interpreted_kernel_agrees_with_float64(case: Case) -> None:
    group = "quick" if case in QUICK else "slow"
    nll, gradient, share = interpret(__file__, group)[GROUPS[group].index(case)]
    evidence, system = problem(*case)
    expected = phase_order_nll(evidence.double(), **system, backend="reference")
    exact_share = posterior(evidence.double(), **system, backend="reference")
    assert nll.dtype == share.dtype == torch.float32
    assert gradient.dtype == evidence.dtype
    torch.testing.assert_close(nll.double(), expected, rtol=1e-6, atol=1e-6)
    tolerance = 2e-6 + torch.finfo(torch.float32).eps * evidence[evidence.isfinite()].abs().max().item()
    torch.testing.assert_close(share.double(), exact_share, rtol=0, atol=tolerance)
    torch.testing.assert_close(gradient, -share.to(gradient.dtype), rtol=0, atol=0)
    assert (share[evidence.isneginf()] == 0).all()


if __name__ == "__main__":
    torch.save(run(sys.argv[2]), sys.argv[1])
