"""Every file of results: what made it, at which commits, and how much is in it."""

from __future__ import annotations

from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec

COLUMNS = ("file", "command", "records", "commits")
#: digits of a commit in print
SHOWN = 8


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a file of ``options.files``; commits in brackets brought a file that does not say."""
    rows = []
    for one in spec.options["files"]:
        if one.get("sweep"):
            made = commits(store, one["file"])
            count = f"{len(store.sweep(one['file']).finished)} runs"
        else:
            data = store.documented(one["file"]) if one.get("documented") else store.wrapped(one["file"])
            sha = data.get("git_sha") if isinstance(data, dict) else None
            made = sha[:SHOWN] if sha else f"({', '.join(brought[:SHOWN] for brought in one['commits'])})"
            found = data.get("records") if isinstance(data, dict) else data
            count = str(len(found)) if found else "summary"
        rows.append((one["file"].replace("_", " "), one["command"], count, made))
    return Made({"files": Number(len(rows), ("figures.yaml",))}, columns=COLUMNS, rows=tuple(rows))


def commits(store: Store, name: str) -> str:
    """Commits of a sweep's runs, with how many were made at each; a dash for clips of the simulator alone."""
    found = store.sweep(name).commits.most_common()
    return ", ".join(f"{sha[:SHOWN]} ({count})" if len(found) > 1 else sha[:SHOWN] for sha, count in found) or "–"
