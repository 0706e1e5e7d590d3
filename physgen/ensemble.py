"""What several samples of one posterior say together: mean, spread and bands of every value."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import finite, floating
from physgen.errors import InvalidArgument

#: frames and pixels that a spread is averaged over
WINDOW = (5, 9, 9)
#: what the spread of samples of the embedded world is too small by, kept to an observation and joined with a law; found
#: with four samples, whose bands were 2.6 and 3 times as wide as their spread, sqrt(1 + 1/4) of it for their mean
INFLATION, INFLATION_JOINED = 2.6 / 1.25**0.5, 3.0 / 1.25**0.5


@dataclass(frozen=True)
class Ensemble:
    """Samples of the same video, at least two.

    Attributes:
        fields: ``[M, ...]``, as `Observable` reads them, or the videos themselves.

    Raises:
        InvalidArgument: fewer than two samples.

    >>> few = Ensemble(torch.tensor([[0.0], [1.0], [2.0], [3.0]]))
    >>> few.mean.tolist(), round(float(few.spread), 2), few.coverage(0.9)
    ([1.5], 1.29, 0.6)
    """

    fields: Float[Tensor, "M *shape"]

    def __post_init__(self) -> None:
        if len(floating("fields", self.fields, "samples [M, ...]")) < 2:
            raise InvalidArgument("fields", f"{len(self.fields)} samples", "two or more")

    @property
    def mean(self) -> Float[Tensor, "*shape"]:
        """Of the samples, the estimate with the least expected squared error."""
        return self.fields.mean(0)

    @property
    def spread(self) -> Float[Tensor, "*shape"]:
        """Standard deviation of one sample; that of the mean's error, if the samples are those of the posterior."""
        return self.fields.std(0)

    def band(self, level: float) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Lower and upper end of the central band that holds a further sample with probability ``level``.

        Its ends are at ranks (1 -+ level) (M + 1) / 2 of the sorted samples, interpolated between neighbours and never
        outside of all: so `coverage` is less than ``level`` where samples are few.

        Raises:
            InvalidArgument: a level outside (0, 1).

        Source: Weibull (1939); Hyndman and Fan (1996), Am. Stat. 50:361, definition 6.

        >>> low, high = Ensemble(torch.arange(1.0, 20.0).view(-1, 1)).band(0.9)
        >>> float(low), float(high)
        (1.0, 19.0)
        """
        finite("level", level, "a number between 0 and 1", lambda value: 0 < value < 1)
        ranked, count = self.fields.sort(0).values, len(self.fields)
        ends = []
        for part in ((1 - level) / 2, (1 + level) / 2):
            rank = min(max(part * (count + 1), 1.0), float(count)) - 1
            below = min(int(rank), count - 2)
            ends.append(torch.lerp(ranked[below], ranked[below + 1], rank - below))
        return ends[0], ends[1]

    def wide_band(self, level: float, inflation: float) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """The mean -+ z `widened_spread`: a band for samples that agree more than they are right.

        mean -+ z inflation sqrt(1 + 1/M) local_spread

        z is the normal distribution's, 1.64 for 90 %; 1/M is for the mean, which is off by a part of the spread itself.
        ``inflation`` is found on videos whose truth is known: 2.33 for samples of the embedded world that keep to an
        observation, 2.68 once they are joined with a law (`INFLATION`), so that bands of four samples are 2.6 and 3
        times as wide as their spread. Samples are ``[M, S, T, H, W]``.

        Raises:
            InvalidArgument: a level outside (0, 1), an inflation that is not positive.

        Source: spread inflation, Anderson and Anderson (1999), Mon. Weather Rev. 127:2741.
        """
        finite("level", level, "a number between 0 and 1", lambda value: 0 < value < 1)
        finite("inflation", inflation, "a number > 0", lambda value: value > 0)
        half = NormalDist().inv_cdf((1 + level) / 2) * widened_spread(self.fields, inflation)
        return self.mean - half, self.mean + half

    def coverage(self, level: float) -> float:
        """How often `band` holds a further sample, of as many samples as there are: ``level``, or what they allow."""
        return min(level, (len(self.fields) - 1) / (len(self.fields) + 1))


def local_spread(fields: Float[Tensor, "M S T H W"]) -> Float[Tensor, "S T H W"]:
    """Standard deviation of samples, its square averaged over 5 frames and 9 x 9 pixels: a few agree by chance."""
    edge = [size // 2 for size in WINDOW]
    return F.avg_pool3d(fields.var(0)[None], WINDOW, 1, edge, count_include_pad=False)[0].sqrt()


def widened_spread(fields: Float[Tensor, "M S T H W"], inflation: float) -> Float[Tensor, "S T H W"]:
    """Standard deviation of the truth about the mean of the samples: ``inflation`` sqrt(1 + 1/M) `local_spread`.

    >>> fields = torch.tensor([0.0, 2.0]).view(2, 1, 1, 1, 1).expand(2, 1, 5, 9, 9)
    >>> round(float(widened_spread(fields, 2.0).max()), 3)  # 2 sqrt(3/2) sqrt(2)
    3.464
    """
    return inflation * (1 + 1 / len(fields)) ** 0.5 * local_spread(fields)


def crps(fields: Float[Tensor, "M *shape"], truth: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Continuous ranked probability score of every value, in its unit: 0 is perfect, of one sample its error.

    mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 M (M - 1))

    Source: Ferro (2014), Q. J. R. Meteorol. Soc. 140:1917, the score that is fair to few samples.

    >>> crps(torch.tensor([[0.0], [2.0]]), torch.tensor([1.0])).tolist()
    [0.0]
    """
    count = len(fields)
    off = (fields - truth).abs().mean(0)
    if count == 1:
        return off
    ranks = torch.arange(1 - count, count, 2).to(fields).view(-1, *[1] * truth.ndim)
    return off - (ranks * fields.sort(0).values).sum(0) / (count * (count - 1))
