"""From `key=value` arguments to a typed configuration, or one line that says what is allowed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib.resources import files
from typing import Any, TypeVar

import yaml
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from physgen.errors import InvalidArgument, invalid_argument

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
    """Text of ``conf/JOB.yaml``."""
    return (files("physgen.conf") / f"{job}.yaml").read_text(encoding="utf-8")


def choice(group: str, name: str) -> dict[str, Any]:
    """Values of ``conf/GROUP/NAME.yaml``, of a file without defaults or interpolations; works inside another Hydra job.

    >>> choice("guidance", "projection")["_target_"]
    'physgen.guidance.Projection'
    """
    text = (files("physgen.conf") / group / f"{name}.yaml").read_text(encoding="utf-8")
    return {str(key): value for key, value in yaml.safe_load(text).items()}


def groups(job: str) -> dict[str, list[str]]:
    """Configuration groups of a job and the choices in each."""
    conf = files("physgen.conf")
    defaults = OmegaConf.select(OmegaConf.create(source(job)), "defaults", default=[])
    keys = [str(next(iter(entry))) for entry in defaults if isinstance(entry, DictConfig)]
    names = [key.removeprefix("optional ") for key in keys if not key.startswith("override ")]
    return {
        name: sorted(f.name.removesuffix(".yaml") for f in (conf / name).iterdir() if f.name.endswith(".yaml"))
        for name in names
    }


def configure(job: str, overrides: Sequence[str]) -> DictConfig:
    """Compose ``conf/JOB.yaml`` with overrides, each of which must name an existing option.

    Raises: InvalidArgument.
    """
    parsed = [_parse(text) for text in overrides]
    choices = groups(job)
    for override in parsed:
        if override.key_or_group in choices:
            _check_choice(override, choices[override.key_or_group])
    try:
        with initialize_config_module("physgen.conf", version_base="1.3"):
            base = compose(job, [o.input_line or "" for o in parsed if o.key_or_group in choices])
            for override in parsed:
                if override.key_or_group not in choices:
                    _check_key(override.key_or_group, base, choices)
            return compose(job, list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise InvalidArgument("options", " ".join(overrides), " ".join(str(error).split())) from error


def typed(config: DictConfig, schema: type[Schema]) -> Schema:
    """Check a configuration's types and turn it into its dataclass.

    Raises: InvalidArgument.
    """
    try:
        result = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), config))
    except OmegaConfBaseException as error:
        if cause := invalid_argument(error):
            raise cause from error
        key = error.full_key or "options"
        allowed = str(error).splitlines()[0].rpartition("converted to ")[2]
        raise InvalidArgument(key, OmegaConf.select(config, key), allowed) from error
    assert isinstance(result, schema)
    return result


def build(kind: type, spec: dict[str, Any], *args: Any) -> Any:
    """Call the class named by ``_target_``, which must be of a kind, with the other entries as keywords.

    Raises:
        InvalidArgument: a path that is not that of such a class: whatever else it names is not called.

    >>> from physgen.constraints import Constraint
    >>> build(Constraint, {"_target_": "os.system", "command": "true"})
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: _target_='os.system': allowed: import path of a Constraint
    """
    target = str(spec["_target_"])
    module, _, name = target.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        cls = None
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise InvalidArgument("_target_", target, f"import path of a {kind.__name__}")
    return cls(*args, **{key: value for key, value in spec.items() if key != "_target_"})


def _parse(text: str) -> Override:
    key, equals, value = text.partition("=")
    if not equals or not key.replace(".", "").replace("_", "").isalnum():
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


def _check_key(key: str, base: DictConfig, choices: dict[str, list[str]]) -> None:
    node: Any = base
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig) or part not in node:
            parent = ".".join(parts[:depth])
            if parts[0] in choices and not base.get(parts[0]):
                raise InvalidArgument("option", key, f"after a choice, {parts[0]}={'|'.join(choices[parts[0]])}")
            options = [
                f"{parent}.{name!s}" if parent else str(name) for name in (node if isinstance(node, DictConfig) else ())
            ]
            raise one_of("option", key, options or [parent])
        node = node.get(part)
