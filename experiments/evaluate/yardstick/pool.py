"""What every metric reads of a pool of videos, true and with each planted error; kept in chunks on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.evaluate.yardstick.planted import NOTHING, variants
from physgen.experiments.evaluate.yardstick.readings import content_of, motion_of, rendering_of
from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.medium import as_filed
from physgen.experiments.instruments.examine import read
from physgen.experiments.instruments.registry import ATTRIBUTES, DOMAINS, PICTURE
from physgen.experiments.instruments.subject import Subject
from physgen.experiments.measure.recognition import features, recognised
from physgen.worlds.micro.judge import Judge

CHUNK = 16
#: p-value at which an instrument calls a video faulty
ALPHA = 0.01
JUDGE, CONTENT, MOTION, RENDERING = FEATURES = ("judge", "content", "motion", "rendering")
ATTRIBUTE, ASKED, LOOKS = SCORES = ("attributes", "asked", "picture")


@dataclass(frozen=True)
class Pool:
    """Prompts of one family, and of each planted error and reading the values ``[N, F]``, NaN where not planted."""

    prompts: Sequence[Prompt]
    read: dict[tuple[str, str], Array]

    @property
    def classes(self) -> list[tuple[tuple[str, str], ...]]:
        """What each prompt asks for."""
        return [tuple(sorted(p.attributes.items())) for p in self.prompts]

    @property
    def errors(self) -> list[str]:
        """Errors that were planted."""
        return list(dict.fromkeys(error for error, _ in self.read))


def fill(out: Path, asked: Sequence[Prompt], judge: Judge, seed: int) -> Pool:
    """Simulate, plant and read; chunks that are in the folder are not made again."""
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in tqdm(range(0, len(asked), CHUNK), asked[0].family, unit="chunk", disable=None):
        path = out / f"{asked[0].family}-{start:04d}.npz"
        if not path.exists():
            partial = path.with_suffix(".partial")
            with partial.open("wb") as stream:
                np.savez(stream, **read_chunk(asked[start : start + CHUNK], judge, seed))  # type: ignore[arg-type]
            partial.replace(path)
        with np.load(path) as arrays:
            parts.append({tuple(key.split("/")): arrays[key] for key in arrays.files})
    return Pool(asked, joined(parts))


def joined(parts: Sequence[dict[tuple[str, ...], Array]]) -> dict[tuple[str, str], Array]:
    """Chunks one after the other."""
    return {(key[0], key[1]): np.concatenate([part[key] for part in parts]) for key in parts[0]}


def read_chunk(asked: Sequence[Prompt], judge: Judge, seed: int) -> dict[str, Array]:
    """Readings of some prompts' videos by ``error/reading``."""
    rows: dict[tuple[str, str], list[Array]] = {}
    made = [variants(prompt, seed) for prompt in asked]
    for error in dict.fromkeys(error for videos in made for error in videos):
        for prompt, videos in zip(asked, made, strict=True):
            subject = Subject(prompt.family, prompt.attributes["kind"], prompt.attributes)
            clip = Clip(videos.get(error, videos[NOTHING]), subject)
            for name, values in read_clip(clip, prompt, judge).items():
                rows.setdefault((error, name), []).append(values if error in videos else np.full_like(values, np.nan))
    return {f"{error}/{name}": np.stack(values) for (error, name), values in rows.items()}


def read_clip(clip: Clip, prompt: Prompt, judge: Judge) -> dict[str, Array]:
    """Everything that is read of one video; the instruments read it from an MP4 file, as they are calibrated."""
    assert clip.subject
    vector = features(judge, clip.video[None])
    domain = clip.subject.domain
    written = Clip(as_filed(clip.video.transpose(0, 1)).transpose(0, 1), clip.subject)
    failed = {
        part: [r.p_value <= ALPHA for r in read(written, domain, [n for n in DOMAINS[domain] if n in names]).values()]
        for part, names in ((ASKED, ATTRIBUTES.keys() - {"recognised", "pattern"}), (LOOKS, PICTURE.keys()))
    }
    return {
        JUDGE: vector[0],
        CONTENT: content_of(clip, judge),
        MOTION: motion_of(clip),
        RENDERING: rendering_of(clip),
        ATTRIBUTE: recognised(judge, [prompt], vector)["attributes"],
        **{part: np.array([float(np.mean(said))]) for part, said in failed.items()},
    }
