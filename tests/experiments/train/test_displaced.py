"""Frames moved by parts of a pixel: a spot lands where it was sent, nothing is blurred away."""

import torch

from physgen.experiments.train.displaced import displaced


def spot(dy: float = 0.0, dx: float = 0.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(32.0), indexing="ij")
    return torch.exp(-((x - 15 - dx) ** 2 + (y - 22 - dy) ** 2) / (2 * 2.5**2))


def test_a_spot_is_the_one_that_was_drawn_there():
    moves = [(0.0, 0.0), (0.3, -0.2), (-1.5, 0.75)]
    moved = displaced(spot().expand(3, 3, 48, 32), torch.tensor(moves))
    for time, (dy, dx) in enumerate(moves):
        torch.testing.assert_close(moved[1, time], spot(dy, dx), atol=1e-3, rtol=0)


def test_uniform_frames_stay():
    video = torch.full((3, 2, 16, 16), 0.7)
    torch.testing.assert_close(displaced(video, torch.tensor([[0.4, 5.0], [-2.0, 0.1]])), video, atol=1e-5, rtol=0)
