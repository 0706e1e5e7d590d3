"""The laws of what moves, stays, grows, repeats itself and is counted, as measuring devices."""

from __future__ import annotations

import torch

from physgen.constraints import Count, Periodic, Permanence, Progression, Static, Transport
from physgen.experiments.instruments.clip import Clip
from physgen.experiments.measure.moving import BEAD, BEAD_REACH, RED_CELL
from physgen.simulators import blood

#: mean radius of a vesicle, µm
VESICLE = 4.9
#: what the laws themselves allow, in their units: below, nothing is wrong, however little faultless videos show
ALLOWED = {"permanence": 0.5, "progression": 0.01}
_TRANSPORT, _STATIC = Transport(steady=True), Static()
_PERMANENCE = {
    "blood": Permanence(RED_CELL),
    "vessel": Permanence(RED_CELL),
    "beads": Permanence(BEAD, BEAD_REACH),
    "vesicles": Permanence(VESICLE, merges=True),
}
_PROGRESSION, _PERIODIC = Progression(), Periodic()


def transport(clip: Clip) -> float:
    """Part of the change of brightness from frame to frame that no steady flow in two dimensions explains.

    `Transport` of form ``frames`` with ``steady``: flow and residual are found in another way than those of the form
    ``steady``, which has a projection. Brightness, since a file keeps it better than colours.
    """
    light = torch.from_numpy(clip.light).float()[None, None]
    return 1.0 - float(_TRANSPORT.describe(light, clip.grid)["explained"][0])


def permanence(clip: Clip) -> float:
    """Most objects, beyond a half, that appear or vanish from a frame to the next: soft assignment of `Permanence`.

    Vesicles may merge.
    """
    assert clip.subject
    law = _PERMANENCE[clip.subject.family]
    return max(0.0, float(law.residual(_field(clip), clip.grid).max()) - ALLOWED["permanence"])


def static(clip: Clip) -> float:
    """Largest deviation of the layer of lumen and wall in a frame, relative to its contrast: `Static`."""
    layers = torch.from_numpy(clip.fields[1:]).float()[None]
    return float(_STATIC.residual(layers, clip.grid).square().sum(3).sqrt().max())


def progression(clip: Clip) -> float:
    """Largest distance of an amount from the nearest course that rises, over its size, beyond 0.01: `Progression`."""
    return max(0.0, float(_PROGRESSION.residual(_field(clip), clip.grid).abs().max()) - ALLOWED["progression"])


def periodic(clip: Clip) -> float:
    """Largest part of the motion, in a frame, that no waveform of the fitted period explains: `Periodic`.

    1 where the video shows fewer than two periods, or a period explains less than half of the motion.
    """
    field = _field(clip)
    if not _PERIODIC.fit(field, clip.grid).measured[0]:
        return 1.0
    return float(_PERIODIC.residual(field, clip.grid).square().mean((1, 3)).sqrt().max())


def number(clip: Clip) -> float:
    """Objects too many or too few, over the most that are asked for: the residual of `Count` with its hard count.

    Of the median over the frames.
    """
    assert clip.subject
    low, high = blood.COUNTS[clip.subject.attributes["count"]]
    seen = float(Count((low, high - 1)).hard_count(_field(clip), clip.grid).double().median())
    return max(low - seen, seen - (high - 1), 0.0) / (high - 1)


def _field(clip: Clip) -> torch.Tensor:
    """``[1, 1, T, H, W]`` of what objects are read from."""
    return torch.from_numpy(clip.field).float()[None, None]
