"""What was observed, from a file: met by the sample, said aloud, and refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tifffile
import torch
from tiny_world import SIZES

from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.draw.observed import Observation, ObservedConfig, read_observed
from physgen.worlds import world_spec

PROMPT = "one drop of green dye diffusing slowly in water"
GROWTH = "one colony of golden bacteria growing fast on a plate"
SPEC = world_spec("micro")
RNG = np.random.default_rng(0)


def grey(path: Path, *shape: int) -> Path:
    tifffile.imwrite(path, (255 * RNG.random(shape)).astype(np.uint8), photometric="minisblack")
    return path


def run(tiny: Path, *arguments: str) -> int:
    return main(["sample", f"world.path={tiny}", *SIZES, f"prompt={PROMPT}", *arguments])


def test_a_sample_keeps_to_a_frame_and_obeys_its_law(tiny: Path, tmp_path: Path) -> None:
    frame, out = grey(tmp_path / "frame.tif", 32, 32), tmp_path / "out"
    arguments = [f"observed={frame}", "observed.noise=0.2", "constraint=mass", "compare=true", f"out={out}"]
    assert run(tiny, *arguments) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert any("observed: frames 0 of 0 to" in note and "noise 0.2" in note for note in metrics["notes"])
    assert any("grey picture: its brightness" in note for note in metrics["notes"])
    assert set(metrics["constraints"]) >= {"observed", "mass"}
    steps = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert all("observed" in step["residual"] for step in steps)
    assert metrics["constraints"]["mass"]["residual_max"] <= 1e-5


def test_several_frames_a_mask_and_another_size(tiny: Path, tmp_path: Path) -> None:
    movie, out = grey(tmp_path / "movie.tif", 2, 40, 48), tmp_path / "out"
    mask = np.zeros((40, 48), np.uint8)
    mask[:, 24:] = 255
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    options = [f"observed={movie}", f"observed.mask={tmp_path / 'mask.tif'}", "observed.frames=[0,4]"]
    assert run(tiny, *options, "observed.resize=true", f"out={out}") == 0
    notes = json.loads((out / "metrics.json").read_text())["notes"]
    assert any("rows 0 to 40, columns 4 to 44, 1.25 pixels become one" in note for note in notes)
    assert any("frames 0, 4 of" in note for note in notes)


def test_a_picture_with_gaps(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = RNG.random((1, 32, 32)).astype(np.float32)
    frame[:, :4] = np.nan
    np.save(tmp_path / "gaps.npy", frame)
    assert run(tiny, f"observed={tmp_path / 'gaps.npy'}", f"out={tmp_path / 'out'}") == 0
    notes = json.loads((tmp_path / "out" / "metrics.json").read_text())["notes"]
    assert any("9.7 % of all values" in note and "noise 0." in note for note in notes)  # 28 of 32 rows of 1 in 9 frames
    for missing, message in (
        (slice(None, 20), "38 % of the pixels are finite"),
        (slice(None), "NaN or Inf everywhere"),
    ):
        frame[:, missing] = np.nan
        np.save(tmp_path / "gaps.npy", frame)
        assert run(tiny, f"observed={tmp_path / 'gaps.npy'}", f"out={tmp_path / 'other'}") == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((32, 32), ["observed.frames=[99]"], "observed.frames=[99]: allowed: 0 to"),
        ((32, 32), ["observed.frames=[0,1]"], "observed.frames=[0, 1]: allowed: 1 different frames"),
        ((36, 32), [], "observed='36 x 32 pixels': allowed: 32 x 32 pixels"),
        ((32, 32), ["observed.noise=-1"], "observed.noise=-1: allowed: a number >= 0, or auto"),
        ((32, 32), ["observed.mask=SELF3"], "observed.mask='3 of 32 x 32 pixels': allowed: one picture of 32 x 32"),
        ((32, 32), ["observed.mask=BLACK"], "mask='False everywhere'"),
        *(
            ((32, 32), [f"guidance={name}"], "which it is for; what was observed is kept to without it")
            for name in ("none", "particles", "afterwards")
        ),
    ],
)
def test_bad_observations_are_one_line_before_anything_is_loaded(
    shape: tuple[int, ...],
    options: list[str],
    message: str,
    tmp_path: Path,
    tiny: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("diffusers.DiffusionPipeline.from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    frame = grey(tmp_path / "frame.tif", *shape)
    masks = {"SELF3": grey(tmp_path / "three.tif", 3, 32, 32), "BLACK": tmp_path / "black.tif"}
    tifffile.imwrite(masks["BLACK"], np.zeros((32, 32), np.uint8))
    for name, path in masks.items():
        options = [option.replace(name, str(path)) for option in options]
    out = tmp_path / "out"
    assert run(tiny, f"observed={frame}", *options, f"out={out}") == 2
    captured = capsys.readouterr().err
    assert message in captured
    assert len(captured.splitlines()) == 1
    assert not out.exists()


def read(path: Path, resize: bool = False, mask: str | None = None, **options: Any) -> Observation:
    config = ObservedConfig(str(path), None, mask, "auto", resize, **options)
    return read_observed(config, SPEC, SPEC.observable(GROWTH), SPEC.grid(GROWTH))


@pytest.mark.parametrize("dark", [0.0, 0.5])
def test_a_picture_whose_dark_half_is_clipped_has_noise(dark: float, tmp_path: Path) -> None:
    """Noise of 0.05 in half of the pixels, where 0 hides none of it."""
    shown = np.where(np.arange(64) < 32, dark, 0.5) - 0.3 * (dark == 0) * (np.arange(64) < 32)
    noisy = shown + 0.05 * np.random.default_rng(1).standard_normal((64, 64))
    counts = (255 * noisy).clip(0, 255).round().astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", counts, photometric="minisblack")
    found = read(tmp_path / "a.tif")
    assert float(found.seen.noise.max()) == pytest.approx(0.05, rel=0.15)


@pytest.mark.parametrize("size", [32, 40, 50, 80, 96, 128, 256])
def test_noise_is_that_of_the_scaled_picture(size: int, tmp_path: Path) -> None:
    place = (torch.arange(size) + 0.5) / size
    truth = 0.5 + 0.2 * torch.sin(4 * place)[:, None] * torch.cos(5 * place)
    noisy = truth + 0.05 * torch.randn(size, size, generator=torch.manual_seed(size))
    np.save(tmp_path / "a.npy", noisy[None].numpy())
    found = read(tmp_path / "a.npy", resize=True)
    true = torch.nn.functional.interpolate(truth[None, None], (64, 64), mode="area" if size > 64 else "bilinear")
    actual = float((found.seen.values[0, 0, 0] - true[0, 0]).square().mean().sqrt())
    assert float(found.seen.noise.max()) == pytest.approx(actual, rel=0.1)
    assert any("neighbouring pixels share their noise" in note for note in found.notes) == (size < 64)


def test_one_plane_and_one_channel_of_a_file(tmp_path: Path) -> None:
    stack = (255 * RNG.random((3, 64, 64))).astype(np.uint8)
    tifffile.imwrite(tmp_path / "z.ome.tif", stack, metadata={"axes": "ZYX"})
    with pytest.raises(InvalidArgument, match=r"observed\.axis=None: allowed: z"):
        read(tmp_path / "z.ome.tif")
    found = read(tmp_path / "z.ome.tif", plane=1)
    assert torch.allclose(found.seen.values[0, 0, 0], torch.from_numpy(stack[1] / 255).float())
    assert int(read(tmp_path / "z.ome.tif", axis="z").seen.mask.any(-1).any(-1).sum()) == 3
    tifffile.imwrite(tmp_path / "two.ome.tif", stack[None, :2], metadata={"axes": "TCYX"})
    with pytest.raises(InvalidArgument, match=r"observed\.channel=None"):
        read(tmp_path / "two.ome.tif")
    found = read(tmp_path / "two.ome.tif", channel=1)
    assert torch.allclose(found.seen.values[0, 0, 0], torch.from_numpy(stack[1] / 255).float())


def test_a_value_that_no_video_can_show_is_refused(tmp_path: Path) -> None:
    frame = RNG.random((1, 64, 64)).astype(np.float32)
    frame[0, 2, 2] = -7
    np.save(tmp_path / "a.npy", frame)
    with pytest.raises(InvalidArgument, match=r"-7 in a\.npy.*allowed: 0 to 1"):
        read(tmp_path / "a.npy")


def png(path: Path, picture: np.ndarray) -> Path:
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *picture.shape, "gray"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(stream.encode())
    return path


def test_a_png_and_a_mask_in_another(tmp_path: Path) -> None:
    counts = (255 * RNG.random((64, 64))).astype(np.uint8)
    half = np.where(np.arange(64) < 32, 255, 0).astype(np.uint8)[None].repeat(64, 0)
    found = read(png(tmp_path / "FRAME.png", counts), mask=str(png(tmp_path / "MASK.png", half)))
    assert torch.equal(found.seen.mask[0, 0], torch.from_numpy(half > 0))
    assert torch.allclose(found.seen.values[0, 0, 0][half > 0], torch.from_numpy(counts / 255).float()[half > 0])


def test_errors_name_the_option(tmp_path: Path) -> None:
    frame, text = png(tmp_path / "a.png", np.zeros((64, 64), np.uint8)), tmp_path / "a.txt"
    text.touch()
    with pytest.raises(InvalidArgument, match=r"^observed='.*a\.txt': allowed: a file ending in"):
        read(text)
    with pytest.raises(InvalidArgument, match=r"^observed\.mask='.*a\.txt': allowed: a file ending in"):
        read(frame, mask=str(text))
    with pytest.raises(FileNotFoundError, match=r"^observed\.mask='.*none\.png': no such file"):
        read(frame, mask=str(tmp_path / "none.png"))
