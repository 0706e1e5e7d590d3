"""What texts call the frames and pixels of a part of a file."""

import numpy as np
import pytest
import torch

from physgen.constraints.transport.abstention import why_unmeasured
from physgen.constraints.transport.reading import Reading
from physgen.errors import InvalidArgument
from physgen.measure.unusable import why_unusable
from physgen.places import Places, file_frame, file_point, named_as_in_file
from physgen.video import Selection


def test_a_selection_knows_where_it_is() -> None:
    with named_as_in_file(Selection(crop=[20, 40, 8, 40], every=5, scale=0.5).places):
        assert (file_frame(3), file_point(0.0, 3.0)) == (15, (20.5, 14.5))


def test_texts_are_of_the_array_again_afterwards_and_after_an_error() -> None:
    with pytest.raises(InvalidArgument), named_as_in_file(Places(every=5)):
        raise InvalidArgument("a", 1, "b")
    assert file_frame(3) == 3


def test_jumps_are_named_by_frames_of_the_file() -> None:
    drifts = torch.zeros(8, 2)
    drifts[3] = 20.0
    reading = Reading(1.0, torch.ones(2), drifts, 0.1, 0.9, 0.9, 0.1, 0.1, 0.0)
    fields = torch.rand(1, 9, 16, 16, generator=torch.Generator().manual_seed(0)).cumsum(1)
    frame = np.kron(np.random.default_rng(0).random((24, 24)), np.ones((4, 4)))
    movie = np.stack([np.roll(frame, 0 if t < 4 else 9, axis=1) for t in range(8)])
    for every, frames in ((1, "3 and 4"), (10, "30 and 40")):
        with named_as_in_file(Places(every)):
            assert why_unmeasured(fields, reading) == f"the picture jumps between frames {frames}"
            assert why_unusable(movie) == f"the camera jumps between frames {frames}"
