"""The paper: built from committed results, refused without one of them, and without a number that was typed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.paper.pdf import typeset
from physgen.experiments.paper.spec import read_figures
from physgen.experiments.runs.tables import query, write_parquet

PAPER = Path(__file__).parents[3] / "paper"
#: names that hold a digit
NAMES = re.compile(
    r"[xX]0-gradient|4D-Var|x_0|x_\(0\)|`[^`]*`|results\.json|#\w+(\.\w+)*(\([^()]*(\([^()]*\)[^()]*)*\))?|@[\w-]+"
)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the paper, built."""
    copy = tmp_path_factory.mktemp("paper") / "paper"
    shutil.copytree(PAPER, copy, ignore=shutil.ignore_patterns("build"))
    assert main(["paper", "pdf", f"paper={copy}"]) == 0
    return copy


@pytest.fixture(scope="module")
def results(paper: Path) -> dict[str, Any]:
    return dict(json.loads((paper / "build" / "results.json").read_text(encoding="utf-8")))


@pytest.mark.slow
def test_the_pdf_is_built_from_committed_results(paper: Path) -> None:
    assert (paper / "build" / "paper.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_every_figure_is_in_the_manuscript_and_has_a_caption(paper: Path, results: dict[str, Any]) -> None:
    text = (paper / "main.typ").read_text(encoding="utf-8")
    for name, one in results["figures"].items():
        assert f'#picture("{name}")' in text or f'#grid-of("{name}"' in text
        assert len(one["caption"]) > 100
        assert "{" not in one["caption"]
        assert one["rows"] or (paper / "build" / f"{name}.svg").read_text().startswith("<?xml")


@pytest.mark.slow
def test_every_number_says_what_it_was_computed_from(results: dict[str, Any]) -> None:
    planned = {
        one["run"]
        for path in (PAPER / "results").glob("*.json")
        for one in json.loads(path.read_text(encoding="utf-8")).get("runs", [])
    }
    for one in results["figures"].values():
        for number in one["numbers"].values():
            assert number["source"]
            assert all(source in planned for source in number["source"] if source.startswith("run-"))


def test_no_number_is_typed() -> None:
    text = (PAPER / "main.typ").read_text(encoding="utf-8")
    prose = text[text.index("*Abstract.*") : text.index("#bibliography")]
    typeset_as = r"#h\([\d.]+em\)|inset: 8pt|radius: 2pt|stroke: 0.6pt|width: 100%|size: [\d.]+pt|leading: 0.5em"
    prose = re.sub(r"<algorithm>|" + typeset_as, "", prose)
    prose = re.sub(r"```.*?```|\$[^$]*\$|^#(picture|grid-of|law-of)[^\n]*$", "", prose, flags=re.S | re.M)
    assert "*What choosing does not reach.*" in prose
    assert re.findall(r".{0,20}\d.{0,20}", NAMES.sub("", prose)) == []


@pytest.mark.slow
def test_a_missing_run_stops_the_paper(paper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "paper"
    shutil.copytree(paper, copy, ignore=shutil.ignore_patterns("build"))
    table = copy / "results" / "constraints_by_guidance.parquet"
    rows = query("SELECT * FROM found", found=table)
    gone = next(row["run"] for row in rows if row["seed"] == 0 and row["guidance"] == "dps")
    write_parquet(table, [row for row in rows if row["run"] != gone])
    capsys.readouterr()
    assert main(["paper", "pdf", f"paper={copy}"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert gone in error
    assert not (copy / "build" / "paper.pdf").exists()


def test_one_figure_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["figures", "only=[families]", f"paper={PAPER}", f"out={out}"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["families.svg", "results.json"]
    assert main(["figures", "only=[familes]", f"paper={PAPER}"]) == 2
    assert "did you mean 'families'" in capsys.readouterr().err


@pytest.mark.slow
def test_one_figure_alone_is_that_of_the_paper(paper: Path, tmp_path: Path) -> None:
    assert main(["figures", "only=[families]", f"paper={paper}", f"out={tmp_path}"]) == 0
    assert (tmp_path / "families.svg").read_bytes() == (paper / "build" / "families.svg").read_bytes()


@pytest.mark.slow
def test_a_manuscript_that_asks_for_an_unknown_number_is_refused(paper: Path, tmp_path: Path) -> None:
    copy = tmp_path / "paper"
    shutil.copytree(paper, copy)
    (copy / "main.typ").write_text((copy / "main.typ").read_text() + '\n#n("families", "unheard of")\n')
    with pytest.raises(InvalidArgument, match="unheard of"):
        typeset(copy)


def test_unknown_modules_and_keys_are_refused(tmp_path: Path) -> None:
    text = (PAPER / "figures.yaml").read_text(encoding="utf-8")
    for old, new, word in (
        ("figure_families", "figure_familes", "figure_families"),
        ("caption:", "capton:", "missing.*caption"),
    ):
        (tmp_path / "figures.yaml").write_text(text.replace(old, new, 1))
        with pytest.raises(ValueError, match=word):
            read_figures(tmp_path / "figures.yaml")
