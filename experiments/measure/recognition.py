"""What the judge recognises: family, attributes, the order of phases; and distances in its feature space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.measure.distances import Discrepancy, frechet, median_bandwidth, principal_axes
from physgen.experiments.measure.intervals import Interval, bootstrap
from physgen.experiments.measure.laws import legal_order
from physgen.simulators.mitosis import PHASES
from physgen.worlds.micro.judge import Judge, head_of

#: most principal components of a Frechet distance, and fewest vectors for each
COMPONENTS, PER_COMPONENT = 16, 8
DRAWS = 500

Array = npt.NDArray[np.float64]


def features(judge: Judge, video: Tensor) -> Array:
    """Feature vectors ``[N, F]`` in float64."""
    return np.asarray(judge.features(video).double().numpy())


def recognised(judge: Judge, asked: Sequence[Prompt], vectors: Array) -> dict[str, Array]:
    """Per video 1 or 0: ``family`` and every attribute asked for (NaN where not asked), ``attributes`` their mean.

    An attribute is judged by the head of the family and kind that was asked for, whatever the video was taken for.
    """
    with torch.no_grad():
        scores = judge.scores(torch.from_numpy(vectors).float())
    best = {head: [judge.heads[head][i] for i in logits.argmax(1)] for head, logits in scores.items()}
    names = sorted({name for p in asked for name in p.attributes if _judged(judge, p, name)})
    hits = {name: np.full(len(asked), np.nan) for name in names}
    for i, prompt in enumerate(asked):
        for name, value in prompt.attributes.items():
            if _judged(judge, prompt, name):
                hits[name][i] = best[head_of(prompt.family, prompt.attributes["kind"], name)][i] == value
    attributes = np.nanmean([values for name, values in hits.items() if name != "kind"], axis=0)
    family = np.array([found == p.family for found, p in zip(best["family"], asked, strict=True)], float)
    return {"family": family, "attributes": attributes, **hits}


def _judged(judge: Judge, prompt: Prompt, name: str) -> bool:
    return head_of(prompt.family, prompt.attributes["kind"], name) in judge.heads


def phase_order(judge: Judge, video: Tensor) -> dict[str, Array]:
    """Per video 1 where the phases of mitosis run in order from first to last, else 0; and the share of legal steps."""
    rows = judge.phases(video).numpy()
    steps = np.diff(rows, axis=1)
    return {
        "phases_in_order": np.array([legal_order(row, len(PHASES) - 1) for row in rows.tolist()], float),
        "phase_steps_legal": ((steps == 0) | (steps == 1)).mean(1),
    }


def distances(sample: Array, reference: Array, seed: int) -> dict[str, Any]:
    """Unbiased MMD^2 and Frechet distance of two sets ``[N, F]`` that share their prompts, with intervals.

    The bandwidth is the median distance in the reference; the Frechet distance is taken on its leading principal
    components, in units of the first one's variance.
    """
    discrepancy = Discrepancy.gaussian(sample, reference, median_bandwidth(reference))
    axes = components(reference)
    x, y = sample @ axes, reference @ axes
    return {
        "mmd2": bootstrap(discrepancy, len(sample), seed=seed, draws=DRAWS),
        "frechet": bootstrap(lambda rows: frechet(x[rows], y[rows]), len(sample), seed=seed, draws=DRAWS),
        "components": axes.shape[1],
    }


def components(reference: Array) -> Array:
    """The principal axes that a set of this size can support."""
    return principal_axes(reference, min(COMPONENTS, max(1, len(reference) // PER_COMPONENT)))


def paired_distances(a: Array, b: Array, reference: Array, seed: int) -> dict[str, Interval]:
    """Distance of ``a`` minus distance of ``b`` to the reference, prompts resampled together."""
    width, axes = median_bandwidth(reference), components(reference)
    first, second = (Discrepancy.gaussian(vectors, reference, width) for vectors in (a, b))
    x, y, z = a @ axes, b @ axes, reference @ axes
    return {
        "mmd2": bootstrap(lambda r: first(r) - second(r), len(a), seed=seed, draws=DRAWS),
        "frechet": bootstrap(lambda r: frechet(x[r], z[r]) - frechet(y[r], z[r]), len(a), seed=seed, draws=DRAWS),
    }
