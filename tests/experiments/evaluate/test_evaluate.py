"""The laws on exact solutions, and both suites end to end on a tiny random world."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from physgen.errors import InvalidArgument
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.evaluate import job
from physgen.experiments.measure import laws
from physgen.simulators import GRAMMARS, SIMULATORS, dye
from physgen.worlds import WorldSpec, world_spec
from physgen.worlds.micro.judge import Judge

FRAMES = 5


@pytest.fixture(scope="module")
def spec(tiny: Path) -> WorldSpec:
    return replace(world_spec("micro"), path=str(tiny), num_frames=FRAMES, steps=2, guidance_scale=1.0)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("judge")
    Judge(frames=FRAMES).save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("trained")
    generator = torch.Generator().manual_seed(0)
    for family, kinds in GRAMMARS.items():
        for part in ("latents", "data"):
            (folder / part / family).mkdir(parents=True)
        grammar = next(iter(kinds.values()))
        caption = grammar.caption(grammar.combinations()[0], np.random.default_rng(0))
        for split in ("train", "validation"):
            latents = torch.randn(4, 4, 2, 8, 8, generator=generator).half()
            torch.save(latents, folder / "latents" / family / f"{split}-0000.pt")
            (folder / "data" / family / f"{split}-0000.json").write_text(json.dumps([{"caption": caption}] * 4))
    return str(folder)


def config(suite: str, spec: WorldSpec, judge: str, out: Path, trained: str | None = None) -> job.EvaluateConfig:
    return job.EvaluateConfig(suite, spec, 8, 0, 1, trained, judge, str(out))


@pytest.mark.slow
def test_quality_suite_resumes(spec: WorldSpec, judge: str, trained: str, tmp_path: Path):
    out = tmp_path / "quality"
    job.run(config("quality", spec, judge, out, trained))
    first = json.loads((out / "quality.json").read_text())
    families = first["families"]
    assert set(families) == {*GRAMMARS, "all"}
    for family in GRAMMARS:
        assert set(families[family]["laws"]) == {"simulator", "reconstruction", "unguided"}
        assert families[family]["memory"]["training_clips"] == 4
        assert 0 <= families[family]["recognised"]["simulator"]["attributes"]["estimate"] <= 1
    simulator = {name: found["estimate"] for name, found in families["dye"]["laws"]["simulator"].items()}
    assert simulator["mass_drift"] < 1e-5
    assert simulator["heat_true"] < 0.05
    assert families["growth"]["laws"]["simulator"]["fisher_kpp_in_range"]["estimate"] < 0.05
    assert families["gray_scott"]["laws"]["simulator"]["flow_map"]["estimate"] < 0.01
    assert families["blood"]["laws"]["simulator"]["direction_right"]["estimate"] == 1.0
    assert families["vesicles"]["laws"]["simulator"]["content_drift"]["estimate"] < 1e-3
    for family in GRAMMARS:
        for arm in ("simulator", "reconstruction", "unguided"):
            content = families[family]["content"][arm]
            assert {*content} == {"right", "empty", "distance", "judge"}
            assert 0 <= content["distance"]["p_value"] <= 1
            assert families[family]["rendering"][arm]["jitter_px"]["estimate"] >= 0
        assert families[family]["content"]["simulator"]["empty"]["estimate"] == 0
        assert families[family]["content"]["simulator"]["right"].get("count", {"estimate": 1})["estimate"] == 1
    assert {row["goal"] for row in first["goals"]} >= {"family, judge", "empty", "count of beads, instrument"}
    assert "**Goals**" in (out / "quality.md").read_text()
    assert (out / "contact-sheet.png").stat().st_size > 1000
    (out / "quality.json").unlink()
    made = {file: file.stat().st_mtime_ns for file in (out / "videos").iterdir()}
    removed = sorted(made)[0]
    removed.unlink()
    job.run(config("quality", spec, judge, out, trained))
    assert json.loads((out / "quality.json").read_text()) == first
    assert all(file.stat().st_mtime_ns == when for file, when in made.items() if file != removed)
    with pytest.raises(InvalidArgument, match="same options"):
        job.run(config("mass", spec, judge, out))


@pytest.mark.slow
def test_mass_suite(spec: WorldSpec, judge: str, tmp_path: Path):
    out = tmp_path / "mass"
    job.run(config("mass", spec, judge, out))
    found = json.loads((out / "mass.json").read_text())
    assert found["n"] == 16
    arms = found["arms"]
    assert arms["simulator"]["mass_drift"]["max"] < 1e-5
    for arm in ("afterwards", "guided + projection"):
        assert arms[arm]["mass_drift"]["max"] < 1e-5
    assert arms["unguided"]["mass_drift"]["estimate"] > arms["afterwards"]["mass_drift"]["estimate"]
    assert arms["simulator"]["degenerate"]["estimate"] == 0.0
    assert arms["simulator"]["off_colour"]["max"] < 1e-6 < arms["unguided"]["off_colour"]["estimate"]
    assert found["timing"]["largest_pixel_gap_to_projection_afterwards"] < 1e-6
    assert found["verdict"]
    assert {p.name for p in out.iterdir()} >= {"mass.md", "mass.png", "contact-sheet.png", "config.yaml"}


@pytest.mark.parametrize(
    ("change", "message"),
    [({"suite": "speed"}, "quality, mass"), ({"n": 1}, "at least"), ({"trained": "/nowhere"}, "physgen train")],
)
def test_bad_options(spec: WorldSpec, judge: str, tmp_path: Path, change: dict, message: str):
    with pytest.raises(InvalidArgument, match=message):
        job.run(replace(config("quality", spec, judge, tmp_path / "out"), **change))
    assert not (tmp_path / "out").exists()


def test_foreign_folder_is_left_alone(spec: WorldSpec, judge: str, tmp_path: Path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(InvalidArgument, match="out="):
        job.run(config("quality", spec, judge, tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_heat_residual_on_an_exact_mode():
    """One cosine mode decays as exp(-D k^2 t): the weak form holds to the error of Simpson's rule."""
    x = np.cos(np.pi * 2 * (np.arange(64) + 0.5) / 64)
    k2 = (np.pi * 2 / 128.0) ** 2
    decay = np.exp(-50.0 * k2 * 0.1 * np.arange(25))
    field = 0.5 + 0.3 * decay[:, None, None] * np.ones((64, 1)) * x
    exact = laws.heat_residual(field, dye.GRID, 50.0)
    assert exact["residual"] < 1e-3
    assert laws.heat_residual(field, dye.GRID)["D"] == pytest.approx(50.0, rel=1e-3)
    for wrong in (25.0, 100.0):
        assert laws.heat_residual(field, dye.GRID, wrong)["residual"] == pytest.approx(0.5, rel=0.02)
    clipped = laws.heat_residual(field, dye.GRID, (60.0, 100.0))
    assert clipped["D"] == 60.0
    assert clipped["residual"] == pytest.approx(1 / 6, rel=0.02)


