"""Likelihood of a sequence of phases: a hidden Markov model, and its gradient, in one forward-backward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from physgen.errors import InvalidArgument
from physgen.ops.backend import resolve_backend
from physgen.ops.launch import in_threads

#: numbers of evidence that are worth threads
GRAIN = 2**16
#: elements of the Triton kernel's tile [samples, states, states], most samples in it, most elements for one warp
TILE, SAMPLES, WARP = 256, 32, 1024


def left_to_right(stay: Float[Tensor, "K"]) -> Float[Tensor, "K K"]:
    """Transition matrix of phases that stay or advance by one; the last one stays.

    A[k, k] = stay[k],  A[k, k + 1] = 1 - stay[k],  A[K - 1, K - 1] = 1

    Exceptions (arrest, a skipped phase) are entries added to it. ``stay`` ``[K]``, in 0 to 1; its last entry is unused.

    Source: Rabiner (1989), Proc. IEEE 77:257, left-right models.

    >>> left_to_right(torch.tensor([0.75, 0.5, 0.0]))
    tensor([[0.7500, 0.2500, 0.0000],
            [0.0000, 0.5000, 0.5000],
            [0.0000, 0.0000, 1.0000]])
    """
    last = torch.ones_like(stay[-1:])
    return torch.diag(torch.cat([stay[:-1], last])) + torch.diag(1 - stay[:-1], 1)


def phase_order_nll(
    log_evidence: Float[Tensor, "B T K"],
    stay: Float[Tensor, "K"] | None = None,
    *,
    initial: Float[Tensor, "K"] | None = None,
    transitions: Float[Tensor, "K K"] | None = None,
    backend: str = "auto",
) -> Float[Tensor, "B"]:
    """Negative log-likelihood of evidence for phases under an order of phases, differentiable in the evidence.

    -log Z,  Z = sum over paths k of initial[k_0] prod_{t>0} A[k_{t-1}, k_t] prod_t exp(log_evidence[t, k_t])

    -d log Z / d log_evidence[t, k] = -P(k_t = k | evidence), computed in the same pass. Everything is in logarithms:
    evidence that is off by thousands, or -inf, does no harm. A sample with no possible path has -log Z = inf and
    gradient 0. numba and Triton are differentiable once, in ``log_evidence``; reference as often as wished, in all
    arguments. Under `torch.compile` the values of the arguments are not checked.

    Args:
        log_evidence: log p(frame | phase) up to a constant per frame, ``[B, T, K]``; -inf rules a phase out.
        stay: probability to be in the same phase in the next frame, ``[K]``; A is `left_to_right` of it.
        initial: probability of each phase in the first frame, or a 0/1 mask, ``[K]``; the first phase when None.
        transitions: A in place of ``stay``, from row to column, ``[K, K]``: probabilities, or a 0/1 mask.
        backend: ``auto``, ``reference``, ``numba`` (CPU) or ``triton`` (GPU, not float64), see `resolve_backend`.

    Returns:
        -log Z ``[B]`` in nats, in the dtype of ``log_evidence``, at least float32. numba computes in float64.

    Raises:
        InvalidArgument: another rank or size, NaN or +inf evidence, ``stay`` outside [0, 1], negative or infinite
            ``initial`` or ``transitions``, both or neither of ``stay`` and ``transitions``, a backend that cannot run
            here, parameters that require a gradient of a backend that has none.
        RuntimeError: a second derivative of numba or Triton.

    Source: forward-backward, Rabiner (1989), Proc. IEEE 77:257; in logarithms, Mann (2006), Numerically stable hidden
        Markov model implementation.

    >>> likelihood = torch.tensor([[[1.0, 1.0], [0.5, 0.25]]])
    >>> nll = phase_order_nll(likelihood.log(), torch.tensor([0.9, 1.0]))
    >>> round((-nll).exp().item(), 6), round(0.9 * 0.5 + 0.1 * 0.25, 6)
    (0.475, 0.475)
    """
    model = _logarithms(log_evidence, stay, initial, transitions)
    if backend == "reference":
        return _reference(log_evidence, *model)[0]
    if any(logarithm.requires_grad for logarithm in model):
        raise InvalidArgument("backend", backend, "reference, for parameters that require a gradient")
    return torch.ops.physgen.phase_order_nll(log_evidence, *model, backend)[0]


@torch.no_grad()
def posterior(
    log_evidence: Float[Tensor, "B T K"],
    stay: Float[Tensor, "K"] | None = None,
    *,
    initial: Float[Tensor, "K"] | None = None,
    transitions: Float[Tensor, "K K"] | None = None,
    backend: str = "auto",
) -> Float[Tensor, "B T K"]:
    """Probability of each phase in each frame given all frames, detached.

    P(k_t = k | evidence) = d log Z / d log_evidence[t, k],  0 for a sample with no possible path

    Arguments, dtype and errors are those of `phase_order_nll`.

    Source: as `phase_order_nll`.

    >>> evidence = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [-50.0, 0.0]]])
    >>> posterior(evidence, torch.tensor([0.5, 1.0]))[0, :, 1].round(decimals=4)
    tensor([0.0000, 0.6667, 1.0000])
    """
    model = _logarithms(log_evidence, stay, initial, transitions)
    return torch.ops.physgen.phase_order_nll(log_evidence, *model, backend)[1]


@torch.no_grad()
def viterbi(
    log_evidence: Float[Tensor, "B T K"],
    stay: Float[Tensor, "K"] | None = None,
    *,
    initial: Float[Tensor, "K"] | None = None,
    transitions: Float[Tensor, "K K"] | None = None,
) -> tuple[Int[Tensor, "B T"], Float[Tensor, "B"]]:
    """Most probable sequence of phases and the logarithm of its weight, detached.

    argmax and max over paths k of log initial[k_0] + sum_{t>0} log A[k_{t-1}, k_t] + sum_t log_evidence[t, k_t]

    Of paths that are equal, the one with the earliest last phase, then the earliest phase before it, and so on. A
    sample with no possible path has phases -1 and log-weight -inf. Computed in float64. Arguments, dtype and errors are
    those of `phase_order_nll`.

    Source: Viterbi (1967), IEEE Trans. Inf. Theory 13:260.

    >>> likelihood = torch.tensor([[[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]]])
    >>> path, log_weight = viterbi(likelihood.log(), torch.tensor([0.5, 0.5, 1.0]))
    >>> path.tolist(), round(log_weight.exp().item(), 6)
    ([[0, 1, 2]], 0.016)
    """
    log_initial, log_transitions = _logarithms(log_evidence, stay, initial, transitions)
    best = log_initial + log_evidence[:, 0]
    arrivals = []
    for evidence in log_evidence[:, 1:].unbind(1):
        best, source = (best[:, :, None] + log_transitions).max(1)
        best = best + evidence
        arrivals.append(source)
    log_weight, phase = best.max(1)
    path = [phase]
    for source in reversed(arrivals):
        path.append(source.gather(1, path[-1][:, None])[:, 0])
    phases = torch.stack(path[::-1], 1).masked_fill(log_weight[:, None].isneginf(), -1)
    return phases, log_weight.to(_dtype(log_evidence))


def _logarithms(
    log_evidence: Tensor, stay: Tensor | None, initial: Tensor | None, transitions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Log initial ``[K]`` and log A ``[K, K]``, float64, -inf where forbidden, once everything is checked."""
    if log_evidence.ndim != 3 or not log_evidence.is_floating_point() or 0 in log_evidence.shape:
        got = f"{log_evidence.dtype} {tuple(log_evidence.shape)}"
        raise InvalidArgument("log_evidence", got, "floating point [B, T, K], none of them 0")
    if not torch.compiler.is_compiling() and not bool((log_evidence < torch.inf).all()):
        raise InvalidArgument("log_evidence", "NaN or +inf", "numbers, or -inf")
    states, device = log_evidence.shape[2], log_evidence.device
    if stay is not None and transitions is None:
        moves = left_to_right(_weights("stay", stay, (states,), device, maximum=1.0))
    elif transitions is not None and stay is None:
        moves = _weights("transitions", transitions, (states, states), device)
    else:
        raise InvalidArgument("stay, transitions", "neither" if stay is None else "both", "one of them")
    if initial is None:
        first = torch.eye(states, dtype=torch.float64, device=device)[0]
    else:
        first = _weights("initial", initial, (states,), device)
    return _log(first), _log(moves)


