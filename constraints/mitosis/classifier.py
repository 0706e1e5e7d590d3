"""A small network that names the phase of mitosis from the evidence of frames; its weights are part of the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from physgen.constraints.mitosis.evidence import CELL_FEATURES, FEATURES

PHASES = ("interphase", "prophase", "prometaphase", "metaphase", "anaphase", "telophase", "cytokinesis")
#: standardised inputs are limited smoothly to this, beyond which training had nothing to say
LIMIT = 4.0


class PhaseClassifier(nn.Module):
    """Log-probability of each of the seven phases in each frame of a video, whatever the order of its frames.

    log p_t = log softmax W3 silu(W2 silu(W1 x_t)),  x_t = [f_t, mean_t f, sd_t f, cell given]

    Features ``[B, T, F]`` as of `phase_evidence`, log-probabilities ``[B, T, 7]``. Of the other frames it sees mean and
    standard deviation, which tell how this cell looks; frames in another order get the same probabilities in that
    order, so that the order is left to who reads them.

    Source: phases from the morphology of single frames, Held et al. (2010), Nature Methods 7:747; functions of sets,
        Zaheer et al. (2017), Deep Sets, NeurIPS.

    >>> features = torch.rand(2, 5, len(FEATURES))
    >>> classifier = PhaseClassifier()
    >>> log_p = classifier(features, cell=False)
    >>> log_p.shape, log_p.flip(1).allclose(classifier(features.flip(1), cell=False), atol=1e-5)
    (torch.Size([2, 5, 7]), True)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3 * len(FEATURES)))
        self.register_buffer("std", torch.ones(3 * len(FEATURES)))
        self.layers = nn.Sequential(
            nn.Linear(3 * len(FEATURES) + 1, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, len(PHASES)),
        )

    def forward(self, features: Float[Tensor, "B T F"], cell: bool) -> Float[Tensor, "B T K"]:
        """Log-probabilities; ``cell`` tells whether the features of the cell were measured."""
        return F.log_softmax(self.layers(self.inputs(in_context(features), cell)), -1)

    def inputs(self, features: Float[Tensor, "*batch F3"], cell: bool) -> Float[Tensor, "*batch F4"]:
        """What the layers read of features `in_context`: standardised, those of a cell that is not given at 0."""
        chromatin = torch.arange(features.shape[-1], device=features.device) % len(FEATURES)
        given = (chromatin < len(FEATURES) - CELL_FEATURES) | cell
        scaled = LIMIT * torch.tanh((features - self.mean) / (LIMIT * self.std)) * given
        return torch.cat([scaled, torch.full_like(scaled[..., :1], float(cell))], -1)


def in_context(features: Float[Tensor, "B T F"]) -> Float[Tensor, "B T F3"]:
    """Features of every frame, with their mean and standard deviation over the video.

    >>> in_context(torch.tensor([[[1.0], [3.0]]])).round(decimals=2).tolist()
    [[[1.0, 2.0, 1.0], [3.0, 2.0, 1.0]]]
    """
    mean = features.mean(1, keepdim=True)
    spread = ((features - mean).square().mean(1, keepdim=True) + 1e-6).sqrt()
    return torch.cat([features, mean.expand_as(features), spread.expand_as(features)], -1)


@cache
def phase_classifier(device: torch.device = torch.device("cpu")) -> PhaseClassifier:  # noqa: B008
    """The shipped classifier, in float64.

    >>> phase_classifier().mean.dtype
    torch.float64
    """
    from safetensors.torch import load

    model = PhaseClassifier()
    model.load_state_dict(
        load((files("physgen.constraints.mitosis") / "weights/phase_classifier.safetensors").read_bytes())
    )
    return model.double().eval().requires_grad_(False).to(device)
