"""Which runs a sweep is made of, and what was set in each: ``RUNS/NAME.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import physgen
from physgen.errors import InvalidArgument
from physgen.experiments.runs.locks import locked
from physgen.experiments.runs.records import write_json_atomic

#: what is the same in every run, or does not change it
COMMON = ("experiment", "name", "runs", "hydra/launcher")

#: options that name a folder or a file of weights
PLACES = ("world", "world.path", "world.checkpoint")

Row = dict[str, Any]


def manifest_row(
    run: str, world: str, overrides: Sequence[str], choices: Mapping[str, Any], weights: str | None = None
) -> Row:
    """What a manifest says of a run: its world, the options that were set, and the choice of each group, set or not.

    ``weights`` are those of `weights_digest`, where the world has any of the user's.

    >>> manifest_row("run-0", "micro 2", ["law=mass", "name=first"], {"law": "mass", "experiment": None})
    {'run': 'run-0', 'world': 'micro 2', 'set': {'law': 'mass'}, 'choices': {'law': 'mass'}}
    """
    values = {key: value for key, value in map(split, overrides) if key not in COMMON}
    groups = {key: value for key, value in choices.items() if key not in COMMON and not key.startswith("hydra/")}
    return {
        "run": run,
        "world": world,
        **({"weights": weights} if weights else {}),
        "set": values,
        "choices": {key: written(value) for key, value in groups.items()},
    }


def extend_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Add runs to a sweep, whose other runs stay; one process at a time.

    A sweep of another version is kept as ``NAME-VERSION.json``: none of its runs is a run of this version. One of this
    version that was kept so goes on.

    Raises: InvalidArgument for a file that is no manifest, or for a sweep that has the same world in another version,
        or trained again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        known = _load(path) if path.is_file() else {}
        other = known.get("version", physgen.__version__)
        if other != physgen.__version__:
            kept = _aside(path, physgen.__version__)
            known = _load(kept) if kept.is_file() else {}
        listed = {one["run"]: one for one in known.get("runs", [])}
        check_worlds(path, known.get("runs", []), rows)
        if other != physgen.__version__:
            path.replace(_aside(path, other))
        for row in rows:
            before = listed.get(row["run"], row)
            listed[row["run"]] = {**row, "set": before["set"] | row["set"]}
        write_json_atomic(path, {"version": physgen.__version__, "runs": list(listed.values())})


def check_worlds(path: Path, known: Sequence[Row], rows: Sequence[Row]) -> None:
    """Refuse runs of a world of which the sweep has another version; the first rows did not say theirs, which was 1.

    So are runs of the same folder or checkpoint with other weights than those that the sweep has of it.

    Raises: InvalidArgument.

    >>> check_worlds(Path("a.json"), [{"choices": {"world": "micro"}}], [{"world": "micro 2"}])
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: sweep='a.json': allowed: one of micro 2 (this is of micro 1): another name=, runs=
    >>> old, new = ({"world": "micro 2", "weights": digest, "set": {"world.path": "mine"}} for digest in ("a1", "b2"))
    >>> check_worlds(Path("a.json"), [old], [new])
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: sweep='a.json': allowed: one of the weights b2 of world.path=mine (this is ...
    """
    there = dict.fromkeys(one.get("world") or f"{one.get('choices', {}).get('world', 'micro')} 1" for one in known)
    names = [label.rpartition(" ")[0] for label in there]
    for label in dict.fromkeys(one["world"] for one in rows):
        if label not in there and (name := label.rpartition(" ")[0]) in names:
            has = ", ".join(label for label in there if label.startswith(f"{name} "))
            raise InvalidArgument("sweep", str(path), f"one of {label} (this is of {has}): another name=, runs=")
    weights = {_own(one): one["weights"] for one in known if "weights" in one}
    for row in rows:
        if (before := weights.get(_own(row))) and row.get("weights", before) != before:
            where = " and ".join(_own(row)) or "the world"
            allowed = f"one of the weights {row['weights']} of {where} (this is of {before}): another name=, runs="
            raise InvalidArgument("sweep", str(path), allowed)


def _aside(path: Path, version: str) -> Path:
    """Where the sweep of a version is kept while another version has the name."""
    return path.with_name(f"{path.stem}-{version}.json")


def _own(row: Row) -> tuple[str, ...]:
    """Where a row's world has its weights, as it was set."""
    said = {**row.get("choices", {}), **row.get("set", {})}
    return tuple(f"{key}={said[key]}" for key in PLACES if key in said)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest in a file, with every option that any of its runs set stated for all of them.

    Raises:
        InvalidArgument: there is none, or it is not whole.
    """
    try:
        manifest = _load(path)
    except FileNotFoundError as error:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none yet"
        raise InvalidArgument(
            "sweep", path.name.removesuffix(".json"), f"one that was run in {path.parent}: {known}"
        ) from error
    keys = dict.fromkeys(key for one in manifest["runs"] for key in one["set"])
    for one in manifest["runs"]:
        if missing := keys.keys() - one["set"].keys() - {"seed"}:
            one["set"] |= unset(path.parent / one["run"], one.get("choices", {}), sorted(missing))
    return manifest


def unset(folder: Path, choices: Mapping[str, str], keys: Sequence[str]) -> dict[str, str]:
    """What options were that nobody set: a group's choice, or the value in the run's whole ``config.yaml``."""
    file = folder / "config.yaml"
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError):
        config = {}
    found = {key: choices[key] for key in keys if key in choices}
    for key in keys:
        *parents, name = key.split(".")
        node = config
        for parent in parents:
            node = node.get(parent) if isinstance(node, Mapping) else None
        if key not in found and isinstance(node, Mapping) and name in node:
            found[key] = written(node[name])
    return found


def split(override: str) -> tuple[str, str]:
    """Key and value of ``key=value``, without the ``+`` that adds a key.

    >>> split("+guidance.start=0.5")
    ('guidance.start', '0.5')
    """
    key, _, value = override.partition("=")
    return key.lstrip("+"), value


def written(value: Any) -> str:
    """A value as it is typed on the command line.

    >>> written(None), written(0.5), written("mass"), written(["mass", "diffusion"])
    ('null', '0.5', 'mass', '[mass,diffusion]')
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(written, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def _load(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        assert [(one["run"], one["set"].items()) for one in manifest["runs"]]
        assert isinstance(manifest["version"], str)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise InvalidArgument("manifest", str(path), "a whole file, as `physgen ablate` writes it") from error
    return dict(manifest)
