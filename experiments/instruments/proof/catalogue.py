"""The catalogue of planted faults: kinds, strengths, and the instruments that are to find them."""

from __future__ import annotations

from physgen.experiments.instruments.proof import content_faults, picture_faults
from physgen.experiments.instruments.proof.planted_fault import PlantedFault

#: strengths of a share of the video, or of what there is
SHARES = (0.25, 0.5, 0.75, 1.0)

FAULTS = {
    "mass leaks": PlantedFault(content_faults.amount(-1.0), (0.1, 0.2, 0.4, 0.8), ("mass",)),
    "mass from nowhere": PlantedFault(content_faults.amount(+1.0), (0.1, 0.2, 0.4, 0.8), ("mass", "bounds", "extrema")),
    "other constants mid-way": PlantedFault(
        content_faults.slower, (0.5, 1.0, 3.0, 9.0), ("reaction_diffusion", "steadiness", "transport", "periodic")
    ),
    "time reversed": PlantedFault(
        content_faults.reversed_part, SHARES, ("arrow", "phase_order", "reaction_diffusion", "progression")
    ),
    "flow turns": PlantedFault(
        content_faults.reversed_part, (0.1, 0.25, 0.5, 0.75), ("steadiness", "transport"), ("blood", "vessel")
    ),
    "flow runs backwards": PlantedFault(
        content_faults.reversed_part, (0.7, 0.8, 0.9, 1.0), ("direction",), ("blood", "vessel")
    ),
    "phases swapped": PlantedFault(content_faults.swapped, (1.0, 2.0, 3.0, 5.0), ("phase_order",), ("mitosis",)),
    "phases skipped": PlantedFault(
        content_faults.skipped, (0.15, 0.3, 0.45, 0.6), ("phases", "phase_order"), ("mitosis",)
    ),
    "division arrested": PlantedFault(
        content_faults.arrested, (0.2, 0.4, 0.6, 0.8), ("phases", "division"), ("mitosis",)
    ),
    "unequal daughters": PlantedFault(content_faults.unequal, (0.2, 0.4, 0.6, 0.8), ("daughters",)),
    "object appears": PlantedFault(content_faults.appearing, SHARES, ("appearance", "permanence", "transport")),
    "object vanishes": PlantedFault(content_faults.vanishing, SHARES, ("vanishing", "permanence", "transport")),
    "object divides": PlantedFault(
        content_faults.dividing, (6.0, 8.0, 10.0, 12.0), ("appearance", "permanence", "transport")
    ),
    "objects missing": PlantedFault(
        content_faults.removed, (1.0, 2.0, 3.0, 4.0), ("number", "count"), ("blood", "beads", "vesicles")
    ),
    "cells leave their lanes": PlantedFault(content_faults.drifting, (1.0, 2.0, 4.0, 8.0), ("lanes", "static")),
    "beads drift": PlantedFault(content_faults.carried, (0.25, 0.5, 1.0, 2.0), ("brownian",), ("beads",)),
    "sheet slides across": PlantedFault(content_faults.across, (1.0, 2.0, 3.0, 4.0), ("shear",), ("sheet",)),
    "flicker": PlantedFault(picture_faults.flickering, (0.02, 0.05, 0.1, 0.2), ("flicker",)),
    "blur": PlantedFault(picture_faults.blurred, (0.7, 1.0, 1.5, 2.5), ("blur",)),
    "overexposure": PlantedFault(picture_faults.overexposed, (0.5, 1.0, 2.0, 4.0), ("clipping",)),
    "motion frozen": PlantedFault(picture_faults.frozen, (2.0, 4.0, 8.0, 12.0), ("stutter", "periodic")),
    "jump aside": PlantedFault(picture_faults.jumping, (1.0, 2.0, 4.0, 8.0), ("jumps", "static", "transport")),
    "frames shuffled": PlantedFault(
        picture_faults.shuffled, (2.0, 4.0, 8.0, 25.0), ("coherence", "transport", "lost", "permanence")
    ),
    "noise": PlantedFault(picture_faults.grainy, (0.01, 0.02, 0.05, 0.1), ("noise",)),
    "faded": PlantedFault(picture_faults.faded, (0.5, 0.75, 0.9, 1.0), ("presence",)),
    "nothing moves": PlantedFault(picture_faults.slowed, (0.5, 0.75, 0.9, 1.0), ("stillness",)),
}
