"""What conserving mass does to dye and FRAP samples: guided, projected afterwards, both, or neither.

Projection after unguided sampling is free and conserves mass exactly, so the question is what guidance adds to it on
measures that no arm was guided on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from physgen.constraints import MassConservation
from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.draw.default_guidance import default_guidance
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.experiments.draw.references import RECONSTRUCTION, SIMULATOR, project
from physgen.experiments.draw.videos import collect, plan, produce
from physgen.experiments.evaluate.job import EvaluateConfig
from physgen.experiments.evaluate.quality import interleave, summary
from physgen.experiments.measure.intervals import Interval, mean_interval, plain
from physgen.experiments.measure.laws import colour_map, law, read_fields
from physgen.experiments.measure.recognition import distances, features, paired_distances, recognised
from physgen.experiments.measure.tables import Table, publish
from physgen.experiments.pages.sheet import write_sheet
from physgen.experiments.runs.records import origin, write_json_atomic
from physgen.guidance import Guidance
from physgen.measure import degenerate
from physgen.sampling.diffusers import guide
from physgen.simulators import GRAMMARS
from physgen.worlds import World, WorldSpec
from physgen.worlds.loading import load
from physgen.worlds.micro.judge import Judge

BOTH = "guided + projection"
PROJECTED = {UNGUIDED: AFTERWARDS, GUIDED: BOTH}
LAWS = {"mass": MassConservation()}
ARMS = (SIMULATOR, RECONSTRUCTION, UNGUIDED, AFTERWARDS, GUIDED, BOTH)
#: what no arm is guided on: True where more is better
OTHER = {"heat_in_range": False, "heat_fitted": False, "off_colour": False, "attributes": True, "degenerate": False}
TIMED = 10


def evaluate(config: EvaluateConfig, out: Path) -> None:
    """Write ``mass.json``, ``mass.md``, ``mass.png`` and ``contact-sheet.png``."""
    judge = Judge.load(Path(config.judge) if config.judge else None)
    asked = prompts("dye", config.n * len(GRAMMARS["dye"]), "all", config.seed)
    tasks = plan(out, ("reference", "simulator", "unguided", "guided"), asked, config.seed)
    by_arm = [[t for t in tasks if t.arm == arm] for arm in ("unguided", "guided", "simulator", "reference")]
    produce(config.world, interleave(by_arm), processes=config.processes)

    torch.set_num_threads(1)
    arms = collect(tasks)
    videos = dict(arms.videos)
    for arm in PROJECTED:
        pairs = zip(asked, videos[arm].split(1), strict=True)
        videos[PROJECTED[arm]] = torch.cat([project(config.world, LAWS, p, video) for p, video in pairs])
    vectors = {arm: features(judge, video) for arm, video in tqdm(videos.items(), desc="judge")}
    values: dict[str, dict[str, np.ndarray]] = {}
    for arm in tqdm(ARMS, desc="measure"):
        truths = arms.parameters if arm in ARMS[:2] else [None] * len(asked)
        rows = [measure(p, v, t) for p, v, t in zip(asked, videos[arm], truths, strict=True)]
        values[arm] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        values[arm] |= {
            k: v for k, v in recognised(judge, asked, vectors[arm]).items() if k in ("family", "attributes")
        }
    result: dict[str, Any] = {
        "arms": {
            arm: {
                **{name: {**summary(v), "max": float(v.max())} for name, v in values[arm].items()},
                **plain(distances(vectors[arm], vectors["reference"], config.seed)),
            }
            for arm in ARMS
        },
        "differences": {
            f"{a} - {b}": difference(values, vectors, a, b, config.seed)
            for a, b in [(BOTH, AFTERWARDS), (GUIDED, UNGUIDED)]
        },
        "timing": timing(config.world, asked, videos[BOTH]),
    }
    result["verdict"] = verdict(result["differences"][f"{BOTH} - {AFTERWARDS}"])
    shown = [f"{arm}: {asked[i].caption}" for i in (0, 1, 2, 3) for arm in ARMS]
    write_sheet(
        out / "contact-sheet.png", list(zip(shown, [videos[a][i] for i in range(4) for a in ARMS], strict=True))
    )
    draw_figure(out / "mass.png", videos, asked, result)
    publish(out / "mass.md", tables(result))
    print(result["verdict"])
    about = {**origin(config.world), "n": len(asked), "seed": config.seed}
    write_json_atomic(out / "mass.json", {**about, **result})


def measure(prompt: Prompt, video: Tensor, truth: Any) -> dict[str, float]:
    """Laws of the dye, whether the sample is degenerate, and how far its colours are from the dye's."""
    observable = colour_map("dye", prompt.attributes)
    fields = observable(video[None])
    background = torch.tensor(observable.background).view(1, 3, 1, 1, 1).expand_as(video[None])
    clean = observable.embed(background, fields)
    return {
        **law("dye", prompt.attributes, video, truth),
        "degenerate": float(degenerate(fields, observable.least)[0] is not None),
        "off_colour": float((clean[0] - video).square().mean().sqrt()),
    }


def difference(
    values: dict[str, dict[str, np.ndarray]], vectors: dict[str, np.ndarray], a: str, b: str, seed: int
) -> dict[str, dict[str, float]]:
    """Arm ``a`` minus arm ``b``, prompt by prompt, with bootstrap intervals."""
    means = {name: mean_interval(values[a][name] - values[b][name], seed=seed) for name in ("mass_drift", *OTHER)}
    return plain(means | paired_distances(vectors[a], vectors[b], vectors["reference"], seed))


