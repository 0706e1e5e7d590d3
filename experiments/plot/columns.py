"""What a column of the table is called on an axis, with its unit."""

from __future__ import annotations

import re

from physgen.experiments.plot.style import LAWS

#: columns by pattern; a law's name is put in as it is printed
LABELS = {
    r"violation/(\w+)": "violation of {} (dimensionless)",
    r"wall_time_s": "time of a sample (s)",
    r"peak_memory_mb": "peak memory (MB)",
    r"nfe": "network evaluations",
    r"(?:world\.)?steps": "denoising steps",
    r"guidance_scale": "classifier-free guidance scale",
    r"moved_rms": "change by the last projection, rms (brightness, 0 to 1)",
    r"quality/(family|attributes)": "{} recognised (share)",
    r"quality/empty": "nearly empty videos (share)",
    r"(?:fit|constants)/(\w+)/(?:values/)?D_[A-Za-z]+": "diffusivity that fits {} (µm²/s)",
}


def label(column: str) -> str:
    """Words and unit of a column; its own name where there are none.

    >>> label("violation/fisher_kpp"), label("wall_time_s"), label("guidance.start")
    ('violation of Fisher-KPP (dimensionless)', 'time of a sample (s)', 'guidance.start')
    >>> label("fit/diffusion/values/D_c")
    'diffusivity that fits diffusion (µm²/s)'
    """
    for pattern, words in LABELS.items():
        if found := re.fullmatch(pattern, column):
            return words.format(*(LAWS.get(name, name) for name in found.groups()))
    return column
