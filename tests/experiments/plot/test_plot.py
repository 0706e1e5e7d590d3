"""Figures of a sweep: what is averaged, what is refused, and what is in the picture."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

import physgen
from physgen.experiments.cli.dispatch import main
from physgen.experiments.measure.intervals import mean_interval
from physgen.experiments.plot.figure import draw
from physgen.experiments.plot.points import Point, points
from physgen.experiments.plot.style import LOOKS, styled
from physgen.experiments.runs.collect import collect

SEEDS, STEPS, ARMS = 5, (5, 10, 20, 40), {"none": 1e-2, "projection": 1e-9}


def write_sweep(runs: Path) -> None:
    rng = np.random.default_rng(0)
    listed = []
    for law in ("mass", "diffusion"):
        for steps in STEPS:
            for arm, size in ARMS.items():
                for seed in range(SEEDS):
                    name = f"run-{law}-{steps}-{arm}-{seed}"
                    (runs / name).mkdir(parents=True)
                    metrics: dict[str, Any] = {"version": physgen.__version__, "git_sha": None, "seed": seed}
                    metrics |= {"wall_time_s": steps * rng.uniform(1, 2), "nfe": 2 * steps}
                    metrics |= {"violation": {"mass": size * rng.uniform(0.5, 1.5)}}
                    (runs / name / "metrics.json").write_text(json.dumps(metrics))
                    settings = {"law": law, "guidance": arm, "steps": str(steps), "seed": str(seed)}
                    listed.append({"run": name, "set": settings})
    (runs / "sweep.json").write_text(json.dumps({"version": physgen.__version__, "runs": listed}))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_sweep(folder)
    return folder


def test_a_point_is_the_mean_over_seeds_with_its_interval(runs: Path) -> None:
    rows = collect(runs, "sweep").rows
    found = points(rows, "steps", "violation/mass", colour="guidance", facets=["law"])
    assert len(found) == 2 * len(STEPS) * len(ARMS)
    (one,) = [
        point for point in found if (point.facet, point.colour, point.across.estimate) == (("mass",), "none", 10.0)
    ]
    about = {"metric": "violation/mass", "law": "mass", "guidance": "none", "steps": "10"}
    values = np.array([row["value"] for row in rows if about.items() <= row.items()])
    assert len(values) == SEEDS
    assert one.up == mean_interval(values)
    assert np.isnan(one.across.low)


def test_what_was_measured_has_an_interval_along_the_axis_too(runs: Path) -> None:
    rows = [row for row in collect(runs, "sweep").rows if (row["law"], row["steps"]) == ("mass", "10")]
    found = points(rows, "wall_time_s", "violation/mass", colour="guidance")
    assert [point.colour for point in found] == list(ARMS)
    assert all(point.across.low < point.across.estimate < point.across.high for point in found)


def test_runs_without_both_numbers_are_left_out_and_counted(runs: Path, tmp_path: Path) -> None:
    write_sweep(tmp_path)
    for seed in range(SEEDS):
        file = tmp_path / f"run-mass-5-none-{seed}" / "metrics.json"
        metrics = json.loads(file.read_text())
        file.write_text(json.dumps(metrics | {"violation": {}} if seed else metrics | {"violation": {"mass": None}}))
    found = points(collect(tmp_path, "sweep").rows, "steps", "violation/mass", colour="guidance", facets=["law"])
    assert sum(len(point.y) for point in found) == 2 * len(STEPS) * len(ARMS) * SEEDS - SEEDS


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["x=stepz", "y=nfe"], "x='stepz': allowed: guidance, law, seed, steps or one of 3 numbers"),
        (["x=stepz", "y=nfe"], "did you mean steps"),
        (["x=steps", "y=violation/mess"], "did you mean violation/mass"),
        (["x=steps", "y=law"], "y='law': allowed: a column of numbers"),
        (["x=steps", "y=nfe", "colour=nfe"], "colour='nfe': allowed: guidance, law, seed, steps"),
        (["x=steps", "y=nfe", "facets=[lau]"], "did you mean 'law'?"),
        (["x=steps", "y=nfe", "colour=guidance"], "law='diffusion, mass': allowed: one value in a point: give law as"),
        (["x=steps", "y=nfe", "sweep=swoop"], "sweep='swoop': allowed: one that was run in"),
    ],
)
def test_bad_usage(
    runs: Path, tmp_path: Path, arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = [] if any(one.startswith("sweep=") for one in arguments) else ["sweep=sweep"]
    assert main(["plot", *sweep, *arguments, f"runs={runs}", f"out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_command(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plot", "sweep=sweep", "x=steps", "y=violation/mass", "colour=guidance", "facets=[law]"]
    for name in ("first", "second"):
        assert main([*arguments, f"runs={runs}", f"out={tmp_path / name}"]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths[:2]] == ["sweep.violation-mass.steps.png", "sweep.violation-mass.steps.svg"]
    assert [path.read_bytes() for path in paths[:2]] == [path.read_bytes() for path in paths[2:]], (
        "the same bytes again"
    )
    picture = imread(paths[0])[..., :3]
    assert picture.shape[1] == 1300
    assert 0.01 < (picture < 0.9).any(-1).mean() < 0.3, "neither blank nor full"
    assert ElementTree.parse(paths[1]).getroot().tag.endswith("svg")


def test_the_picture_says_what_it_shows(runs: Path) -> None:
    found = points(collect(runs, "sweep").rows, "steps", "violation/mass", colour="guidance", facets=["law"])
    with styled():
        picture = draw(found, sweep="sweep", x="steps", y="violation/mass", colour="guidance", facets=["law"])
        picture.draw_without_rendering()
    assert [axes.get_title() for axes in picture.axes] == ["law = mass", "law = diffusion"]
    assert {axes.get_xlabel() for axes in picture.axes} == {"denoising steps"}
    assert picture.axes[0].get_ylabel() == "violation of mass (dimensionless)"
    assert "n = 5 runs, 95 %" in picture.get_suptitle()
    assert [text.get_text() for text in picture.legends[0].get_texts()] == ["unguided", "projection"]
    assert [tick.get_text() for tick in picture.axes[0].get_xticklabels()] == ["5", "10", "20", "40"]
    assert [picture.axes[0].get_xscale(), picture.axes[0].get_yscale()] == ["log", "log"]
    boxes = [text.get_window_extent() for text in picture.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes)), "labels do not overlap"


def test_names_under_narrow_panels_do_not_overlap() -> None:
    arms = ["none", "afterwards", "best_of_4", "augmented_lagrangian", "x0_gradient", "projection", "dps"]
    values = np.array([1.0, 2.0])
    found = [Point((law,), "", arm, values) for law in ("mass", "diffusion", "fisher_kpp") for arm in arms]
    with styled():
        picture = draw(found, sweep="sweep", x="guidance", y="nfe", colour=None, facets=["law"])
        picture.draw_without_rendering()
    labels = picture.axes[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {40.0}
    assert not any("\n" in label.get_text() for label in labels)
    assert picture.axes[0].get_ylim()[0] == 0


def test_looks_differ_in_grey() -> None:
    assert len({look[1] for look in LOOKS}) == len(LOOKS), "a marker each"
    lightness = [np.dot(to_rgb(look[0]), (0.2126, 0.7152, 0.0722)) for look in LOOKS]
    assert max(lightness) < 0.7, "all of them are seen on white"
