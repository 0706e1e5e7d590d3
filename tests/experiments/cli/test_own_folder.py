"""Constraints, guidances, observables, worlds and experiments of the user's own, from a folder outside the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_world import SIZES

from physgen.experiments.cli.config import choice
from physgen.experiments.cli.dispatch import main
from physgen.experiments.cli.search import search
from physgen.video import Video, write_tiff

#: modules of the same name in two folders would be one in this process
MODULE = "decay_of_mass"
FILES = {
    f"{MODULE}.py": '''
from physgen.constraints import Constraint
from physgen.guidance import X0Gradient
from physgen.observables import Intensity


class Decay(Constraint):
    """Mass falls by the same share from frame to frame."""

    name = "decay"

    def __init__(self, share: float, rates: dict[str, float] | None = None) -> None:
        self.share = share

    def residual(self, fields, grid):
        mass = fields.mean(dim=(-2, -1))
        return mass[:, :, 1:] - (1 - self.share) * mass[:, :, :-1]


class Unfinished(Constraint):
    """Without a residual."""


class Gentle(X0Gradient):
    """A guidance."""


class Bright(Intensity):
    """An observable."""
''',
    "constraint/decay.yaml": f"""
# @package constraint.decay
# Mass falls by a share each frame.
_target_: {MODULE}.Decay
share: 0.1
rates: {{}}
""",
    "guidance/gentle.yaml": f"_target_: {MODULE}.Gentle\nstart: 0.0\n",
    "observable/bright.yaml": f"_target_: {MODULE}.Bright\nbackground: 0.1\n",
    "experiment/decays.yaml": """
# @package _global_
prompt: green dye
hydra:
  sweeper:
    params:
      seed: range(2)
      constraint: decay
      guidance: none,gentle
""",
}


@pytest.fixture
def own(tiny: Path, tmp_path: Path) -> Path:
    """The user's folder; its world is a tiny one, told as a change of ours."""
    sizes = "\n".join(
        option.removeprefix("world.").replace("=", ": ") for option in SIZES if option.startswith("world.")
    )
    world = f"# My own world. Small.\ndefaults: [micro]\n{sizes}\npath: {tiny}\n"
    for name, text in {**FILES, "world/mine.yaml": world}.items():
        write(tmp_path / "own" / name, text)
    return tmp_path / "own"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.lstrip("\n"), encoding="utf-8")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    return captured.err


