"""The command line: whole runs on a tiny world, and one clear line for everything that is wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from diffusers import DDIMInverseScheduler
from tiny_world import SIZES

from physgen.audit import audit
from physgen.constraints import MassConservation
from physgen.experiments.cli.dispatch import JOBS, main
from physgen.experiments.runs.records import git_sha
from physgen.observables import ColourMap
from physgen.video import Video, read_video, write_mp4, write_tiff
from physgen.worlds import world_spec
from physgen.worlds.world import World

PROMPT = "Two drops of green dye, diffusing slowly in (unheard of) water"
CONSTRAINTS, GUIDANCES = (
    sorted(path.stem for path in (Path(__file__).parents[3] / "conf" / group).glob("*.yaml"))
    for group in ("constraint", "guidance")
)
DECAY = ["constraint.kinetics.system={species:[c],parameters:[k],rates:[-k*c]}", "constraint.kinetics.parameters.k=0.1"]
NEEDED = {"continuity": ["constraint.continuity.velocity=[0.0,0.0]"], "kinetics": DECAY}
Run = Callable[..., int]


@pytest.fixture
def sample(tiny: Path) -> Run:
    return lambda *arguments: main(["sample", f"world.path={tiny}", *SIZES, *arguments])


@pytest.fixture(scope="module")
def demo(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "demo"
    arguments = [f"world.path={tiny}", *SIZES, f"prompt={PROMPT}", "constraint=mass", "compare=true", f"out={out}"]
    assert main(["sample", *arguments, "guidance.start=0.0"]) == 0
    return out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a bad command prints."""
    capsys.readouterr()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    return captured.err


def test_run_directory_is_complete(demo: Path) -> None:
    expected = "config.yaml log.jsonl metrics.json preview.png report.html"
    videos = "afterwards.mp4 afterwards.tif unguided.mp4 unguided.tif video.mp4 video.tif"
    assert sorted(p.name for p in demo.glob("[!.]*")) == sorted(f"{expected} {videos}".split())


def test_metrics(demo: Path) -> None:
    metrics = json.loads((demo / "metrics.json").read_text("utf-8"))
    mass = metrics["constraints"]["mass"]
    assert mass["residual_max"] <= 1e-6
    assert (mass["satisfied"], mass["degenerate"]) == (False, "uniform")  # a random model draws nothing
    assert mass["unguided_residual_rms"] >= 100 * mass["residual_rms"]
    assert metrics["drift"] < 1e-6 < metrics["unguided_drift"]
    assert metrics["nfe"] == 6
    assert metrics["git_sha"] == git_sha()
    assert metrics["ignored_words"] == ["unheard"]
    assert metrics["prompt"] == PROMPT
    assert metrics["device"] == "cpu"
    for key in ("wall_time_s", "unguided_wall_time_s", "time_ratio", "peak_memory_mb"):
        assert metrics[key] > 0
    assert metrics["terminal"]["moved_rms"] > 0
    certificate = metrics["certificate"]["mass"]
    assert certificate["kind"] == "equality"
    assert certificate["satisfied"] is False
    assert certificate["residual_max"] == pytest.approx(mass["residual_max"], rel=1e-6)
    assert certificate["fit"] == mass["fit"]
    assert certificate["tolerance"] == mass["tolerance"] == 1e-6
    assert metrics["conflicts"] == {}


def test_fitted_constants_are_certified_as_they_were(
    sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample("prompt=green dye", "constraint=[mass,diffusion]", f"out={tmp_path / 'a'}") == 0
    assert "diffusion NOT satisfied: uniform" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text("utf-8"))
    law, measured = metrics["certificate"]["diffusion"], metrics["constraints"]["diffusion"]
    assert law["residual_max"] <= law["tolerance"] == measured["tolerance"]
    assert law["satisfied"] is measured["satisfied"] is False  # a random model draws nothing
    assert law["residual_rms"] < 10 * law["rounding"]
    assert law["fit"]["values"] == measured["fit"]["values"]
    assert "diffusion, certified" in (tmp_path / "a" / "report.html").read_text("utf-8")


def test_a_run_without_projection_has_no_certificate(
    sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample("prompt=green dye", "constraint=mass", "guidance=x0_gradient", f"out={tmp_path / 'a'}") == 0
    assert "certificate: none" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text("utf-8"))
    assert metrics["certificate"] == {}
    assert metrics["constraints"]["mass"]["satisfied"] is False


