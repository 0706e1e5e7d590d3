"""Scripts of the site: tables sort, bands are read as they were written, films play and stop, the drawer obeys keys."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from browser import browsed, needs_chromium

from physgen.experiments.pages.render import render
from physgen.experiments.pages.showcase.half import packed
from physgen.experiments.pages.showcase.row import Row, Shot, write_film

SCRIPTS = Path(__file__).resolve().parents[3] / "docs" / "javascripts"
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="needs node")


def node(script: str, body: str) -> object:
    code = f"const here = require({json.dumps(str(SCRIPTS / script))}); (async () => {{ {body} }})();"
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@needs_node
def test_cells_are_read_by_the_number_that_they_begin_with() -> None:
    cells = {
        "0.0101 [0.004, 0.016]": 0.0101,
        "−3.5 %": -3.5,
        "+0.0008 [-0.0034, 0.0044]": 0.0008,
        "4e-8": 4e-8,
        "4.1·10⁻⁷": 4.1e-7,
        "10⁻⁷": 1e-7,
        "(-0.0007)": -0.0007,
        "28,000": 28000.0,
        "1.35: 1.07, 1.13": 1.35,
        "8 of 48": 8.0,
        ">= 0.95": 0.95,
    }
    assert node("tables.js", f"console.log(JSON.stringify({json.dumps(list(cells))}.map(here.number)))") == list(
        cells.values()
    )


@needs_node
def test_columns_sort_by_number_or_letter_and_what_is_unknown_comes_last() -> None:
    columns = {
        "numbers": ["0.5", "", "1e-3", "-", "12 %"],
        "names": ["model", "", "`DPS`", "law alone", "ECI"],
        "ties": ["1", "0", "1", "0"],
    }
    body = f"""const columns = {json.dumps(columns)};
    console.log(JSON.stringify(Object.fromEntries(Object.entries(columns).map(([name, texts]) =>
      [name, [here.order(texts, false), here.order(texts, true)]]))))"""
    assert node("tables.js", body) == {
        "numbers": [[2, 0, 4, 1, 3], [4, 0, 2, 1, 3]],
        "names": [[2, 4, 3, 0, 1], [0, 3, 4, 2, 1]],
        "ties": [[1, 3, 0, 2], [0, 2, 1, 3]],
    }


@needs_node
def test_bands_are_read_as_they_were_written() -> None:
    truth = np.zeros((2, 4, 4))
    truth[1, 2, 2:] = 1.0
    mean, spread = np.full((2, 4, 4), 0.4), np.full((2, 4, 4), 1.0)
    film = {"truth": packed(truth), "mean": packed(mean), "spread": packed(spread)}
    body = f"""const packed = {json.dumps(film)};
    const [truth, mean, spread] = await Promise.all([packed.truth, packed.mean, packed.spread].map(here.unpacked));
    const film = {{ size: 4, frames: 2, truth, arm: {{ mean, spread, widest: 0.1 }} }}, line = here.busiest(film);
    const found = here.profile(film, 1, line);
    console.log(JSON.stringify({{ line, truth: found.truth, band: found.band(90)[0] }}))"""
    found = node("half.js", body)
    assert isinstance(found, dict)
    assert found["line"] == 2
    assert found["truth"] == [0, 0, 1, 1]
    assert found["band"] == pytest.approx([0.4 - 0.16449, 0.4 + 0.16449], abs=1e-3)


@needs_node
def test_a_chart_begins_on_a_line_where_something_is_shown_though_nothing_is_hidden() -> None:
    truth = np.full((2, 4, 4), 0.2)
    truth[:, 3, 0] = 1.0
    body = f"""const truth = await here.unpacked({json.dumps(packed(truth))});
    console.log(JSON.stringify(here.busiest({{ size: 4, frames: 2, truth }})))"""
    assert node("half.js", body) == 3


@needs_chromium
def test_a_table_sorts_up_down_and_back(tmp_path: Path) -> None:
    rows = [("mass", "a", "3 %"), ("", "b", "10 %"), ("growth", "c", ""), ("", "d", "0.5 %")]
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    heads = "<tr><th>law</th><th>arm</th><th>less by</th></tr>"
    page = tmp_path / "table.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><title></title><div class=sortable><table><thead>{heads}</thead>"
        f"<tbody>{cells}</tbody></table></div><script>{(SCRIPTS / 'tables.js').read_text('utf-8')}</script>",
        "utf-8",
    )
    found, complaints = browsed(
        page,
        """const seen = [], head = document.querySelectorAll("th")[2], table = document.querySelector("table");
        for (let i = 0; i < 4; i++) {
          seen.push([head.ariaSort, [...table.tBodies[0].rows].map(row => row.cells[1].textContent).join("")]);
          head.querySelector("button").click();
        }
        const law = document.querySelector("th button"); law.click();
        const laws = [...table.tBodies[0].rows].map(row => row.cells[0].textContent);
        return { seen, laws, sorted: document.querySelectorAll("[aria-sort]").length };""",
    )
    assert complaints == []
    assert found["seen"] == [[None, "abcd"], ["ascending", "dabc"], ["descending", "badc"], [None, "abcd"]]
    assert found["laws"] == ["growth", "growth", "mass", "mass"], "a name that goes on is said in every row"
    assert found["sorted"] == 1


@needs_chromium
def test_films_play_together_and_stop_where_the_slider_is(tmp_path: Path) -> None:
    (tmp_path / "showcase").mkdir()
    film = write_film(tmp_path / "showcase" / "film.webp", np.linspace(0, 1, 5)[:, None, None] * np.ones((5, 8, 8)))
    row = Row("row", "a drop <of> dye", "seed 0", 5, 100.0, 20.0, [Shot("unguided", film, "violation", 0.5)] * 2)
    render(tmp_path / "row.html", "showcase_row", row=row)
    page = tmp_path / "row.html"
    body, script = page.read_text("utf-8"), (SCRIPTS / "films.js").read_text("utf-8")
    page.write_text(f"<!doctype html><meta charset=utf-8><title></title>{body}<script>{script}</script>", "utf-8")
    found, complaints = browsed(
        page,
        """const root = document.querySelector("[data-films]"), slider = root.querySelector("input");
        const frames = new Set();
        const button = root.querySelector("button"), at = () => root.style.getPropertyValue("--at");
        const seen = { before: button.textContent };
        await new Promise(played => root.addEventListener("frame", event => {
          frames.add(event.detail);
          if (frames.size === 5) played();
        }));
        seen.played = [...frames].sort();
        slider.value = 2; slider.dispatchEvent(new Event("input"));
        seen.paused = button.textContent;
        await new Promise(later => setTimeout(later, 500));
        Object.assign(seen, { at: at(), said: slider.getAttribute("aria-valuetext") });
        root.dataset.dt = 1; root.dispatchEvent(new Event("retime"));
        seen.retimed = slider.getAttribute("aria-valuetext");
        button.click(); seen.again = button.textContent;
        return seen;""",
    )
    assert complaints == []
    assert found["played"] == [0, 1, 2, 3, 4]
    assert (found["before"], found["paused"], found["again"]) == ("Pause", "Play", "Pause")
    assert found["at"] == "0.5"
    assert (found["said"], found["retimed"]) == ("frame 2 of 4, 200 s", "frame 2 of 4, 2 s")


DRAWER = """<input class=md-toggle data-md-toggle=drawer type=checkbox id=__drawer>
<header class=md-header><label for=__drawer>=</label></header>
<div class=md-container><div class=md-sidebar--primary><nav class=md-nav--primary><ul class=md-nav__list>
<li class=md-nav__item><a class=md-nav__link href="#home">Home</a></li>
<li class=md-nav__item><input class="md-nav__toggle md-toggle" type=checkbox id=__nav_1>
<div><a class=md-nav__link href="#guides">Guides</a><label class=md-nav__link for=__nav_1></label></div>
<nav class=md-nav><label class=md-nav__title for=__nav_1>Guides</label><a href="#audit">Audit</a></nav></li>
</ul></nav></div><a href="#text">text</a></div>"""


@needs_chromium
def test_the_drawer_opens_by_keys_and_hides_what_is_shut(tmp_path: Path) -> None:
    page, style = tmp_path / "drawer.html", (SCRIPTS.parent / "style.css").read_text("utf-8")
    page.write_text(
        f"<!doctype html><meta charset=utf-8><title></title><style>{style} * {{ transition: none !important; }}</style>"
        f"{DRAWER}<script>{(SCRIPTS / 'keyboard.js').read_text('utf-8')}</script>",
        "utf-8",
    )
    found, complaints = browsed(
        page,
        """while (!document.hasFocus()) await new Promise(done => setTimeout(done, 10));
        const seen = [], at = () => document.activeElement.ariaLabel ?? document.activeElement.textContent;
        const shown = text => [...document.querySelectorAll("a")].find(a => a.textContent === text)
          .checkVisibility({ visibilityProperty: true });
        const note = () => seen.push([at(), shown("Home"), shown("Audit")]);
        const press = key => {
          document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
          note();
        };
        document.querySelector("header label").focus(); note();
        press("Enter");
        document.querySelector(".md-nav__link[for]").focus(); press(" ");
        press("Enter"); press("Escape");
        press("Enter"); document.querySelector("[href='#text']").focus(); note();
        return seen;""",
    )
    assert complaints == []
    assert found == [
        ["Pages", False, False],
        ["Home", True, False],
        ["Back from Guides", False, True],
        ["Pages of Guides", True, False],
        ["Pages", False, False],
        ["Home", True, False],
        ["text", False, False],
    ]
