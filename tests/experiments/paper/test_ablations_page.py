"""The tables of ``docs/results/ablations.md`` are typed by hand: each cell is what the committed runs say."""

from __future__ import annotations

import re

import pytest
from typed_tables import NUMBER, agrees, numbers, page, rounds_to, section, tables

PAGE = "results/ablations"
LAWS = {"mass": "mass", "diffusion": "diffusion", "Fisher-KPP": "fisher_kpp", "order of phases": "phase_order"}
ARMS = {
    "unguided": "none",
    "projected afterwards": "afterwards",
    "best of 4": "best_of_4",
    "`X0Gradient` (soft)": "x0_gradient",
    "`Projection`": "projection",
    "`AugmentedLagrangian`": "augmented_lagrangian",
    "`DPS` (soft)": "dps",
    "`DPS`": "dps",
}


def test_numbers_are_compared_to_the_digits_that_are_printed() -> None:
    assert rounds_to(0.0111, "0.011")
    assert rounds_to(2.39e-11, "2e-11")
    assert rounds_to(-0.27, "−0.3")
    assert not rounds_to(0.0116, "0.011")
    assert not rounds_to(2.6e-11, "2e-11")


def test_laws_by_guidance() -> None:
    found, compared = numbers("ablation"), 0
    for row in tables(page(PAGE))[0]:
        law, *more = re.split(r" \(", row["law"])
        for heading, arm in ARMS.items():
            if heading not in row:
                continue
            violation, *rest = re.findall(NUMBER, row[heading])
            key = f"{LAWS[law]}.{arm}"
            assert rounds_to(found[f"{key}.violation"].value, violation), (key, found[f"{key}.violation"].value)
            if more:
                feasible, *rest = rest
                assert rounds_to(found[f"{key}.feasible"].value, feasible), (key, found[f"{key}.feasible"].value)
            if arm != "none":
                (time,) = rest
                assert rounds_to(found[f"{key}.time"].value, time), (key, found[f"{key}.time"].value)
            compared += 1
    assert compared == 28


def test_distances_of_guidance_on_the_way() -> None:
    found, compared = numbers("excess"), 0
    for row in tables(page(PAGE))[1]:
        law = LAWS[row["law"]]
        assert rounds_to(1e3 * found[f"{law}.afterwards.distance"].value, row["projected afterwards"])
        for heading in ("unguided", "`Projection`", "`DPS`"):
            difference = found[f"{law}.{ARMS[heading]}.excess"]
            bold = row[heading].startswith("**")
            assert difference.low is not None
            assert difference.high is not None
            for value, text in zip(
                (difference.value, difference.low, difference.high), re.findall(NUMBER, row[heading]), strict=True
            ):
                assert rounds_to(1e3 * value, text), (law, heading, value)
            assert bold == (difference.high < 0), (law, heading)
            compared += 1
    assert compared == 12


def test_distances_by_window() -> None:
    found, compared = numbers("when"), 0
    for row in tables(page(PAGE))[2]:
        for heading, arm in (("`Projection`", "projection"), ("`DPS`", "dps")):
            for words, window in (("last tenth", "last tenth"), ("last half", "last half"), ("every step", "all")):
                difference, cell = found[f"{LAWS[row['law']]}.{arm}.{window}.excess"], row[f"{heading}, {words}"]
                assert difference.low is not None
                assert difference.high is not None
                figures = (difference.value, difference.low, difference.high)
                for value, text in zip(figures, re.findall(NUMBER, cell), strict=True):
                    assert rounds_to(1e3 * value, text), (row["law"], heading, words, value)
                assert cell.startswith("**") == (difference.high < 0), (row["law"], heading, words)
                compared += 1
    assert compared == 18
    farther = [round(found[f"diffusion.dps.{window}.farther"].value) for window in ("last tenth", "last half", "all")]
    assert "({}, {} and {} % of the distance)".format(*farther) in page(PAGE)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("which.mass.diffusion", "0.72 to 0.69"),
        ("conflict.before", "from 0.36 to 0.92"),
        ("conflict.after", "from 0.36 to 0.92"),
        ("conflict.change", "+0.56 [0.46, 0.67]"),
        ("cost.mass, 5 steps.unguided", "0.035, 0.012, 0.011, 0.012 for mass"),
        ("cost.growth, 5 steps.unguided", "0.49, 0.35, 0.35, 0.37 for Fisher-KPP"),
    ],
)
def test_sentences_of_the_smaller_sweeps(key: str, text: str) -> None:
    assert text in page(PAGE)
    value = numbers("sweeps")[key].value
    assert any(rounds_to(value, one) for one in re.findall(NUMBER, text)), (key, value)


def test_sizes() -> None:
    found = numbers("sweeps")
    (rows,) = tables(section(PAGE, "## Larger models"))
    assert len(rows) == 6
    for row in rows:
        law, size = "growth" if row["law"] == "Fisher-KPP" else "mass", row["weights, million"]
        name = f"model_size.{law}, {size} M weights"
        for heading, key in (
            ("violation, unguided", "unguided"),
            ("attributes recognised, `projection`", "attributes"),
        ):
            number = found[f"{name}.{key}"]
            assert agrees(row[heading], (number.value, number.low, number.high)), (law, size, key)
        assert agrees(row["violation, `projection`"], [found[f"{name}.projection"].value])
        assert agrees(row["unguided videos that show nothing"], [found[f"{name}.empty"].value])
    text = section(PAGE, "## Larger models")
    for pattern, name in (
        (r"means: (\S+ \[[^]]+\]) from 0.17 to 1.1 million", "growth, 0.17 to 1.1 M"),
        (r"million, (\S+ \[[^]]+\]) from there to 6.2", "growth, 1.1 to 6.2 M"),
        (r"from 0.17 to 6.2 million: (\S+ \[[^]]+\])", "mass, 0.17 to 6.2 M"),
    ):
        (printed,) = re.findall(pattern, text)
        number = found[f"model_size.{name}"]
        assert agrees(printed, (number.value, number.low, number.high)), name
