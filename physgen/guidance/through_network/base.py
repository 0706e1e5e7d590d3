"""What guidances through the network share: which way they multiply with its Jacobian."""

from __future__ import annotations

from typing import Any, ClassVar

from physgen.constraints.names import Laws
from physgen.errors import InvalidArgument
from physgen.guidance.base import Guidance

JACOBIANS = ("backward", "forward")
#: 1 - sigma below which x_t says nothing about x0, so that its covariance is that of the prior, taken as 1
BLIND = 1e-3


class ThroughNetwork(Guidance):
    """A guidance that multiplies with the network's Jacobian, d x0_hat / d x_t.

    - ``backward``: by reverse mode, exactly; the memory of the network's graph, and of two evaluations the time;
    - ``forward``: by one more evaluation, see `forward_difference`; the memory of unguided sampling, so that it fits
      wherever the network does, offloaded ones too.

    Args:
        constraints: see `Guidance`.
        jacobian: ``backward`` or ``forward``.
        knobs: see `Guidance`.

    Raises:
        InvalidArgument: see `Guidance`; another Jacobian.
    """

    through_network: ClassVar[bool] = True

    def __init__(self, constraints: Laws, *, jacobian: str = "backward", **knobs: Any) -> None:
        super().__init__(constraints, **knobs)
        if jacobian not in JACOBIANS:
            raise InvalidArgument("jacobian", jacobian, ", ".join(JACOBIANS))
        self.jacobian = jacobian
