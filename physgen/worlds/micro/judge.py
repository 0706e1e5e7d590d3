"""A small video classifier, trained on simulator videos only: the instrument that says what a video shows.

Every other frame, at full resolution, and its difference to the next go through a two-dimensional convolutional trunk;
convolutions over time turn the pooled frames into one feature vector, which linear heads read: the family, every
attribute of the caption grammars, and (from single frames) the phase of mitosis. A further head regresses physical
parameters, so that features know how fast things move and not only what they are called. How much the frames tremble
is asked of a head of its own, which reads the pooled frames and not the features: what a video shows and how it is
rendered are different questions.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from physgen.simulators import GRAMMARS
from physgen.simulators.mitosis import PHASES

#: parameters that vary within an attribute value, regressed as standardised logarithms
PARAMETERS = {
    "dye": ("D",),
    "growth": ("D", "r"),
    "blood": ("v_max",),
    "vessel": ("v_max",),
    "beads": ("D",),
    "sheet": ("period", "amplitude"),
}
#: jitter in pixels that is added before its logarithm is taken: less is not told apart
STILL = 0.02


def heads() -> dict[str, tuple[str, ...]]:
    """Classes of every head: ``family``, ``<family>.kind`` where there are several, ``<family>.<kind>.<attribute>``.

    >>> heads()["dye.frap.size"], len(heads()["family"])
    (('small', 'large'), 9)
    """
    found: dict[str, tuple[str, ...]] = {"family": tuple(GRAMMARS)}
    for family, kinds in GRAMMARS.items():
        if len(kinds) > 1:
            found[f"{family}.kind"] = tuple(kinds)
        for kind, grammar in kinds.items():
            found |= {f"{family}.{kind}.{name}": values for name, values in grammar.values.items()}
    return found


def head_of(family: str, kind: str, name: str) -> str:
    """The head that judges attribute ``name`` of a video of this family and kind.

    >>> head_of("dye", "drop", "kind"), head_of("dye", "drop", "count")
    ('dye.kind', 'dye.drop.count')
    """
    return f"{family}.kind" if name == "kind" else f"{family}.{kind}.{name}"


def sampled(frames: int) -> list[int]:
    """Indices of the frames that the judge looks at.

    >>> sampled(6)
    [0, 2, 4]
    """
    return list(range(0, frames, 2))


class Judge(nn.Module):
    """Features ``[B, F]`` and class scores of videos ``[B, 3, T, H, W]`` in [0, 1], with T and H, W as in training.

    >>> judge = Judge(frames=5)
    >>> judge.features(torch.zeros(2, 3, 5, 64, 64)).shape
    torch.Size([2, 64])
    >>> sorted(judge.predict(torch.zeros(1, 3, 5, 64, 64))[0])[:2]
    ['attributes', 'family']
    """

    def __init__(self, frames: int = 25, width: int = 64, features: int = 64) -> None:
        super().__init__()
        self.config = {"frames": frames, "width": width, "features": features}
        self.heads = heads()
        steps = (len(sampled(frames)) + 1) // 2
        self.trunk = nn.Sequential(
            nn.Conv2d(6, 24, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv2d(24, 40, 3, stride=2, padding=1),
            nn.GroupNorm(4, 40),
            nn.SiLU(),
            nn.Conv2d(40, width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.temporal = nn.Sequential(
            nn.Conv1d(2 * width, 2 * width, 3, padding=1),
            nn.SiLU(),
            nn.Conv1d(2 * width, width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.LayerNorm(width * steps),
            nn.Linear(width * steps, features),
        )
        self.classes = nn.Linear(features, sum(map(len, self.heads.values())))
        self.phase = nn.Linear(2 * width, len(PHASES))
        self.parameter = nn.Linear(features, sum(map(len, PARAMETERS.values())))
        self.tremor = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 1))

    def frames(self, video: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B N C"]:
        """Pooled features of the `sampled` frames."""
        times = sampled(video.shape[2])
        change = video.diff(dim=2)
        change = torch.cat([change, change[:, :, -1:]], dim=2)
        seen = torch.cat([4.0 * video - 1.0, 20.0 * change], dim=1)[:, :, times]
        maps = self.trunk(seen.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last))
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1).unflatten(0, (-1, len(times)))

    def encode(self, pooled: Float[Tensor, "B N C"]) -> Float[Tensor, "B F"]:
        """Feature vector of a video from those of its frames."""
        return self.temporal(pooled.transpose(1, 2))

    def scores(self, features: Float[Tensor, "B F"]) -> dict[str, Tensor]:
        """Logits of every head."""
        parts = self.classes(features).split([len(values) for values in self.heads.values()], dim=1)
        return dict(zip(self.heads, parts, strict=True))

    @torch.no_grad()
    def features(self, video: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B F"]:
        """Feature vectors, in which distances between sets of videos are measured."""
        return torch.cat([self.encode(self.frames(part)) for part in video.split(16)])

    @torch.no_grad()
    def phases(self, video: Float[Tensor, "B 3 T H W"]) -> Int[Tensor, "B N"]:
        """Phase of mitosis in each of the `sampled` frames."""
        return torch.cat([self.phase(self.frames(part)).argmax(-1) for part in video.split(16)])

    def log_jitter(self, pooled: Float[Tensor, "B N C"]) -> Float[Tensor, "B"]:
        """``log(jitter + STILL)`` with the jitter in pixels, from the features of the frames."""
        return self.tremor(pooled).mean(1)[:, 0]

    @torch.no_grad()
    def jitter(self, video: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B"]:
        """Standard deviation of the frames' displacement, in pixels an axis; of content the other heads speak."""
        read = torch.cat([self.log_jitter(self.frames(part)) for part in video.split(16)])
        return (read.exp() - STILL).clamp_min(0.0)

    @torch.no_grad()
    def predict(self, video: Float[Tensor, "B 3 T H W"]) -> list[dict[str, Any]]:
        """``{"family", "attributes"}`` of each video; attributes are those of the family and kind it is taken for."""
        scores = self.scores(self.features(video))
        names = {head: [self.heads[head][i] for i in logits.argmax(1)] for head, logits in scores.items()}
        found = []
        for i, family in enumerate(names["family"]):
            kind = names[f"{family}.kind"][i] if f"{family}.kind" in names else next(iter(GRAMMARS[family]))
            attributes = {name: names[head_of(family, kind, name)][i] for name in GRAMMARS[family][kind].values}
            found.append({"family": family, "attributes": {"kind": kind, **attributes}})
        return found

    def save(self, folder: Path) -> None:
        """Write ``judge.safetensors`` (fp16) and ``judge.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.half().contiguous() for k, v in self.state_dict().items()}, folder / "judge.safetensors")
        (folder / "judge.json").write_text(json.dumps(self.config) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | None = None) -> Judge:
        """Read a judge; without a folder the packaged one.

        Raises: FileNotFoundError when the weights are not there.
        """
        folder = folder or Path(str(files("physgen.worlds.micro"))) / "weights" / "judge"
        if not (folder / "judge.safetensors").is_file():
            raise FileNotFoundError(f"judge={str(folder)!r}: allowed: a folder with judge.safetensors and judge.json")
        judge = cls(**json.loads((folder / "judge.json").read_text(encoding="utf-8")))
        judge.load_state_dict({k: v.float() for k, v in load_file(folder / "judge.safetensors").items()})
        return judge.eval().requires_grad_(False)


@cache
def packaged_judge() -> Judge:
    """The judge that comes with physgen, read once in a process; callers share it and must not change it."""
    return Judge.load()