def _weights(
    name: str,
    value: Tensor,
    shape: tuple[int, ...],
    device: torch.device,
    maximum: float = torch.finfo(torch.float64).max,
) -> Tensor:
    if value.shape != shape or not value.is_floating_point():
        raise InvalidArgument(name, f"{value.dtype} {tuple(value.shape)}", f"floating point {list(shape)}")
    exact = value.to(device, torch.float64)
    if not torch.compiler.is_compiling() and not bool(((exact >= 0) & (exact <= maximum)).all()):
        raise InvalidArgument(name, value.tolist(), f"0 to {maximum:.3g}")
    return exact


def _log(weights: Tensor) -> Tensor:
    """Logarithm with derivative 0 where it is -inf."""
    possible = weights > 0
    return torch.where(possible, torch.where(possible, weights, 1.0).log(), -torch.inf)


def _dtype(log_evidence: Tensor) -> torch.dtype:
    return torch.promote_types(log_evidence.dtype, torch.float32)


def _reference(log_evidence: Tensor, log_initial: Tensor, log_transitions: Tensor) -> tuple[Tensor, Tensor]:
    """-log Z and posterior in torch, for autograd to differentiate."""
    dtype = _dtype(log_evidence)
    log_evidence, alpha, moves = (logarithm.to(dtype) for logarithm in (log_evidence, log_initial, log_transitions))
    first, *later = log_evidence.unbind(1)
    alpha, log_z, shares = alpha + first, torch.zeros_like(first[:, 0]), []
    for evidence in later:
        top = alpha.detach().amax(1).clamp(min=torch.finfo(dtype).min)
        log_z = log_z + top
        onward, share = _log_sum_exp((alpha - top[:, None])[:, :, None] + moves)
        alpha = onward + evidence
        shares.append(share)
    total, share = _log_sum_exp(alpha)
    posteriors = [share]
    for share in reversed(shares):
        posteriors.append((share * posteriors[-1][:, None]).sum(2))
    return -(log_z + total), torch.stack(posteriors[::-1], 1)


