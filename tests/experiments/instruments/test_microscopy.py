"""What the instruments say of real movies."""

from pathlib import Path

from physgen.experiments.instruments.proof.microscopy import alarms, tables


def test_alarms_on_real_movies(shared: Path) -> None:
    files = [
        shared / "microscopy" / name for name in ("cancer_nuclei_48x130x130_u16.tif", "membrane_5x256x256_u16.tif")
    ]
    rows = alarms([str(file) for file in files], alpha=0.01)
    nuclei, membrane = ([row["read"] for row in rows if row["movie"] == file.name] for file in files)
    assert membrane == [{}]
    assert len(nuclei) == 10
    given = [reading for read in nuclei for reading in read.values()]
    assert len(given) == 70
    assert sum(reading[2] for reading in given) <= 7
    whole_picture = [row["read"] for row in rows if "whole" in row["view"] and row["read"]]
    assert not any(reading[2] for read in whole_picture for reading in read.values())
    counted, whole = tables(rows, 0.01)
    assert counted.rows[1][1:] == ["not measured"] * len(counted.rows[1][1:])
    assert len(whole.rows) == 3
