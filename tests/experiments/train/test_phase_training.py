from pathlib import Path

import numpy as np
import pytest
import torch

from physgen.constraints.mitosis.classifier import PHASES, PhaseClassifier
from physgen.constraints.mitosis.evidence import phase_evidence
from physgen.errors import InvalidArgument
from physgen.experiments.train.phases import Clips, PhaseTraining, collect, confusion, draw_clips, expose, run, train
from physgen.grid import Grid

SMALL = PhaseTraining(clips=24, batch=3, steps=200)
GRID = Grid(spacing=(1.0, 1.0), dt=1.0)


def test_a_little_training_names_most_frames() -> None:
    batches = [batch for clips in collect(SMALL, np.random.default_rng(1)).values() for batch in clips]
    model = train(SMALL, batches)
    assert confusion(model, batches, cell=True).diagonal().mean() > 3 / len(PHASES)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    run(PhaseTraining(out=str(tmp_path), clips=8, batch=1, steps=2))
    PhaseClassifier().load_state_dict(load_file(tmp_path / "phase_classifier.safetensors"))
    assert (tmp_path / "confusion.json").is_file()


def test_a_piece_of_a_video_has_the_evidence_of_a_shorter_video() -> None:
    density, cell, phases = draw_clips("simulator", 1, np.random.default_rng(2))
    fields = torch.from_numpy(np.stack([density, cell]))
    clips = Clips("simulator", phase_evidence(fields[0], fields[1], GRID), torch.from_numpy(phases))
    cut = fields[:, :, 5:14]
    expected = phase_evidence(cut[0], cut[1], GRID)
    torch.testing.assert_close(clips.piece(5, 14).features, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", ["simulator", "rendered", "varied"])
def test_clips_show_what_they_are_labelled(kind: str) -> None:
    density, cell, phases = draw_clips(kind, 3, np.random.default_rng(3))
    assert density.shape == cell.shape == (*phases.shape, *density.shape[2:])
    assert (np.diff(phases, axis=1) >= 0).all()
    assert 0 <= phases.min() <= phases.max() < len(PHASES)
    assert np.isfinite(expose(density, np.random.default_rng(4))).all()


def test_too_few_clips() -> None:
    with pytest.raises(InvalidArgument, match=r"^clips="):
        run(PhaseTraining(clips=7, batch=1))
