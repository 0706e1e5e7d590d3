"""Which instrument measures what."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from physgen.experiments.instruments.clip import Clip
from physgen.experiments.instruments.devices import attributes, forms, laws, moving, permanence, picture

Instrument = Callable[[Clip], float]

#: how a picture looks and changes, whatever it shows
PICTURE: dict[str, Instrument] = {
    "blur": picture.blur,
    "noise": picture.noise,
    "clipping": picture.clipping,
    "flicker": picture.flicker,
    "jumps": picture.jumps,
    "stutter": picture.stutter,
    "coherence": picture.coherence,
    "stillness": picture.stillness,
    "presence": picture.presence,
}
#: what the prompt names
ATTRIBUTES: dict[str, Instrument] = {
    "colour": attributes.colour,
    "speed": attributes.speed,
    "direction": attributes.direction,
    "orientation": attributes.orientation,
    "size": attributes.size,
    "pattern": attributes.pattern,
    "recognised": attributes.recognised,
    "count": permanence.count,
    "shape": forms.shape,
    "strength": forms.strength,
    "outcome": forms.outcome,
}
#: what holds for the content, where there is any
CONTENT: dict[str, Instrument] = {
    "mass": laws.mass,
    "reaction_diffusion": laws.reaction_diffusion,
    "arrow": laws.arrow,
    "extrema": laws.extrema,
    "bounds": laws.bounds,
    "phase_order": laws.phase_order,
    "phases": laws.phases,
    "daughters": permanence.daughters,
    "division": permanence.division,
    "appearance": permanence.appearance,
    "vanishing": permanence.vanishing,
    "steadiness": attributes.steadiness,
    "lanes": attributes.lanes,
    "lost": permanence.lost,
    "transport": moving.transport,
    "permanence": moving.permanence,
    "static": moving.static,
    "progression": moving.progression,
    "periodic": moving.periodic,
    "number": moving.number,
    "brownian": attributes.brownian,
    "shear": forms.shear,
}
INSTRUMENTS = PICTURE | ATTRIBUTES | CONTENT
#: how things move: a still picture has nothing of it, though its devices may find no fault there
MOTION = (
    *("speed", "direction", "strength", "phase_order", "arrow", "steadiness", "lanes"),
    *("transport", "progression", "periodic", "brownian", "shear"),
)

#: videos of any content, in colour, and those of a grey camera
ANY, MICROSCOPY = "any", "microscopy"
_COMMON = ("recognised", *PICTURE)
_CHANGES = tuple(name for name in PICTURE if name not in ("blur", "noise"))
#: domain -> its instruments; `ANY` and `MICROSCOPY` lack those that depend on the size of a pixel, and on the content:
#: cells of real movies brighten, divide and cross the border, of which no simulator here knows
DOMAINS: dict[str, tuple[str, ...]] = {
    "dye.drop": ("mass", "reaction_diffusion", "arrow", "extrema", "appearance", "colour", "count", "speed", *_COMMON),
    "dye.frap": ("mass", "reaction_diffusion", "arrow", "extrema", "colour", "size", "speed", *_COMMON),
    "growth.colony": (
        *(
            "reaction_diffusion",
            "arrow",
            "bounds",
            "appearance",
            "vanishing",
            "colour",
            "count",
            "speed",
            "progression",
        ),
        *_COMMON,
    ),
    "growth.wound": (
        "reaction_diffusion",
        "arrow",
        "bounds",
        "colour",
        "orientation",
        "speed",
        "progression",
        *_COMMON,
    ),
    "gray_scott.pattern": ("reaction_diffusion", "arrow", "bounds", "colour", "pattern", *_COMMON),
    "mitosis.mitosis": ("phase_order", "phases", "daughters", "division", "colour", "orientation", *_COMMON),
    "blood.flow": (
        *("mass", "steadiness", "lanes", "appearance", "vanishing", "lost", "direction", "speed", "count"),
        *("transport", "permanence", "static", "number"),
        *_COMMON,
    ),
    "vessel.vessel": (
        *("transport", "permanence", "static", "lost", "direction", "shape", "speed", "count"),
        *_COMMON,
    ),
    "beads.beads": ("mass", "brownian", "permanence", "lost", "colour", "count", "speed", *_COMMON),
    "sheet.sheet": ("periodic", "shear", "bounds", "orientation", "speed", "strength", *_COMMON),
    "vesicles.vesicles": ("mass", "arrow", "permanence", "colour", "count", "outcome", *_COMMON),
    ANY: _CHANGES,
    MICROSCOPY: _CHANGES,
}


def statistics(clip: Clip, names: Iterable[str]) -> dict[str, float]:
    """Statistic of each instrument, larger for a worse video; NaN where there is nothing to measure."""
    return {name: float("nan") if name in CONTENT and not clip.seen else INSTRUMENTS[name](clip) for name in names}
