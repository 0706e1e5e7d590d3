"""Every file of results: what made it, at which commits, and how much is in it."""

from __future__ import annotations

from typing import Any

from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

COLUMNS = ("file", "command", "records", "commits")
#: digits of a commit in print
SHOWN = 8


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a file of ``options.files``; a commit in brackets is the one that brought a file which does not say."""
    rows = []
    for one in spec.options["files"]:
        if one.get("sweep"):
            made = commits(store, one["file"])
            count = f"{len(store.sweep(one['file']).finished)} runs"
        else:
            data = store.documented(one["file"]) if one.get("documented") else store.wrapped(one["file"])
            sha = data.get("git_sha") if isinstance(data, dict) else None
            made = sha[:SHOWN] if sha else f"({one['commit'][:SHOWN]})"
            count = str(len(records(data)))
        rows.append((one["file"].replace("_", " "), one["command"], count, made))
    return Made({"files": Number(len(rows), ("figures.yaml",))}, columns=COLUMNS, rows=tuple(rows))


def commits(store: Store, name: str) -> str:
    """Commits of a sweep's runs, with how many were made at each; a dash for clips of the simulator alone."""
    found = store.sweep(name).commits.most_common()
    return ", ".join(f"{sha[:SHOWN]} ({count})" if len(found) > 1 else sha[:SHOWN] for sha, count in found) or "–"


def records(data: Any) -> Any:
    """What is counted of a file: its records, arms or entries."""
    if isinstance(data, list):
        return data
    return data.get("records") or data.get("families") or data.get("models") or data
