"""The preference loss against its formula and its gradient, in float64."""

from __future__ import annotations

import torch

from physgen.experiments.align.preference import preference_loss


def drawn(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(6, generator=generator, dtype=torch.float64) for _ in range(4)]


def test_gradient_is_that_of_finite_differences() -> None:
    mine, other, *reference = drawn(0)
    mine.requires_grad_(), other.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: preference_loss(a, b, reference[0], reference[1], 3.0), (mine, other))


def test_gradient_through_a_velocity_is_the_papers() -> None:
    """dL/dv = beta sigmoid(beta/2 gain) (v - v*) / d for x+, and the opposite sign for x-: worked out by hand."""
    generator = torch.Generator().manual_seed(1)
    target, velocity = (torch.randn(2, 6, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    velocity.requires_grad_()
    _, _, *began = drawn(2)
    errors = (velocity - target).square().mean(2)
    beta = 7.0
    preference_loss(errors[0], errors[1], began[0], began[1], beta).sum().backward()
    gain = (errors[0] - began[0]) - (errors[1] - began[1])
    weight = 0.5 * beta * torch.sigmoid(0.5 * beta * gain)
    expected = torch.stack([weight, -weight])[..., None] * 2 * (velocity - target) / 5
    torch.testing.assert_close(velocity.grad, expected.detach(), rtol=1e-12, atol=1e-14)


def test_a_model_that_only_drifts_gains_nothing() -> None:
    """Errors that grow alike in both samples of a pair leave the loss at log 2."""
    mine, other, *_ = drawn(3)
    loss = preference_loss(mine + 0.1, other + 0.1, mine, other, 2000.0)
    torch.testing.assert_close(loss, torch.full_like(loss, 2.0).log())
