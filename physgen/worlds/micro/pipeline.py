"""`WanPipeline` with the micro world's defaults, so that a plain ``pipe(prompt)`` is right."""

import logging
from typing import Any

import torch
from diffusers import WanPipeline, WanTransformer3DModel
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from physgen.worlds.micro.autoencoder import MicroAutoencoder
from physgen.worlds.micro.text import MAX_WORDS

logger = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "height": 64,
    "width": 64,
    "num_frames": 25,
    "num_inference_steps": 30,
    "guidance_scale": 3.0,
    "max_sequence_length": MAX_WORDS,
}


class MicroPipeline(WanPipeline):
    """The embedded world's pipeline: `WanPipeline`, defaults of the training run, unknown words left out.

    The cross-attention of Wan has no mask, so padding is read: ``max_sequence_length`` must be the training's. Words
    outside the vocabulary are dropped before the prompt is cut to its length, see `known`.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        text_encoder: UMT5EncoderModel,
        vae: MicroAutoencoder,
        scheduler: FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler,
        transformer: WanTransformer3DModel,
        transformer_2: WanTransformer3DModel | None = None,
        boundary_ratio: float | None = None,
        expand_timesteps: bool = False,
    ) -> None:
        super().__init__(
            tokenizer, text_encoder, vae, scheduler, transformer, transformer_2, boundary_ratio, expand_timesteps
        )

    def known(self, prompt: str) -> tuple[list[str], list[str]]:
        """Split a prompt into the words that reach the model and the words that do not, both in order."""
        backend = self.tokenizer.backend_tokenizer
        words = backend.normalizer.normalize_str(prompt).split()
        known: list[str] = []
        ignored: list[str] = []
        for word in words:
            room = len(known) < MAX_WORDS - self.tokenizer.num_special_tokens_to_add()
            (known if room and backend.token_to_id(word) is not None else ignored).append(word)
        return known, ignored

    def _get_t5_prompt_embeds(self, prompt: Any = None, **options: Any) -> torch.Tensor:
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        split = [self.known(text) for text in prompts]
        for known, ignored in split:
            if ignored:
                logger.warning("words ignored: %s", ", ".join(dict.fromkeys(ignored)))
            if ignored and not known:
                logger.warning("no word of the prompt is known to the micro world")
        return super()._get_t5_prompt_embeds([" ".join(known) for known, _ in split], **options)

    @torch.no_grad()
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """`WanPipeline.__call__` with `DEFAULTS`."""
        return super().__call__(*arguments, **{**DEFAULTS, **options})
