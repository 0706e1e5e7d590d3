"""What a world needs before anything is loaded: memory of the device and of the host, phase by phase."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from physgen.errors import InvalidArgument
from physgen.guidance import Guidance
from physgen.observables import Observable
from physgen.worlds.memory.activations import decoding, reading, step
from physgen.worlds.memory.architecture import configurations, latent_shape, on_meta, text_length
from physgen.worlds.memory.placement import OFFLOAD
from physgen.worlds.memory.trace import Held
from physgen.worlds.spec import WorldSpec

#: of the device, for its context, libraries and what the allocator cannot use; an assumption
RESERVE = 1 << 30
#: bytes a pixel of projecting a float32 video of one species onto its mass, as the CPU's allocator counts them
PROJECTION = 132


@dataclass(frozen=True)
class Phase:
    """Bytes on the device in one phase of a run."""

    name: str
    weights: int
    activations: int

    @property
    def total(self) -> int:
        """Both."""
        return self.weights + self.activations


@dataclass(frozen=True)
class MemoryPlan:
    """Predicted memory of a run: its phases on the device, and the host's bytes for weights.

    `evaluations` of the network, and `ways_back` through it, are those of a step that is guided.
    """

    offload: str
    tiling: bool
    phases: tuple[Phase, ...]
    host: int
    evaluations: int
    ways_back: int

    def __str__(self) -> str:
        return f"world.offload={self.offload} world.tiling={str(self.tiling).lower()}"

    @property
    def peak(self) -> int:
        """The most that tensors hold on the device."""
        return max(phase.total for phase in self.phases)

    def fits(self, memory: int) -> bool:
        """Whether a device of so many bytes is enough, with a reserve for what is not a tensor."""
        return self.peak + RESERVE <= memory


class Planner:
    """Plans of a world by offloading and tiling, from its models on the meta device.

    Activations are followed through the real classes, tensor by tensor (`traced`); scratch memory of operators is not
    in them.

    Raises:
        InvalidArgument: models whose inputs are not known here, a size that they cannot draw, no weights and no
            published configuration.

    >>> from physgen.worlds import world_spec
    >>> plan = Planner(world_spec("micro")).plan()
    >>> plan.peak < 100 << 20
    True
    """

    def __init__(self, spec: WorldSpec, guidance: Guidance | None = None, observable: Observable | None = None) -> None:
        self.spec, self.guidance, self.observable = spec, guidance, observable
        configs = configurations(spec)
        self.latents = latent_shape(spec, configs)
        self.pipeline = configs.get("pipeline", {})
        self.models = on_meta(spec)
        self._activations = cache(self._trace)

    def plan(self, offload: str | None = None, tiling: bool | None = None) -> MemoryPlan:
        """The plan of the world as it is, or with another offloading or tiling."""
        offload = self.spec.offload if offload is None else offload
        tiling = self.spec.tiling if tiling is None else tiling
        phases = [Phase(name, self._weights(offload, name), held) for name, held in self._activations(tiling).items()]
        products = self.guidance.products if self.guidance is not None else 0
        back = self.guidance is not None and self.guidance.needs_graph
        return MemoryPlan(
            offload,
            tiling,
            tuple(phases),
            sum(map(size, self.models.values())),
            self._calls * (1 if back else 1 + products),
            self._calls * (products if back else 0),
        )

    def alternatives(self, memory: int) -> Iterator[MemoryPlan]:
        """Plans that fit, the fastest offloading first."""
        network = self._differentiates
        for offload in OFFLOAD:
            if network and offload in ("model", "group"):
                continue
            for tiling in (False, True) if hasattr(self.models["vae"], "enable_tiling") else (False,):
                if (plan := self.plan(offload, tiling)).fits(memory):
                    yield plan

    def _trace(self, tiling: bool) -> dict[str, int]:
        vae, spec = self.models["vae"], self.spec
        vae.use_tiling = tiling
        guided, network = self.guidance is not None, self._differentiates
        video = (3, spec.num_frames, spec.height, spec.width)
        frame = 3 * spec.num_frames * spec.height * spec.width * vae.dtype.itemsize
        canvas = 2 * frame if tiling else 0  # rows of tiles, and their sum
        particles = self.guidance.particles if self.guidance is not None else 1
        phases = {"prompt": 0, "step": particles * self._step(graph=network)}
        if self.guidance is not None and self.observable is not None:
            read = reading(self.observable, video, vae.dtype).peak
            kept = phases["step"] if self.guidance.needs_graph else 0
            decoded = decoding(vae, self.latents, graph=True).peak + canvas + read
            together = particles if self.guidance.derivatives else 1  # rewards are measured sample by sample
            phases["guidance"] = together * decoded + kept
        phases["decode"] = decoding(vae, self.latents, graph=False).peak + canvas
        if guided and self.guidance.terminal:  # type: ignore[union-attr]
            phases["projection"] = PROJECTION * spec.num_frames * spec.height * spec.width
        return phases

    @property
    def _differentiates(self) -> bool:
        """Whether a graph of the network is held: in every guided step, or in the search of the noise before them."""
        return self.guidance is not None and (self.guidance.needs_graph or self.guidance.searches)

    def _step(self, graph: bool) -> int:
        held: Held = step(self.models["transformer"], self.latents, text_length(self.spec), self.pipeline, graph)
        return held.peak + (self._calls - 1) * held.kept

    @property
    def _calls(self) -> int:
        """Calls of the network at one noise level: two where classifier-free guidance calls it twice."""
        return 2 if "WanT" in type(self.models["transformer"]).__name__ and self.spec.guidance_scale > 1 else 1

    def _weights(self, offload: str, phase: str) -> int:
        """Of the models that are on the device in a phase, by what diffusers' hooks leave there."""
        encoders = [model for name, model in self.models.items() if name.startswith("text_encoder")]
        networks = [model for name, model in self.models.items() if name.startswith("transformer")]
        vae = self.models["vae"]
        used = {"prompt": encoders, "step": networks}.get(phase, [vae])
        if offload == "none":
            return sum(map(size, self.models.values()))
        if offload == "model":
            stays = phase == "step" and self.guidance is not None and self.observable is not None
            # of two experts, the autoencoder's turn takes only the second one off
            expert = size(networks[0]) if phase == "guidance" and len(networks) > 1 else 0
            return max(map(size, used)) + (size(vae) if stays else 0) + expert
        layers = max(map(largest_layer, used))
        if offload == "group":
            return 2 * layers * (used != [vae]) + size(vae)
        return size(vae) if phase == "guidance" else layers  # a graph keeps the weights it needs


def require_fit(planner: Planner, memory: int, device: str) -> MemoryPlan:
    """The plan of the world as it is.

    Raises:
        InvalidArgument: it does not fit; what would is named.
    """
    plan = planner.plan()
    if plan.fits(memory):
        return plan
    others = [str(other) for other in planner.alternatives(memory)]
    phase = max(plan.phases, key=lambda phase: phase.total)
    got = f"{memory / 2**30:.1f} GiB of {device}"
    need = f"{(plan.peak + RESERVE) / 2**30:.1f} GiB or more (extrapolated, {phase.name})"
    allowed = f"{need}; what would fit: {'; '.join(others)}" if others else f"{need}; no offloading would fit"
    raise InvalidArgument("memory", got, f"{allowed}; or a smaller world.height, world.width or world.num_frames")


def size(model: Any) -> int:
    """Bytes of a model's weights."""
    return sum(tensor.numel() * tensor.itemsize for tensor in [*model.parameters(), *model.buffers()])


def largest_layer(model: Any) -> int:
    """Bytes of the weights of its largest layer, which is moved alone."""
    return max(sum(w.numel() * w.itemsize for w in part.parameters(recurse=False)) for part in model.modules())
