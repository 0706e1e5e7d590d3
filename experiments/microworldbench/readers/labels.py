"""Which laws a reader says a correct video of a text obeys, from a table that the reader wrote."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from physgen.errors import InvalidArgument

#: laws that readers label; those of `Progression` by direction
LAWS = (
    "mass",
    "diffusion",
    "fisher_kpp",
    "gray_scott",
    "phase_order",
    "transport",
    "permanence",
    "static",
    "progression_up",
    "progression_down",
    "periodic",
    "count",
)
#: what a cell may say: a correct video obeys the law, breaks it or has nothing of it, or the text does not tell
CELLS = {"1": 1, "0": 0, "?": None}
#: tables that are part of physgen
FOLDER = Path(__file__).parent.parent / "labels"


@dataclass(frozen=True)
class Reader:
    """A reader's labels: of every task, by its number, 1, 0 or None (unclear) for every law."""

    name: str
    labels: Mapping[int, Mapping[str, int | None]]


def read_readers(files: Sequence[str], tasks: Collection[int]) -> tuple[Reader, Reader]:
    """The labels of two readers, of the tasks that both have read.

    A file is a path, or the name of a table that is part of physgen, such as ``reader_1``.

    Raises:
        InvalidArgument: not two files; one with other columns or cells, a task twice or one that is not there; files
            without a task in common.
        FileNotFoundError: there is no such file.
    """
    if len(files) != 2:
        raise InvalidArgument("labels", list(files), "two files, one a reader: labels=[A.csv,B.csv]")
    first, second = (_read(_path(file), tasks) for file in files)
    both = first.labels.keys() & second.labels.keys()
    if not both:
        raise InvalidArgument("labels", list(files), "files that have tasks in common")
    names = (first.name, second.name) if first.name != second.name else tuple(files)
    kept = [{index: reader.labels[index] for index in sorted(both)} for reader in (first, second)]
    return Reader(names[0], kept[0]), Reader(names[1], kept[1])


def _path(file: str) -> Path:
    path, shipped = Path(file).expanduser(), FOLDER / f"{file}.csv"
    if path.is_file():
        return path
    if Path(file).name == file and shipped.is_file():
        return shipped
    known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.csv")))
    raise FileNotFoundError(f"labels={file!r}: no such file{f', and none of {known}' if known else ''}")


def _read(path: Path, tasks: Collection[int]) -> Reader:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument("labels", str(path), f"a table as CSV ({error})") from None
    with io.StringIO(text, newline="") as lines:
        table = csv.DictReader(lines)
        missing = [name for name in ("index", *LAWS) if name not in (table.fieldnames or ())]
        if missing:
            raise InvalidArgument(f"{path}: columns", table.fieldnames, f"index and all laws; missing {missing}")
        labels: dict[int, dict[str, int | None]] = {}
        for row in table:
            place = f"{path}: line {table.line_num}"
            index = (row["index"] or "").strip()
            if not index.isdecimal() or int(index) not in tasks:
                raise InvalidArgument(f"{place}: index", index, "the number of a task")
            if int(index) in labels:
                raise InvalidArgument(f"{place}: index", index, "each task once")
            labels[int(index)] = {law: _cell(f"{place}: {law}", row[law]) for law in LAWS}
    return Reader(path.stem, labels)


def _cell(place: str, text: str | None) -> int | None:
    word = (text or "").strip()
    if word not in CELLS:
        raise InvalidArgument(place, word, "1, 0 or ?")
    return CELLS[word]
