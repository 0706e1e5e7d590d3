"""The embedded world: what its videos show, how they violate their laws, how far they are from truth."""

from __future__ import annotations

from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

SOURCE = "docs/micro/quality.json"
#: of each family, a law and its name in print; of the share, more is better
LAWS = (
    ("dye", "mass_drift", "drift of mass"),
    ("dye", "heat_fitted", "residual of diffusion, D fitted"),
    ("growth", "fisher_kpp_fitted", "residual of Fisher-KPP, D and r fitted"),
    ("gray_scott", "flow_map", "residual of Gray-Scott"),
    ("mitosis", "phase_steps_legal", "share of steps that are in order"),
    ("blood", "cell_area_drift", "drift of the area of cells"),
    ("vessel", "cells_loose", "cells that come or go, most in a frame"),
    ("beads", "beads_loose", "beads that come or go, most in a frame"),
    ("beads", "light_drift", "drift of the light"),
    ("sheet", "beat_unexplained", "motion beyond one period"),
    ("vesicles", "content_drift", "drift of the content"),
)
SAMPLERS = ("simulator", "reconstruction", "unguided")
COLUMNS = ("family", "law", *SAMPLERS, "attributes, unguided", "MMD², unguided")


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a law; recognition and distance once a family."""
    data = store.documented("micro/quality")
    n, families = data["n"], data["families"]
    numbers = {
        "n": Number(n, (SOURCE,)),
        "attributes": Number(families["all"]["recognised"]["unguided"]["attributes"], (SOURCE,)),
        "family": Number(families["all"]["recognised"]["unguided"]["family"], (SOURCE,)),
    }
    for name, one in families.items():
        if name != "all":
            read = one["recognised"]["unguided"] | {"mmd2": one["distance"]["unguided"]["mmd2"]}
            numbers |= {f"{name}.{key}": Number.read(entry, SOURCE, n) for key, entry in read.items()}
    rows, before = [], ""
    for family, law, label in LAWS:
        found = {sampler: Number.read(families[family]["laws"][sampler][law], SOURCE, n) for sampler in SAMPLERS}
        numbers |= {f"{family}.{law}.{sampler}": number for sampler, number in found.items()}
        first = family != before
        last = (numbers[f"{family}.attributes"].text, numbers[f"{family}.mmd2"].text) if first else ("", "")
        name = family.replace("gray_scott", "Gray-Scott") if first else ""
        rows.append((name, label, *(number.text for number in found.values()), *last))
        before = family
    return Made(numbers, columns=COLUMNS, rows=tuple(rows))