def test_a_still_video_does_not_obey_the_heat_equation():
    spot = dye.drops(2, 64, np.random.default_rng(0))
    still = np.repeat(spot[None], 25, axis=0).astype(np.float64)
    assert laws.heat_residual(still, dye.GRID, (12.0, 24.0))["residual"] > 0.9


def test_growth_residual_detects_wrong_parameters():
    clips = SIMULATORS["growth"](4, rng=np.random.default_rng(0))
    for field, truth, attributes in zip(clips.fields, clips.parameters, clips.attributes, strict=True):
        u = field[0].astype(float)
        fitted = laws.growth_residual(u, clips.grid)
        assert fitted["residual"] < 2e-3
        assert fitted["D"] == pytest.approx(truth["D"], rel=0.02)
        assert fitted["r"] == pytest.approx(truth["r"], rel=0.02)
        other = "fast" if attributes["speed"] == "slowly" else "slowly"
        assert laws.growth_residual(u, clips.grid, laws.ranges("growth", {"speed": other}))["residual"] > 0.1


def test_gray_scott_flow_map_detects_another_pattern():
    clips = SIMULATORS["gray_scott"](
        1, rng=np.random.default_rng(0), attributes=[{"kind": "pattern", "pattern": "spots", "colour": "cyan"}]
    )
    fields = clips.fields[0].astype(float)
    assert laws.gray_scott_residual(fields, "spots", clips.grid.dt) < 1e-3
    assert laws.gray_scott_residual(fields, "holes", clips.grid.dt) > 0.3


def test_flow_direction_of_every_direction_and_speed():
    grammar = GRAMMARS["blood"]["flow"]
    asked = [{"kind": "flow", **c} for c in grammar.combinations()]
    clips = SIMULATORS["blood"](len(asked), rng=np.random.default_rng(0), attributes=asked)
    assert [laws.flow_direction(f[0].astype(float)) for f in clips.fields] == [a["direction"] for a in asked]


def test_fields_are_read_off_the_simulator():
    for family in ("dye", "growth", "gray_scott", "blood", "vessel", "beads", "sheet", "vesicles"):
        clips = SIMULATORS[family](2, rng=np.random.default_rng(0), frames=3)
        for i, attributes in enumerate(clips.attributes):
            read = laws.read_fields(family, attributes, torch.from_numpy(clips.video[i]))
            assert np.abs(read - clips.fields[i]).max() < 1e-4


def test_prompts_are_held_out_and_seeded():
    for family, kinds in GRAMMARS.items():
        found = prompts(family, 12, "held_out", 3)
        assert found == prompts(family, 12, "held_out", 3)
        assert len({p.seed for p in found}) == 12
        for prompt in found:
            values = {k: v for k, v in prompt.attributes.items() if k != "kind"}
            assert kinds[prompt.attributes["kind"]].is_held_out(values)
