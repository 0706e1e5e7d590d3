"""Every script in examples/ runs, and its picture shows what the example is about."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from markers import slow_except
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
HELPERS = {"picture", "leaky_model"}
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem not in HELPERS)
SLOW = {"own_world", "keep_to_observations"}
NEEDS = {"plug_k_diffusion": "k_diffusion", "plug_diffsynth": "diffsynth"}
#: the largest part of the unguided line's height that the guided line may have; a soft guidance does what it can
FLATNESS = {"own_guidance": 0.6, "keep_to_observations": 0.9}
DPI, STRIP, PLOT = 100, 1.25, 2.8
BLUE, ORANGE = (31, 119, 180), (255, 127, 14)

Pixels = npt.NDArray[np.uint8]


def pixels(picture: Path) -> Pixels:
    with Image.open(picture) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Pixels]:
    """The picture of a script that runs in this process, which has imported torch already."""

    def run(script: str) -> Pixels:
        picture = tmp_path / f"{script}.png"
        for helper in HELPERS:  # they read the command line when they are imported
            monkeypatch.delitem(sys.modules, helper, raising=False)
        monkeypatch.syspath_prepend(EXAMPLES)
        monkeypatch.setattr(sys, "argv", [script, str(picture), "8"])
        runpy.run_path(str(EXAMPLES / f"{script}.py"), run_name="__main__")
        return pixels(picture)

    return run


def strip(picture: Pixels, row: int) -> Pixels:
    """The frames of one video, inside its border."""
    top = round(DPI * STRIP * row)
    return picture[top + 25 : top + 120, 62:778]


def height_of_line(picture: Pixels, colour: tuple[int, int, int]) -> int:
    """Rows of the plot, without its legend, that a line of this colour crosses."""
    plot = picture[round(-DPI * PLOT) :, :600].astype(int)
    rows = np.flatnonzero((np.abs(plot - colour).max(axis=2) < 40).any(axis=1))
    assert len(rows), "no line of this colour"
    return int(rows[-1] - rows[0])


@pytest.mark.parametrize("script", slow_except(set(SCRIPTS) - SLOW, SCRIPTS))
def test_its_picture_shows_what_it_is_about(script: str, run: Callable[[str], Pixels]) -> None:
    if script in NEEDS and find_spec(NEEDS[script]) is None:
        pytest.skip(f"{NEEDS[script]} is not installed")
    picture = run(script)
    unguided, guided = strip(picture, 0), strip(picture, 1)
    for frames in (unguided, guided):
        assert frames.max() > 100, "black"
        assert frames.astype(float).std() > 10, "uniform"
    assert np.abs(unguided.astype(int) - guided).mean() > 0.1, "guided and unguided are alike"
    allowed = FLATNESS.get(script, 0.1)
    assert height_of_line(picture, ORANGE) <= allowed * height_of_line(picture, BLUE)


def test_every_script_is_shown_on_a_page() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (EXAMPLES.parent / "docs").rglob("*.md"))
    assert [script for script in SCRIPTS if f'``` {{ .python }}\n--8<-- "examples/{script}.py"' not in pages] == []


def test_scripts_are_short() -> None:
    assert {path.stem: lines for path in EXAMPLES.glob("*.py") if (lines := path.read_text().count("\n")) > 40} == {
        "leaky_model": 42,
        "picture": 41,
    }


@pytest.mark.slow
def test_a_script_runs_by_itself_and_says_where_its_picture_is(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    program = [sys.executable, str(EXAMPLES / "own_sampler.py")]
    done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    picture = Path(done.stdout.strip())
    assert picture.is_relative_to(tmp_path)
    assert pixels(picture).std() > 10
