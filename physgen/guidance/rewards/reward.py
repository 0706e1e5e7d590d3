"""Rewards of finished or half-finished videos: laws, and functions of the fields or of the video itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance.problem import Problem
from physgen.measure.degenerate import degenerate
from physgen.tensors import finite_samples


@dataclass(frozen=True)
class OfVideo:
    """A reward that looks at the decoded video itself, where others see the fields of an observable.

    Attributes:
        read: from videos ``[B, 3, T, H, W]`` in [0, 1] to ``[B]``, of which more is better.
        name: in the log.
        uses: names of the estimators that it measures with. A score that shares one with the reward is imposed.
        differentiable: whether `read` has a derivative, which `NoiseSearch` needs.

    Source: the contract of this package.

    >>> brightness = OfVideo(lambda video: video.flatten(1).mean(1), "brightness", ("mean",))
    >>> evaluate({"brightness": brightness}, None, None, video=torch.ones(1, 3, 2, 4, 4))["brightness"].tolist()
    [1.0]
    """

    read: Callable[[Float[Tensor, "B 3 T H W"]], Float[Tensor, "B"]]
    name: str
    uses: tuple[str, ...] = ()
    differentiable: bool = True

    def __call__(self, video: Float[Tensor, "B 3 T H W"]) -> Tensor:
        """The reward of each video; of one that is not finite -inf."""
        video = video.clamp(0.0, 1.0)  # NaN stays NaN
        found = torch.full((len(video),), -torch.inf, dtype=torch.float64)
        usable = finite_samples(video).cpu()
        if bool(usable.any()):
            found[usable] = self.read(video[usable.to(video.device)]).double().cpu()
        return found


#: a law, whose reward is -log of its RMS residual, or a function from fields [B, S, T, *space] to [B], more is better
Reward = Constraint | Callable[[Tensor], Tensor]
#: by name, in a list, or a single one
Rewards = Mapping[str, Reward] | Iterable[Reward] | Reward

#: residual below which a law counts as met, so that its reward is finite
MET = 1e-6
#: what a law takes from a sample that shows nothing: more than the logarithms of any two residuals differ by
NOTHING = 1e3


def name_rewards(rewards: Rewards) -> dict[str, Reward]:
    """Rewards by the names that they are given, or by their own.

    Raises:
        InvalidArgument: no reward, something else than a law or a function, or two of the same name.

    >>> from physgen.constraints import MassConservation
    >>> def brightness(fields):
    ...     return fields.flatten(1).mean(1)
    >>> list(name_rewards([MassConservation(), brightness]))
    ['mass', 'brightness']
    """
    pairs = _pairs(rewards)
    if not pairs:
        raise InvalidArgument("rewards", rewards, "one or more laws or functions of the fields")
    named: dict[str, Reward] = {}
    for name, reward in pairs:
        if not isinstance(reward, Constraint) and (isinstance(reward, type) or not callable(reward)):
            made = f", {reward.__name__}(...) makes one" if isinstance(reward, type) else ""
            raise InvalidArgument("rewards", reward, f"a Constraint or a function of the fields as {name}{made}")
        if name in named:
            raise InvalidArgument("rewards", f"two of the name {name}", f'names that differ: {{"{name}": ..., ...}}')
        named[name] = reward
    return named


def evaluate(
    rewards: Mapping[str, Reward],
    fields: Float[Tensor, "B *shape"] | None,
    grid: Grid | None,
    *,
    video: Float[Tensor, "B 3 T H W"] | None = None,
) -> dict[str, Float64[Tensor, "B"]]:
    """Each reward of each sample, on the CPU: of a law -log max(rms residual, 1e-6); -inf where there is none.

    Nothing breaks a law where nothing is: a sample that `shows_nothing` has 1000 less of each, and so comes after those
    that show something, while among its like the order stays.

    Samples whose fields, or whose video, are not finite have -inf of everything that sees them. The fields may be None
    where every reward is `OfVideo`.

    Raises:
        InvalidArgument: a function that does not return one number of each sample, or NaN for all of them; a reward
            that needs a video, or fields, where there are none.
    """
    with torch.no_grad():
        return read_rewards(rewards, fields, grid, video=video)


def read_rewards(
    rewards: Mapping[str, Reward],
    fields: Float[Tensor, "B *shape"] | None,
    grid: Grid | None,
    *,
    video: Float[Tensor, "B 3 T H W"] | None = None,
) -> dict[str, Float64[Tensor, "B"]]:
    """`evaluate`, with the derivatives that the rewards have."""
    laws = {name: reward for name, reward in rewards.items() if isinstance(reward, Constraint)}
    found: dict[str, Tensor] = {}
    if laws:
        assert fields is not None
        violations = Problem(laws, grid=grid).violation(fields)
        found = {
            name: -(2 * violation.loss / violation.entries).clamp(min=MET**2).log() / 2
            for name, violation in violations.items()
        }
        lacking = NOTHING * shows_nothing(fields).double()
        found = {name: reward.double().cpu() - lacking for name, reward in found.items()}
    for name in rewards.keys() - laws.keys():
        seen = video if isinstance(rewards[name], OfVideo) else fields
        if seen is None:
            allowed = f"rewards of fields: {name} looks at the decoded video, which guide(pipe, observable=...) has"
            raise InvalidArgument("rewards", name, allowed)
        usable = finite_samples(seen)
        values = _of_function(name, rewards[name], seen)
        if bool(values.isnan().all()) and bool(usable.any()):
            raise InvalidArgument("rewards", f"NaN for every sample as {name}", "a number of at least one sample")
        found[name] = torch.where(usable.cpu(), values, -torch.inf)
    return {
        name: found[name].double().cpu().nan_to_num(-torch.inf, posinf=1e100, neginf=-torch.inf) for name in rewards
    }


def shows_nothing(fields: Float[Tensor, "B *shape"]) -> Bool[Tensor, "B"]:
    """Which samples are empty or without contrast, see `degenerate`, on the CPU; none of those without frames in space.

    >>> shows_nothing(torch.zeros(2, 1, 5, 16, 16)).tolist(), shows_nothing(torch.zeros(2, 7)).tolist()
    ([True, True], [False, False])
    """
    found = degenerate(fields) if fields.ndim > 3 else [None] * len(fields)
    return torch.tensor([why in ("empty", "uniform") for why in found], dtype=torch.bool)


def total_of(rewards: dict[str, Float64[Tensor, "B"]]) -> Float64[Tensor, "B"]:
    """The sum of rewards by name."""
    return torch.stack(list(rewards.values())).sum(0)


def _of_function(name: str, reward: Any, fields: Tensor) -> Tensor:
    values = reward(fields)
    allowed = f"a tensor of {len(fields)} numbers, one of each sample, as {name}"
    if not isinstance(values, Tensor) or values.shape != (len(fields),) or values.is_complex():
        raise InvalidArgument("rewards", values, allowed)
    return values.cpu()


def _pairs(rewards: Any) -> list[tuple[str, Any]]:
    if isinstance(rewards, Mapping):
        return [(str(name), reward) for name, reward in rewards.items()]
    if isinstance(rewards, Iterable) and not isinstance(rewards, str):
        return [(_name(reward), reward) for reward in rewards]
    return [(_name(rewards), rewards)]


def _name(reward: Any) -> str:
    return str(getattr(reward, "name", getattr(reward, "__name__", type(reward).__name__)))
