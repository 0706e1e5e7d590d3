"""The report page: every run on it or named, every link whole, text escaped, no error in a browser."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from browser import browsed, needs_chromium
from tiny_world import SIZES, save_tiny_world

from physgen.experiments.cli.config import choice
from physgen.experiments.cli.dispatch import main
from physgen.experiments.pages.gallery.job import MARK

HOSTILE = "one drop of red dye </script><script>console.error('in')</script> \"onload=alert(1) 'x' <img src=//evil>"
VOID = {"meta", "img", "input", "wbr"}


class Tree(HTMLParser):
    """Elements with their attributes and text; an end tag must close the element that is open."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str, name: str) -> list[str]:
        return [str(attrs[name]) for found, attrs in self.elements if found == tag and name in attrs]


def parsed(page: Path) -> Tree:
    tree = Tree()
    tree.feed(page.read_text("utf-8"))
    tree.close()
    assert tree.open == []
    return tree


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two arms and two seeds, and a compared sample whose prompt and folder mean harm."""
    root = tmp_path_factory.mktemp("made")
    world = [f"world.path={save_tiny_world(root / 'world')}", *SIZES]
    sweep = ["prompt='one drop of red dye'", "law=mass", "guidance=none,projection", "seed=0,1"]
    assert main(["ablate", "-m", *world, *sweep, f"runs={root / 'sweep'}"]) == 0
    sample = [f"prompt={HOSTILE}", "constraint=mass", "compare=true", f"out={root / 'a #1 <b> & ?é'}"]
    assert main(["sample", *world, *sample, "guidance.start=0.5"]) == 0
    return root


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(made, tmp_path / "made"))


@pytest.fixture
def page(runs: Path) -> Path:
    out = runs / "pages" / "report.html"
    assert main(["report", str(runs / "sweep" / "sweep.json"), str(runs / "a #1 <b> & ?é"), f"out={out}"]) == 0
    return out


def test_every_video_has_a_card_a_film_and_a_row(page: Path) -> None:
    tree = parsed(page)
    assert len(tree.all("article", "id")) == len(set(tree.all("article", "id"))) == 6
    assert len(tree.all("img", "src")) == 6
    assert page.read_text().count("<tr>") == 1 + 6
    assert sorted(tree.all("article", "data-guidance")) == ["none"] * 3 + ["projection"] * 2 + ["projection start=0.5"]
    # a random model draws nothing
    assert sorted(tree.all("article", "data-certificate")) == ["degenerate: uniform"] * 5 + ["no certificate"]
    assert tree.all("article", "data-family") == ["dye"] * 6
    assert page.read_text().count('class="pair"') == 3


def test_numbers_are_those_of_the_runs(page: Path, runs: Path) -> None:
    values = parsed(page).all("td", "data-value")
    for metrics in runs.glob("sweep/run-*/metrics.json"):
        assert str(json.loads(metrics.read_text())["violation"]["mass"]) in values
    (sample,) = (json.loads(path.read_text()) for path in runs.glob("a*/metrics.json"))
    assert str(sample["constraints"]["mass"]["unguided_residual_rms"]) in values
    assert str(sample["unguided_drift"]) in values


def test_every_link_leads_to_a_file_or_a_card(page: Path) -> None:
    tree = parsed(page)
    links = [link for link in tree.all("a", "href") if not link.startswith("#")]
    assert len(links) == 4 * 5 + 2 * 6
    assert all((page.parent / unquote(urlsplit(link).path)).is_file() for link in links)
    cards = {unquote(link.partition("run=")[2]) for link in tree.all("a", "href") if link.startswith("#")}
    assert cards == set(tree.all("article", "id"))


def test_nothing_is_loaded_from_elsewhere(page: Path) -> None:
    tree = parsed(page)
    assert all(source.startswith("data:image/webp;base64,") for source in tree.all("img", "src"))
    assert not {tag for tag, _ in tree.elements} & {"link", "iframe", "video", "object"}
    assert "default-src 'none'" in tree.all("meta", "content")[1]


def test_hostile_text_stays_text(page: Path) -> None:
    tree = parsed(page)
    assert HOSTILE in tree.texts
    assert [tag for tag, _ in tree.elements].count("script") == 1
    assert not [name for _, attrs in tree.elements for name in attrs if name.startswith("on")]


def test_what_is_broken_is_named_on_the_page_and_the_command_line(
    runs: Path, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, missing, filmless, failed = sorted(runs.glob("sweep/run-*"))
    (cut / "metrics.json").write_text((cut / "metrics.json").read_text()[:99])
    shutil.rmtree(missing)
    (filmless / "video.tif").write_bytes((filmless / "video.tif").read_bytes()[:999])
    (failed / "metrics.json").unlink()
    (failed / "failure.json").write_text(json.dumps({"error": "disk <full>", "trace": ""}))
    capsys.readouterr()
    words = [str(runs / "sweep" / "sweep.json"), str(runs / "nowhere"), str(runs / "pages")]
    assert main(["report", *words, f"out={page}"]) == 1
    printed, listed = capsys.readouterr().out, "\n".join(parsed(page).texts)
    for name in (cut.name, missing.name, filmless.name, failed.name, "disk <full>", "nowhere", str(runs / "pages")):
        assert name in printed
        assert name in listed
    assert parsed(page).all("article", "id") == [filmless.name]


def test_two_runs_of_one_name_with_other_metrics_are_both_shown_and_named(
    runs: Path, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = min(runs.glob("sweep/run-*"))
    other = Path(shutil.copytree(one, runs / "other" / one.name))
    words = [str(runs / "sweep"), str(other)]
    assert main(["report", *words, f"out={page}"]) == 0
    metrics = json.loads((other / "metrics.json").read_text())
    (other / "metrics.json").write_text(json.dumps(metrics | {"violation": {"mass": 0.125}}))
    assert main(["report", *words, f"out={page}"]) == 1
    line = f"{one.name}: 2 runs have this name and differ in violation"
    assert line in capsys.readouterr().out
    assert line in parsed(page).texts
    assert len(set(parsed(page).all("article", "id"))) == 5
    assert "0.125" in parsed(page).all("td", "data-value")


def test_a_run_given_twice_is_shown_once(runs: Path, page: Path) -> None:
    folder = runs / "sweep"
    assert main(["report", str(folder), str(folder / "sweep.json"), str(min(folder.glob("run-*"))), f"out={page}"]) == 0
    assert len(parsed(page).all("article", "id")) == 4


def test_only_an_earlier_page_is_replaced(runs: Path, page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = runs / "mine.html"
    mine.write_text("<!doctype html>my own page")
    for out, reason in ((mine, "an earlier page"), (runs / "x.txt", "ends in .html"), (runs / "sweep", ".html")):
        assert main(["report", str(runs / "sweep"), f"out={out}"]) == 2
        assert reason in capsys.readouterr().err
    assert mine.read_text() == "<!doctype html>my own page"
    before = page.read_bytes()
    assert MARK in before
    assert main(["report", str(runs / "nowhere"), f"out={page}"]) == 2
    assert main(["report", f"out={page}"]) == 2
    assert page.read_bytes() == before
    assert main(["report", str(runs / "sweep"), f"out={page}"]) == 0
    assert page.read_bytes() != before


def test_a_certificate_that_is_not_satisfied_says_so(runs: Path, page: Path) -> None:
    path = next(p for p in runs.glob("sweep/run-*/metrics.json") if json.loads(p.read_text())["certificate"])
    metrics = json.loads(path.read_text())
    metrics["certificate"]["mass"] |= {"satisfied": False, "degenerate": None, "residual_max": 0.5}
    metrics["degenerate"] = {}
    path.write_text(json.dumps(metrics))
    assert main(["report", str(path.parent), f"out={page}"]) == 0
    assert parsed(page).all("article", "data-certificate") == ["violated"]
    assert "mass NOT satisfied: 0.5 of 1.0e-06" in parsed(page).texts


@needs_chromium
def test_a_browser_runs_the_page_without_an_error(page: Path) -> None:
    count, console = browsed(page, "return document.querySelector('output#count[role=status]').textContent")
    assert console == []
    assert count == "6 of 6"
    assert len(browsed(page, "console.error('seen')")[1]) == 1


@needs_chromium
def test_controls_work_in_a_browser(page: Path) -> None:
    script = """
    const head = document.querySelector("[data-key='violation:mass'] button");
    const wait = () => new Promise(f => setTimeout(f, 300));
    const column = head.parentElement.cellIndex, seen = {};
    const cells = () => $("tbody tr:not([hidden])").map(row => Number(row.cells[column].dataset.value));
    head.click(); await wait(); seen.up = cells();
    head.click(); await wait(); seen.down = cells(); seen.sorted = head.parentElement.ariaSort;
    document.querySelector("[name=guidance][value=none]").click(); await wait(); seen.none = cells().length;
    const search = async words => {
      form.elements.q.value = words; form.dispatchEvent(new Event("input")); await wait(); return cells().length;
    };
    seen.found = [await search("DROP dye mass"), await search("drop zebra")];
    seen.hash = location.hash; seen.nothing = !document.getElementById("nothing").hidden;
    form.reset(); await wait(); seen.all = cells().length;
    const film = document.querySelector(".film"); film.click(); seen.playing = film.ariaPressed;
    return seen;"""
    seen, console = browsed(page, script)
    assert console == []
    assert seen["up"] == sorted(seen["up"]) == seen["down"][::-1]
    assert len(set(seen["up"])) > 1
    assert (seen["sorted"], seen["none"], seen["all"], seen["playing"]) == ("descending", 3, 6, "true")
    assert "guidance=none" in seen["hash"]
    assert "q=drop+zebra" in seen["hash"]
    assert seen["found"] == [3, 0]
    assert seen["nothing"]


def changed(folder: Path, metrics: dict[str, Any], config: dict[str, Any]) -> Path:
    """The run in a folder with some of its records and options replaced."""
    for name, more in {"metrics.json": metrics, "config.yaml": config}.items():
        known = yaml.safe_load((folder / name).read_text("utf-8"))
        (folder / name).write_text(json.dumps(known | more), "utf-8")
    return folder


def test_what_follows_rewards_or_an_observation_is_named_without_a_law(runs: Path, page: Path) -> None:
    free = {"constraint": {}, "guidance": choice("guidance", "best_of_4")}
    observed = {"constraint": {}, "observed": {"file": "seen.tif"}, "rewards": []}
    first, second, *_ = sorted(runs.glob("sweep/run-*"))
    folders = [
        changed(first, {"rewards": ["count"]}, free | {"rewards": ["count"]}),
        changed(second, {"rewards": []}, free | {"rewards": ["count"]}),
        changed(next(runs.glob("a*")), {}, observed),
    ]
    assert main(["report", *map(str, folders), f"out={page}"]) == 0
    assert sorted(parsed(page).all("article", "data-guidance")) == ["best_of_4", "none", "none", "observed"]


def test_one_unguided_sample_is_one_video(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Laws that are measured only are no guidance, and a sample that was not compared has no second film."""
    run, page = tmp_path / "table", tmp_path / "page.html"
    sample = ["prompt=one drop of red dye", "constraint=auto", "guidance=none", f"out={run}"]
    assert main(["sample", f"world.path={made / 'world'}", *SIZES, *sample]) == 0
    changed(run, {"nfe": 12345}, {})
    assert main(["report", str(run), f"out={page}"]) == 0
    tree = parsed(page)
    assert tree.all("article", "data-guidance") == ["none"]
    assert len({one for _, attrs in tree.elements if (one := attrs.get("id"))}) == sum(
        "id" in attrs for _, attrs in tree.elements
    ), "a run may have the name of a part of the page"
    assert "1 video, physgen report" in tree.texts
    assert "12345" in tree.texts
