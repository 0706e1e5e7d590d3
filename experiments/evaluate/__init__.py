"""`physgen evaluate`: measure a world against the simulators it learned from.

``suite=quality`` shows what samples are worth and which goals they meet; ``suite=mass`` what conserving mass does to
them; ``suite=yardstick`` which errors each metric sees. Videos, or what is read of them, are kept in ``out``, so a
killed run resumes; the result is written last.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from physgen.errors import InvalidArgument
from physgen.experiments.runs.records import run_name
from physgen.experiments.runs.weights import with_weights
from physgen.worlds import WorldSpec

SUITES = ("quality", "mass", "yardstick")


@dataclass
class EvaluateConfig:
    """Options of `physgen evaluate`, see ``conf/evaluate.yaml``."""

    suite: str
    world: WorldSpec
    n: int
    seed: int
    processes: int
    trained: str | None
    judge: str | None
    out: str | None


def run(config: EvaluateConfig) -> None:
    """Run a suite and write ``<suite>.json``, a table and pictures into the folder.

    Raises: InvalidArgument for an unknown suite, too few prompts, or a folder with other options.
    """
    if config.suite not in SUITES:
        raise InvalidArgument("suite", config.suite, ", ".join(SUITES))
    for name, least in {"n": 8, "seed": 0, "processes": 1}.items():
        if getattr(config, name) < least:
            raise InvalidArgument(name, getattr(config, name), f"at least {least}")
    if config.trained and not (Path(config.trained).expanduser() / "latents").is_dir():
        raise InvalidArgument("trained", config.trained, "a folder of `physgen train` with its latents")
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "processes")}
    out = Path(config.out or Path("runs") / run_name("evaluate", settings))
    resume(out, settings)
    if config.suite == "quality":
        from physgen.experiments.evaluate.quality import evaluate
    elif config.suite == "yardstick":
        from physgen.experiments.evaluate.yardstick.suite import evaluate
    else:
        from physgen.experiments.evaluate.mass import evaluate
    evaluate(config, out)
    print(out)


def resume(out: Path, settings: dict[str, object]) -> None:
    """Open a folder that is new, or that a run with the same options has begun, or begins at the same moment.

    Weights in a folder of the user's are such an option, ``world.weights``: one that was trained again is another.

    Raises: InvalidArgument for any other folder, with the options that are others there.
    """
    text = yaml.safe_dump(with_weights(settings), sort_keys=False, allow_unicode=True)
    begun = out / "config.yaml"
    held = out.is_file() or (out.is_dir() and any(not path.name.startswith(".config") for path in out.iterdir()))
    if begun.is_file():
        if (before := begun.read_text(encoding="utf-8", errors="replace")) != text:
            allowed = f"a new folder, or one begun with the same options ({_others(before, text)})"
            raise InvalidArgument("out", str(out), allowed)
        return
    if held:
        raise InvalidArgument("out", str(out), "a new folder, or one begun by a run that can be resumed")
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f".config.{os.getpid()}.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(begun)


def _others(before: str, now: str) -> str:
    """The first options that differ, in words."""
    try:
        known = yaml.safe_load(before)
    except yaml.YAMLError:
        known = None
    if not isinstance(known, dict):
        return "its config.yaml cannot be read"
    return "; ".join(sorted(differing(known, yaml.safe_load(now)), key=lambda one: one.count("."))[:3])


def differing(before: Any, now: Any, key: str = "") -> list[str]:
    """Options that differ from those that a folder was begun with, by their dotted names.

    >>> differing({"n": 8, "world": {"version": 1}}, {"n": 8, "world": {"version": 2}})
    ['world.version is 1 there and 2 here']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*now, *before])
        return [one for name in keys for one in differing(before.get(name), now.get(name), f"{key}{key and '.'}{name}")]
    return [] if before == now else [f"{key} is {before} there and {now} here"]
