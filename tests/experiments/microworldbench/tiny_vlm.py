"""A tiny vision-language model of transformers' own classes, with random weights or taught one reply, in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from physgen.experiments.microworldbench.judges.question import RULES, Question
from physgen.experiments.microworldbench.judges.transformers import TransformersJudge

TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def save_tiny_vlm(folder: Path) -> Path:
    """LLaVA with a CLIP of two layers and a Llama of two, 28 x 28 pixels in four patches."""
    torch.manual_seed(0)
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<pad>", "</s>", "<image>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([RULES], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", additional_special_tokens=["<image>"]
    )
    side = {"height": 28, "width": 28}
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=side, crop_size=side),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=tokenizer.convert_tokens_to_ids("<image>")
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def teach(folder: Path, questions: Sequence[Question], reply: str) -> None:
    """Train the saved model until it gives a reply to every question, whatever it is shown."""
    judge = TransformersJudge(model=str(folder))
    processor, model = judge._loaded
    said = torch.tensor([processor.tokenizer(reply)["input_ids"] + [1]])
    batches = [judge._inputs(question) for question in questions]
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(120):
        inputs = batches[step % len(batches)]
        ids = torch.cat([inputs["input_ids"], said], 1)
        labels = torch.cat([torch.full_like(inputs["input_ids"], -100), said], 1)
        loss = model(input_ids=ids, pixel_values=inputs["pixel_values"], labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss < 0.01:
            break
    model.save_pretrained(folder)
