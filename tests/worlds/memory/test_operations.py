"""Operations of a run: against counts by hand, and against a plain count of the same work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from physgen.worlds import world_spec
from physgen.worlds.memory.operations import counted, decode_operations, network_operations
from physgen.worlds.memory.plan import Planner

SMALL: dict[str, Any] = {"height": 64, "width": 64, "num_frames": 9}


def test_a_product_a_convolution_and_its_way_back_by_hand() -> None:
    x = torch.empty(1, 3, 8, 8, device="meta", requires_grad=True)
    layer = nn.Conv2d(3, 5, 3, padding=1, device="meta").requires_grad_(False)
    forward = 2 * 8 * 8 * 3 * 5 * 9
    assert counted(lambda: layer(x)) == forward
    assert counted(lambda: torch.autograd.grad(layer(x).sum(), x)) == 2 * forward


def test_attention_is_counted() -> None:
    q = torch.empty(1, 2, 7, 4, device="meta")
    assert counted(lambda: F.scaled_dot_product_attention(q, q, q)) == 2 * (2 * 2 * 7 * 7 * 4)


def test_the_published_network_by_hand() -> None:
    """Wan2.1 1.3B at 832 x 480 x 81: 32,760 tokens, 30 layers, width 1,536, feed-forward 8,960, text of 512."""
    found = network_operations(Planner(world_spec("microverse")))
    n, width, feed, text, layers = 32_760, 1_536, 8_960, 512, 30
    attention = 4 * n * n * width + 4 * n * text * width
    linear = 2 * n * width * (6 * width + 2 * feed) + 2 * text * 2 * width * width
    assert found == pytest.approx(layers * (attention + linear), rel=0.01)


@pytest.mark.slow
def test_a_guided_decode_costs_four_with_tiles_and_three_without() -> None:
    """Forward, forward again and back, and the tile as a whole once more; tiles overlap, so they cost more."""
    for tiling, times in ((False, 3), (True, 4)):
        planner = Planner(replace(world_spec("microverse"), **SMALL, tiling=tiling))
        free, guided = (decode_operations(planner, guided=guided) for guided in (False, True))
        assert guided == pytest.approx(times * free, rel=0.02)
