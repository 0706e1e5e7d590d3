"""Where the weights of a pipeline are on this machine, and whether they are whole."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from physgen.errors import InvalidArgument
from physgen.worlds.spec import WorldSpec

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
INDEX = "model_index.json"


class MissingWeights(InvalidArgument, FileNotFoundError):
    """Weights that are not on this machine; the message says where they were looked for and how to get them."""


def find_weights(spec: WorldSpec) -> Path:
    """Where the weights of a world are on this machine.

    Raises:
        MissingWeights: they are not; nothing is downloaded.
    """
    source = spec.path or spec.hub or str(Path(str(files("physgen.worlds"))) / spec.name / "weights")
    return locate(source, None if spec.path else spec.revision)


def locate(source: str, revision: str | None = None) -> Path:
    """Folder of a pipeline in diffusers' format, from its path or from the hub's local cache. Nothing is downloaded.

    Raises:
        MissingWeights: neither a folder with a ``model_index.json`` nor in the cache.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if (Path(source) / INDEX).is_file():
        return Path(source)
    if Path(source).exists() or not HUB_ID.fullmatch(source):
        raise MissingWeights("pipeline", source, f"a diffusers folder with a {INDEX}, or a hub id ORGANISATION/NAME")
    cached = try_to_load_from_cache(source, INDEX, revision=revision)
    if isinstance(cached, str):
        return Path(cached).parent
    raise MissingWeights(
        "pipeline",
        source,
        f"weights that are on this machine: looked for in ./{source} and {constants.HF_HUB_CACHE}; get them with "
        f"`hf download {source} --revision {revision or 'main'}`, or name a diffusers folder: pipeline=FOLDER",
    )


def pipeline_class(folder: Path) -> type:
    """The text-to-video class of diffusers that a folder's ``model_index.json`` names.

    Raises:
        InvalidArgument: an index that cannot be read, or names no such class.
    """
    import diffusers

    name = read_index(folder).get("_class_name")
    cls = getattr(diffusers, name, None) if isinstance(name, str) else None
    takes = inspect.signature(cls.__call__).parameters if isinstance(cls, type) else {}
    if cls is None or "num_frames" not in takes or "image" in takes:
        raise InvalidArgument("pipeline", f"{folder}: {name}", "a text-to-video pipeline of diffusers")
    return cls


def pipeline_default(source: str | None, argument: str) -> Any:
    """Default of a pipeline's own ``__call__``; without a pipeline a text that says what to give.

    Raises:
        MissingWeights, InvalidArgument: no such pipeline, or it states no default.
    """
    if source is None:
        return "of pipeline=FOLDER or pipeline=HUB/ID"
    cls = pipeline_class(locate(source))
    parameter = inspect.signature(cls.__call__).parameters.get(argument)
    if parameter is None or parameter.default is None or parameter.default is inspect.Parameter.empty:
        raise InvalidArgument(f"world.{argument}", None, f"a number: {cls.__name__} states no default")
    return parameter.default


def read_index(folder: Path) -> dict[str, Any]:
    """Contents of ``model_index.json``.

    Raises:
        InvalidArgument: it is no JSON object.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument("pipeline", str(folder / INDEX), f"JSON ({error})") from error
    if not isinstance(index, dict):
        raise InvalidArgument("pipeline", str(folder / INDEX), "a JSON object")
    return index


def check_whole(folder: Path) -> None:
    """Refuse a pipeline of which a component, a shard or the end of a file is missing; reads headers only.

    Raises:
        MissingWeights: something is not there, or cut off.
        InvalidArgument: weights as pickles.
    """
    for name, entry in read_index(folder).items():
        if name.startswith("_") or not isinstance(entry, list) or entry[0] is None:
            continue
        if not (folder / name).is_dir():
            raise MissingWeights("pipeline", str(folder / name), "the folder of a component that the index names")
        if (folder / name / "config.json").is_file():  # a model: tokenizers and schedulers have no such file
            for file in _weight_files(folder / name):
                _check_header(file)


def _weight_files(folder: Path) -> Iterator[Path]:
    indices = list(folder.glob("*.safetensors.index.json"))
    if indices:
        names = {name for index in indices for name in json.loads(index.read_text())["weight_map"].values()}
        yield from (folder / name for name in sorted(names))
        return
    files = list(folder.glob("*.safetensors"))
    pickles = sorted(file.name for suffix in ("bin", "pt", "pth", "ckpt") for file in folder.glob(f"*.{suffix}"))
    if not files and pickles:
        raise InvalidArgument("pipeline", str(folder / pickles[0]), "safetensors: pickled pipelines are not read")
    yield from files or [folder / "diffusion_pytorch_model.safetensors"]


def _check_header(file: Path) -> None:
    if not file.is_file():
        raise MissingWeights("pipeline", str(file), "every weight file: download the pipeline again")
    try:
        with safe_open(file, "pt"):
            pass
    except SafetensorError as error:
        raise MissingWeights("pipeline", str(file), f"a whole file ({error}): download it again") from error
