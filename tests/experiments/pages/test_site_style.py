"""Style of the site and of report pages: words stand out, tables scroll by keys, films can be stopped."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from physgen.experiments.pages.charts import Chart, Series
from physgen.experiments.pages.report import Film, Page, Table, write_report
from physgen.video import Video

DOCS = Path(__file__).resolve().parents[3] / "docs"
STYLE = (DOCS / "style.css").read_text("utf-8")
#: scheme of the theme -> what its text and its code stand on
GROUNDS = {"default": ("#ffffff", "#f5f5f5"), "slate": ("#1e2129", "#272a35")}
WORDS = {"--quiet", "--blue", "--orange", "--md-typeset-a-color", "--md-accent-fg-color"}


def colours(selector: str) -> dict[str, str]:
    rules = re.findall(rf"^{re.escape(selector)} {{(.*?)}}", STYLE, re.MULTILINE)
    return {name: value for rule in rules for name, value in re.findall(r"(--[\w-]+): (#\w{6});", rule)}


def luminance(colour: str) -> float:
    part = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return float(np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Of WCAG 2: 1 is none, 21 black on white."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_published_examples() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", GROUNDS)
def test_words_stand_out_from_what_they_stand_on(scheme: str) -> None:
    page, code = GROUNDS[scheme]
    has = colours(":root") | colours(f'[data-md-color-scheme="{scheme}"]')
    grounds = {name: [page, has["--shade"]] for name in has if name in WORDS}
    grounds |= {name: [code] for name in has if name.startswith("--md-code-hl-")}
    assert len(grounds) >= 4
    for name, stands_on in grounds.items():
        assert min(contrast(has[name], ground) for ground in stands_on) >= 4.5, name
    assert contrast(colours('[data-md-color-primary="teal"]')["--md-primary-fg-color"], "#ffffff") >= 4.5


def test_pictures_of_the_site_have_words() -> None:
    pages = [path.read_text("utf-8") for path in [*DOCS.rglob("*.md"), *DOCS.glob("showcase/*.html")]]
    words = [found for page in pages for found in re.findall(r"!\[(.*?)\]\(", page)]
    tags = [tag for page in pages for tag in re.findall(r"<img [^>]*>", page)]
    assert words
    assert tags
    assert all(words)
    assert all(re.search(r'alt="[^"]+"', tag) for tag in tags)


def test_a_report_page_works_by_keys_and_a_film_can_be_stopped(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"film")
    film = Film("unguided", Video(torch.zeros(2, 3, 4, 4)), tmp_path / "film.mp4")
    chart = Chart("Residual", "step", "rms", [Series("mass", [6], [0.02])], log=True)
    page = Page("sample", "a drop", [], [], [film], [chart], Table(["", "guided"], [["residual", "0.1"]]))
    write_report(tmp_path / "report.html", page)
    html = (tmp_path / "report.html").read_text("utf-8")
    (video,) = re.findall("<video [^>]*>", html)
    assert " controls " in video
    assert 'aria-label="unguided"' in video
    (box,) = re.findall('<div class="box"[^>]*>', html)
    assert 'tabindex="0" role="region" aria-labelledby="numbers"' in box
    assert 'id="numbers"' in html
    assert "<th></th>" not in html
    assert '<td></td><th scope="col">guided</th>' in html
    assert html.count('<circle class="s0"') == 1, "a line of one point is a dot"
