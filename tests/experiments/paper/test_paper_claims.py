"""What the paper says in words is what its numbers say: results that are otherwise fail here."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from physgen.experiments.paper.results.facts import about
from physgen.experiments.paper.results.numbers import Number
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.results.summary import FREE, UNGUIDED, Summary, summaries
from physgen.experiments.paper.spec import read_figures

PAPER = Path(__file__).parents[3] / "paper"
VERSION, SPECS = read_figures(PAPER / "figures.yaml")
CHOSEN = "best_of_4"


@pytest.fixture(scope="module")
def store() -> Store:
    return Store(PAPER / "results", VERSION)


def numbers(store: Store, name: str) -> dict[str, Number]:
    """Those of a figure or table."""
    module = importlib.import_module(f"physgen.experiments.paper.figures.{SPECS[name].module}")
    return dict(module.make(SPECS[name], store).numbers)


def holds(number: Number, value: float) -> bool:
    """Whether the interval holds a value."""
    assert number.low is not None
    assert number.high is not None
    return number.low <= value <= number.high


def test_a_run_of_two_sweeps_is_counted_once(store: Store) -> None:
    planned = [
        one["run"]
        for path in (PAPER / "results").glob("*.json")
        for one in json.loads(path.read_text(encoding="utf-8")).get("runs", [])
    ]
    counted = about(store)["numbers"]["runs"]["value"]
    assert counted == len(set(planned)) < len(planned)


@pytest.mark.slow
def test_laws_pay_afterwards(store: Store) -> None:
    found = {(one.law, one.guidance): one for one in summaries(SPECS["ablation"], store)}
    on_the_way: list[Summary] = [one for one in found.values() if one.guidance not in (UNGUIDED, FREE, CHOSEN)]
    assert all((one.excess.high or 0) >= 0 for one in on_the_way)
    farther = {(one.law, one.guidance) for one in on_the_way if (one.excess.low or 0) > 0}
    assert farther == {
        ("diffusion", "augmented_lagrangian"),
        ("diffusion", "dps"),
        *(("phase_order", arm) for arm in ("x0_gradient", "projection", "augmented_lagrangian", "dps")),
    }
    for law in ("diffusion", "fisher_kpp"):
        soft, free = found[law, "x0_gradient"].violation, found[law, UNGUIDED].violation
        assert (free.low or 0) < soft.value < (free.high or 0)
    orders = [one for one in found.values() if one.law == "phase_order"]
    assert all((one.feasible.value == 1) == (one.guidance != UNGUIDED) for one in orders)


@pytest.mark.slow
def test_guidance_on_the_way_adds_little_to_projecting(store: Store) -> None:
    found = numbers(store, "excess")
    asked = [f"{law}.{arm}" for law in SPECS["excess"].runs["law"] for arm in ("projection", "dps")]
    assert {name for name in asked if (found[f"{name}.excess"].high or 0) < 0} == {"mass.projection", "fisher_kpp.dps"}
    farther = {name for name in asked if (found[f"{name}.excess"].low or 0) > 0}
    assert farther == {"diffusion.dps", "phase_order.projection", "phase_order.dps"}
    assert 0 < found["mass.projection.nearer"].value < 5
    assert found["fisher_kpp.none.excess"].value < 0
    for law in ("mass", "diffusion", "fisher_kpp"):
        assert abs(found[f"{law}.projection.excess"].low or 0) < found[f"power.{law}.projection"].value


@pytest.mark.slow
def test_guidance_at_every_step_adds_nothing_to_the_last_ones(store: Store) -> None:
    found, same = numbers(store, "when"), numbers(store, "excess")
    for law in ("mass", "diffusion", "fisher_kpp"):
        early, late = (found[f"{law}.projection.{window}.excess"] for window in ("all", "last tenth"))
        assert holds(early, late.value)
        assert late.value == same[f"{law}.projection.excess"].value  # one arm is in both sweeps
        assert max(found[f"{law}.{arm}.all.violation"].value for arm in ("projection", "dps")) < 1e-5
    assert (found["mass.projection.all.excess"].high or 0) < 0
    tenth, half, every = (found[f"diffusion.dps.{window}.excess"] for window in ("last tenth", "last half", "all"))
    assert holds(tenth, 0)
    assert tenth.value < (half.low or 0) < half.value < every.value
    for window in ("last tenth", "last half", "all"):
        assert holds(found[f"fisher_kpp.dps.{window}.excess"], 0)


def test_information_pays_on_the_way(store: Store) -> None:
    found = numbers(store, "joined")
    assert found["worse than free"].value == 0
    gains = [found[name].value for name in found if name.endswith(".free")]
    assert len(gains) == found["cases"].value
    assert min(gains) > 0
    assert holds(found["inside"], 1)
    assert (found["inside.forecast"].low or 0) > 1
    assert found["inside.start"].value < 1 < (found["inside.start"].high or 0)
    assert (found["against free"].high or 1) < 1
    assert all(holds(found[f"dye.{seen}.either"], 0) for seen in ("start", "forecast"))
    for family in ("dye", "growth"):
        assert found[f"{family}.pixels.model"].value < 0.25 * found[f"{family}.pixels.law alone"].value
    for seen in ("start", "forecast"):
        law, joined = (found[f"dye.{seen}.{arm}"].value for arm in ("law alone", "model and law"))
        assert law < joined < found[f"dye.{seen}.model"].value


def test_joined_bands_hold_what_they_should(store: Store) -> None:
    found = numbers(store, "bands")
    assert all(0.88 < found[f"{family}.model and law.wide90"].value < 0.95 for family in ("dye", "growth"))
    alone = {family: found[f"{family}.model.wide90"].value for family in ("dye", "growth", "blood", "mitosis")}
    assert alone["dye"] < 0.85 < alone["growth"] < 0.95 < alone["blood"]
    assert 0.88 < sum(alone.values()) / 4 < 0.91


def test_guided_peers_with_a_gradient_are_as_good(store: Store) -> None:
    found = numbers(store, "peers")
    for family in ("growth", "mitosis"):
        model, theirs = found[f"{family}.model"], [found[f"{family}.{peer}"] for peer in ("DiffusionPDE", "FlowDAS")]
        assert any(holds(model, peer.value) for peer in theirs)
    worse = {
        peer: [
            name
            for name in ("dye", "growth", "blood", "mitosis")
            if found[f"{name}.{peer}"].value > found[f"{name}.model"].value
        ]
        for peer in ("ECI", "PCFM", "PPR")
    }
    assert worse == {
        "ECI": ["dye", "growth", "blood", "mitosis"],
        "PCFM": ["dye", "growth", "blood", "mitosis"],
        "PPR": ["dye", "mitosis"],
    }


def test_the_derivative_of_the_network_decides(store: Store) -> None:
    found = numbers(store, "posterior")
    for arm in ("unguided", "ECI", "projection", "x0-gradient", "augmented Lagrangian"):
        assert found[f"{arm}.ratio"].value >= found["PCFM.ratio"].value
    assert 4 < found["PiGDM.ratio"].value < found["PCFM.ratio"].value
    for arm in ("DPS", "TFG", "conditional mean"):
        for way in ("", ", forward"):
            assert found[f"{arm}{way}.ratio"].value < 2 < (found[f"{arm}{way}.ratio"].high or 0)


def test_no_prompt_can_express_the_feed_rate(store: Store) -> None:
    found = numbers(store, "recovery")
    assert holds(found["D.unguided.slope"], 1)
    assert holds(found["front speed.unguided.slope"], 1)
    assert not holds(found["F.unguided.slope"], 1)
    assert found["front speed.afterwards.worst"].value < 0.5 * found["front speed.projection.worst"].value


def test_guidance_keeps_what_projecting_takes_from_flows(store: Store) -> None:
    found = numbers(store, "families")
    for family in ("blood", "vessel"):
        assert (found[f"{family}.afterwards - unguided.not imposed"].high or 0) < 0
        assert (found[f"{family}.guided - afterwards.not imposed"].low or 0) > 0
    assert (found["gray_scott.afterwards - unguided.not imposed"].high or 0) <= 0
    assert holds(found["gray_scott.guided - afterwards.not imposed"], 0)
    for family in ("dye", "growth", "beads"):
        assert found[f"{family}.afterwards - unguided.not imposed"].value > 0
    assert holds(found["without flows.guided - afterwards.not imposed"], 0)
    assert holds(found["without flows.best of 4 + projection - afterwards.not imposed"], 0)
    faint = numbers(store, "tasks")
    assert faint["guided.faint"].value <= faint["unguided.faint"].value < faint["afterwards.faint"].value


def test_four_that_are_guided_have_most_and_particles_no_more_than_a_choice(store: Store) -> None:
    found = numbers(store, "tasks")
    for mark in ("average", "not imposed"):
        assert (found[f"best of 4, guided - guided.{mark}"].low or 0) > 0
        assert holds(found[f"particles, guided - best of 4, guided.{mark}"], 0)
        four = [found[f"{arm}, guided.{mark}"].value for arm in ("particles", "best of 4")]
        assert found[f"best.{mark}"].value == max(four)


def test_real_movies_are_mostly_beyond_the_world(store: Store) -> None:
    found = numbers(store, "real")
    assert found["better"].value < found["worse"].value
    assert found["joined better"].value + found["joined worse"].value == found["lawful"].value
    for movie, seen in (("vessels", "pixels"), ("colonies", "pixels"), ("bleaching", "forecast")):
        assert (found[f"{movie}.model.{seen}"].high or 0) < (found[f"{movie}.interpolation.{seen}"].low or 0)


def test_laws_do_not_move_content(store: Store) -> None:
    found = numbers(store, "content")
    for arm in ("afterwards", "guided"):
        assert abs(found[f"count.{arm}"].value - found["count.unguided"].value) < 0.05
        assert found[f"colour.{arm}"].value > found["colour.unguided"].value + 0.1


def test_a_law_of_flow_pays_on_the_way(store: Store) -> None:
    found = numbers(store, "flows")
    for family in ("vessel", "blood"):
        assert (found[f"{family}.guided + projection - projected.all criteria"].low or 0) > 0
        assert (found[f"{family}.guided + projection - best of 8 + projection.all criteria"].low or 0) > 0
        assert holds(found[f"{family}.best of 8 + projection - projected.all criteria"], 0)
    assert (found["blood.guided + projection - projected.not imposed"].low or 0) > 0
    assert holds(found["vessel.guided + projection - projected.not imposed"], 0)
    for pair in ("guided - unguided", "guided + projection - projected"):
        assert (found[f"vessel.{pair}.mmd2"].high or 0) < 0
    assert (found["blood.projected - unguided.mmd2"].low or 0) > 0


def test_choosing_by_content_adds_to_laws(store: Store) -> None:
    found = numbers(store, "tasks")
    law = found["afterwards - unguided.average"]
    others = ("best of 4 - unguided", "guided - afterwards", "best of 4 + projection - afterwards")
    assert (law.low or 0) > max(found[f"{name}.average"].value for name in others)
    assert found["afterwards - unguided.not imposed"].value < (law.low or 0)
    for arm in ("best of 4", "pruned best of 4"):
        assert (found[f"{arm} + projection - afterwards.not imposed"].low or 0) > 0
        assert found[f"{arm} + projection - afterwards.not imposed"].value < law.value
        assert found[f"{arm}.met.count"].value > found["unguided.met.count"].value
    assert abs(found["afterwards.met.count"].value - found["unguided.met.count"].value) < 0.05
    assert found["pruned best of 4.evaluations"].value < found["best of 4.evaluations"].value / 2
    for mark in ("average", "not imposed"):
        assert (found[f"four times the steps - unguided.{mark}"].low or 0) <= 0
    assert found["particles - best of 4.average"].value > 0
    assert found["particles + projection - best of 4 + projection.average"].value > 0
    for arm in ("four times the steps", "particles"):
        assert found[f"{arm}.evaluations"].value == found["best of 4.evaluations"].value


def test_one_goal_is_reached_by_the_estimate_and_one_is_missed(store: Store) -> None:
    found = numbers(store, "tasks")
    goal = found["goal.average"].value
    for arm in ("particles, guided.average", "best of 4, guided.average"):
        assert (found[arm].low or 0) < goal < found[arm].value
    assert found["best.not imposed"].value < found["goal.not imposed"].value
    families = numbers(store, "families")
    mark = ".best.average"
    best = {name.removesuffix(mark): one.value for name, one in families.items() if name.endswith(mark)}
    assert len(best) == found["families"].value
    assert min(best, key=lambda name: best[name]) == "beads"
    reached = {name for name, value in best.items() if value >= goal}
    assert reached == {"dye", "growth", "gray_scott", "vessel", "blood"}
    assert best["sheet"] - families["sheet.unguided.average"].value < 5
    assert found["best.met.permanence"].value < 0.75


def test_the_yardstick_is_blind_where_the_text_says(store: Store) -> None:
    found = numbers(store, "yardstick")
    assert found["wrong direction in a quarter.pooled, features.1"].value < 0.1
    assert found["wrong count in a quarter.pooled, features.1"].value < 0.25
    assert found["wrong direction in a quarter.conditional, features.1"].value > 0.95
    assert found["wrong count in a quarter.content.1"].value > 0.95
    assert found["constant one and a half times.pooled, features.0"].value == 1
    assert found["jitter of a quarter of a pixel.pooled, features.0"].value > 0.9
    assert (
        found["wrong count in a quarter.attributes.1"].value
        == found["wrong direction in a quarter.attributes.1"].value
        == 1
    )
    distances = ("pooled, features", "conditional, features", "content", "motion", "rendering")
    assert all(found[f"a twentieth is empty.{name}.0"].value < 0.2 for name in distances)


def test_of_real_movies_the_model_helps_in_three_cases(store: Store) -> None:
    found = numbers(store, "real")
    better = {
        name
        for name, number in found.items()
        if ".model." in name and (number.high or 0) < (found[name.replace(".model.", ".interpolation.")].low or 0)
    }
    assert better == {"vessels.model.pixels", "colonies.model.pixels", "bleaching.model.forecast"}


def test_what_choosing_one_content_is_worth(store: Store) -> None:
    found = numbers(store, "choosing")
    for question in ("blood.direction", "vessel.direction"):
        assert found[f"{question}.direction.direction_by_tracks.unguided"].value > 0.9
    colonies, beads = ("growth.count.count.count_by_components", "beads.count.count.count_by_components")
    assert holds(found[f"{colonies}.particles, 4 - best of 4"], 0)
    assert found[f"{colonies}.best of 4"].value > 0.95
    for by in ("", ".by caption"):
        assert (found[f"{beads}.particles, 4 - best of 4{by}"].low or 0) > 0
    assert found["beads.count.particles, 4.evaluations"].value == found["beads.count.best of 4.evaluations"].value
    none, some = "beads.count.none.count_by_components", "beads.count.some.count_by_components"
    assert found[f"{none}.particles, 4"].value > 10 > found[f"{none}.best of 4"].value
    assert abs(found[f"{some}.particles, 4"].value - found[f"{some}.best of 4"].value) < 3
    few = "pruned best of 4 (1 left at 0.2)"
    assert holds(found[f"{colonies}.{few} - best of 2"], 0)
    assert abs(found[f"{beads}.{few}"].value - found[f"{beads}.unguided"].value) < 0.02
    assert found["beads.count.early.1 at 0.2"].value < found["beads.count.early.1 by chance"].value
    assert (found["growth.count.count_by_judge.count.best of 4 - unguided"].high or 0) < 0
    assert found["gray_scott.pattern.pattern.pattern_by_judge.unguided"].value == 1
    assert max(found[f"{question}.captions"].value for question in ("beads.count", "blood.direction")) <= 12


def test_learning_from_own_samples_does_not_pay(store: Store) -> None:
    found = numbers(store, "aligned")
    assert found["accepted.aligned"].value < found["accepted.base"].value
    assert all(holds(found[f"unguided.aligned - {other}.faults"], 0) for other in ("base", "random", "selected"))
    assert (found["unguided.aligned - best of N.faults"].low or 0) > 0
    assert (found["unguided.best of N - base.faults"].high or 0) < 0
    assert (found["afterwards.aligned - base.conditional MMD², judge"].low or 0) > 0
    assert (found["afterwards.aligned - base.diversity"].high or 0) < 0
    assert found["seeds"].value == 3
