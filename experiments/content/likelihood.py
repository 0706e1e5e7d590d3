"""What the judge makes of videos, with its derivative by them: margins, and the logarithm of a probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.experiments.content.asked import Asked
from physgen.experiments.instruments.clip import Clip
from physgen.worlds.micro.judge import head_of, packaged_judge

Soft = Callable[[Float[Tensor, "B 3 T H W"], Asked], Float[Tensor, "B"]]


def soft_margin(*names: str) -> Soft:
    """The smallest margin by which the judge prefers what is asked for: in these attributes; in all and family if none.

    score of the value that is asked for - best other score
    """

    def read(video: Tensor, asked: Asked) -> Tensor:
        found = []
        for scores, index in _judged(video, asked, names or asked.judged):
            others = torch.cat([scores[:, :index], scores[:, index + 1 :]], 1)
            found.append(scores[:, index] - others.amax(1))
        return torch.stack(found).amin(0) if found else video.new_full((len(video),), torch.inf)

    return read


def log_likelihood(video: Float[Tensor, "B 3 T H W"], asked: Asked) -> Float[Tensor, "B"]:
    """Sum of the log-probabilities that the judge gives to the family, the kind and each attribute asked for."""
    found = [scores.log_softmax(1)[:, index] for scores, index in _judged(video, asked, asked.judged)]
    return torch.stack(found).sum(0)


def likelihood(clip: Clip, asked: Asked) -> float:
    """Log-probability that the judge gives to the family, the kind and each attribute that is asked for."""
    with torch.no_grad():
        return float(log_likelihood(clip.video[None].float(), asked))


def _judged(video: Tensor, asked: Asked, names: Sequence[str]) -> list[tuple[Tensor, int]]:
    """Scores ``[B, K]`` of each head that the judge has, and the place of the value that is asked for."""
    judge, subject = packaged_judge(), asked.subject
    assert subject
    scores = judge.scores(judge.encode(judge.frames(video.float())))
    found = []
    for name in names:
        head = name if name == "family" else head_of(subject.family, subject.kind, name)
        value = subject.family if name == "family" else subject.attributes[name]
        if head in scores:
            found.append((scores[head], judge.heads[head].index(value)))
    return found
