"""The benchmark of the embedded world, with samples of three steps: records, resuming, tables, the dial."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markers import slow_except

from physgen.constraints import Constraint
from physgen.drawn import AFTERWARDS, UNGUIDED
from physgen.experiments.cli.dispatch import main
from physgen.experiments.cli.target import build
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.draw.rules import decide
from physgen.experiments.micro import dial, run
from physgen.experiments.micro.arms import ARMS, SLOW
from physgen.experiments.micro.cases import LAWS, Case, cases
from physgen.experiments.micro.dial_table import lines
from physgen.experiments.micro.table import REFERENCE, SIMULATOR, column, report
from physgen.experiments.micro.table import table as table_of
from physgen.worlds import WorldSpec, world_spec


@pytest.fixture(scope="module")
def quick() -> WorldSpec:
    return replace(world_spec("micro"), steps=3)


def test_a_case_is_drawn_in_every_arm_and_hard_arms_are_hard(quick: WorldSpec, tmp_path: Path) -> None:
    case = cases("mass", 1, 0)[0]
    run.store(tmp_path, case).parent.mkdir()
    run._work(0, 1, quick, [case], tmp_path)
    records = json.loads(run.store(tmp_path, case).read_text(encoding="utf-8"))
    assert [one["arm"] for one in records] == [REFERENCE, SIMULATOR, *ARMS]
    violation = {one["arm"]: one["violation"] for one in records}
    for hard in (SIMULATOR, AFTERWARDS, "projection", "augmented_lagrangian", "pigdm"):
        assert violation[hard] < 1e-6 < violation[UNGUIDED], hard
    assert violation["best of 2"] <= violation[UNGUIDED]
    (certificate,) = (one["certificate"]["mass"] for one in records if one["arm"] == "projection")
    assert certificate["residual_max"] <= certificate["tolerance"]
    rows = table_of("mass", records).rows
    assert [row[0] for row in rows] == [SIMULATOR, *ARMS]


def test_every_law_has_a_case_that_its_simulator_obeys() -> None:
    for law, family in LAWS.items():
        case = cases(law, 1, 0)[0]
        assert case.prompt.family == family
        assert set(SLOW.get(law, ())) < set(ARMS)
        spec = world_spec("micro")
        fields = spec.observable(case.prompt.caption)(run.simulated(case, 0))
        constraint, grid = case.constraint(), spec.grid(case.prompt.caption)
        if law in ("phase_order", "periodic"):
            assert constraint.satisfied(fields, grid, constraint.true_within or 0.0).all(), law
            continue
        residual = constraint.residual(fields, grid).square().mean().sqrt()
        assert residual < 0.01, (law, float(residual))


@pytest.mark.parametrize("family", ["blood", "vessel", "beads", "sheet", "vesicles"])
def test_laws_of_a_family_are_those_that_auto_takes(family: str) -> None:
    """And its simulator obeys them."""
    spec, prompt = world_spec("micro"), prompts(family, 1, "held_out", 0)[0]
    chosen = decide(prompt.caption, spec).constraint
    assert list(chosen) == spec.families[family].laws
    fields = spec.observable(prompt.caption)(run.simulated(Case("", prompt), 0))
    for name, entry in chosen.items():
        law, auto = Case(name, prompt).constraint(), build(Constraint, entry)
        same = {key: value for key, value in vars(law).items() if key != "direction"}
        assert same == {key: value for key, value in vars(auto).items() if key != "direction"} or name == "mass", name
        assert law.satisfied(fields, spec.grid(prompt.caption), law.true_within or 0.01).all(), name


@pytest.mark.slow
def test_tables_of_many_prompts_are_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = [
        {
            "law": law,
            "arm": arm,
            "index": index,
            "violation": 1.0 if arm == UNGUIDED else 0.1,
            "feasible": True if law == "phase_order" else None,
            "others": {"other": float(rng.random())},
            "attributes": 1.0,
            "empty": False,
            "features": rng.normal(size=4).tolist(),
            "seconds": 2.0 if arm == "projection" else 1.0,
            "terminal": {"moved_rms": 0.5},
        }
        for law in LAWS
        for index in range(9)
        for arm in (REFERENCE, SIMULATOR, *ARMS)
        if arm not in SLOW.get(law, ())
    ]
    rng.shuffle(records)
    report(records, tmp_path)
    written = (tmp_path / "micro.md").read_text(encoding="utf-8")
    assert [written.count(law) >= 1 for law in LAWS] == [True] * len(LAWS)
    assert len(json.loads((tmp_path / "micro.json").read_text(encoding="utf-8"))) == len(records)
    mass = [one for one in records if one["law"] == "mass"]
    rows = {row[0]: row for row in table_of("mass", mass).rows}
    assert rows["projection"][2] == pytest.approx(10)
    assert rows["projection"][-1] == pytest.approx(2)
    ordered = sorted((one for one in mass if one["arm"] == "dps"), key=lambda one: one["index"])
    assert column(mass, "dps", "seconds").tolist() == [one["seconds"] for one in ordered]


@pytest.mark.parametrize(("name", "tolerance"), [("D", 0.01), pytest.param("F", 0.02, marks=pytest.mark.slow)])
def test_an_imposed_constant_is_measured_back(name: str, tolerance: float, quick: WorldSpec, tmp_path: Path) -> None:
    turn = dial.turns(name, [5])[3]
    dial.store(tmp_path, turn).parent.mkdir()
    dial._work(0, 1, quick, [turn], tmp_path)
    readings = {one["arm"]: one["reading"] for one in json.loads(dial.store(tmp_path, turn).read_text("utf-8"))}
    assert readings["projection"] == pytest.approx(turn.setting, rel=tolerance)
    assert readings[AFTERWARDS] == pytest.approx(turn.setting, rel=tolerance)
    assert abs(readings[UNGUIDED] / turn.setting - 1) > tolerance


@pytest.mark.parametrize("name", slow_except({"D"}, dial.DIALS))
def test_simulators_read_what_was_set(name: str) -> None:
    """Slope of the simulator against the setting: 1, but for fronts, which have not settled after 24 frames."""
    records = []
    for turn in dial.turns(name, [0, 1]):
        d = dial.DIALS[name]
        fields = d.truth(turn.case.prompt, turn.setting, np.random.default_rng(turn.seed))
        grid = world_spec("micro").grid(turn.case.prompt.caption)
        reading = d.read(fields, grid, turn.case.prompt)
        records.append({"arm": SIMULATOR, "setting": turn.setting, "seed": turn.seed, "reading": reading})
        if name == "front speed":
            assert 0.6 * turn.setting < reading < turn.setting
        else:
            assert reading == pytest.approx(turn.setting, rel=0.01)
    found = lines(records)[SIMULATOR]
    assert found.r2 > 0.99
    assert found.count == 2 * dial.VALUES


def test_a_simulator_is_read_against_its_other_seeds() -> None:
    """Against the mean of all, itself among them, its slope is 1 however far its seeds are apart."""
    records = [
        {"arm": SIMULATOR, "setting": setting, "seed": seed, "reading": (1.0 + seed) * setting}
        for setting in (1.0, 2.0, 3.0, 4.0)
        for seed in (0, 1)
    ]
    assert lines(records)[SIMULATOR].slope.estimate < 0.9
    assert np.isnan(lines(records[::2])[SIMULATOR].slope.estimate)


def test_finished_records_are_only_tabled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose records are all there draws nothing: it ends without the world's weights being opened."""
    seeds = [0]
    (tmp_path / "records").mkdir()
    for name, d in dial.DIALS.items():
        for turn in dial.turns(name, seeds):
            about = {"dial": name, "unit": d.unit, "setting": turn.setting, "seed": turn.seed}
            arms = (UNGUIDED, AFTERWARDS, "projection", SIMULATOR)
            rows = [{**about, "arm": arm, "reading": turn.setting * (1 + 0.1 * k)} for k, arm in enumerate(arms)]
            dial.store(tmp_path, turn).write_text(json.dumps(rows), encoding="utf-8")
    dial.run_dial(seeds, tmp_path)
    assert "front speed" in capsys.readouterr().out
    assert (tmp_path / "dial.png").stat().st_size > 10_000
    assert main(["benchmark-guidance", "problem=dial", "seeds=[]", f"out={tmp_path}"]) == 2