def _log_sum_exp(score: Tensor) -> tuple[Tensor, Tensor]:
    """Log of sum_j exp(score[n, j, ...]), with derivative 0 where it is -inf, and the share of each term."""
    top = score.detach().amax(1)
    terms = (score - top.clamp(min=torch.finfo(score.dtype).min)[:, None]).exp()
    total = terms.sum(1).clamp(min=1)
    return top + total.log(), terms / total[:, None]


SCHEMA = "(Tensor log_evidence, Tensor log_initial, Tensor log_transitions, str backend) -> (Tensor, Tensor)"


@torch.library.custom_op("physgen::phase_order_nll", mutates_args=(), device_types=("cpu", "cuda"), schema=SCHEMA)
def _operator(
    log_evidence: Tensor, log_initial: Tensor, log_transitions: Tensor, backend: str
) -> tuple[Tensor, Tensor]:
    """-log Z ``[B]`` and posterior ``[B, T, K]``."""
    supported = ("reference", "numba") if log_evidence.dtype == torch.float64 else ("reference", "numba", "triton")
    chosen = resolve_backend(backend, log_evidence.device, supported)
    run = {"reference": _reference, "numba": _numba, "triton": _triton}[chosen]
    return run(log_evidence.detach().contiguous(), log_initial.contiguous(), log_transitions.contiguous())


