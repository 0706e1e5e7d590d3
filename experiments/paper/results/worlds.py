"""``results/worlds.yaml``: the version of the embedded world that each file of results was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from physgen.errors import InvalidArgument

WORLD = "micro"


@dataclass(frozen=True)
class Worlds:
    """Patterns of the files of each version, those of none, the version that figures read, commits of former ones."""

    figures: int | None = None
    commits: Mapping[int, str] = field(default_factory=dict)
    versions: Mapping[int, list[str]] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, results: Path) -> Worlds:
        """Those of a folder; without a file nothing in it depends on the world.

        Raises: InvalidArgument for a file with other keys.
        """
        path = results / "worlds.yaml"
        if not path.is_file():
            return cls()
        try:
            return cls(**yaml.safe_load(path.read_text(encoding="utf-8")))
        except (TypeError, yaml.YAMLError) as error:
            raise InvalidArgument("worlds", str(path), f"figures, commits, versions and without ({error})") from error

    def of(self, name: str) -> int | None:
        """Version of a file, by its name without an ending; ``None`` for one that does not depend on the world.

        >>> Worlds(versions={1: ["cost"], 2: ["docs/micro/*"]}).of("docs/micro/quality")
        2
        """
        versions = (one for one, names in self.versions.items() if any(fnmatchcase(name, known) for known in names))
        return next(versions, None)

    def check(self, name: str, stated: str | None = None) -> None:
        """Refuse a file that the figures may not read, or that ``stated`` another world than is said of it here.

        Raises: InvalidArgument.

        >>> Worlds(1, versions={2: ["cost"]}).check("cost")
        Traceback (most recent call last):
        physgen.errors.InvalidArgument: results='cost': allowed: made with micro 1, as what figures read (not micro 2)
        """
        version = self.of(name)
        label = None if version is None else f"{WORLD} {version}"
        if stated not in (None, label):
            raise InvalidArgument(
                "results", name, f"made with {label or 'no world'}, see worlds.yaml (it says {stated})"
            )
        if version not in (None, self.figures):
            allowed = f"made with {WORLD} {self.figures}, as what figures read (not {label})"
            raise InvalidArgument("results", name, allowed)

    def repeat(self, version: int) -> str:
        """What one does to make results of a former version again.

        >>> Worlds(commits={1: "257e5dd"}).repeat(1)
        'made with micro 1: check out 257e5dd to repeat'
        """
        return f"made with {WORLD} {version}: check out {self.commits.get(version, 'its commit')} to repeat"
