"""The films of the site: drawn from one noise, measured, and nothing stands in a page that no record has."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from PIL import Image

from physgen.drawn import Arm
from physgen.experiments.assimilate.cases import Case, read_case
from physgen.experiments.assimilate.observations import left_half
from physgen.experiments.assimilate.scores import scores
from physgen.experiments.cli.dispatch import main
from physgen.experiments.content.asked import asked_of
from physgen.experiments.content.questions import prompts_of
from physgen.experiments.draw.prompts import prompts
from physgen.experiments.draw.references import simulate
from physgen.experiments.pages.showcase import choice, half, laws
from physgen.experiments.pages.showcase.counted import Counted, count_of
from physgen.experiments.pages.showcase.job import write_pages
from physgen.experiments.pages.showcase.row import Row, Shot, write_film
from physgen.experiments.paper.results.worlds import Worlds
from physgen.experiments.runs.progress import Record, read_records
from physgen.guidance import GuidanceLog
from physgen.worlds import World, world_spec
from physgen.worlds.loading import load

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
SHOWN = DOCS / "showcase"
RECORDS = sorted(SHOWN.glob("*.json"))
HALVES = [family for family in half.FAMILIES if (SHOWN / f"half-{family}.json").is_file()]
FRAMES = 25


def record(path: Path) -> Record:
    return read_records(path)[0]


def frames_of(film: Path) -> int:
    with Image.open(film) as image:
        width, height = image.size
    return width // height if width % height == 0 else 0


@pytest.fixture(scope="module")
def world() -> World:
    return load(world_spec("micro"), "cpu")


@pytest.fixture(scope="module")
def dye() -> Case:
    return read_case(prompts("dye", 1, "held_out", 501)[0], world_spec("micro"))


def test_a_film_holds_its_frames_in_a_row(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 5)[:, None, None] * np.ones((5, 16, 16))
    assert write_film(tmp_path / "ramp.webp", ramp) == "ramp.webp"
    with Image.open(tmp_path / "ramp.webp") as image:
        pixels = np.asarray(image.convert("RGB"), float)
    assert pixels.shape == (16, 80, 3)
    assert np.allclose(pixels.reshape(16, 5, 16, 3).mean((0, 2, 3)), np.linspace(0, 255, 5), atol=4)


def test_bars_are_logarithmic_and_within_their_range() -> None:
    lengths = [Shot("", "", "violation", value).percent for value in (0.0, 1e-12, 1e-10, 10**-4.5, 10.0, 1e4)]
    assert lengths == [0, 0, 0, 50, 100, 100]
    for value in (None, math.nan):
        assert (Shot("", "", "violation", value).number, Shot("", "", "violation", value).percent) == ("–", 0)
    assert (Shot("", "", "violation", math.inf).number, Shot("", "", "violation", math.inf).percent) == ("–", 100)


def test_a_law_holds_after_the_projection_and_not_before(world: World, tmp_path: Path) -> None:
    (prompt,) = prompts("dye", 1, "held_out", 2026)
    made = laws.law_record(world, "mass", prompt, tmp_path, steps=2)
    row = Row.of(made["row"])
    truth, free, afterwards, guided = (shot.value for shot in row.shots)
    assert truth is not None
    assert free is not None
    assert afterwards is not None
    assert guided is not None
    assert max(truth, afterwards, guided) < 1e-6 < 1e-3 < free
    assert [frames_of(tmp_path / shot.film) for shot in row.shots] == [FRAMES] * 4
    assert "mass changes by" in row.shots[1].note
    assert all("e-" not in shot.note for shot in row.shots), "powers of ten are written as such"


def test_blood_that_no_flow_explains_is_said_to_be_left_as_it_was(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (prompt,) = prompts("blood", 1, "held_out", 2026)
    pixels = torch.rand(1, 3, FRAMES, 64, 64, generator=torch.Generator().manual_seed(0))
    noise = Arm(pixels, 0.0, 0, (GuidanceLog(),))
    arms = {"unguided": noise, "guided": noise}
    monkeypatch.setattr(laws, "draw", lambda *_, **__: type("Drawn", (), {"arms": dict(arms)}))
    made = laws.law_record(world, "transport", prompt, tmp_path)
    notes = [shot["note"] for shot in made["row"]["shots"]]
    assert notes[0] == ""
    assert notes[1] == notes[3] == "less than half of what happens is a steady flow"
    assert notes[2] == "too incoherent to be projected, left as it was"


def test_of_the_draws_the_one_that_counts_best_is_chosen(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewards, peaks = iter([-3.0, -1.0, -1.0, -2.0]), iter([1.0, 4.0, 2.0, 2.0, 3.0])
    monkeypatch.setattr(choice, "scores", lambda *_: {"count": next(rewards)})
    monkeypatch.setattr(choice, "count_of", lambda *_: Counted(1, 1, "one colony", next(peaks), 2.0, "three colonies"))
    (prompt,) = prompts("growth", 1, "held_out", 2026)
    made = choice.choice_record(world, "growth.count", prompt, tmp_path, steps=1)
    assert made["chosen"] == 2, "the first of equals"
    assert [shot["title"] for shot in made["row"]["shots"]][1:4] == ["draw 1", "draw 2, chosen", "draw 3"]
    assert [shot["value"] for shot in made["row"]["shots"]] == [1, 4, 2, 2, 3]
    assert {shot["measure"] for shot in made["row"]["shots"]} == {"asked 1, peaks count"}
    assert {shot["note"] for shot in made["row"]["shots"]} == {"the judge says three colonies, components say 2"}


@pytest.mark.parametrize("family", ["growth", "beads", "blood", "vessel"])
def test_a_count_of_the_simulators_is_right(family: str) -> None:
    spec = world_spec("micro")
    for prompt in prompts_of(f"{family}.count", 4, 7, spec):
        video, asked = simulate(prompt, spec, [5, prompt.seed])[0], asked_of(prompt.caption, spec)
        found = count_of(video, asked)
        assert (found.is_right, found.judge) == (True, prompt.attributes["count"])
        assert found.verdict.startswith("right")
        assert found.least <= found.peaks <= found.most


def test_right_needs_the_judge_and_the_components_and_not_the_peaks() -> None:
    right = Counted(3, 4, "a few", 4.0, 4.0, "a few")
    assert replace(right, peaks=9.0).is_right
    for wrong in (replace(right, components=5.0), replace(right, components=2.0), replace(right, judge="many")):
        assert not wrong.is_right
        assert wrong.verdict == f"the judge says {wrong.judge}, components say {wrong.components:g}"
    assert (right.asked, right.verdict) == ("3 to 4", "right: the judge and components agree")


def test_one_bead_less_is_not_right_though_the_judge_says_five() -> None:
    """The judge knows five, eight and twelve beads, and no number between."""
    spec = world_spec("micro")
    beads = [p for p in prompts("beads", 32, "held_out", 3) if p.attributes["count"] == "five beads"][:3]
    assert beads
    for prompt in beads:
        video, asked = simulate(prompt, spec, [5, prompt.seed])[0], asked_of(prompt.caption, spec)
        assert count_of(video, asked).is_right
        shown = asked.clip(video).field.mean(0)
        y, x = (int(i) for i in np.unravel_index(shown.argmax(), shown.shape))
        video = video.roll((32 - y, 32 - x), (2, 3))  # what leaves the frame comes in again
        video[:, :, 24:41, 24:41] = video.flatten(1).median(1).values.view(3, 1, 1, 1)
        assert count_of(video, asked).verdict == "the judge says five beads, components say 4"


@pytest.mark.parametrize("arm", [half.MODEL, half.BOTH])
def test_bands_and_their_shares_are_those_of_the_benchmark(dye: Case, arm: str) -> None:
    noise = torch.randn(5, *dye.truth.shape[1:], generator=torch.Generator().manual_seed(0))
    fields = dye.truth + 0.02 * noise[:4] + 0.04 * noise[4]
    observation = left_half(dye.truth, dye.generator("half"))
    inflation = half.INFLATION_JOINED if arm == half.BOTH else half.INFLATION
    measured = scores(dye, observation, fields, inflation)
    within = half._within(fields, dye, observation, arm)
    assert {len(shares) for shares in within.values()} == {FRAMES}
    assert np.mean(within["0.5"]) == pytest.approx(measured["wide50"], abs=1e-6)
    assert np.mean(within["0.9"]) == pytest.approx(measured["wide90"], abs=1e-6)
    assert 0.1 < measured["wide50"] < measured["wide90"] < 1
    bands = half._bands(fields, dye.truth[0, 0], 1.0, arm)
    zone = np.frombuffer(zlib.decompress(base64.b64decode(bands["zone"])), np.uint8).reshape(FRAMES, 64, 64)
    hidden = zone[..., 32:]
    assert np.mean(hidden == 0) == pytest.approx(measured["wide50"], abs=1e-6)
    assert np.mean(hidden < 2) == pytest.approx(measured["wide90"], abs=1e-6)


def test_what_there_is_not_is_refused_before_a_world_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for option, words in {
        "laws=[gravity]": "gravity",
        "halves=[dye,dye]": "different ones",
        "choices=[x]": "growth.count",
        "n=0": "at least 1",
    }.items():
        assert main(["showcase", option, f"out={out}"]) == 2
        assert words in capsys.readouterr().err
    assert not out.exists()


def test_the_site_shows_every_law_half_and_choice_of_the_command() -> None:
    options = yaml.safe_load((ROOT / "conf" / "showcase.yaml").read_text("utf-8"))
    made = {key: options[key] for key in options if key != "out"} | {"world": world_spec("micro").label}
    assert yaml.safe_load((SHOWN / "config.yaml").read_text("utf-8")) == made
    laws_ = {f"{law}-{index}" for law in options["laws"] for index in range(options["n"])}
    spec = world_spec("micro")
    choices = {
        f"{question}-{prompt.index}"
        for question in options["choices"]
        for prompt in prompts_of(question, options["n"], options["seed"], spec)
    }
    assert {path.stem for path in RECORDS} == laws_ | {f"half-{name}" for name in options["halves"]} | choices


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_film_is_there_and_whole(path: Path) -> None:
    row = Row.of(record(path)["row"])
    assert row.frames == FRAMES
    assert [frames_of(SHOWN / shot.film) for shot in row.shots] == [FRAMES] * len(row.shots)
    assert 3 <= len(row.shots) <= 5


def test_the_parts_of_pages_say_what_the_records_say_and_nothing_else(tmp_path: Path) -> None:
    names = [path.stem for path in RECORDS]
    for path in RECORDS:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    halves = [f"half-{family}" for family in HALVES]
    write_pages(tmp_path, [*(set(names) - set(halves)), *halves])
    made = {path.name: path.read_text("utf-8") for path in tmp_path.glob("*.html")}
    assert len(made) == len(names) + 1
    assert made == {path.name: path.read_text("utf-8") for path in SHOWN.glob("*.html")}


def data_of(family: str) -> Record:
    text = (SHOWN / f"half-{family}.js").read_text("utf-8")
    found = json.loads(text.partition(f").{family} = ")[2].rstrip().removesuffix(";"))
    assert isinstance(found, dict)
    return found


def field(packed: str) -> npt.NDArray[np.float64]:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8).reshape(FRAMES, 64, 64) / 255


@pytest.mark.parametrize("family", HALVES)
def test_what_the_chart_draws_is_what_was_measured(family: str) -> None:
    kept = record(SHOWN / f"half-{family}.json")
    data = data_of(family)
    assert set(data["arms"]) == set(kept["arms"]) - {half.FREE}
    for arm, drawn in data["arms"].items():
        assert np.mean(drawn["within"]["0.9"]) == pytest.approx(kept["arms"][arm]["errors"]["wide90"], abs=1e-5)
        mean, spread, zone = (field(drawn[key]) for key in ("mean", "spread", "zone"))
        range_ = data.get("high", 1) - data.get("low", 0)
        off = range_ * np.abs(field(data["truth"]) - mean) - 1.6449 * drawn["widest"] * spread
        within, kept_whole = np.round(255 * zone) < 2, (mean > 0) & (mean < 1)
        # in bytes, so what is within a step or two of the border is not told
        assert off[~within & kept_whole].min() > -0.02
        assert off[within & kept_whole].max() < 0.02


@pytest.mark.parametrize("family", HALVES)
def test_errors_are_those_that_the_benchmark_has_of_the_prompt(family: str) -> None:
    known = json.loads((DOCS / "results" / "micro" / "assimilation.json").read_text("utf-8"))
    kept = record(SHOWN / f"half-{family}.json")
    assert kept["world"] == f"micro {Worlds.read(ROOT / 'paper' / 'results').of('docs/micro/assimilation')}"
    for arm in set(kept["arms"]) - {half.BOTH}:  # how samples are joined with a law has changed since
        (same,) = (
            one
            for one in known
            if (one["family"], one["index"], one["observation"], one["arm"]) == (family, kept["seed"], "half", arm)
        )
        assert kept["arms"][arm]["errors"]["rmse"] == pytest.approx(same["rmse"], rel=0.01)


def test_prompts_are_the_first_ones_of_their_lists() -> None:
    for law, family in laws.LAWS.items():
        for prompt in prompts(family, 2, "held_out", 2026):
            assert record(SHOWN / f"{law}-{prompt.index}.json")["row"]["caption"] == prompt.caption
    for family in HALVES:
        (prompt,) = prompts(family, 1, "held_out", 901)
        assert record(SHOWN / f"half-{family}.json")["caption"] == prompt.caption


def test_shares_of_bands_in_the_text_are_those_of_the_benchmark() -> None:
    records = json.loads((DOCS / "results" / "micro" / "assimilation.json").read_text("utf-8"))
    text = (DOCS / "unseen-half.md").read_text("utf-8")
    families = re.findall(r"\w+", text[text.index("| | dye") :].splitlines()[0])
    for arm in (half.MODEL, half.BOTH):
        cells = re.findall(rf"^\| {arm} \|(.+)\|$", text, re.MULTILINE)[0].split("|")
        for family, cell in zip(families, cells, strict=True):
            found = [one["wide90"] for one in records if (one["family"], one["arm"]) == (family, arm)]
            assert cell.strip() == (f"{np.mean(found):.2f}" if found else "")


def test_the_error_in_the_film_of_dye_is_as_small_as_the_text_says() -> None:
    kept = record(SHOWN / "half-dye.json")
    assert "less than a hundredth of the largest value" in (DOCS / "unseen-half.md").read_text("utf-8")
    assert kept["arms"][half.MODEL]["errors"]["rmse"] < 0.01 * kept["top"]


def test_pages_include_only_parts_that_are_there_and_the_site_stays_small() -> None:
    for page in ("index.md", "gallery.md", "unseen-half.md"):
        parts = re.findall(r'--8<-- "(.+)"', (DOCS / page).read_text("utf-8"))
        assert parts
        assert all((DOCS / part).is_file() for part in parts)
    assert sum(path.stat().st_size for path in SHOWN.iterdir()) < 3e6
