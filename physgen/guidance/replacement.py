"""Known latents in the place of predicted ones: conditioning on a first frame, without a gradient."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.guidance.base import Guidance
from physgen.guidance.step import Step, Update


class Replacement(Guidance):
    """Latents that are known stay what they are; the network makes the others fit them.

    x0* = known latents where there are any, x0_hat elsewhere

    The noise of a known latent stays as it was drawn, so that x_t is (1 - sigma) known + sigma noise at every level.
    Nothing is decoded, differentiated or measured. Without new noise the rest is made to fit too little: of a Gaussian,
    in 100 steps, two fifths of the way to the conditional mean; with ``renoise=0.9`` nine tenths, since what was
    decided early is decided again. In a `Composition` the known latents stay known under all the others.

    Args:
        latents: as the scheduler has them, ``[C, N, h, w]`` or ``[B, C, N, h, w]``, or in its own order; NaN where
            nothing is known. `physgen.sampling.encode_frames` makes them from the first frames of a video.
        start, stop, every, renoise: see `Guidance`.

    Raises:
        InvalidArgument: see `Guidance`; latents that are no floating-point tensor or all NaN. In use: samples of
            another shape.

    Source: Song et al., arXiv:2011.13456, section 5; with new noise: Lugmayr et al., RePaint, arXiv:2201.09865.

    >>> known = torch.tensor([[1.0, torch.nan]])
    >>> x = torch.tensor([[0.2, 0.3]])
    >>> Replacement(known).correct(x, x_t=x, sigma=0.5).tolist()
    [[1.0, 0.3...]]
    """

    derivatives = 0
    imposes: ClassVar[bool] = False

    def __init__(
        self,
        latents: Float[Tensor, "*shape"],
        *,
        start: float = 0.0,
        stop: float = 1.0,
        every: int = 1,
        renoise: float = 0.0,
    ) -> None:
        super().__init__({}, start=start, stop=stop, every=every, renoise=renoise)
        if not isinstance(latents, Tensor) or not latents.is_floating_point() or bool(latents.isnan().all()):
            raise InvalidArgument("latents", latents, "floating point, NaN where nothing is known but not everywhere")
        self.latents = latents.detach()

    def measures(self, position: tuple[int, int] | None) -> bool:
        return False

    def settled(self, x0: Float[Tensor, "B *shape"], position: tuple[int, int] | None) -> Float[Tensor, "B *shape"]:
        known = self.latents.to(x0)
        known = known if known.ndim == x0.ndim else known[None]
        if known.shape[1:] != x0.shape[1:] or len(known) not in (1, len(x0)):
            raise InvalidArgument("x0_hat", list(x0.shape), f"samples of the known latents' shape, {list(known.shape)}")
        return torch.where(known.isnan(), x0, known)

    def update(self, step: Step) -> Update:
        return Update(step.x0, {})

    def citation(self) -> str:
        return """@inproceedings{lugmayr2022repaint,
  title = {RePaint: Inpainting using Denoising Diffusion Probabilistic Models},
  author = {Lugmayr, Andreas and Danelljan, Martin and Romero, Andres and Yu, Fisher and Timofte, Radu
            and Van Gool, Luc},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2022},
  eprint = {2201.09865},
  archiveprefix = {arXiv}
}"""
