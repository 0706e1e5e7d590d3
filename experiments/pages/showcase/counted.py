"""How many objects a film shows: as many as each of three readings sees, beside as many as were asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from physgen.experiments.content.asked import Asked
from physgen.experiments.content.judged import value_by_judge
from physgen.experiments.content.readings import seen_by_components, seen_by_peaks


@dataclass(frozen=True)
class Counted:
    """Objects of one video.

    Attributes:
        least, most: that were asked for.
        word: the same in the words of the prompt.
        peaks: that the reward which chooses sees.
        components: connected bright pixels, which share nothing with the peaks.
        judge: what the judge says, of the few words that it knows; it calls six beads five or eight.
    """

    least: int
    most: int
    word: str
    peaks: float
    components: float
    judge: str

    @property
    def asked(self) -> str:
        """The number that was asked for.

        >>> Counted(3, 4, "a few", 5.0, 5.0, "a few").asked, Counted(5, 5, "five beads", 6.0, 6.0, "five beads").asked
        ('3 to 4', '5')
        """
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"

    @property
    def is_right(self) -> bool:
        """Whether both the judge and the components say what was asked for; what chose is not asked."""
        return self.judge == self.word and self.least <= self.components <= self.most

    @property
    def verdict(self) -> str:
        """Right, or what each of the two says.

        >>> Counted(5, 5, "five beads", 6.0, 6.0, "five beads").verdict
        'the judge says five beads, components say 6'
        """
        if self.is_right:
            return "right: the judge and components agree"
        return f"the judge says {self.judge}, components say {self.components:g}"

    def as_json(self) -> dict[str, Any]:
        """As the record of a row has it."""
        return {**asdict(self), "right": self.is_right}


def count_of(video: Float[Tensor, "3 T H W"], asked: Asked) -> Counted:
    """What each reading sees in a video of a caption that asks for a number."""
    assert asked.subject
    assert asked.count
    clip = asked.clip(video.clamp(0.0, 1.0))
    word = asked.subject.attributes["count"]
    return Counted(*asked.count, word, seen_by_peaks(clip), seen_by_components(clip), value_by_judge(clip, "count"))
