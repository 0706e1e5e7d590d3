"""The starting noise, moved by a few gradient steps to where the sample has more reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from physgen.arguments import finite, floating, whole
from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance.base import Guidance
from physgen.guidance.log import SearchLog
from physgen.guidance.problem import Decode
from physgen.guidance.rewards.base import RewardGuidance
from physgen.guidance.rewards.few_steps import FewSteps, VelocityAt
from physgen.guidance.rewards.reward import OfVideo, Rewards, name_rewards, read_rewards, total_of
from physgen.tensors import finite_samples, of_samples

#: what a reward must be that the search climbs
DIFFERENTIABLE = "rewards with a derivative: laws, functions that autograd follows; particles and pruned choose by any"
#: times the angle after a move that was kept, and after one that was not
LONGER, SHORTER = 1.5, 1 / 3


@dataclass(frozen=True)
class FoundNoise:
    """What a search came to.

    Attributes:
        noise: ``[B, ...]``, in the dtype that it was given in.
        velocity: at the noise, where anything moved.
        moved: which samples' noise is another than before.
    """

    noise: Float[Tensor, "B *shape"]
    velocity: Tensor | None
    moved: Bool[Tensor, "B"]


@dataclass(frozen=True)
class _Point:
    """A noise, where its few steps pass, its velocity, rewards by name, and the derivative of their sum by x0."""

    noise: Tensor
    path: list[Tensor]
    velocity: Tensor
    rewards: dict[str, Tensor]
    gradient: Tensor

    def replaced(self, other: _Point, better: Tensor) -> _Point:
        """The other one in the samples in which it is better."""

        def chosen(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(of_samples(better.to(new.device), new), new, old)

        return _Point(
            chosen(other.noise, self.noise),
            [chosen(new, old) for new, old in zip(other.path, self.path, strict=True)],
            chosen(other.velocity, self.velocity),
            {name: chosen(other.rewards[name], old) for name, old in self.rewards.items()},
            chosen(other.gradient, self.gradient),
        )


class NoiseSearch(RewardGuidance):
    """Gradient steps on the direction of the starting noise, through a few steps of the flow; then the whole run.

    z <- cos(angle) z + sin(angle) |z| t,   t the unit vector along the part of d r(x0(z)) / dz that is normal to z

    with x0(z) the sample of `euler_steps` steps of Euler's method. A move is kept where the reward r rose, sample by
    sample, and the next one turns further; otherwise it is undone and the next one turns less. Of Gaussian noise the
    length (chi, with d numbers in a sample) and the direction (uniform) know nothing of each other. So the length stays
    as it was drawn, and the density of the noise with it: there is no weight of a prior to choose. The finished sample
    is as good as the few-step one only as far as few steps are near to many: a soft guidance.

    Args:
        rewards: laws (-log of the RMS residual) and functions from fields [B, S, T, *space], or samples where nothing
            is decoded, to [B], of which more is better; one that is `OfVideo` sees the decoded video. All of them have
            a derivative.
        iterations: moves that are tried; 0 leaves the noise as it is.
        euler_steps: evaluations of the network from noise to sample.
        angle: of the first move, in radians; noise that is drawn anew is a quarter turn away.
        inside: a guidance that acts on the run, whose terminal projection acts on what comes out. The few-step samples
            are drawn without it, and new noise at each step (`renoise`) forgets the noise that was found.

    Attributes:
        log: of the last run.
        noise: that the last run began from.

    Raises:
        InvalidArgument: no rewards, one that is known to have no derivative, fewer than 0 iterations or 1 step, an
            angle outside (0, 1.5]; particles, another search, or a guidance with new noise inside. In use: a run that
            does not start as noise, a reward without a derivative, and see `evaluate`.

    Source: Ben-Hamu et al., arXiv:2402.14017; in few steps, with the length kept by a prior: Eyring et al.,
        arXiv:2406.04312.

    >>> from physgen.sampling import sample_flow
    >>> gaussian = lambda x, s: (2 * s - 1) * x / (s**2 + (1 - s) ** 2)  # samples of a standard normal prior
    >>> noise = torch.randn(4, 8, generator=torch.manual_seed(0))
    >>> search = NoiseSearch(lambda x: -((x[:, 0] - 1.0) ** 2), iterations=8, euler_steps=20)
    >>> x = sample_flow(gaussian, noise, torch.linspace(1, 0, 21), guidance=search)
    >>> bool(((x[:, 0] - 1).abs() < 0.3).all()), len(search.log.kept)
    (True, 8)
    """

    log: SearchLog
    searches: ClassVar[bool] = True
    reference: ClassVar[str] = """@inproceedings{benhamu2024dflow,
  title = {D-Flow: Differentiating through Flows for Controlled Generation},
  author = {Ben-Hamu, Heli and Puny, Omri and Gat, Itai and Karrer, Brian and Singer, Uriel and Lipman, Yaron},
  booktitle = {International Conference on Machine Learning},
  year = {2024},
  eprint = {2402.14017},
  archiveprefix = {arXiv}
}

