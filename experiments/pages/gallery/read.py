"""Entries of a run folder, of `physgen ablate` or `physgen sample`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from physgen.errors import InvalidArgument
from physgen.experiments.pages.gallery.entry import Entry
from physgen.experiments.pages.gallery.guidance_name import guidance_name
from physgen.experiments.runs.collect import read_metrics
from physgen.experiments.runs.failures import read_failure
from physgen.worlds import WorldSpec

#: libyaml's parser where it is there: a tenth of the time
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_run(folder: Path) -> list[Entry]:
    """The run's video and, where `physgen sample` compared, the unguided one.

    Raises:
        InvalidArgument: a run that is missing, failed, unfinished, half-written, or of another version.
    """
    if not folder.is_dir():
        raise InvalidArgument("run", folder.name, f"a run (there is nothing at {folder})")
    try:
        if not (folder / "metrics.json").exists() and (failure := read_failure(folder)):
            raise InvalidArgument("run", folder.name, f"a finished run (this one failed: {failure.error})")
        metrics = read_metrics(folder)
        config = yaml.load((folder / "config.yaml").read_text(encoding="utf-8"), LOADER)
        guided = entry_of(folder, config, metrics)
    except InvalidArgument:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InvalidArgument("run", folder.name, f"a whole run of ablate or sample ({reason})") from error
    return [unguided(guided), guided] if config.get("compare") else [guided]


def entry_of(folder: Path, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> Entry:
    """What `config.yaml` and `metrics.json` say of the run's own video."""
    laws, source = tuple(map(str, config["constraint"])), config.get("source", "world")
    nfe = value(metrics["nfe"])
    prompt, certificate = str(metrics["prompt"]), metrics["certificate"]
    for entry in certificate.values():
        entry["satisfied"], entry["residual_max"], entry["tolerance"]
    return Entry(
        folder=folder,
        stem="video",
        world=str(config["world"]["name"]),
        prompt=prompt,
        family=str(metrics.get("family") or family(config["world"], prompt)),
        seed=int(metrics["seed"]),
        laws=laws,
        guidance=guidance_of(config, metrics) if source == "world" else str(source),
        violation=violation(metrics, "residual_rms"),
        drift=value(metrics.get("drift", metrics.get("quality", {}).get("mass_drift"))),
        seconds=value(metrics["wall_time_s"]),
        nfe=None if nfe is None else int(nfe),
        certificate=certificate,
        fps=float(config["world"]["fps"]),
        settings=flat(config),
        metrics=metrics,
    )


def guidance_of(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """What acted on the video: the guidance where there is a law to impose or a reward to follow, and an observation.

    >>> guidance_of({"constraint": {"mass": {}}, "measured": ["mass"], "guidance": {"_target_": "mine.Own"}}, {})
    'none'
    >>> guidance_of({"constraint": {}, "rewards": ["count"], "guidance": {"_target_": "mine.Own"}}, {})
    'Own'
    """
    imposed = set(config["constraint"]) - set(config.get("measured", ()))
    rewards = metrics.get("rewards", config.get("rewards"))
    name = guidance_name(config["guidance"]) if imposed or rewards else "none"
    if not config.get("observed", {}).get("file"):
        return name
    return "observed" if name == "none" else f"observed, {name}"


def unguided(guided: Entry) -> Entry:
    """The video that was drawn from the same noise without guidance."""
    metrics = guided.metrics
    return replace(
        guided,
        stem="unguided",
        guidance="none",
        violation=violation(metrics, "unguided_residual_rms"),
        drift=value(metrics["unguided_drift"]),
        seconds=value(metrics["unguided_wall_time_s"]),
        nfe=None,
        certificate={},
    )


def violation(metrics: Mapping[str, Any], key: str) -> dict[str, float | None]:
    """The rms residual of each law by name."""
    if "violation" in metrics:
        return {str(name): value(number) for name, number in metrics["violation"].items()}
    return {str(name): value(entry[key]) for name, entry in metrics["constraints"].items()}


def value(number: object) -> float | None:
    """A finite number, or nothing.

    >>> value(2), value(float("nan")), value("2"), value(True)
    (2.0, None, None, None)
    """
    known = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    return float(number) if known else None  # type: ignore[arg-type]


def family(world: Mapping[str, Any], prompt: str) -> str:
    """The family that the prompt's words name in the world; ``world.weights`` is a digest and no option of it."""
    options = {key: setting for key, setting in world.items() if key != "weights"}
    spec = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(WorldSpec), options))
    assert isinstance(spec, WorldSpec)
    return spec.family(prompt)


def flat(node: Any, path: str = "") -> dict[str, str]:
    """Nested settings by dotted keys.

    >>> flat({"steps": 8, "guidance": {"start": 0.5}})
    {'steps': '8', 'guidance.start': '0.5'}
    """
    if not isinstance(node, Mapping):
        return {path: str(node)}
    return {
        key: text
        for name, child in node.items()
        for key, text in flat(child, f"{path}.{name}" if path else name).items()
    }
