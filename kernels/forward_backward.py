"""Forward-backward pass of a hidden Markov model on a CPU. Imports numba: to be imported when it is needed."""

from __future__ import annotations

import math
from typing import no_type_check

import numba
import numpy as np

from physgen.kernels.compiled import njit

#: most samples side by side in vector registers
LANES = 32
#: smallest product of all scales for which nothing is lost
SMALLEST = 1e-260


@numba.njit(inline="always")
@no_type_check
def exponential(x):
    """exp(x) for x <= 0, within 1e-12 of itself, 0 below -700: the Taylor series of x / 2048, squared eleven times.

    Unrolled, for the loops that call it to be vectorised; a call of the C library is not.
    """
    r = max(x, -700.0) / 2048
    y = 1 + r * (1 / 13)
    y = 1 + r * (1 / 12) * y
    y = 1 + r * (1 / 11) * y
    y = 1 + r * (1 / 10) * y
    y = 1 + r * (1 / 9) * y
    y = 1 + r * (1 / 8) * y
    y = 1 + r * (1 / 7) * y
    y = 1 + r * (1 / 6) * y
    y = 1 + r * (1 / 5) * y
    y = 1 + r * (1 / 4) * y
    y = 1 + r * (1 / 3) * y
    y = 1 + r * (1 / 2) * y
    y = 1 + r * y
    y2 = y * y
    y4 = y2 * y2
    y8 = y4 * y4
    y16 = y8 * y8
    y32 = y16 * y16
    y64 = y32 * y32
    y128 = y64 * y64
    y256 = y128 * y128
    y512 = y256 * y256
    y1024 = y512 * y512
    return y1024 * y1024 * (x >= -700)


@njit(nogil=True, error_model="numpy", fastmath={"contract"})
@no_type_check
def forward_backward(evidence, nll, posterior, log_initial, first, source, log_weight):
    """Fill -log Z ``[B]`` and posterior ``[B, T, K]`` of evidence ``[B, T, K]``, computed in float64.

    Edges into phase k are ``first[k]`` to ``first[k + 1]`` of ``source`` and ``log_weight``. Weights are added as they
    are, divided by their largest possible sum, and in every frame by what is left of it, its scale. Of a path that
    underflows, below 1e-300, the share in Z is less than 1e-300 / (product of the scales). Where that product is below
    `SMALLEST`, the sample is done `in_logarithms`.
    """
    batch, frames, states = evidence.shape
    initial, weight, leaving = np.exp(log_initial), np.exp(log_weight), np.zeros(states)
    for e in range(len(source)):
        leaving[source[e]] += weight[e]
    start, step = initial.sum(), max(leaving.max(), 1e-300)
    constant = math.log(start) + (frames - 1) * math.log(step)
    initial /= start
    weight /= step

    width = min(LANES, batch)
    likelihood, alpha = np.zeros((frames, states, width)), np.empty((frames, states, width))
    scale, onward, beta = np.empty((frames, width)), np.empty((states, width)), np.empty((states, width))
    top, log_z, product = np.empty(width), np.empty(width), np.empty(width)
    for begin in range(0, batch, width):
        lanes = min(width, batch - begin)
        for lane in range(lanes):
            for t in range(frames):
                for k in range(states):
                    likelihood[t, k, lane] = evidence[begin + lane, t, k]

        log_z[:] = constant
        product[:] = 1.0
        for k in range(states):
            onward[k] = initial[k]
        for t in range(frames):
            total = scale[t]
            top[:] = -1e300
            total[:] = 0.0
            for k in range(states):
                here = likelihood[t, k]
                for lane in range(width):
                    top[lane] = max(top[lane], here[lane])
            for k in range(states):
                here, arrived, a = likelihood[t, k], onward[k], alpha[t, k]
                for lane in range(width):
                    here[lane] = exponential(here[lane] - top[lane])
                for lane in range(width):
                    a[lane] = arrived[lane] * here[lane]
                    total[lane] += a[lane]
            for lane in range(width):
                log_z[lane] += top[lane]
                product[lane] *= total[lane]
                total[lane] = 1.0 / total[lane]
            for k in range(states):
                a = alpha[t, k]
                for lane in range(width):
                    a[lane] *= total[lane]
            onward[:] = 0.0
            for k in range(states):
                arrived = onward[k]
                for e in range(first[k], first[k + 1]):
                    a, w = alpha[t, source[e]], weight[e]
                    for lane in range(width):
                        arrived[lane] += a[lane] * w

        beta[:] = 1.0
        for t in range(frames - 1, -1, -1):
            inverse = scale[t]
            for k in range(states):
                a, b, here, back = alpha[t, k], beta[k], likelihood[t, k], onward[k]
                for lane in range(width):
                    a[lane] *= b[lane]
                    back[lane] = here[lane] * b[lane] * inverse[lane]
            beta[:] = 0.0
            for k in range(states):
                back = onward[k]
                for e in range(first[k], first[k + 1]):
                    b, w = beta[source[e]], weight[e]
                    for lane in range(width):
                        b[lane] += back[lane] * w

        for lane in range(lanes):
            sample = begin + lane
            if product[lane] >= SMALLEST:
                nll[sample] = -log_z[lane] - math.log(product[lane])
                for t in range(frames):
                    for k in range(states):
                        posterior[sample, t, k] = alpha[t, k, lane]
            else:
                nll[sample] = in_logarithms(evidence[sample], posterior[sample], log_initial, first, source, log_weight)


@njit(nogil=True)
@no_type_check
def in_logarithms(evidence, posterior, log_initial, first, source, log_weight):
    """Return -log Z of one sample ``[T, K]``, whatever its evidence, and fill its posterior.

    share[t, edge] = P(source at t | target at t + 1, frames 0 to t);  a sum of nothing is -inf, its shares are 0
    """
    frames, states = evidence.shape
    share = np.empty((frames, len(source)))
    alpha, onward = log_initial + evidence[0], np.empty(states)
    for t in range(frames - 1):
        for k in range(states):
            top, total = -np.inf, 0.0
            for e in range(first[k], first[k + 1]):
                share[t, e] = alpha[source[e]] + log_weight[e]
                top = max(top, share[t, e])
            for e in range(first[k], first[k + 1]):
                share[t, e] = math.exp(share[t, e] - max(top, -1e300))
                total += share[t, e]
            for e in range(first[k], first[k + 1]):
                share[t, e] /= max(total, 1.0)
            onward[k] = top + math.log(max(total, 1.0))
        alpha = onward + evidence[t + 1]
    top = alpha.max()
    probability = np.exp(alpha - max(top, -1e300))
    total = max(probability.sum(), 1.0)
    probability /= total
    for t in range(frames - 1, 0, -1):
        posterior[t] = probability
        onward[:] = 0.0
        for k in range(states):
            for e in range(first[k], first[k + 1]):
                onward[source[e]] += share[t - 1, e] * probability[k]
        probability[:] = onward
    posterior[0] = probability
    return -top - math.log(total)
