"""The README's example runs as it stands, shows something, and its links and pictures are there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence

from physgen import load_world

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURES = sorted(path for kind in ("png", "gif") for path in (ROOT / "docs").rglob(f"*.{kind}"))


def test_the_library_example_runs() -> None:
    failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried >= 8
    assert failed == 0


def test_the_library_example_shows_something() -> None:
    prompt = re.findall(r'>>> prompt = "(.+)"', README)[0]
    seed, steps = re.findall(r"seed=(\d+), steps=(\d+)\)", README)[0]
    world = load_world("micro")
    video = world.sample(prompt, seed=int(seed), steps=int(steps))
    dye = world.observable(prompt)(video)
    assert float(dye.amax()) > 0.5, "black"
    assert float(dye.std()) > 0.02, "uniform"
    assert float((dye[:, :, 0] - dye[:, :, -1]).abs().amax()) > 0.1, "nothing moves"
    assert torch.isfinite(video).all()


def test_what_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    assert len(links) > 10
    for link in links:
        assert (ROOT / link).is_file(), link


def test_the_readme_is_short() -> None:
    assert README.count("\n") <= 120


def test_pictures_are_neither_black_nor_uniform() -> None:
    assert len(PICTURES) >= 8
    for path in PICTURES:
        with Image.open(path) as image:
            for frame in {0, getattr(image, "n_frames", 1) - 1}:
                image.seek(frame)
                pixels = np.asarray(image.convert("RGB"))
                assert pixels.max() > 100, path
                assert pixels.std() > 10, path


def test_the_moving_picture_shows_mass_that_changes_and_mass_that_does_not() -> None:
    path = ROOT / "docs" / "pictures" / "moving.gif"
    assert path.stat().st_size < 1.5e6
    with Image.open(path) as image:
        assert len(list(ImageSequence.Iterator(image))) == 25
        image.seek(24)
        pixels = np.asarray(image.convert("RGB")).astype(int)
    plot = pixels[int(0.65 * len(pixels)) : int(0.9 * len(pixels)), pixels.shape[1] // 2 :]  # without the legend
    unguided, guided = (
        np.flatnonzero((np.abs(plot - colour).max(axis=2) < 60).any(axis=1)) for colour in ((0, 114, 178), (213, 94, 0))
    )
    assert np.ptp(guided) < 6 < unguided.min() - guided.max(), "rows of the line of mass"
