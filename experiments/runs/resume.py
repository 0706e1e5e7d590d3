"""The folder of a run: it is new, or was begun with the same options, which its ``config.yaml`` says."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from physgen.errors import InvalidArgument
from physgen.experiments.runs.locks import hold, holder
from physgen.experiments.runs.weights import with_weights


def resume(out: Path, settings: Mapping[str, object], left_out: Collection[str] = (), *, part: str = "whole") -> None:
    """Open a folder that is new, or that a run with the same options has begun, for this command alone.

    Weights in a folder of the user's are such an option, ``world.weights``: one that was trained again is another.
    Options in ``left_out`` are among the settings only where they are set. Commands that make different parts of what
    the folder holds, such as shards, may work in it side by side.

    Raises: InvalidArgument for any other folder, with the options that are others there, or for one in which another
        command is at work on the same part.
    """
    check_folder(out, settings, left_out)
    begun = out / "config.yaml"
    if not begun.is_file():
        out.mkdir(parents=True, exist_ok=True)
        partial = out / f".config.{os.getpid()}.partial"
        partial.write_text(_text(settings), encoding="utf-8")
        partial.replace(begun)
    if not hold(out.resolve() / part):
        at_work = holder(out.resolve() / part) or "another process"
        raise InvalidArgument("out", str(out), f"a folder that no other command is at work in ({at_work} is)")


def check_folder(
    out: Path, settings: Mapping[str, object], left_out: Collection[str] = (), *, finished: bool = True
) -> None:
    """Refuse a folder that `resume` would not open, before any work is done; writes nothing.

    ``finished=False`` is for what is made whole or again from the start: a folder with ``metrics.json`` is refused too.

    Raises: InvalidArgument.
    """
    same = "a new or empty folder, or one begun with the same options"
    if out.exists() and not out.is_dir():
        raise InvalidArgument("out", str(out), f"{same} (this one is a file)")
    if not finished and (out / "metrics.json").exists():
        raise InvalidArgument("out", str(out), "a new or empty folder (this one is a finished run)")
    begun = out / "config.yaml"
    if begun.is_file():
        if allowed := _allowed(begun.read_text(encoding="utf-8", errors="replace"), _text(settings), left_out):
            raise InvalidArgument("out", str(out), allowed)
    elif out.is_dir() and any(not path.name.startswith((".config", ".locks")) for path in out.iterdir()):
        raise InvalidArgument("out", str(out), f"{same} (this one has files and no config.yaml)")


def _text(settings: Mapping[str, object]) -> str:
    return yaml.safe_dump(with_weights(settings), sort_keys=False, allow_unicode=True)


def _allowed(before: str, now: str, left_out: Collection[str]) -> str:
    """What is to be done about a folder with other options, and the first ones that differ; nothing where none does."""
    same = "a new folder, or one begun with the same options"
    try:
        known = yaml.safe_load(before)
    except yaml.YAMLError:
        known = None
    if not isinstance(known, dict):
        return f"{same} (its config.yaml cannot be read)"
    known, here = (dict.fromkeys(left_out) | options for options in (known, yaml.safe_load(now)))
    found = sorted(differing(known, here), key=lambda one: one.count("."))
    if all(known[key] == here[key] for key in known.keys() & here.keys()):
        same = "a new folder, or the version of physgen that began this one"
    return f"{same} ({'; '.join(found[:3])})" if found else ""


def differing(before: Any, now: Any, key: str = "") -> list[str]:
    """Options that differ from those that a folder was begun with, by dotted names; gone and new ones are said so.

    >>> differing({"n": 8, "world": {"version": 1}}, {"n": 8, "world": {"version": 2}})
    ['world.version is 1 there and 2 here']
    >>> differing({"seeds": 2}, {"alpha": 0.1})
    ['alpha is 0.1 here and was not an option there', 'seeds is 2 there and is not an option here']
    """
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [] if before == now else [f"{key} is {before} there and {now} here"]
    found = []
    for name in dict.fromkeys([*now, *before]):
        path = f"{key}{key and '.'}{name}"
        if name not in before:
            found.append(f"{path} is {now[name]} here and was not an option there")
        elif name not in now:
            found.append(f"{path} is {before[name]} there and is not an option here")
        else:
            found += differing(before[name], now[name], path)
    return found
