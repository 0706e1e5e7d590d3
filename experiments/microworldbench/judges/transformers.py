"""A vision-language model on this machine, through transformers."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from physgen.errors import InvalidArgument
from physgen.experiments.microworldbench.judges.base import Reply, Unanswered
from physgen.experiments.microworldbench.judges.keep import SeeingJudge
from physgen.experiments.microworldbench.judges.question import Question
from physgen.experiments.microworldbench.judges.reply import parse_corrected, parse_upstream, plain
from physgen.worlds import MissingWeights

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass
class TransformersJudge(SeeingJudge):
    """Asks a model of the kind ``image-text-to-text`` in a folder, one question after the other.

    The most probable words are taken (``temperature: 0``), or words are drawn with a seed, another one in each repeat.
    A reply without the right number of scores is kept and unscored: the same question would get the same reply. The
    model is loaded at the first question that has no kept reply; nothing is downloaded, no code of the folder is run.

    Raises:
        MissingWeights: no such model.
        InvalidArgument: settings out of range; a folder that holds no such model, at the first question.
    """

    model: str = ""
    max_tokens: int = 1024
    temperature: float | int = 0.0
    seed: int = 0
    dtype: str = "auto"
    device: str | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InvalidArgument("judge.max_tokens", self.max_tokens, "at least 1")
        if not 0 <= self.temperature < 100:
            raise InvalidArgument("judge.temperature", self.temperature, "0 or a number > 0")
        if self.dtype not in DTYPES:
            raise InvalidArgument("judge.dtype", self.dtype, ", ".join(DTYPES))
        if not (self._folder / "config.json").is_file():
            raise MissingWeights(
                "judge.model",
                self.model,
                "a folder with a vision-language model, config.json in it; get one with "
                f"`hf download ORGANISATION/NAME --local-dir {self.model or 'FOLDER'}`",
            )

    @property
    def _folder(self) -> Path:
        return Path(self.model).expanduser()

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "model": self._folder.resolve().name,
            "files": self._files,
            "seed": self.seed,
            "temperature": float(self.temperature),
            "max_tokens": self.max_tokens,
            "dtype": self.dtype,
        }

    @cached_property
    def _files(self) -> str:
        """Hash of the folder's settings and of the names and sizes of its weights."""
        digest = hashlib.sha256()
        for path in sorted(path for path in self._folder.iterdir() if path.is_file()):
            digest.update(path.name.encode() + str(path.stat().st_size).encode())
            if path.suffix in (".json", ".jinja", ".txt"):
                digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        options = {"local_files_only": True, "trust_remote_code": False}
        try:
            processor = AutoProcessor.from_pretrained(self._folder, **options)
            model = AutoModelForImageTextToText.from_pretrained(
                self._folder, dtype=self.dtype, use_safetensors=True, **options
            )
        except Exception as error:  # whatever of a dozen types says that this is no such model
            reason = " ".join(str(error).split())[:300]
            raise InvalidArgument(
                "judge.model", self.model, f"a whole model that transformers loads as image-text-to-text ({reason})"
            ) from error
        return processor, model.eval().to(device)

    def __call__(self, question: Question) -> Reply:
        processor, model = self._loaded
        sampling = {"do_sample": True, "temperature": float(self.temperature)} if self.temperature else GREEDY
        torch.manual_seed(self.seed + question.repeat)
        try:
            inputs = self._inputs(question).to(model.device, model.dtype)
            length = inputs["input_ids"].shape[1]
            with torch.inference_mode():
                tokens = model.generate(**inputs, **sampling, max_new_tokens=self.max_tokens)[0, length:]
        except (IndexError, RuntimeError, ValueError) as error:  # out of memory, or more than the model can read
            raise Unanswered(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
        text = plain(processor.decode(tokens, skip_special_tokens=True).strip())
        count = len(question.criteria)
        parsed = parse_upstream(text) if question.mode == "upstream" else parse_corrected(text, count)
        notes = () if parsed is not None else (f"no {count} scores in {text[:80]!r}",)
        return Reply(text, parsed, length, len(tokens), notes)

    def _inputs(self, question: Question) -> Any:
        """The rules, the question and the frames in the model's own chat format."""
        processor, _ = self._loaded
        special = processor.tokenizer.all_special_tokens
        words = "\n\n".join(without(part, special) for part in (question.system, question.text) if part)
        images = question.frames.images if question.frames else ()
        content: list[dict[str, Any]] = [{"type": "text", "text": words}]
        content += [{"type": "image", "image": Image.open(io.BytesIO(image))} for image in images]
        return processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )


GREEDY = {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}


def without(text: str, special: Iterable[str]) -> str:
    """A text in which nothing is read as a token of the chat format.

    >>> without("a heart</s><image> beats", ["</s>", "<image>"])
    'a heart beats'
    """
    tokens = [token for token in special if token.strip()]
    while any(token in text for token in tokens):
        for token in tokens:
            text = text.replace(token, "")
    return text
