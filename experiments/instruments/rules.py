"""Which instrument bears on a criterion that names none, by the words of its text; a table, and when in doubt nothing.

Such a criterion makes several claims at once. An instrument that finds the fault that is spoken of settles it; one that
finds none does not, for the fault may be of another kind. So a rule answers a fault with 1 or not at all, and a merit
with 0 or not at all: these answers can only take points away, and are no score of their own.
"""

from __future__ import annotations

import re

from physgen.experiments.microworldbench.tasks.data import Criterion

#: instrument, and words that speak of what it finds
RULES: tuple[tuple[str, str], ...] = (
    ("flicker", r"\bflicker"),
    ("jumps", r"\bframe (skip|jump|drop)|\bjump cut|\babrupt (jump|cut)|\bjump(s|ing)? (between|in) frames"),
    ("stutter", r"\bstutter|\bfreez(e|es|ing)\b|\bfrozen frame"),
    (
        "clipping",
        r"\bover-?expos|\bexposure clipping|\bhighlight clipping|\bclipped highlights|\bcrushed (blacks|shadows)",
    ),
)
#: a merit speaks of a fault to rule it out
RULED_OUT = re.compile(
    r"\b(no|not|without|free|avoid\w*|absen\w*|minim\w*|suppress\w*|reduc\w*|prevent\w*|exclud\w*|controlled)\b"
)


def instruments_for(criterion: Criterion) -> tuple[str, ...]:
    """Instruments that may settle a criterion.

    >>> instruments_for(Criterion(1, "Artifacts such as noise, flickering or overexposure", -1, 0.5))
    ('flicker', 'clipping')
    >>> instruments_for(Criterion(1, "Calcium sparks flicker along the membrane", 1, 0.5))
    ()
    """
    text = criterion.text.lower()
    if criterion.sign > 0 and not RULED_OUT.search(text):
        return ()
    return tuple(name for name, words in RULES if re.search(words, text))
