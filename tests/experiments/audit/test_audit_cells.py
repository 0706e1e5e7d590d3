"""`physgen audit FILE cells=auto` on a drawn movie."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from physgen.experiments.cli.dispatch import main
from physgen.simulators.mitosis import simulate


def test_one_verdict_a_cell_with_its_crop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One cell that divides beside one that divides backward."""
    cells = simulate(2, rng=np.random.default_rng(3)).fields[:, 0]
    movie = np.concatenate([cells[0], cells[1, ::-1]], -1) + 0.02 * np.random.default_rng(0).standard_normal((128,))
    file, out = tmp_path / "two.tif", tmp_path / "out"
    tifffile.imwrite(file, (60_000 * np.clip(movie / 1.2, 0, 1)).astype(np.uint16))
    assert main(["audit", str(file), "constraint=phase_order", "cells=auto", f"out={out}"]) == 0
    printed = capsys.readouterr().out
    found = json.loads((out / "metrics.json").read_text())["files"][0]["cells"]
    assert sorted(cell["order"] for cell in found if cell["order"] != "no division") == ["forward", "reversed"]
    assert "cell 1" in printed
    assert "divides reversed" in printed
    for cell in found:
        crop = tifffile.imread(out / "cells" / "two" / f"cell-{cell['cell']}.tif")
        assert len(crop) == cell["frames"] == len(cell["path"])


def test_crops_of_two_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64]
    for folder, centres in (("a", [32]), ("b", [18, 46])):
        disks = sum(200 / (1 + np.exp(1.5 * (np.hypot(y - row, x - row) - 7))) for row in centres)
        noise = 2 * np.random.default_rng(0).standard_normal((12, 64, 64))
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "cell.npy", (20 + disks + noise).round().astype(np.uint16))
    files, out = [str(tmp_path / folder / "cell.npy") for folder in "ab"], tmp_path / "out"
    assert main(["audit", *files, "constraint=phase_order", "cells=auto", f"out={out}"]) == 0
    found = json.loads((out / "metrics.json").read_text())["files"]
    for index, file in enumerate(found):
        names = sorted(path.name for path in (out / "cells" / f"{index}-cell").iterdir())
        assert names == [f"cell-{cell['cell']}.tif" for cell in file["cells"]]
    assert [len(file["cells"]) for file in found] == [1, 2]


def test_cells_need_a_law_that_reads_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "empty.tif"
    tifffile.imwrite(file, np.zeros((5, 16, 16), np.uint16))
    assert main(["audit", str(file), "constraint=mass", "cells=auto"]) == 2
    assert "cells='auto'" in capsys.readouterr().err


def test_cells_are_named_by_frames_and_pixels_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = simulate(1, rng=np.random.default_rng(3)).fields[0, 0]
    movie = np.pad(np.repeat(cell, 2, axis=0), ((0, 0), (40, 0), (30, 0)))
    movie = movie + 0.02 * np.random.default_rng(0).standard_normal(movie.shape)
    file = tmp_path / "one.tif"
    tifffile.imwrite(file, (60_000 * np.clip(movie / 1.2, 0, 1)).astype(np.uint16))
    words: list[str] = []
    found: list[Any] = []
    height, width = movie.shape[1:]
    for part in ([], ["every=2", f"crop=[30,{height},20,{width}]"]):
        out = tmp_path / f"out{len(words)}"
        assert main(["audit", str(file), "constraint=phase_order", "cells=auto", *part, f"out={out}"]) == 0
        words.append(capsys.readouterr().out.split("cell 1, ")[1].split(":")[0])
        found.append(json.loads((out / "metrics.json").read_text())["files"][0]["cells"][0])
    numbers = np.array([[int(word) for word in line.replace(",", "").split() if word.isdigit()] for line in words])
    assert np.abs(numbers[1] - numbers[0]).max() <= 4
    assert np.abs(np.array(found[1]["centres"][0]) - found[0]["centres"][0]).max() < 2
    assert abs(found[1]["start"] - found[0]["start"]) <= 2