def verdict(found: dict[str, dict[str, float]]) -> str:
    """One sentence: on what guidance beats the free baseline beyond its interval, and on what it loses."""
    better: list[str] = []
    worse: list[str] = []
    for name in (*OTHER, "mmd2", "frechet"):
        low, high = found[name]["low"], found[name]["high"]
        if low > 0 or high < 0:
            (better if (low > 0) == OTHER.get(name, False) else worse).append(name)
    listed = {"better": better, "worse": worse}
    said = [f"{word} on {', '.join(names)}" for word, names in listed.items() if names]
    return "Guided + projection against projection afterwards, what no arm was guided on: " + (
        "; ".join(said) if said else "no difference beyond the 95 % intervals"
    )


def timing(spec: WorldSpec, asked: Sequence[Prompt], projected: Tensor) -> dict[str, Any]:
    """Seconds of unguided and of guided + projection sampling, alternating in this process.

    Also the largest pixel by which the guided pipeline differs from projecting a guided video afterwards.
    """
    world = load(spec, "cpu")
    guidance = default_guidance("projection", LAWS)
    sample(world, asked[0], guidance)
    seconds: dict[str, list[float]] = {"unguided": [], "guided": []}
    gap = 0.0
    for i, prompt in enumerate(tqdm(asked[:TIMED], desc="timing")):
        for arm in sorted(seconds, reverse=i % 2 == 0):
            began = time.perf_counter()
            video = sample(world, prompt, guidance if arm == "guided" else None)
            seconds[arm].append(time.perf_counter() - began)
            if arm == "guided":
                gap = max(gap, float((video[0] - projected[i]).abs().max()))
    ratios = np.array(seconds["guided"]) / np.array(seconds["unguided"])
    return {
        "seconds": {arm: float(np.median(times)) for arm, times in seconds.items()},
        "ratio": float(np.median(ratios)),
        "ratio_min": float(ratios.min()),
        "ratio_max": float(ratios.max()),
        "pairs": len(asked[:TIMED]),
        "largest_pixel_gap_to_projection_afterwards": gap,
    }


def sample(world: World, prompt: Prompt, guidance: Guidance | None) -> Tensor:
    """One sample, plain or through `physgen.guide` with the terminal projection."""
    if guidance is None:
        return world.sample(prompt.caption, seed=prompt.seed)
    options: dict[str, Any] = {"observable": world.observable(prompt.caption), "grid": world.grid(prompt.caption)}
    with guide(world.pipe, guidance, **options):
        return world.sample(prompt.caption, seed=prompt.seed)


def tables(result: dict[str, Any]) -> list[Table]:
    """What the document shows."""
    names = {
        "mass_drift": "mass drift",
        "heat_true": "heat residual, true D",
        "heat_in_range": "heat residual, best D in range",
        "heat_fitted": "heat residual, fitted D",
        "mmd2": "MMD²",
        "frechet": "Frechet",
        "attributes": "attributes",
        "off_colour": "off colour",
        "degenerate": "degenerate",
    }

    def cell(found: dict[str, Any], name: str) -> Any:
        return Interval(*(found[name][k] for k in ("estimate", "low", "high"))) if name in found else ""

    arms, differences, clock = result["arms"], result["differences"], result["timing"]
    return [
        Table(
            "Mass guidance on dye and FRAP prompts (mean)",
            ["", *ARMS],
            [[label, *(cell(arms[arm], name) for arm in ARMS)] for name, label in names.items()]
            + [["largest mass drift", *(arms[arm]["mass_drift"]["max"] for arm in ARMS)]],
        ),
        Table(
            "Paired differences",
            ["", *differences],
            [
                [names[n], *(cell(d, n) for d in differences.values())]
                for n in ("mass_drift", *OTHER, "mmd2", "frechet")
            ],
        ),
        Table(
            "Seconds per video, alternating in one process (medians; the ratio is of each pair)",
            ["unguided", "guided + projection", "ratio", "smallest", "largest"],
            [[*clock["seconds"].values(), clock["ratio"], clock["ratio_min"], clock["ratio_max"]]],
        ),
    ]


def draw_figure(path: Path, videos: dict[str, Tensor], asked: Sequence[Prompt], result: dict[str, Any]) -> None:
    """Mass over time in each arm, heat residual and distance to truth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.5), dpi=130, layout="constrained")
    panels = figure.subplots(2, 4)
    for axes, arm in zip(panels.flat, ARMS, strict=False):
        for prompt, video in zip(asked, videos[arm], strict=True):
            mass = read_fields("dye", prompt.attributes, video)[0].sum((1, 2))
            axes.plot(mass / mass[0], color="#0072b2", alpha=0.35, linewidth=1)
        axes.set(title=arm, xlabel="frame", ylabel="mass / mass at start", ylim=(0.5, 1.5))
    for axes, name, label in [
        (panels[1, 2], "heat_in_range", "heat residual, best D in range"),
        (panels[1, 3], "mmd2", "MMD² to the simulator"),
    ]:
        found = [result["arms"][arm][name] for arm in ARMS]
        middle = np.array([f["estimate"] for f in found])
        reach = np.abs([[f["low"] for f in found], [f["high"] for f in found]] - middle)
        axes.errorbar(middle, range(len(ARMS)), xerr=reach, fmt="o", color="#0072b2", capsize=3)
        axes.set(yticks=range(len(ARMS)), yticklabels=ARMS, xlabel=label)
        axes.invert_yaxis()
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
