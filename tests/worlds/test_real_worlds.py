"""The worlds with published weights, on tiny random models of their classes in the published format."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from sampling.test_pipelines import ltx
from tiny_pipelines import PIPELINES, STARTED, save_lora, save_tiny_pipeline, t5
from transformers import T5Config, T5EncoderModel

from physgen import guide
from physgen.constraints import Equality, MassConservation
from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.guidance import Projection
from physgen.observables import Intensity
from physgen.worlds import MissingWeights, World, load_world, world_names, world_spec
from physgen.worlds.levels import LEVEL_WORDS
from physgen.worlds.loading import load

PROMPT = "a cell divides"
SIZE = {"height": 16, "width": 16, "num_frames": 9, "steps": 3}


@pytest.fixture(scope="module", params=PIPELINES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    name = request.param
    folder = save_tiny_pipeline(name, tmp_path_factory.mktemp("published") / name)
    world = load(replace(world_spec(name, str(folder)), **{**SIZE, **PIPELINES[name][1]}), "cpu")
    world.pipe.set_progress_bar_config(disable=True)
    return world


def test_every_world_has_a_tiny_one() -> None:
    assert {*PIPELINES, *STARTED, "micro", "other"} == set(world_names())


def test_mass_is_conserved(world: World) -> None:
    mass, observable, grid = MassConservation(), world.observable(PROMPT), world.grid(PROMPT)
    plain = world.sample(PROMPT, seed=0)
    with guide(world.pipe, Projection([mass]), observable=observable, grid=grid) as log:
        video = world.sample(PROMPT, seed=0)
    assert video.shape == plain.shape == (1, 3, 9, world.spec.height, world.spec.width)
    assert mass.residual(observable(video), grid).abs().max() <= 1e-6
    assert mass.residual(observable(plain), grid).abs().max() > 1e-3
    assert len(log.steps) == 3


def test_precision_and_scheduler_are_the_worlds(world: World) -> None:
    spec, config = world.spec, world.pipe.scheduler.config
    default = spec.dtype["default"]
    assert world.pipe.vae.dtype == getattr(torch, spec.dtype.get("vae", default))
    assert world.pipe.transformer.dtype == getattr(torch, spec.dtype.get("transformer", default))
    assert type(world.pipe.scheduler).__name__ == spec.scheduler["_class_name"]
    for name, value in spec.scheduler.items():
        assert name == "_class_name" or config[name] == value


def test_negative_prompt_reaches_the_pipeline(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    encode = world.pipe.encode_prompt

    def keep(*arguments: object, **options: object) -> object:
        seen.append(inspect.signature(encode).bind(*arguments, **options).arguments.get("negative_prompt"))
        return encode(*arguments, **options)

    monkeypatch.setattr(world.pipe, "encode_prompt", keep)
    world.sample(PROMPT, seed=0, steps=1)
    if "negative_prompt" in inspect.signature(encode).parameters:
        assert seen == [world.spec.negative_prompt]
    else:
        assert world.spec.negative_prompt is None


@pytest.mark.parametrize("name", PIPELINES | STARTED)
def test_specification(name: str) -> None:
    spec = world_spec(name)
    assert spec.hub
    assert spec.revision
    assert tuple(spec.families) == tuple(LEVEL_WORDS)
    assert (spec.num_frames - 1) % 4 == 0
    assert spec.height % 16 == spec.width % 16 == 0
    for level, width in {"cellular": 100, "organ": 2e5, "subcellular": 10}.items():
        assert spec.families[level].spacing[0] * spec.width == pytest.approx(width, rel=5e-3)
    assert spec.families["cellular"].dt * spec.num_frames == pytest.approx(2700, rel=5e-3)
    assert spec.families["organ"].dt * spec.fps == pytest.approx(1, rel=5e-3)
    assert isinstance(spec.observable(PROMPT), Intensity)


def test_levels() -> None:
    spec = world_spec("microverse")
    assert spec.family("A beating HEART pumps blood through its valves") == "organ"
    assert spec.family("mRNA leaves the pore, ribosomes read it") == "subcellular"
    assert spec.family("something") == "cellular"
    assert replace(spec, level="organ").grid("a cell").spacing == (240.0, 240.0)
    with pytest.raises(InvalidArgument, match="cellular, organ, subcellular"):
        replace(spec, level="planet").grid("a cell")


@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "hunyuanvideo"])
def test_any_other_pipeline_has_its_own_defaults(name: str, tmp_path: Path) -> None:
    world = load_world(pipeline=str(save_tiny_pipeline(name, tmp_path / "any")), device="cpu")
    spec = world.spec
    assert spec.name == "other"
    assert type(world.pipe).__name__ == world_spec(name).pipeline.removeprefix("diffusers.")
    expected = {"wan2.1-t2v-1.3b": (480, 832, 81, 50, 5.0), "hunyuanvideo": (720, 1280, 129, 50, 6.0)}[name]
    assert (spec.height, spec.width, spec.num_frames, spec.steps, spec.guidance_scale) == expected


def test_pipelines_that_no_world_can_be(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"world\.height.*CogVideoXPipeline states no default"):
        world_spec("other", str(save_tiny_pipeline("cogvideox-5b", tmp_path / "cogvideox")))
    with pytest.raises(MissingWeights, match="hf download some/where --revision main"):
        load_world(pipeline="some/where")
    with pytest.raises(InvalidArgument, match="pipeline"):
        world_spec("other")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(InvalidArgument, match="text-to-video"):
        load_world(pipeline=str(tmp_path))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`physgen sample world=microverse checkpoint=...`, guided, with the weights elsewhere and small."""
    folder, run, out = save_tiny_pipeline("microverse", tmp_path / "wan"), tmp_path / "outputs", tmp_path / "out"
    run.mkdir()
    transformer = diffusers.WanTransformer3DModel.from_pretrained(folder / "transformer")
    for number in (5000, 10000):
        save_lora(run / f"step-{number}.safetensors", transformer)
    size = [f"world.{name}={value}" for name, value in SIZE.items()]
    command = ["sample", "world=microverse", f"checkpoint={run}", f"pipeline={folder}", f"prompt={PROMPT}", *size]
    observable = ["observable=colour_map", "observable.species=[gfp]"]
    assert main([*command, *observable, "constraint=mass", "device=cpu", f"out={out}"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["constraints"]["mass"]["residual_max"] <= 1e-6
    assert metrics["mass"]["guided"].keys() == {"gfp"}
    assert any(note.startswith("lora checkpoint: 20 tensors loaded") for note in metrics["notes"])
    assert any("cellular scale, an assumption: 0.12 µm" in note for note in metrics["notes"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pipeline=/nowhere"], "/nowhere"),
        (["world=other"], "pipeline=FOLDER or pipeline=HUB/ID"),
        (["world=wan2.1-t2v-1.3b", "pipeline=some/where"], "hf download some/where"),
        (["world=microverse", "world.level=planet"], "cellular, organ, subcellular"),
        (["alpha=much"], "alpha"),
    ],
)
def test_bad_options(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", f"prompt={PROMPT}", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_pipeline_whose_latents_are_packed_is_guided_there(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipe = ltx().pipe
    pipe = type(pipe)(**{**pipe.components, **t5(T5EncoderModel, T5Config, 16)})
    pipe.save_pretrained(tmp_path / "ltx")
    spec = world_spec("other", str(tmp_path / "ltx"))
    assert (spec.height, spec.width, spec.num_frames) == (512, 704, 161)
    world = load(replace(spec, height=32, width=64, num_frames=9, steps=2, max_sequence_length=8), "cpu")
    total = Equality(lambda x: x.float().mean((1, 2))[:, None])
    with guide(world.pipe, Projection([total])) as log:
        world.sample(PROMPT, seed=0)
    assert len(log.steps) == 2