@pytest.mark.parametrize("flag", ["--config-dir={}", "-cd {}", "hydra.searchpath=[file://{}]"])
def test_sample_takes_everything_from_the_folder(own: Path, flag: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["world=mine", "constraint=decay", "guidance=gentle", "observable=bright", "steps=2", f"out={out}"]
    assert main(["sample", *flag.format(own).split(), "prompt=green dye", *options, "constraint.decay.share=0.2"]) == 0
    config = (out / "config.yaml").read_text("utf-8")
    assert f"_target_: {MODULE}.Decay" in config
    assert f"_target_: {MODULE}.Gentle" in config
    assert f"_target_: {MODULE}.Bright" in config
    assert "share: 0.2" in config
    metrics = json.loads((out / "metrics.json").read_text("utf-8"))
    assert metrics["constraints"]["decay"]["residual_rms"] > 0


def test_a_relative_folder_is_of_the_working_directory(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(own.parent)
    assert main(["sample", "--help", "--config-dir", "own"]) == 0
    choices = capsys.readouterr().out
    assert re.search(r"^  constraint .*\bdecay\b.*\bmass\b", choices, re.MULTILINE)
    assert re.search(r"^  world .*\bmicro\b.*\bmine\b", choices, re.MULTILINE)


def test_audit_measures_by_the_users_law(own: Path, tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", Video(torch.rand(3, 3, 8, 8)))
    out = tmp_path / "out"
    arguments = ["audit", str(tmp_path / "a.tif"), "constraint=decay", f"out={out}", "--config-dir", str(own)]
    assert main(arguments) == 0
    (report,) = json.loads((out / "metrics.json").read_text("utf-8"))["files"]
    assert report["constraints"]["decay"]["residual_rms"] > 0


def test_an_audit_of_a_folder_hands_the_users_law_to_its_processes(own: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_tiff(clips / "a.tif", Video(torch.rand(3, 3, 8, 8)))
    (clips / "metadata.json").write_text(json.dumps([{"video": "a.tif", "prompt": "green dye"}]))
    out = tmp_path / "out"
    assert main(["audit", str(clips), "constraint=decay", f"out={out}", "--config-dir", str(own)]) == 0
    (line,) = (out / "clips.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["constraints"]["decay"]["residual_rms"] > 0


@pytest.mark.slow
def test_a_sweep_of_the_users_experiment_in_processes_of_their_own(own: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "physgen", "ablate", "--config-dir", str(own), "-m", "experiment=decays"]
    options = ["world=mine", "steps=2", f"runs={runs}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = [json.loads(file.read_text("utf-8")) for file in sorted(runs.glob("run-*/metrics.json"))]
    assert len(metrics) == 4
    assert all(one["imposed"] == ["decay"] and one["violation"]["decay"] > 0 for one in metrics)


def test_listings_show_the_choices(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["constraints", "--config-dir", str(own)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["decay", "equality", "no", "Mass", "falls", "by", "a", "share", "each", "frame."] in rows
    assert {"mass", "diffusion", "fisher_kpp", "auto", "none"} <= {row[0] for row in rows}
    assert main(["worlds", "--config-dir", str(own)]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mine")]
    assert row.split()[1] == "yes"
    assert row.endswith("My own world.")
    assert main(["worlds"]) == 0
    assert "mine" not in capsys.readouterr().out


def test_a_name_that_ours_has_too(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mass = f"# @package constraint.mass\n_target_: {MODULE}.Decay\nshare: 0.3\n"
    write(own / "constraint" / "mass.yaml", mass)
    write_tiff(tmp_path / "a.tif", Video(torch.rand(3, 3, 8, 8)))
    assert main(["audit", str(tmp_path / "a.tif"), "constraint=mass", f"--config-dir={own}"]) == 0
    captured = capsys.readouterr()
    assert (
        captured.err
        == f"physgen: {own / 'constraint/mass.yaml'} is taken, and not physgen's own constraint/mass.yaml\n"
    )
    assert "decay residual" in captured.out or "mass residual" in captured.out
    with search([own]):
        assert choice("constraint", "mass")["share"] == 0.3
    assert "share" not in choice("constraint", "mass")


def test_a_key_is_added_with_a_plus_and_names_without(own: Path, tmp_path: Path) -> None:
    write(own / "constraint" / "bare.yaml", f"# @package constraint.bare\n_target_: {MODULE}.Decay\n")
    start = ["sample", "prompt=green dye", "world=mine", "steps=1", "guidance=none", f"--config-dir={own}"]
    assert main([*start, "constraint=bare", "+constraint.bare.share=0.4", f"out={tmp_path / 'a'}"]) == 0
    assert "share: 0.4" in (tmp_path / "a" / "config.yaml").read_text("utf-8")
    assert main([*start, "constraint=decay", "constraint.decay.rates.k=0.5", f"out={tmp_path / 'b'}"]) == 0
    assert "k: 0.5" in (tmp_path / "b" / "config.yaml").read_text("utf-8")


@pytest.mark.slow
def test_a_constant_that_is_given_is_not_fitted(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ["sample", "prompt=green dye", "world=mine", "steps=1", "guidance=none", f"--config-dir={own}"]
    given = ["constraint=[mass,fisher_kpp]", "constraint.fisher_kpp.diffusivity.u=5"]
    assert main([*start, *given, f"out={tmp_path / 'a'}"]) == 0
    assert capsys.readouterr().err.splitlines() == ["physgen: fisher_kpp: diffusivity of u is given: not fitted"]
    config = (tmp_path / "a" / "config.yaml").read_text("utf-8")
    assert re.search(r"diffusivity:\s+u: 5\s", config)
    assert re.search(r"fitted:\s+- r\n", config)


BAD_FILES = [
    (
        "constraint/decay.yaml",
        "# @package constraint.decay\n_target_: physgen.constraints.MassConservation\nmaximum: [1.0\n",
        "{own}/constraint/decay.yaml:4': allowed: YAML (",
    ),
    (
        "constraint/decay.yaml",
        f"# @package constraint.decay\n_target_: {MODULE}.Gentle\n",
        f"{{own}}/constraint/decay.yaml:2: _target_='{MODULE}.Gentle': allowed: import path of a Constraint",
    ),
    (
        "constraint/decay.yaml",
        f"# @package constraint.decay\n_target_: {MODULE}.Nothing\n",
        f"{{own}}/constraint/decay.yaml:2: _target_='{MODULE}.Nothing': allowed: import path of a Constraint",
    ),
    (
        "constraint/decay.yaml",
        "# @package constraint.decay\n_target_: no_such_module_here.Law\n",
        "{own}/constraint/decay.yaml:2: _target_='no_such_module_here.Law': allowed: import path of a Constraint",
    ),
    (
        "constraint/decay.yaml",
        f"# @package constraint.decay\n_target_: {MODULE}.Unfinished\n",
        "allowed: a Constraint with residual",
    ),
    (
        "constraint/decay.yaml",
        f"# @package constraint.decay\n_target_: {MODULE}.Decay\nshare: 0.1\nshore: 2\n",
        "{own}/constraint/decay.yaml:4: argument of Decay='shore': allowed: rates, share (did you mean 'share'?)",
    ),
    (
        "constraint/decay.yaml",
        f"# @package constraint.decay\n_target_: {MODULE}.Decay\n",
        "{own}/constraint/decay.yaml:2: arguments of Decay=[]: allowed: Decay(share: float",
    ),
    (
        "constraint/decay.yaml",
        f"_target_: {MODULE}.Decay\nshare: 0.1\n",
        "{own}/constraint/decay.yaml:1: constraint='"
        + f"{MODULE}.Decay': allowed: a mapping with _target_; a YAML in ",
    ),
    (
        "guidance/gentle.yaml",
        f"# mine\n_target_: {MODULE}.Decay\nshare: 0.1\n",
        f"{{own}}/guidance/gentle.yaml:2: _target_='{MODULE}.Decay': allowed: import path of a Guidance",
    ),
    (
        "observable/bright.yaml",
        f"_target_: {MODULE}.Decay\nshare: 0.1\n",
        f"_target_='{MODULE}.Decay': allowed: import path of a Observable",
    ),
    ("world/mine.yaml", "defaults: [micro]\nstepz: 2\n", "option='world.stepz': allowed:"),
    ("world/mine.yaml", "defaults: [mikro]\n", "mikro"),
]


@pytest.mark.parametrize(("file", "text", "message"), BAD_FILES)
def test_a_file_that_is_wrong_is_named_in_one_line(
    own: Path, file: str, text: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    write(own / file, text)
    options = ["prompt=green dye", "world=mine", "constraint=decay", "guidance=gentle", "observable=bright"]
    assert message.format(own=own) in refused(capsys, "sample", *options, "--config-dir", str(own))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n\ny = 1 / 0\n", "broken_{i}.py:3: ZeroDivisionError: division by zero"),
        ("x = 1\ndef f(:\n", "broken_{i}.py:2: SyntaxError"),
        ("import torch\ntorch.zeros(-1)\n", "broken_{i}.py:2: RuntimeError"),
        ("import no_such_module_here\n", "broken_{i}.py:1: ModuleNotFoundError"),
    ],
)
def test_a_module_that_fails_when_it_is_imported(
    own: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    i = abs(hash(text))
    write(own / f"broken_{i}.py", text)
    write(own / "constraint" / "decay.yaml", f"# @package constraint.decay\n_target_: broken_{i}.Law\n")
    said = refused(capsys, "sample", "prompt=green dye", "constraint=decay", "--config-dir", str(own))
    assert f"{own}/constraint/decay.yaml:2: _target_='broken_{i}.Law'" in said
    assert str(own / message.format(i=i)) in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config-dir", "/nowhere/at/all"], "--config-dir='/nowhere/at/all': allowed: a folder that is there"),
        (["--config-dir"], "--config-dir=None: allowed: a folder of configurations"),
        (["hydra.searchpath=[file:///nowhere/at/all]"], "hydra.searchpath='file:///nowhere/at/all'"),
        (["hydra.searchpath=[pkg://no_such_module_here]"], "a module that can be imported"),
        (["hydra.searchpath=own"], "hydra.searchpath='own': allowed: a list"),
    ],
)
def test_a_folder_that_is_not_there(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, "sample", "prompt=green dye", *arguments)


def test_a_mistake_in_the_users_class_is_shown_where_it_is(own: Path, tmp_path: Path) -> None:
    slip = "class Law(Decay):\n    def residual(self, fields, grid):\n        return None + 1\n"
    write(own / "slip_of_the_pen.py", f"from {MODULE} import Decay\n\n\n{slip}")
    write(own / "constraint" / "slip.yaml", "# @package constraint.slip\n_target_: slip_of_the_pen.Law\nshare: 0.1\n")
    with pytest.raises(TypeError, match="unsupported operand"):
        main(
            ["sample", "prompt=green dye", "world=mine", "constraint=slip", f"--config-dir={own}", f"out={tmp_path}/a"]
        )
