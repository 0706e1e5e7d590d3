"""What is replaced for a while comes back as it was."""

from typing import Any

import pytest
from torch import nn

from physgen.experiments.draw.videos import decoded
from physgen.sampling.swap import replaced


class Doubling(nn.Module):
    def decode(self, latents: Any) -> Any:
        return 2 * latents


def test_a_method_of_the_class_is_seen_again() -> None:
    vae = Doubling()
    with pytest.raises(KeyError), replaced(vae, "decode", {}.pop):
        vae.decode(1)
    assert vae.decode(1) == 2
    assert "decode" not in vars(vae)


def test_a_hook_of_the_instance_is_kept() -> None:
    vae = Doubling()
    hook = vae.decode = lambda latents: 3 * latents  # type: ignore[method-assign]
    with decoded(vae):
        assert vae.decode is not hook
    assert vae.decode is hook