@inproceedings{eyring2024reno,
  title = {ReNO: Enhancing One-step Text-to-Image Models through Reward-based Noise Optimization},
  author = {Eyring, Luca and Karthik, Shyamgopal and Roth, Karsten and Dosovitskiy, Alexey and Akata, Zeynep},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024},
  eprint = {2406.04312},
  archiveprefix = {arXiv}
}"""

    def __init__(
        self,
        rewards: Rewards,
        *,
        iterations: int = 4,
        euler_steps: int = 4,
        angle: float = 0.2,
        inside: Guidance | None = None,
    ) -> None:
        super().__init__(name_rewards(rewards), inside)
        for name, reward in self.rewards.items():
            if isinstance(reward, OfVideo) and not reward.differentiable:
                raise InvalidArgument("rewards", name, DIFFERENTIABLE)
        self.iterations, self.euler_steps = whole("iterations", iterations, least=0), whole("euler_steps", euler_steps)
        self.angle = finite("angle", angle, "radians, more than 0 and at most 1.5", lambda value: 0 < value <= 1.5)
        if self.renoise:
            allowed = "renoise=0: new noise at each step forgets the noise that was found"
            raise InvalidArgument("inside", f"{type(inside).__name__} with renoise={self.renoise}", allowed)
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.log = SearchLog()
        self.noise: Tensor | None = None

    def cost(self, total: int) -> float:
        """Evaluations of a run of `total` steps with its search, over `total`, each way back through the network one.

        That is the most; each move that is undone in every sample saves the next way back. A guidance inside that goes
        through the network needs one evaluation more, at the noise that was found; what it costs itself is not counted.

        >>> NoiseSearch(lambda x: x[:, 0], iterations=4, euler_steps=4).cost(30)
        2.7333333333333334
        """
        count = min(self.euler_steps, total) * (1 + 3 * self.iterations) + self.through_network
        return 1.0 + (count / total if self.iterations else 0.0)

    def search(
        self,
        noise: Float[Tensor, "B *shape"],
        velocity: VelocityAt,
        sigmas: Sequence[float],
        *,
        decode: Decode | None = None,
        grid: Grid | None = None,
        video: Decode | None = None,
        branches: int = 1,
    ) -> FoundNoise:
        """The noise that the run starts from instead, of the noise levels `sigmas` of the run's steps and 0.

        `video` decodes samples to what `OfVideo` rewards see; one evaluation counts for `branches`, those of
        classifier-free guidance.

        Raises:
            InvalidArgument: a run that does not start as noise; a reward without a derivative; see `evaluate`.
        """
        self.noise = floating("noise", noise, "[B, ...]")
        if not self.iterations:
            return FoundNoise(noise, None, torch.zeros(len(noise), dtype=torch.bool))
        flow = FewSteps(velocity, sigmas, self.euler_steps)
        seen = (decode, grid, video)
        with torch.inference_mode(False), torch.autocast(noise.device.type, enabled=False):
            start = noise.detach().to(torch.promote_types(noise.dtype, torch.float32), copy=True)
            point = self._point(flow, start, *seen)
            self._record(point, None)
            angle = torch.full((len(noise),), self.angle, dtype=torch.float64)
            moved = torch.zeros(len(noise), dtype=torch.bool)
            gradient: Tensor | None = None
            for _ in range(self.iterations):
                if gradient is None:
                    gradient = flow.back(point.path, point.gradient)
                tried = self._point(flow, turned(point.noise, gradient, angle), *seen)
                better = total_of(tried.rewards) > total_of(point.rewards)
                point = point.replaced(tried, better)
                if bool(better.any()):
                    gradient = None
                moved |= better
                angle *= torch.where(better, LONGER, SHORTER)
                self._record(point, better)
        self.log.evaluations, self.log.backward = branches * flow.evaluations, branches * flow.backward
        self.noise = torch.where(of_samples(moved.to(noise.device), noise), point.noise.to(noise.dtype), noise)
        return FoundNoise(self.noise, point.velocity, moved)

    def _point(
        self, flow: FewSteps, noise: Tensor, decode: Decode | None, grid: Grid | None, video: Decode | None
    ) -> _Point:
        """A noise with all that is known of it; samples are decoded one after the other."""
        path, velocity = flow.forward(noise)
        rewards: list[dict[str, Tensor]] = []
        gradients = []
        for one in torch.eye(len(noise), dtype=torch.bool):
            x0 = path[-1][one].detach().requires_grad_()
            own = {
                name: reward.keep_samples(one) if isinstance(reward, Constraint) else reward
                for name, reward in self.rewards.items()
            }
            with torch.enable_grad():
                fields, shown = self.seen(x0, decode, grid, video)
                found = read_rewards(own, fields, grid, video=shown)
            gradients.append(_gradient(found, x0))
            rewards.append({name: value.detach() for name, value in found.items()})
        by_name = {name: torch.cat([found[name] for found in rewards]) for name in self.rewards}
        return _Point(noise, path, velocity, by_name, torch.cat(gradients))

    def _record(self, point: _Point, kept: Tensor | None) -> None:
        self.log.rewards.append({name: values.tolist() for name, values in point.rewards.items()})
        if kept is not None:
            self.log.kept.append(kept.tolist())


def turned(
    noise: Float[Tensor, "B *shape"], gradient: Float[Tensor, "B *shape"], angle: Float64[Tensor, "B"]
) -> Float[Tensor, "B *shape"]:
    """The noise, turned by an angle towards a gradient; its length stays. It stays itself where the gradient is zero.

    >>> turned(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 3.0]]), torch.tensor([0.5]).double())
    tensor([[1.7552, 0.9589]])
    """
    z, g = noise.double(), gradient.double()
    squared = _product(z, z)
    tangent = g - of_samples(_product(g, z) / squared, z) * z
    size = _product(tangent, tangent).sqrt()
    ratio = torch.where(size > 0, squared.sqrt() / size, 0.0)
    angle = torch.where(size > 0, angle.to(z.device), 0.0)
    found = of_samples(angle.cos(), z) * z + of_samples(angle.sin() * ratio, z) * tangent
    return found.to(noise.dtype)


def _product(x: Tensor, y: Tensor) -> Float64[Tensor, "B"]:
    return (x * y).flatten(1).sum(1)


def _gradient(found: dict[str, Tensor], x0: Tensor) -> Tensor:
    """Of the sum of the rewards of one sample; zero where one of them is not finite."""
    for name, value in found.items():
        if not value.requires_grad and bool(value.isfinite().all()):
            raise InvalidArgument("rewards", name, DIFFERENTIABLE)
    total = torch.stack(list(found.values())).sum()
    if not total.requires_grad or not bool(total.isfinite()):
        return torch.zeros_like(x0)
    (gradient,) = torch.autograd.grad(total, x0)
    return gradient if bool(finite_samples(gradient).all()) else torch.zeros_like(x0)
