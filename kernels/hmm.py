"""Log-likelihood and posterior of a hidden Markov model: a tile of samples per program, forward then backward."""

import triton
import triton.language as tl


@triton.jit
def log_sum_over_sources(alpha, log_transitions):  # type: ignore[no-untyped-def]
    """Return log sum_j exp(alpha[n, j] + log_transitions[j, k]), its terms [n, j, k] and their sum [n, k].

    The largest term of every sum is scaled to 1, so nothing that matters underflows. Where nothing leads, the logarithm
    is -inf, the terms are 0 and their sum is called 1.
    """
    score = alpha[:, :, None] + log_transitions[None, :, :]
    top = tl.max(score, axis=1)
    terms = tl.exp(score - tl.where(top > float("-inf"), top, 0.0)[:, None, :])
    total = tl.maximum(tl.sum(terms, axis=1), 1.0)
    return top + tl.log(total), terms, total


@triton.jit
def forward_backward(  # type: ignore[no-untyped-def]
    EVIDENCE,
    INITIAL,
    TRANSITIONS,
    ALPHA,
    NLL,
    POSTERIOR,
    B,
    T,
    K: tl.constexpr,
    STATES: tl.constexpr,
    SAMPLES: tl.constexpr,
):
    """NLL[b] = -log Z and POSTERIOR[b, t, k] = d log Z / d EVIDENCE[b, t, k], all in logarithms.

    EVIDENCE, ALPHA (scratch) and POSTERIOR are contiguous [B, T, K]; INITIAL [K] and TRANSITIONS [K, K], from row to
    column, hold logarithms, -inf where forbidden. STATES is K rounded up to a power of two. Grid: (B / SAMPLES,).

    Forward: alpha_t[k] = evidence_t[k] + log sum_j exp(alpha_{t-1}[j]) A[j, k], less its maximum.
    Backward: posterior_{t-1}[j] = sum_k share[j, k] posterior_t[k], share[j, k] ~ exp(alpha_{t-1}[j]) A[j, k].
    """
    sample = tl.program_id(0).to(tl.int64) * SAMPLES + tl.arange(0, SAMPLES)
    state = tl.arange(0, STATES)
    inside = state < K
    live = (sample < B)[:, None] & inside[None, :]
    edge = state[:, None] * K + state[None, :]
    log_transitions = tl.load(TRANSITIONS + edge, mask=inside[:, None] & inside[None, :], other=float("-inf"))
    initial = tl.load(INITIAL + state, mask=inside, other=float("-inf"))
    here = sample[:, None] * T * K + state[None, :]

    joint = initial[None, :] + tl.load(EVIDENCE + here, mask=live, other=float("-inf")).to(tl.float32)
    top = tl.max(joint, axis=1)
    log_z = top
    alpha = joint - tl.where(top > float("-inf"), top, 0.0)[:, None]
    for _ in range(1, T):
        tl.store(ALPHA + here, alpha, mask=live)
        here += K
        evidence = tl.load(EVIDENCE + here, mask=live, other=float("-inf")).to(tl.float32)
        predicted, terms, total = log_sum_over_sources(alpha, log_transitions)
        joint = predicted + evidence
        top = tl.max(joint, axis=1)
        log_z += top
        alpha = joint - tl.where(top > float("-inf"), top, 0.0)[:, None]
    probability = tl.exp(alpha)
    norm = tl.maximum(tl.sum(probability, axis=1), 1.0)
    tl.store(NLL + sample, -(log_z + tl.log(norm)), mask=sample < B)

    posterior = probability / norm[:, None]
    # what other threads stored is read from here on
    tl.debug_barrier()
    for _ in range(1, T):
        tl.store(POSTERIOR + here, posterior, mask=live)
        here -= K
        alpha = tl.load(ALPHA + here, mask=live, other=float("-inf"))
        predicted, terms, total = log_sum_over_sources(alpha, log_transitions)
        posterior = tl.sum(terms * (posterior / total)[:, None, :], axis=2)
    tl.store(POSTERIOR + here, posterior, mask=live)