def test_log_has_a_line_per_step(demo: Path) -> None:
    lines = [json.loads(line) for line in (demo / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert all({"sigma", "residual", "correction_norm"} <= line.keys() for line in lines)


def test_tiff_read_back_has_the_same_residual(demo: Path) -> None:
    spec = world_spec("micro")
    video = read_video(demo / "video.tif")
    assert (video.spacing, video.dt, video.prompt) == ((2.0, 2.0), 0.1, PROMPT)
    batch = video.frames.transpose(0, 1)[None]
    report = audit(batch, spec.observable(PROMPT), [MassConservation()], spec.grid(PROMPT), tolerance=1e-6)
    metrics = json.loads((demo / "metrics.json").read_text("utf-8"))
    assert report["mass"].residual_max == metrics["constraints"]["mass"]["residual_max"]


def test_report_is_self_contained_and_escaped(demo: Path) -> None:
    html = (demo / "report.html").read_text("utf-8")
    assert PROMPT in html
    assert "ignored words: unheard" in html
    assert html.count("data:video/mp4;base64,") == 3
    assert html.count("data:image/png;base64,") == 3
    assert html.count("<svg viewBox") >= 4
    assert set(re.findall(r'(?:src|href)="([^"]{5})', html)) == {"data:"}
    assert "//" not in re.sub(r'base64,[^"]*', "", html)
    assert "prefers-color-scheme: dark" in html


def test_hostile_prompt_is_text(sample: Run, tmp_path: Path) -> None:
    prompt = "<script>alert(1)</script> ${oc.env:HOME} dye, [red], {x: y} 'q' = \\ \"z\""
    assert sample(f"prompt={prompt}", f"out={tmp_path / 'a, b'}") == 0
    assert "<script>" not in (tmp_path / "a, b" / "report.html").read_text("utf-8")
    assert json.loads((tmp_path / "a, b" / "metrics.json").read_text("utf-8"))["prompt"] == prompt
    assert read_video(tmp_path / "a, b" / "video.tif").prompt == prompt


def test_same_options_same_video_and_same_folder(
    sample: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sample("prompt=green dye", "seed=3") == 0
    out = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"runs/sample-[0-9a-f]{10}", out)
    assert sample("prompt=green dye", "seed=3") == 2
    assert "finished run" in capsys.readouterr().err
    assert sample("prompt=green dye", "seed=3", "out=again") == 0
    assert torch.equal(read_video(f"{out}/video.tif").frames, read_video("again/video.tif").frames)


def test_unguided_in_compare_is_the_plain_sample(demo: Path, sample: Run, tmp_path: Path) -> None:
    assert sample(f"prompt={PROMPT}", "constraint=mass", "guidance=none", f"out={tmp_path / 'plain'}") == 0
    plain, unguided = read_video(tmp_path / "plain" / "video.tif"), read_video(demo / "unguided.tif")
    assert torch.equal(plain.frames, unguided.frames)
    mass = json.loads((tmp_path / "plain" / "metrics.json").read_text("utf-8"))["constraints"]["mass"]
    assert mass["satisfied"] is False
    assert mass["unguided_residual_rms"] == mass["residual_rms"]


def test_gradient_guidance_with_fitted_bleaching(sample: Run, tmp_path: Path) -> None:
    options = ["constraint=mass", "constraint.mass.bleaching=exponential", "guidance=x0_gradient", "guidance.steps=2"]
    assert sample("prompt=red dye", *options, f"out={tmp_path / 'a'}") == 0
    mass = json.loads((tmp_path / "a" / "metrics.json").read_text("utf-8"))["constraints"]["mass"]
    assert mass["fit"]["values"]["bleaching_rate"][0][0] >= 0


@pytest.mark.parametrize(
    ("prompt", "constraint"),
    [
        ("green dye diffusing in water", "diffusion"),
        pytest.param("two colonies of golden bacteria", "fisher_kpp", marks=pytest.mark.slow),
        pytest.param("gray scott pattern of orange spots", "gray_scott", marks=pytest.mark.slow),
        ("a cell divides by mitosis, blue chromosomes", "phase_order"),
        ("green dye diffusing in water", "continuity"),
        ("green dye diffusing in water", "kinetics"),
    ],
)
def test_every_law_guides_and_measures(sample: Run, tmp_path: Path, prompt: str, constraint: str) -> None:
    options = [f"constraint={constraint}", "guidance=x0_gradient", "guidance.start=0.0", f"out={tmp_path / 'a'}"]
    options += NEEDED.get(constraint, [])
    assert sample(f"prompt={prompt}", *options) == 0
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text("utf-8"))
    assert metrics["dropped"] == 0
    assert 0 <= metrics["constraints"][constraint]["residual_rms"] < 1e3


def test_a_law_that_the_family_does_not_obey_is_noted(
    sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample("prompt=mitosis of a cell", "constraint=mass", f"out={tmp_path / 'a'}") == 0
    assert "mass is not a law of mitosis videos" in capsys.readouterr().out


def test_mass_of_all_vesicles_is_noted_and_that_of_their_content_is_not(
    sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The membrane of vesicles that fuse becomes less; their content does not."""
    for name, options in (("all", []), ("content", ["constraint.mass.species=[1]"])):
        assert sample("prompt=two green vesicles fuse", "constraint=mass", *options, f"out={tmp_path / name}") == 0
        said = capsys.readouterr().out
        assert ("mass is not a law of vesicles videos" in said) == (name == "all")
        assert "largest of membrane, green" in " ".join(said.split())


def test_colours_to_be_left_out_of_a_video_that_nothing_projects_are_noted(
    sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for guidance in ("projection", "dps"):
        options = ["observable.off_map=0", f"guidance={guidance}", f"out={tmp_path / guidance}"]
        assert sample(f"prompt={PROMPT}", "constraint=mass", *options) == 0
        assert ("observable.off_map has no effect" in capsys.readouterr().out) == (guidance == "dps")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smaple"], "did you mean 'sample'"),
        (["sample", "promt=x"], "did you mean 'prompt'"),
        (["sample", "prompt=x", "world=mirco"], "(did you mean 'micro'?)"),
        (["sample", "prompt=x", "constraint=mas"], f"allowed: {', '.join(CONSTRAINTS)}"),
        (["sample", "prompt=x", "constraint=[mass,nope]"], f"allowed: {', '.join(CONSTRAINTS)}"),
        (
            ["sample", "prompt=x", "guidance=unknown"],
            f"allowed: {', '.join(GUIDANCES)}",
        ),
        (["sample", "prompt=x", "constraint=mass", "guidance=best_of_4"], "does in `physgen ablate` alone"),
        (
            ["sample", "prompt=x", "constraint.mass.bleaching=none"],
            f"after a choice, constraint={'|'.join(CONSTRAINTS)}",
        ),
        (["sample", "prompt=x", "constraint=mass", "constraint.mass._target_=os.abort"], "import path of a Constraint"),
        (["sample", "prompt=x", "constraint=mass", "constraint.mass.bleching=none"], "did you mean"),
        (["sample", "prompt=x", "constraint=mass", "constraint.mass.bleaching=maybe"], "allowed: none, exponential"),
        (["sample", "prompt=x", "world.stepz=3"], "did you mean 'world.steps'"),
        (["sample", "prompt=x", "steps=abc"], "steps='abc': allowed: a whole number, or null"),
        (["sample", "prompt=x", "observed.frames=12"], "observed.frames=12: allowed: a list of whole numbers, or null"),
        (["audit", "x.tif", "crop=10"], "crop=10: allowed: a list of whole numbers, or null"),
        (["audit", "x.tif", "dt=abc"], "dt='abc': allowed: a number, or null"),
        (["sample", "prompt=x", "compare=maybe"], "compare='maybe': allowed: a truth value, true or false"),
        (["sample", "prompt=x", "device=gpu"], "device='gpu': allowed: cpu, cuda"),
        (["ablate", "law=mass", "constants=slow"], "constants='slow': allowed: fitted, or with a law whose constants"),
        (["sample", "prompt=x", "seed=0,1"], "one value"),
        (["sample", "prompt=x", "seed=-1"], "seed=-1: allowed: a whole number, 0 or more"),
        (["sample", "prompt=x", "guidance_scale=.inf"], "guidance_scale"),
        (["sample", "prompt=x", "steps=0"], "steps=0: allowed: a whole number, 1 or more"),
        (["sample", "prompt="], "prompt=''"),
        (["sample"], "prompt=''"),
        (["sample", "prompt=x", "compare=true"], "or a constraint or rewards and a guidance"),
        (["sample", "prompt=x", "observed.mask=m.tif"], "observed.mask='m.tif': allowed: with observed=FILE"),
        (["sample", "prompt=x", "observed.noise=0.1"], "observed.noise=0.1: allowed: with observed=FILE"),
        (["sample", "prompt=x", "guidance=particles"], "guidance='Particles': allowed: with a constraint or rewards"),
        (["sample", "prompt=x", "guidance.start=0.5"], "guidance='Projection': allowed: with a constraint or rewards"),
        (["sample", "prompt=x", "alpha=2"], "alpha=2.0: allowed: 1 without checkpoint=LORA"),
        (["ablate", "law=mass", "objective=violation.mss"], "objective='violation.mss': allowed: null, or a search"),
        (["sample", "prompt=x", "constraint=mass", "guidance.start=0.9", "guidance.stop=0.1"], "start"),
        (["sample", "prompt=x", "world.path=/nowhere"], "/nowhere"),
        (["sample", "prompt=x", "extra"], "KEY=VALUE"),
        (["sample", "prompt=x", "+new=1"], "option='new'"),
        (["sample", "prompt=x", "--fast"], "KEY=VALUE"),
        (["sample", "prompt=x", "constraint=kinetics"], "constraint.kinetics.system='missing'"),
        (["audit", "x.tif", "constraint=continuity"], "for example constraint.continuity.velocity=[0.5,0.0]"),
        (["audit", "x.tif", "constraint=[mass,kinetics]"], "constraint.kinetics.parameters.k=[0.0,1.0]"),
        (["ablate", "-m", "constraint=mass,continuity"], "constraint.continuity.velocity='missing'"),
        (["worlds", "x"], "none"),
        (["audit"], "physgen audit FILE"),
        (["audit", "nowhere.mp4"], "nowhere.mp4"),
        (["audit", "x.pdf"], "ending in"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["prompt=green dye", "constraint=gray_scott"], "1 species"),
        (["prompt=green dye", "constraint=phase_order", "constraint.phase_order.cell=1"], "cell=1"),
        (
            [
                "prompt=green dye",
                "constraint=[mass,kinetics]",
                *DECAY,
                "constraint.kinetics.boluses=[[c,0.5,0.4]]",
            ],
            "constraints='mass, kinetics'",
        ),
    ],
)
def test_what_cannot_be_told_is_refused_before_anything_is_loaded(
    options: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("diffusers.DiffusionPipeline.from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "sample", *options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_scheduler_that_is_not_supported_is_refused_before_sampling(tiny: Path, tmp_path: Path) -> None:
    world, out = tmp_path / "world", tmp_path / "out"
    shutil.copytree(tiny, world)
    DDIMInverseScheduler().save_pretrained(world / "scheduler")
    index = json.loads((world / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "DDIMInverseScheduler"]
    (world / "model_index.json").write_text(json.dumps(index))
    arguments = ["sample", f"world.path={world}", *SIZES, "prompt=dye", "constraint=mass", f"out={out}"]
    # beartype, which a test has and a user has not, refuses it as well
    command = [sys.executable, "-m", "physgen", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search("^physgen: .*DDIMInverseScheduler", done.stderr, re.MULTILINE)
    assert not out.exists()


def test_non_empty_out_is_refused_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    monkeypatch.setattr("diffusers.DiffusionPipeline.from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    assert "new or empty folder" in refused(capsys, "sample", "prompt=dye", f"out={tmp_path}")
    assert [p.name for p in tmp_path.iterdir()] == ["keep.txt"]


def test_a_sample_that_was_interrupted_has_no_metrics_and_is_made_again(
    sample: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for number, target in enumerate([f"{World.__module__}.World.sample", "physgen.experiments.runs.records.json.dump"]):
        out = tmp_path / str(number)
        with monkeypatch.context() as patch:
            patch.setattr(target, interrupt)
            assert sample("prompt=dye", "samples=2", f"out={out}") == 130
        assert "interrupted" in capsys.readouterr().err
        assert (out / "config.yaml").exists()
        assert not [p for p in out.iterdir() if "metrics" in p.name]
        assert sample("prompt=red dye", "samples=2", f"out={out}") == 2
        assert "prompt is dye there and red dye here" in capsys.readouterr().err
        assert sample("prompt=dye", "samples=2", "memory=100", f"out={out}") == 0
        assert (out / "metrics.json").exists()


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYSGEN_DEBUG", "1")
    with pytest.raises(ValueError, match="smaple"):
        main(["smaple"])


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == main(["--version"]) == 0
    text = capsys.readouterr().out
    assert all(job in text for job in JOBS)
    for job in JOBS:
        assert main([job, "--help"]) == 0
    text = capsys.readouterr().out
    assert "guidance_scale" in text
    assert "x0_gradient" in text
    assert main(["worlds"]) == main(["constraints"]) == 0
    text = capsys.readouterr().out
    assert "micro" in text
    assert "fisher_kpp" in text
    assert re.search(r"^continuity .* velocity ", text, re.MULTILINE)
    assert re.search(r"^kinetics .* system ", text, re.MULTILINE)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from physgen.experiments.cli.dispatch import main; main([]); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "diffusers", "transformers", "hydra", "matplotlib"} & set(modules)


def test_audit_of_a_run(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "audit"
    files = [str(demo / name) for name in ("video.tif", "video.mp4", "unguided.tif")]
    assert main(["audit", *files, "tolerance=1e-6", f"out={out}"]) == 0
    printed = capsys.readouterr().out
    assert "a.u. µm²" in printed
    assert "1/s" in printed
    assert printed.splitlines()[-1] == str(out)
    report = json.loads((out / "metrics.json").read_text("utf-8"))["files"]
    assert [Path(item["file"]).name for item in report] == ["video.tif", "video.mp4", "unguided.tif"]
    residuals = [item["constraints"]["mass"]["residual_max"] for item in report]
    assert residuals[0] <= 1e-6 < min(residuals[1:])
    assert {item["constraints"]["mass"]["verdict"] for item in report} == {"not measured: the video is uniform"}
    metrics = json.loads((demo / "metrics.json").read_text("utf-8"))
    assert report[0]["constraints"]["mass"]["residual_max"] == metrics["constraints"]["mass"]["residual_max"]
    assert report[0]["mass"]["green"]["drift"] == metrics["drift"]
    assert report[0]["units"] == {"length": "µm", "time": "s", "mass": "a.u. µm²"}
    assert (out / "report.html").stat().st_size > 10_000


def test_audit_of_grey_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = np.full((4, 8, 8), 1000, np.uint16)
    counts[:, 2:4, 2:4] = np.array([5000, 4000, 3000, 2000])[:, None, None]
    tifffile.imwrite(tmp_path / "a.tif", counts, photometric="minisblack")
    assert main(["audit", str(tmp_path / "a.tif"), "background=1000", f"out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert "counts px²" in printed
    assert "give spacing" in printed
    item = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))["files"][0]
    assert item["mass"]["intensity"]["mass"] == pytest.approx([16000, 12000, 8000, 4000], rel=1e-4)
    assert item["mass"]["intensity"]["drift"] == pytest.approx(0.75, rel=1e-4)
    assert main(["audit", str(tmp_path / "a.tif"), "spacing=[2,0.5]", "dt=60", "background=1000"]) == 0
    assert "2 x 0.5 µm, 60 s" in capsys.readouterr().out


def test_stated_scales_are_of_the_files_pixels_and_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiff(tmp_path / "a.tif", Video(torch.rand(4, 3, 8, 8)))
    for given, grid in ((["spacing=[2,0.5]", "dt=60"], "4 x 1 µm, 180 s"), ([], "2 x 2 px, 3 frame")):
        assert main(["audit", str(tmp_path / "a.tif"), "every=3", "scale=0.5", *given]) == 0
        assert grid in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [["observable=what"], ["spacing=0"], ["spacing=[1,2,3]"], ["spacing=true"], ["dt=-1"], ["boundary=wall"]]
)
def test_audit_options_are_checked(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiff(tmp_path / "a.tif", Video(torch.rand(3, 3, 8, 8)))
    assert options[0].partition("=")[0] in refused(capsys, "audit", str(tmp_path / "a.tif"), *options)


def test_audit_of_an_open_boundary_asks_for_the_inflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiff(tmp_path / "a.tif", Video(torch.rand(3, 3, 8, 8)))
    arguments = ["audit", str(tmp_path / "a.tif"), "boundary=open"]
    assert "inflow" in refused(capsys, *arguments)
    assert main([*arguments, "constraint.mass.inflow=[0.0,1.0,2.0]"]) == 0


def test_an_audit_that_was_killed_while_it_wrote_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiff(tmp_path / "a.tif", Video(torch.rand(3, 3, 8, 8)))
    command = ["audit", str(tmp_path / "a.tif"), f"out={tmp_path / 'out'}"]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("physgen.experiments.audit.job.write_report", interrupt)
        assert main(command) == 130
    assert not (tmp_path / "out" / "metrics.json").exists()
    assert "tolerance is 0.05 there and 0.5 here" in refused(capsys, *command, "tolerance=0.5")
    assert main(command) == 0
    assert "finished run" in refused(capsys, *command)


def test_unmeasurable_videos_leave_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = {
        "one.tif": torch.rand(1, 3, 8, 8),
        "nan.tif": torch.full((3, 3, 8, 8), torch.nan),
    }
    for name, frames in videos.items():
        write_tiff(tmp_path / name, Video(frames))
    write_mp4(tmp_path / "cut.mp4", Video(torch.rand(9, 3, 16, 16)), fps=8)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "cut.mp4").read_bytes()[:700])
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in [*videos, "cut.mp4", "empty.npz"]:
        assert name in refused(capsys, "audit", str(tmp_path / name), f"out={tmp_path / 'out'}")
        assert not (tmp_path / "out").exists()


def test_audit_of_real_microscopy(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = shared / "microscopy" / "cancer_nuclei_48x130x130_u16.tif"
    assert main(["audit", str(file), "spacing=0.5", "dt=600", "constraint.mass.bleaching=exponential"]) == 0
    printed = capsys.readouterr().out
    assert "48 x 130 x 130" in printed
    assert "counts µm²" in printed


def test_microworldbench_prompt(shared: Path, sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = json.loads((shared / "microworldbench" / "finaltasks.json").read_text("utf-8"))
    prompt = next(task["任务"] for task in tasks if task["index"] == 134)
    assert sample(f"prompt={prompt}", f"out={tmp_path / 'a'}") == 0
    assert "ignored words:" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text("utf-8"))
    assert "centrioles" in metrics["ignored_words"]
    assert "chromosomes" not in metrics["ignored_words"]


def test_a_background_below_zero_is_taken_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    y, x = np.mgrid[:48, :48] - 23.5
    spot = np.exp(-(x**2 + y**2) / 40) * np.exp(-0.02 * np.arange(20)).reshape(-1, 1, 1)
    movie = 500 * spot - 20 + np.random.default_rng(0).normal(0, 2, spot.shape)
    np.save(tmp_path / "a.npy", movie)
    arguments = ["audit", str(tmp_path / "a.npy"), "constraint.mass.bleaching=exponential"]
    assert main([*arguments, "background=auto", f"out={tmp_path / 'out'}"]) == 0
    item = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))["files"][0]
    assert item["constraints"]["mass"]["fit"]["values"]["bleaching_rate"][0][0] == pytest.approx(0.02, rel=0.05)
    assert main(arguments) == 0
    assert "amounts are too small by that (background=auto" in capsys.readouterr().out
    assert "background=5000" in refused(capsys, *arguments, "background=5000")


def test_negative_amounts_have_no_mass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(-300, 50, (6, 16, 16)).cumsum(0))
    assert main(["audit", str(tmp_path / "a.npy")]) == 0
    printed = capsys.readouterr().out
    assert "mass: not measured: amounts are negative" in printed
    assert "residual" not in printed


def test_a_file_without_frames_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "none.npy", np.zeros((0, 32, 32)))
    assert "none.npy" in refused(capsys, "audit", str(tmp_path / "none.npy"))


def test_light_that_is_cut_off_is_said_and_gives_no_constant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y, x = np.mgrid[:32, :32] - 15.5
    width = 20 + 2 * np.arange(8.0).reshape(-1, 1, 1)
    spot = 20 / width * np.exp(-(x**2 + y**2) / 2 / width) + np.random.default_rng(0).normal(0.1, 0.005, (8, 32, 32))
    for name, gain in (("whole", 200), ("cut", 400)):
        counts = (gain * spot).clip(0, 255).round().astype(np.uint8)
        tifffile.imwrite(tmp_path / f"{name}.tif", counts, photometric="minisblack")
        assert main(["audit", str(tmp_path / f"{name}.tif"), "constraint=diffusion", "background=auto"]) == 0
        printed = capsys.readouterr().out
        assert ("of the pixels of the file have the largest count there can be, 255" in printed) == (name == "cut")
        assert ("diffusion: not measured: the video is saturated" in printed) == (name == "cut")


def test_light_is_counted_as_cut_off_before_pixels_are_averaged_and_at_any_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y, x = np.mgrid[:32, :32] - 15.5
    width = 20 + 2 * np.arange(8.0).reshape(-1, 1, 1)
    spot = 20 / width * np.exp(-(x**2 + y**2) / 2 / width) + np.random.default_rng(0).normal(0.1, 0.005, (8, 32, 32))
    for gain, count in ((6000, 4095), (4000, 2500), (2000, None)):
        counts = (gain * spot).clip(0, count or 65535).round().astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", counts, photometric="minisblack")
        for part in ([], ["scale=0.5"]):
            arguments = ["audit", str(tmp_path / "a.tif"), "constraint=diffusion", "background=auto", *part]
            assert main(arguments) == 0
            printed = capsys.readouterr().out
            assert ("diffusion: not measured: the video is saturated" in printed) == (count is not None)
            assert ("of the pixels of the file have the largest count" in printed) == (count is not None)
            if count is not None:
                assert f"{count}, and far fewer" in printed or f"there can be, {count}" in printed


def test_a_file_that_cannot_be_measured_costs_the_others_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, out = tmp_path / "good.npy", tmp_path / "bad.npz", tmp_path / "out"
    np.save(good, np.random.default_rng(0).random((4, 16, 16)))
    np.savez(bad, frames=np.ones((4, 16, 16)), spacing=np.nan)
    assert main(["audit", str(bad), str(good), f"out={out}"]) == 1
    printed = capsys.readouterr()
    assert "good.npy" in printed.out
    assert "bad.npz: spacing=nan" in printed.err
    files = json.loads((out / "metrics.json").read_text("utf-8"))["files"]
    assert [item["file"] for item in files] == [str(good)]


def test_three_frames_that_were_saved_as_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.random.default_rng(0).integers(0, 900, (3, 16, 16)).astype(np.uint16), photometric="rgb")
    assert "axis=s: as frames" in refused(capsys, "audit", str(file))
    assert main(["audit", str(file), "axis=s"]) == 0
    assert "3 x 16 x 16" in capsys.readouterr().out


def test_no_part_of_a_file_is_proposed_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((4, 16, 16)))
    assert "no part of it" in refused(capsys, "audit", str(tmp_path / "a.npy"), "memory=1e-9")


def test_a_colour_map_reads_floats_above_1_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dyes = world_spec("micro").observable("green and blue dye")
    assert isinstance(dyes, ColourMap)
    spot = torch.exp(-((torch.arange(16.0) - 8) ** 2) / 20).view(1, 1, 1, 1, 16).expand(1, len(dyes.species), 3, 16, 16)
    mixing = torch.tensor(dyes.colours).T
    video = torch.tensor(dyes.background).view(3, 1, 1, 1) + torch.einsum("cs,bsthw->bcthw", mixing, 1.2 * spot)[0]
    write_tiff(
        tmp_path / "a.tif", Video(video.transpose(0, 1), prompt="green and blue dye", spacing=(1.0, 1.0), dt=1.0)
    )
    assert main(["audit", str(tmp_path / "a.tif"), f"out={tmp_path / 'out'}"]) == 0
    assert "floats reach 1." in capsys.readouterr().out
    mass = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))["files"][0]["mass"]
    assert mass["green"]["mass"][0] == pytest.approx(1.2 * float(spot[0, 0, 0].sum()), rel=1e-3)
