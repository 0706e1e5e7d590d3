"""Rules against two readers: tables that are read, precision and agreement against numbers counted by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.draw.rules import decide
from physgen.experiments.microworldbench.readers import labels as labels_module
from physgen.experiments.microworldbench.readers.agreement import ALL, LawScore, cohen_kappa, pairs_of, score_pairs
from physgen.experiments.microworldbench.readers.labels import LAWS, Reader, read_readers

TEXTS = {
    1: "Red blood cells flow through capillaries",  # transport, permanence, static
    2: "A thrombus gradually forms at a venous valve",  # progression_up
    3: "The cilia beat rhythmically",  # periodic
    4: "A nucleus with a smooth envelope",  # nothing
}
HEADER = ",".join(["index", *LAWS, "note"])


def row(index: int, *laws: str, unclear: str = "") -> str:
    cells = ["?" if law == unclear else str(int(law in laws)) for law in LAWS]
    return ",".join([str(index), *cells, "as read"])


def write(path: Path, *rows: str, header: str = HEADER) -> str:
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return str(path)


def files(folder: Path) -> list[str]:
    first = write(
        folder / "a.csv", row(1, "transport", "permanence", "static"), row(2, "progression_up"), row(3), row(4, "count")
    )
    second = write(
        folder / "b.csv",
        row(4),
        row(2, "progression_up"),
        row(1, "transport", "permanence", unclear="static"),
        row(3, "periodic"),
    )
    return [first, second]


@pytest.fixture
def readers(tmp_path: Path) -> tuple[Reader, Reader]:
    return read_readers(files(tmp_path), TEXTS)


@pytest.fixture
def scores(readers: tuple[Reader, Reader]) -> dict[str, LawScore]:
    return {s.law: s for s in score_pairs(pairs_of(readers, {i: decide(text) for i, text in TEXTS.items()}))}


def test_cells_are_read(readers: tuple[Reader, Reader]) -> None:
    assert [reader.name for reader in readers] == ["a", "b"]
    assert list(readers[1].labels) == [1, 2, 3, 4]
    assert [reader.labels[1]["static"] for reader in readers] == [1, None]


def test_precision_is_that_counted_by_hand(scores: dict[str, LawScore]) -> None:
    everything = scores[ALL]
    assert (everything.fires, everything.labelled) == (5, 3)
    assert everything.right.estimate == pytest.approx(3 / 5)
    assert everything.half_right.estimate == 1.0
    assert everything.found.estimate == 1.0
    # Wilson's interval by its formula
    z, n, p = 1.959964, 5, 3 / 5
    middle, half = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n)
    half *= math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (everything.right.low, everything.right.high) == pytest.approx((middle - half, middle + half), abs=1e-5)
    assert scores["static"].right.estimate == 0.0
    assert scores["periodic"].half_right.estimate == 1.0
    assert scores["transport"].right.estimate == 1.0
    assert scores["mass"].fires == 0
    assert math.isnan(scores["mass"].right.estimate)


def test_agreement_by_law(scores: dict[str, LawScore]) -> None:
    assert scores["transport"].kappa == 1.0
    assert scores["static"].kappa == 0.0  # the second never says 1
    assert math.isnan(scores["mass"].kappa)


def test_kappa_of_those_who_always_differ() -> None:
    assert cohen_kappa([(True, False), (False, True)]) == -1.0
    assert math.isnan(cohen_kappa([]))


def test_only_tasks_that_both_have_read_count(tmp_path: Path) -> None:
    found = read_readers([write(tmp_path / "a.csv", row(1), row(2)), write(tmp_path / "b.csv", row(2), row(3))], TEXTS)
    assert [list(reader.labels) for reader in found] == [[2], [2]]


def test_tables_that_are_part_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path)
    monkeypatch.setattr(labels_module, "FOLDER", tmp_path)
    assert [reader.name for reader in read_readers(["a", "b"], TEXTS)] == ["a", "b"]
    with pytest.raises(FileNotFoundError, match="none of a, b"):
        read_readers(["a", "c"], TEXTS)


def test_the_tables_of_the_package_are_of_the_same_published_tasks() -> None:
    files = [path.stem for path in sorted(labels_module.FOLDER.glob("*.csv"))]
    assert files == ["reader_1", "reader_2"]
    first, second = read_readers(files, range(1, 460))
    assert list(first.labels) == list(second.labels)
    assert len(first.labels) == 120


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([row(1), row(1)], HEADER, "each task once"),
        ([row(9)], HEADER, "the number of a task"),
        ([row(1).replace("0", "yes", 1)], HEADER, "1, 0 or ?"),
        (["1,0,0"], HEADER, "1, 0 or ?"),
        ([row(1)], HEADER.replace("static", "still"), "missing"),
        ([], "", "missing"),
        ([row(3)], HEADER, "tasks in common"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, rows: list[str], header: str, message: str) -> None:
    good = write(tmp_path / "good.csv", row(1), row(2))
    with pytest.raises(InvalidArgument, match=message):
        read_readers([good, write(tmp_path / "bad.csv", *rows, header=header)], TEXTS)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InvalidArgument, match=r"noise\.csv.*a table as CSV"):
        read_readers([write(tmp_path / "good.csv", row(1)), str(tmp_path / "noise.csv")], TEXTS)


def test_two_readers_are_needed(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="two files"):
        read_readers(files(tmp_path)[:1], TEXTS)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [{"index": index, "final_label": "Cellular-level", "任务": text} for index, text in TEXTS.items()]
    data, out = tmp_path / "tasks.json", tmp_path / "readers.json"
    data.write_text(json.dumps(tasks), encoding="utf-8")
    labels = f"labels=[{','.join(files(tmp_path))}]"
    assert main(["benchmark", "rules", f"tasks={data}", labels, f"out={out}"]) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert "0.6 [0.231, 0.882]" in printed
    assert "4 tasks read by a and b, 3 of them with a law by the rules" in printed
    found = json.loads(out.read_text())
    assert [(pair["task"], pair["law"]) for pair in found["not_right"]] == [(1, "static"), (3, "periodic")]
    assert [(pair["task"], pair["law"]) for pair in found["disagreements"]] == [(3, "periodic"), (4, "count")]
    assert main(["benchmark", "rules", "a thrombus", labels]) == 2
    assert "no text beside" in capsys.readouterr().err