@_operator.register_fake
def _(log_evidence: Tensor, log_initial: Tensor, log_transitions: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    posterior = torch.empty_like(log_evidence, dtype=_dtype(log_evidence), memory_format=torch.contiguous_format)
    return posterior.new_empty(len(posterior)), posterior


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, str], output: tuple[Tensor, Tensor]) -> None:
    ctx.dtype = inputs[0].dtype
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


@once_differentiable
def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
    return (-grad[:, None, None] * ctx.saved_tensors[0]).to(ctx.dtype), None, None, None


_operator.register_autograd(_backward, setup_context=_setup_context)


def _numba(log_evidence: Tensor, log_initial: Tensor, log_transitions: Tensor) -> tuple[Tensor, Tensor]:
    from physgen.kernels.forward_backward import forward_backward

    exact = log_evidence.to(_dtype(log_evidence))
    nll, posterior = exact.new_empty(len(exact)), torch.empty_like(exact)
    moves = log_transitions.numpy()
    target, source = np.stack(np.nonzero(np.isfinite(moves.T)))
    first = np.searchsorted(target, np.arange(len(moves) + 1))
    arrays = (exact.numpy(), nll.numpy(), posterior.numpy())

    def run(begin: int, end: int) -> None:
        part = (array[begin:end] for array in arrays)
        forward_backward(*part, log_initial.numpy(), first, source, moves[source, target])

    if exact.numel() < GRAIN:
        run(0, len(exact))
    else:
        in_threads(run, len(exact))
    return nll, posterior


def _triton(log_evidence: Tensor, log_initial: Tensor, log_transitions: Tensor) -> tuple[Tensor, Tensor]:
    from physgen.kernels.hmm import forward_backward

    batch, frames, states = log_evidence.shape
    nll = log_evidence.new_empty(batch, dtype=torch.float32)
    alpha, posterior = (torch.empty_like(log_evidence, dtype=torch.float32) for _ in range(2))
    tile, warps = _tile(states)
    with torch.cuda.device_of(log_evidence):
        forward_backward[(-(-batch // tile["SAMPLES"]),)](
            log_evidence, log_initial.float(), log_transitions.float(), alpha, nll, posterior, batch, frames,
            **tile, num_warps=warps,
        )  # fmt: skip
    return nll, posterior


def _tile(states: int) -> tuple[dict[str, int], int]:
    """Constants of the kernel and number of warps: one exchanges numbers without a barrier, if it can hold the tile."""
    padded = 1 << (states - 1).bit_length()
    samples = max(1, min(SAMPLES, TILE // padded**2))
    return {"K": states, "STATES": padded, "SAMPLES": samples}, max(1, min(32, padded**2 // WARP))


def ahead_of_time(real: str = "fp32", states: int = 7) -> dict[str, Any]:
    """How the operator launches its kernel on evidence of type ``real``, for a compile without a GPU.

    >>> ahead_of_time(states=7)["constexprs"]
    {'K': 7, 'STATES': 8, 'SAMPLES': 4}
    """
    from physgen.kernels.hmm import forward_backward

    pointers = {"INITIAL": "*fp32", "TRANSITIONS": "*fp32", "ALPHA": "*fp32", "NLL": "*fp32", "POSTERIOR": "*fp32"}
    tile, warps = _tile(states)
    return {
        "function": forward_backward,
        "signature": {"EVIDENCE": f"*{real}", **pointers, "B": "i32", "T": "i32"},
        "constexprs": tile,
        "aligned": ("EVIDENCE", *pointers),
        "num_warps": warps,
        "elements": tile["SAMPLES"] * states,
    }
