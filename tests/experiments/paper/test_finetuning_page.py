"""The tables of ``docs/results/finetuning.md`` are typed by hand: each cell is what the committed files say."""

from __future__ import annotations

from typed_tables import agrees, documented, interval, section, tables

PAGE = "results/finetuning"
MOVIE = {
    "mean brightness": "mean",
    "contrast": "contrast",
    "last frame minus first": "trend",
    "share of bright pixels": "bright",
    "grain": "grain",
    "change from frame to frame": "change",
    "MMD² to held-out clips, six figures above": "mmd2",
}
CLIPS = {"untuned": "untuned", "fine-tuned": "without", "clips learned from": "learned clips"}
LAW = {
    "mass drift, unguided": ("unguided", "mass_drift"),
    "mass drift, guided": ("guided", "mass_drift"),
    "mass drift, projected at the end": ("afterwards", "mass_drift"),
    "heat residual (D fitted), unguided": ("unguided", "heat_fitted"),
    "heat residual, guided + projection": ("guided + projection", "heat_fitted"),
    "attributes recognised, unguided": ("unguided", "attributes"),
    "MMD², unguided": ("unguided", "mmd2"),
    "MMD², unguided + projection": ("afterwards", "mmd2"),
    "empty or uniform": ("unguided", "failed"),
    "flow loss, 250 held-out clips": ("held-out clips", "flow_loss"),
}
MODELS = {"untuned": "untuned", "fine-tuned without": "without", "with mass in the loss": "with"}


def test_one_movie() -> None:
    models = documented("micro-1/finetuning-movies")["models"]
    (rows,) = tables(section(PAGE, "## One public movie"))
    assert len(rows) == 8
    for row in rows:
        for heading, cell in list(row.items())[1:]:
            if cell in ("", "0"):  # held-out clips are at 0 from themselves
                continue
            arm = CLIPS.get(heading, heading)
            if row[""] in MOVIE:
                found = models["samples"][arm][MOVIE[row[""]]]
            else:
                found = models["held-out clips"][arm]["flow_loss"]
            assert agrees(cell, interval(found)), (row[""], heading)


def test_a_law_in_the_loss_of_version_1() -> None:
    data, compared = documented("micro-1/finetuning"), 0
    rows, _ = tables(section(PAGE, "## What it did to the embedded world"))
    assert [row[""] for row in rows] == list(LAW)
    for row in rows:
        group, key = LAW[row[""]]
        for heading, cell in list(row.items())[1:]:
            if not cell:
                continue
            if heading in MODELS:
                known = interval(data["models"][group][MODELS[heading]][key])[:1]
            elif heading in data["models"]["data"]:
                known = interval(data["models"]["data"][heading][key])[:1]
            else:
                known = interval(data["differences"][group]["with - without"][key])
            assert agrees(cell, known), (row[""], heading)
            compared += 1
    assert compared == 49
