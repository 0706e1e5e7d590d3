"""Gradient steps on the clean sample, as long as the residuals themselves say."""

from __future__ import annotations

from physgen.guidance.base import Guidance
from physgen.guidance.solve.newton import newton_steps, uncertainty
from physgen.guidance.step import Step, Update


class X0Gradient(Guidance):
    """Gradient steps on the clean sample with the step length of Newton's method on ||r||.

    z <- z - (rho - floor) / ||g||^2 g,  rho = ||r(decode(z))||, g = d rho / dz,  `steps` times from z = x0_hat

    There is no weight to tune: for a residual of rank one a single step lands on the nearest root; several constraints
    are one small system (`newton.Norms`), whatever their scales. Each is left alone below the noise floor of true data.
    The whole move is limited to an RMS of sigma / sqrt(sigma^2 + (1 - sigma)^2), the uncertainty of x0 given x_t for
    samples of unit variance, so that early, unreliable estimates and vanishing gradients do no harm. The network is not
    differentiated.

    Raises:
        InvalidArgument: see `Guidance`; and in use, a `decode` that is not differentiable.

    Source: He et al., arXiv:2311.16424; Patel et al., arXiv:2412.00100; step length: Polyak, 1969.

    >>> import torch
    >>> from physgen.constraints import MassConservation
    >>> from physgen.grid import Grid
    >>> video = torch.tensor([0.5, 0.3]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)  # loses 40 % of its mass
    >>> guidance = X0Gradient([MassConservation()], steps=3)
    >>> x0 = guidance.correct(video, x_t=video, sigma=0.9, grid=Grid(spacing=(1.0, 1.0), dt=1.0))
    >>> bool((x0.sum((1, 3, 4)).diff().abs() < 1e-4).all())
    True
    """

    def update(self, step: Step) -> Update:
        limit = uncertainty(step.sigma)
        x0, norms = newton_steps(step.problem, step.x0, step.fields, steps=self.steps, limit=limit)
        return Update(x0, norms.rms, norms.cosines)

    def citation(self) -> str:
        return """@inproceedings{he2024mpgd,
  title = {Manifold Preserving Guided Diffusion},
  author = {He, Yutong and Murata, Naoki and Lai, Chieh-Hsin and Takida, Yuhta and Uesaka, Toshimitsu and Kim, Dongjun
            and Liao, Wei-Hsiang and Mitsufuji, Yuki and Kolter, J. Zico and Salakhutdinov, Ruslan and Ermon, Stefano},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  eprint = {2311.16424},
  archiveprefix = {arXiv}
}

@inproceedings{patel2025flowchef,
  title = {FlowChef: Steering of Rectified Flow Models for Controlled Generations},
  author = {Patel, Maitreya and Wen, Song and Metaxas, Dimitris and Yang, Yezhou},
  booktitle = {International Conference on Computer Vision},
  year = {2025},
  eprint = {2412.00100},
  archiveprefix = {arXiv}
}"""
