"""Half of each frame is seen: what samples say of the other half, with their bands, beside the truth."""

from __future__ import annotations

import base64
import json
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.ensemble import INFLATION, INFLATION_JOINED, Ensemble, widened_spread
from physgen.experiments.assimilate.arms import (
    BOTH,
    FREE,
    FREE_SCALE,
    MODEL,
    ObservedCase,
    joined,
    observed,
    timed,
    unguided,
)
from physgen.experiments.assimilate.cases import Case, read_case
from physgen.experiments.assimilate.observations import Observation, left_half
from physgen.experiments.assimilate.scores import scores
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.pages.showcase.row import Row, Shot, write_film
from physgen.experiments.runs.progress import Record
from physgen.worlds import World

FAMILIES = "dye", "growth", "mitosis", "blood"
OBSERVATION = "half"
#: samples of the benchmark whose records these are
SAMPLES = 4
#: the field that is shown
SPECIES = 0
LEVELS = 0.5, 0.9
#: range of the fields that is kept, as parts of the largest true value: readings may be a little below 0
LOW, HIGH = -0.25, 1.25


def half_record(world: World, prompt: Prompt, folder: Path, samples: int = SAMPLES) -> Record:
    """Draw the arms of `physgen benchmark assimilate` on one prompt; write their fields, films and a row.

    The prompts, the noise and the random numbers are the benchmark's, so that its record of the prompt has the same
    errors. ``within`` are shares of the hidden values of each frame that are in the band of each level.
    """
    case = read_case(prompt, world.spec)
    observation = left_half(case.truth, case.generator(OBSERVATION))
    arms = _arms(ObservedCase(world, case, observation.seen, samples, OBSERVATION), case)
    measured = {
        arm: scores(case, observation, fields, INFLATION_JOINED if arm == BOTH else INFLATION)
        for arm, fields in arms.items()
    }
    truth = case.truth[0, SPECIES]
    top = float(truth.max())
    about: dict[str, Any] = {
        "family": prompt.family,
        "caption": prompt.caption,
        "seed": prompt.seed,
        "field": case.observable.species[SPECIES],
        "frames": len(truth),
        "size": truth.shape[-1],
        "spacing": case.grid.spacing[1],
        "dt": case.grid.dt,
        "fps": world.spec.fps,
        "samples": samples,
        "top": top,
        "low": LOW,
        "high": HIGH,
    }
    data = {
        "truth": packed(ranged(truth / top)),
        "seen": packed(ranged(observation.seen.values[0, SPECIES] / top)),
        "arms": {
            arm: {**_bands(fields, truth, top, arm), "within": _within(fields, case, observation, arm)}
            for arm, fields in arms.items()
            if arm != FREE
        },
    }
    shown = {arm: {"errors": errors} for arm, errors in measured.items()}
    (folder / f"half-{prompt.family}.js").write_text(
        f"(globalThis.physgenHalves ??= {{}}).{prompt.family} = {json.dumps({**about, **data})};\n", encoding="utf-8"
    )
    return {**about, "arms": shown, "row": _row(case, observation, arms, measured, folder, world.spec.fps).as_json()}


def _arms(asked: ObservedCase, case: Case) -> dict[str, Float[Tensor, "M S T H W"]]:
    """What the model makes; where there is a law also joined with it, and free samples that are."""
    model = timed(asked, partial(observed, asked, jacobian="backward")).fields
    if case.law is None:
        return {MODEL: model}
    free = timed(asked, partial(unguided, asked), FREE_SCALE).fields
    return {FREE: joined(asked, free), MODEL: model, BOTH: joined(asked, model)}


def _inflation(arm: str) -> float:
    return INFLATION_JOINED if arm == BOTH else INFLATION


def _bands(fields: Float[Tensor, "M S T H W"], truth: Float[Tensor, "T H W"], top: float, arm: str) -> dict[str, Any]:
    """Mean and widened spread of the shown field, and the zone that the truth is in: 0 within 50 %, 1 within 90 %."""
    ensemble = Ensemble(fields)
    spread = widened_spread(fields, _inflation(arm))[SPECIES] / top
    zone = torch.zeros_like(truth)
    for level in LEVELS:
        low, high = (end[SPECIES] for end in ensemble.wide_band(level, _inflation(arm)))
        zone += ((truth < low) | (truth > high)).float()
    widest = float(spread.max()) or 1.0
    return {
        "mean": packed(ranged(ensemble.mean[SPECIES] / top)),
        "spread": packed(spread / widest),
        "widest": widest,
        "zone": packed(zone / 255),
    }


def _within(fields: Tensor, case: Case, observation: Observation, arm: str) -> dict[str, list[float]]:
    """Of each level, the share of hidden values of each frame, of all fields, whose truth is in the band."""
    found, hidden = {}, observation.asked
    for level in LEVELS:
        low, high = Ensemble(fields).wide_band(level, _inflation(arm))
        held = (case.truth[0] >= low) & (case.truth[0] <= high) & hidden
        found[f"{level:g}"] = (held.sum((0, 2, 3)) / hidden.sum((0, 2, 3))).tolist()
    return found


def _row(
    case: Case,
    observation: Observation,
    arms: dict[str, Tensor],
    measured: dict[str, dict[str, Any]],
    folder: Path,
    fps: float,
) -> Row:
    """Truth, what was seen, and the mean of each arm, as films of the shown field."""
    family, truth = case.prompt.family, case.truth[0, SPECIES]
    top = float(truth.max())
    titles = {FREE: "drawn freely, put in afterwards", MODEL: "kept to on the way", BOTH: "on the way, then the law"}
    hidden = torch.where(observation.seen.mask[SPECIES], observation.seen.values[0, SPECIES], 0.35 * top)
    films = {"simulator, the truth": ("truth", truth), "what is seen": ("seen", hidden)}
    shots = [
        Shot(title, write_film(folder / f"half-{family}-{stem}.webp", (field / top).numpy()), "", None)
        for title, (stem, field) in films.items()
    ]
    for index, (arm, fields) in enumerate(arms.items()):
        film = write_film(folder / f"half-{family}-{index}.webp", (fields.mean(0)[SPECIES] / top).numpy())
        shots.append(Shot(titles[arm], film, "error where hidden", measured[arm]["rmse"]))
    about = f"left half seen, seed {case.prompt.seed}"
    return Row(f"half-{family}", case.prompt.caption, about, len(truth), float(case.grid.dt), fps, shots)


def ranged(parts: Float[Tensor, "T H W"]) -> Float[Tensor, "T H W"]:
    """From 0 at `LOW` to 1 at `HIGH`."""
    return (parts - LOW) / (HIGH - LOW)


def packed(values: Float[Tensor, "T H W"] | npt.NDArray[np.floating[Any]]) -> str:
    """Values in [0, 1] as bytes, compressed, in base 64.

    >>> zlib.decompress(base64.b64decode(packed(torch.tensor([[[0.0, 0.5, 2.0]]])))).hex()
    '0080ff'
    """
    levels = np.round(255 * np.clip(np.asarray(values, float), 0, 1)).astype(np.uint8)
    return base64.b64encode(zlib.compress(levels.tobytes(), 9)).decode()
