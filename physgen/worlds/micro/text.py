"""Words of the micro world: a word-level tokenizer over the caption grammars and a tiny UMT5 encoder."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

MAX_WORDS = 32
SPECIAL = ("<pad>", "</s>", "<unk>")


def vocabulary() -> list[str]:
    """Every word that a caption can contain, sorted.

    >>> {"dye", "mitosis", "erythrocytes"} <= set(vocabulary())
    True
    """
    # only training needs the simulators, sampling does without their import
    from physgen.simulators import GRAMMARS

    grammars = [grammar for kinds in GRAMMARS.values() for grammar in kinds.values()]
    templates = itertools.chain.from_iterable(grammar.templates for grammar in grammars)
    values = itertools.chain.from_iterable(choices for grammar in grammars for choices in grammar.values.values())
    text = " ".join([*(re.sub(r"{\w+}", " ", template) for template in templates), *values])
    return sorted(set(re.findall(r"[a-z0-9]+", text.lower())))


def build_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """Word-level tokenizer: lower case, punctuation dropped, ``</s>`` appended so that no prompt is empty.

    >>> build_tokenizer(["green", "dye"])("Green dye!").input_ids
    [3, 4, 1]
    """
    ids = {word: index for index, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex("[^a-z0-9]+"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_WORDS,
    )


def build_text_encoder(vocabulary_size: int, width: int = 96, layers: int = 2) -> UMT5EncoderModel:
    """A UMT5 encoder of ``layers`` layers and ``width`` channels."""
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=vocabulary_size,
            d_model=width,
            d_kv=width // 4,
            d_ff=2 * width,
            num_layers=layers,
            num_heads=4,
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    )
