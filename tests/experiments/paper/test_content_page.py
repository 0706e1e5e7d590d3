"""The tables of ``docs/results/content.md`` are typed by hand: each cell is what the committed records say."""

from __future__ import annotations

import re

import pytest
from typed_tables import ROOT, agrees, numbers, page, section, tables

from physgen.experiments.paper.figures.table_choosing import ARMS, BEST, LABELS, PARTICLES
from physgen.experiments.paper.results.numbers import Number

PAGE = "results/content"
QUESTIONS = {label: question for question, label in LABELS.items()}
#: headings of the page -> arms
HEADINGS = {**{label: arm for arm, label in ARMS.items()}, "4 particles": PARTICLES}
DIFFERENCES = {"best of 4 − unguided": f"{BEST} - unguided", "particles − best of 4": f"{PARTICLES} - {BEST}"}
SCORERS = {"tracks": "_by_tracks", "connected pixels": "_by_components", "judge": "_by_judge", "peaks": ""}


def bounds(number: Number) -> tuple[float, float, float]:
    assert number.low is not None
    assert number.high is not None
    return number.value, number.low, number.high


def content(question: str) -> str:
    return question.split(".")[1]


def keys(row: dict[str, str], reward: str = "") -> str:
    """What the numbers of a row begin with; ``reward``: how the estimator that chose ends."""
    question = QUESTIONS[row["content"]]
    scorer = SCORERS[row["scored by"]] if "scored by" in row else ""
    return f"{question}.{content(question)}{reward}.{content(question)}{scorer}"


def test_shares_that_are_right() -> None:
    found = numbers("choosing")
    (evaluations, decodes, *rows), differences, imposed = tables(section(PAGE, "## Shares that are right"))
    assert len(rows) == len(differences) == 9
    assert [row["content"] for row in imposed] == list(LABELS.values())
    for row in [*rows, *differences, *imposed]:
        for heading, cell in row.items():
            if heading in HEADINGS:
                assert agrees(cell, [found[f"{keys(row)}.{HEADINGS[heading]}"].value]), (row, heading)
            elif "−" in heading:
                assert agrees(cell, bounds(found[f"{keys(row)}.{DIFFERENCES[heading]}"])), (row, heading)
    for question in LABELS:
        for heading, arm in HEADINGS.items():
            if heading in evaluations:
                assert agrees(evaluations[heading], [found[f"{question}.{arm}.evaluations"].value])
                assert agrees(decodes[heading], [found[f"{question}.{arm}.decodes"].value])


def test_why_particles_do_better() -> None:
    found = numbers("choosing")
    none = [f"none.{key}" for key in ("count.particles, 4", "count_by_components.particles, 4")]
    none += ["none.count_by_components.best of 4", "none.count_by_judge.particles, 4", "none.count_by_judge.best of 4"]
    some = [f"some.count_by_components.{arm}" for arm in (PARTICLES, BEST)]
    arms = ("unguided", BEST, PARTICLES)
    eight = ["eight.count_by_components.unguided", *(f"eight.count.{arm}" for arm in arms)]
    eight += [f"eight.count_by_judge.{arm}" for arm in arms]
    others = [f"not eight.count_by_components.{arm}" for arm in arms]
    value = {key: found[f"beads.count.{key}"].value for key in ("none", "eight", *none, *some, *eight, *others)}
    videos = found["n"].value
    assert not any(found[f"beads.count.eight.count_by_components.{arm}"].value for arm in (BEST, PARTICLES))
    known = [
        value["none"],
        videos,
        *(value[key] for key in none),
        videos - value["none"],
        *(value[key] for key in some),
    ]
    known += [value["eight"], *(value[key] for key in eight), *(value[key] for key in others)]
    assert agrees(section(PAGE, "## Why particles do better on beads"), known)


def test_who_chooses() -> None:
    found = numbers("choosing")
    (rows,) = tables(section(PAGE, "## Who chooses matters"))
    for row in rows:
        key = keys(row, "_by_judge")
        shares = [found[f"{key}.{arm}"].value for arm in ("unguided", BEST)]
        for cell, share in zip(list(row.values())[2:4], shares, strict=True):
            assert agrees(cell, [share]), row
        assert agrees(row["difference"], bounds(found[f"{key}.{BEST} - unguided"])), row
    empty = [
        found[f"growth.count.{reward}.{arm}.degenerate"].value
        for reward, arm in (("count_by_judge", BEST), ("count", "unguided"), ("count", BEST))
    ]
    assert empty == [4, 1, 0]


def test_pruning_in_words() -> None:
    found = numbers("choosing")
    colonies, beads = ("growth.count.count.count_by_components", "beads.count.count.count_by_components")
    few, usual, half = (
        f"pruned best of {how}" for how in ("4 (1 left at 0.2)", "4 (2 left at 0.1, 1 at 0.3)", "2 (1 left at 0.5)")
    )
    text = section(PAGE, "## When an estimate knows")
    (words,) = re.findall(r"as many right as the best of two \((.*?) both, difference (.*?)\)", text)
    assert agrees(words[0], [found[f"{colonies}.best of 2"].value])
    assert agrees(words[0], [found[f"{colonies}.{few}"].value])
    assert agrees(words[1], bounds(found[f"{colonies}.{few} - best of 2"]))
    (words,) = re.findall(r"; (\S+) evaluations\) has (\S+) for colonies and (\S+) for beads", text)
    known = [
        found[key].value for key in (f"growth.count.{usual}.evaluations", f"{colonies}.{usual}", f"{beads}.{usual}")
    ]
    assert all(agrees(word, [value]) for word, value in zip(words, known, strict=True))
    (words,) = re.findall(r"has (\S+) of them right at (\S+) evaluations: (.*?\]) over", text)
    assert agrees(words[0], [found[f"{beads}.{half}"].value])
    assert agrees(words[1], [found[f"beads.count.{half}.evaluations"].value])
    assert agrees(words[2], bounds(found[f"{beads}.{half} - unguided"]))


def test_what_other_pages_say() -> None:
    found = numbers("choosing")
    beads = "beads.count.count.count_by"
    (words,) = re.findall(
        r"a share of (.*?\]) more by connected pixels, and of (.*?\]) more by", (ROOT / "README.md").read_text("utf-8")
    )
    for word, scorer in zip(words, ("components", "judge"), strict=True):
        assert agrees(word, bounds(found[f"{beads}_{scorer}.{PARTICLES} - {BEST}"]))
    (words,) = re.findall(
        r"counted right in (\S+) of the best of four instead of (\S+); .* have (\S+) of the beads .* has (\S+), at",
        page("results/index"),
    )
    keys_ = [f"growth.count.count.count_by_components.{arm}" for arm in (BEST, "unguided")] + [
        f"{beads}_components.{arm}" for arm in (PARTICLES, BEST)
    ]
    assert all(agrees(word, [found[key].value]) for word, key in zip(words, keys_, strict=True))


@pytest.mark.parametrize("label", LABELS.values())
def test_when_an_estimate_knows(label: str) -> None:
    found = numbers("choosing")
    (rows,) = tables(section(PAGE, "## When an estimate knows"))
    (row,) = [row for row in rows if row["content"] == label]
    for heading, cell in list(row.items())[1:]:
        name = f"2 {heading.removeprefix('two, ')}" if heading.startswith("two") else f"1 {heading}"
        assert agrees(cell, [found[f"{QUESTIONS[label]}.early.{name}"].value]), heading
