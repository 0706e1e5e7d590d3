"""Where configurations are looked for: the folders that the command line names, the first one first, then ours."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import yaml

from physgen.errors import InvalidArgument

#: folders of the user's own, one a line, in the environment: processes that a job starts look there as well
VARIABLE = "PHYSGEN_CONFIG_DIRS"
SEARCHPATH = "hydra.searchpath="


class _Flags(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidArgument("--config-dir", None, "a folder of configurations, --config-dir DIR")


def take_folders(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Folders of ``--config-dir DIR``, ``-cd DIR`` and ``hydra.searchpath=[DIR]``, and the other arguments.

    Raises: InvalidArgument for a folder that is not there.

    >>> take_folders(["prompt=dye", "-cd", "/", "seed=1"])
    ([PosixPath('/')], ['prompt=dye', 'seed=1'])
    """
    parser = _Flags(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", action="append", default=[])
    known, others = parser.parse_known_args(arguments)
    found = [_folder("--config-dir", text) for text in known.config_dir]
    for argument in [other for other in others if other.startswith(SEARCHPATH)]:
        others.remove(argument)
        found += [_folder("hydra.searchpath", text) for text in _listed(argument.removeprefix(SEARCHPATH))]
    return found, others


def _listed(text: str) -> list[str]:
    try:
        listed = yaml.safe_load(text)
    except yaml.YAMLError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise InvalidArgument("hydra.searchpath", text, "a list, [file://FOLDER, pkg://MODULE]")
    return listed


def _folder(flag: str, text: str) -> Path:
    path = text.removeprefix("file://")
    if text.startswith("pkg://"):
        try:
            path = str(files(text.removeprefix("pkg://").replace("/", ".")))
        except ImportError as error:
            raise InvalidArgument(flag, text, "a module that can be imported") from error
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise InvalidArgument(flag, text, f"a folder that is there ({folder} is not)")
    return folder


@contextmanager
def search(folders: Sequence[Path]) -> Iterator[None]:
    """While it lasts, configurations are looked for in these folders first, by this process and those it starts."""
    with patch.dict(os.environ, {VARIABLE: "\n".join(map(str, folders))} if folders else {}):
        yield


def own_folders() -> list[Path]:
    """The user's folders, the first one first."""
    return [Path(line) for line in os.environ.get(VARIABLE, "").splitlines()]


def search_flags() -> list[str]:
    """The flags that make another command look into the same folders."""
    return [f"--config-dir={folder}" for folder in own_folders()]


def config_file(path: str) -> Traversable:
    """A file of ``conf/``: the user's where there is one, else ours.

    >>> config_file("constraint/mass.yaml").name
    'mass.yaml'
    """
    found = [folder / path for folder in own_folders() if (folder / path).is_file()]
    return found[0] if found else files("physgen.conf").joinpath(path)


def replaced() -> list[str]:
    """What to say of files that stand in for ours of the same name."""
    notes = []
    with as_file(files("physgen.conf")) as ours:
        for file in sorted(ours.rglob("*.yaml")):
            name = file.relative_to(ours).as_posix()
            taken = config_file(name)
            if isinstance(taken, Path) and not taken.samefile(file):
                notes.append(f"{taken} is taken, and not physgen's own {name}")
    return notes
