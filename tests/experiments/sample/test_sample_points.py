"""Single values that were seen, from a table: read exactly, kept to by a sample, refused in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tiny_world import SIZES

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.draw.observed import ObservedConfig, read_observed
from physgen.experiments.draw.points import read_points
from physgen.worlds import world_spec

SPEC = world_spec("micro")
PROMPT = "one drop of green dye diffusing slowly in water"
DYE = SPEC.observable(PROMPT)


def table(folder: Path, text: str) -> Path:
    path = folder / "points.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["value", DYE.species[0]])
def test_points_are_where_the_table_says_and_the_mean_of_several(name: str, tmp_path: Path) -> None:
    found = read_points(table(tmp_path, f"x,y,frame,{name}\n3,5,0,0.25\n3,5,0,0.75\n63,0,24,0\n"), SPEC, DYE)
    assert found.shape == (1, 25, 64, 64)
    assert found[0, 0, 5, 3] == 0.5
    assert found[0, 24, 0, 63] == 0.0
    assert int(found.isfinite().sum()) == 2


def test_blanks_around_names_and_cells_do_not_matter(tmp_path: Path) -> None:
    found = read_points(table(tmp_path, "frame , y, x , value\n0, 5 , 3, 0.5\n"), SPEC, DYE)
    assert found[0, 0, 5, 3] == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,y,x\n0,1,2\n", "columns frame, y, x"),
        ("frame,y,x,value,colour\n0,1,2,1,red\n", "colour"),
        ("frame,y,x,value\n0,1,64,1\n", r"\(0, 1, 64\) in line 2.*x 0 to 63"),
        ("frame,y,x,value\n0,1.5,2,1\n", r"y='1\.5' in line 2.*whole"),
        ("frame,y,x,value\n0,1,2,bright\n", "value='bright' in line 2"),
        ("frame,y,x,value\n0,1,2,\n", "no value in 1 lines"),
        ("", "columns none"),
        ("frame,y,x,value\n0,1\n", "x=None in line 2"),
        ("frame,y,x,value\n0,1,2,nan\n", "value='nan' in line 2"),
        ("frame,y,x,value\n0,30,30,0,75\n", "5 cells in line 2 of points.csv': allowed: 4.*decimal point"),
        ("frame,y,x,value,value\n0,3,4,0.5,0.7\n", "two columns 'value' in points.csv"),
    ],
)
def test_refusals(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=message):
        read_points(table(tmp_path, text), SPEC, DYE)


def test_a_sample_keeps_to_points(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{frame},{y},{x},0.4" for frame in (0, 4) for y in (12, 16) for x in (12, 16)]
    path = table(tmp_path, "frame,y,x,value\n" + "\n".join(lines) + "\n")
    asked = ["sample", f"world.path={tiny}", *SIZES, f"prompt={PROMPT}", f"observed={path}", f"out={tmp_path / 'run'}"]
    assert main(asked) == 2
    assert "observed.noise=auto" in capsys.readouterr().err.replace("'", "")
    assert main([*asked, "observed.noise=0.02"]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert any("observed: frames 0, 4 of" in note for note in metrics["notes"])
    assert math.isfinite(metrics["constraints"]["observed"]["residual_rms"])


@pytest.mark.parametrize(
    ("value", "noise", "held"), [(-7, 0.1, False), (1e9, 0.1, False), (1.4, 0.1, True), (1.4, 0, False)]
)
def test_values_that_no_video_can_show_are_refused(value: float, noise: float, held: bool, tmp_path: Path) -> None:
    path = table(tmp_path, f"frame,y,x,value\n0,3,4,{value}\n")
    config = ObservedConfig(str(path), None, None, noise, False)
    if held:
        assert read_observed(config, SPEC, DYE, SPEC.grid(PROMPT)).seen.noise_floor == 1
        return
    with pytest.raises(InvalidArgument, match=r"in points\.csv, with noise.*allowed: 0 to 1.*6 times the noise"):
        read_observed(config, SPEC, DYE, SPEC.grid(PROMPT))
