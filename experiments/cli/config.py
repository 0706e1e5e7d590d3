"""From `key=value` arguments to a typed configuration, or one line that says what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from difflib import get_close_matches
from importlib.resources import files
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from physgen.errors import InvalidArgument, invalid_argument
from physgen.experiments.cli.loader import hydra_of
from physgen.experiments.cli.search import config_file, own_folders

#: ``key=value``, or ``+key=value``, which adds a key
KEY = re.compile(r"\+{0,2}\w[\w./@-]*")
#: what types are called
WORDS = {int: "whole number", float: "number", str: "text", bool: "truth value, true or false"}
Schema = TypeVar("Schema")


def one_of(name: str, got: object, allowed: Iterable[str]) -> InvalidArgument:
    """An error that lists the allowed values and the one that was probably meant.

    >>> str(one_of("world", "mirco", ["micro"]))
    "world='mirco': allowed: micro (did you mean 'micro'?)"
    """
    allowed = sorted(allowed)
    close = get_close_matches(str(got), allowed, 1)
    return InvalidArgument(name, got, ", ".join(allowed) + (f" (did you mean {close[0]!r}?)" if close else ""))


def source(job: str) -> str:
    """Text of ``JOB.yaml``."""
    return config_file(f"{job}.yaml").read_text(encoding="utf-8")


def choice(group: str, name: str) -> dict[str, Any]:
    """Values of ``GROUP/NAME.yaml``, of a file without defaults or interpolations; works inside another Hydra job.

    >>> choice("guidance", "projection")["_target_"]
    'physgen.guidance.Projection'
    """
    with config_file(f"{group}/{name}.yaml").open(encoding="utf-8") as file:
        return {str(key): value for key, value in (yaml.safe_load(file) or {}).items()}


def groups(job: str) -> dict[str, list[str]]:
    """Configuration groups of a job and the choices in each, the user's and ours."""
    defaults = OmegaConf.select(OmegaConf.create(source(job)), "defaults", default=[])
    keys = [str(next(iter(entry))) for entry in defaults if isinstance(entry, DictConfig)]
    names = [key.removeprefix("optional ") for key in keys if not key.startswith("override ")]
    return {name: choices(name) for name in names}


def choices(group: str) -> list[str]:
    """Names of the choices of a group.

    >>> "projection" in choices("guidance")
    True
    """
    folders = [folder / group for folder in (*own_folders(), files("physgen.conf"))]
    found = {file.name for folder in folders if folder.is_dir() for file in folder.iterdir()}
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def configure(job: str, overrides: Sequence[str]) -> DictConfig:
    """Compose ``JOB.yaml`` with overrides, each of which must name an existing option, or add one with ``+``.

    Raises: InvalidArgument.
    """
    known = groups(job)
    for override in map(_parse, overrides):
        if override.key_or_group in known:
            _check_choice(override, known[override.key_or_group])
    with hydra_errors(job, overrides):
        config = hydra_of(job).compose_config(job, list(overrides), RunMode.RUN, from_shell=False)
    with open_dict(config):
        del config["hydra"]
    return config


@contextmanager
def hydra_errors(job: str, overrides: Sequence[str]) -> Iterator[None]:
    """Say in one line what Hydra or a YAML file refuses.

    Raises: InvalidArgument.
    """
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.name}:{mark.line + 1}" if mark else "config"
        raise InvalidArgument("config", place, f"YAML ({error.problem})") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument("config", " ".join(overrides), f"YAML in UTF-8 ({error})") from error
    except (HydraException, OmegaConfBaseException) as error:
        if isinstance(unknown := error.__cause__, ConfigAttributeError | ConfigKeyError):
            raise _unknown_option(job, unknown) from error
        raise InvalidArgument("options", " ".join(overrides), " ".join(str(error).split())) from error


def typed(config: DictConfig, schema: type[Schema]) -> Schema:
    """Check a configuration's types and turn it into its dataclass.

    Raises: InvalidArgument.
    """
    try:
        _check_given(config)
        result = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), config))
    except OmegaConfBaseException as error:
        if cause := invalid_argument(error):
            raise cause from error
        if isinstance(error, ConfigAttributeError | ConfigKeyError):
            names = OmegaConf.structured(error.object_type or schema).keys()
            raise one_of("option", error.full_key, map(str, names)) from error
        key = error.full_key or "options"
        raise InvalidArgument(key, OmegaConf.select(config, key), meant(schema, key)) from error
    assert isinstance(result, schema)
    return result


def meant(schema: Any, key: str) -> str:
    """In words, the values that a dotted key of a dataclass may have.

    >>> from physgen.experiments.sample.options import SampleConfig
    >>> [meant(SampleConfig, key) for key in ("samples", "steps", "observed.frames", "observed.frames[0]")]
    ['a whole number', 'a whole number, or null', 'a list of whole numbers, or null', 'a whole number']
    """
    kind, optional = schema, False
    for part in re.findall(r"\w+", key):
        kind = get_type_hints(kind).get(part, Any) if is_dataclass(kind) else (*get_args(kind), Any)[0]
        optional = type(None) in get_args(kind)
        kind = next((one for one in get_args(kind) if one is not type(None)), Any) if optional else kind
    element = get_args(kind)[0] if get_origin(kind) is list else kind
    word = WORDS.get(element, "value")
    return (f"a list of {word}s" if get_origin(kind) is list else f"a {word}") + (", or null" if optional else "")


def needed(group: str, name: str) -> dict[str, str]:
    """What a choice cannot do without, ``key: ???`` in its file, and the comment there, which ends in an example.

    >>> needed("constraint", "continuity")
    {'velocity': 'µm/s along y and x; for example constraint.continuity.velocity=[0.5,0.0]'}
    """
    text = config_file(f"{group}/{name}.yaml").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+): \?\?\? *(?:# *(.*))?$", text, re.MULTILINE))


def _check_given(config: DictConfig) -> None:
    """Refuse a choice without what it needs."""
    for key in sorted(OmegaConf.missing_keys(config)):
        place, _, name = key.rpartition(".")
        group, _, chosen = place.partition(".")
        known = needed(group, chosen) if chosen in choices(group) else {}
        raise InvalidArgument(key, "missing", known.get(name) or f"{key}=VALUE")


def _parse(text: str) -> Override:
    key, equals, value = text.partition("=")
    if not equals or not KEY.fullmatch(key):
        raise InvalidArgument("argument", text, "KEY=VALUE")
    try:
        override = OverridesParser.create().parse_override(text)
    except (HydraException, OverrideParseException) as error:
        raise InvalidArgument(key, value, "a number, word, [list] or 'quoted text'") from error
    if override.is_sweep_override():
        raise InvalidArgument(key, value, "one value, lists in [brackets]")
    return override


def _check_choice(override: Override, choices: list[str]) -> None:
    value = override.value()
    for choice in value if isinstance(value, list) else [value]:
        if choice not in choices:
            raise one_of(override.key_or_group, choice, choices)


def _unknown_option(job: str, error: ConfigAttributeError | ConfigKeyError) -> InvalidArgument:
    key, node = str(error.full_key), error.parent_node
    known, parent = groups(job), key.rpartition(".")[0]
    if parent in known and not node:
        return InvalidArgument("option", key, f"after a choice, {parent}={'|'.join(known[parent])}")
    names = [str(name) for name in node] if isinstance(node, DictConfig) else []
    return one_of("option", key, [f"{parent}.{name}" if parent else name for name in names if name != "hydra"])
