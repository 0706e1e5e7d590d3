"""Hydra over the user's folders and ours, for constants that are given by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from omegaconf import DictConfig, ListConfig, OmegaConf

from physgen.experiments.cli.search import own_folders


def hydra_of(job: str) -> Hydra:
    """Hydra for ``JOB.yaml``, which looks into the user's folders first."""
    version.setbase("1.3")
    path = create_config_search_path("pkg://physgen.conf")
    for folder in reversed(own_folders()):
        path.prepend("command-line", f"file://{folder}", "main")
    return Hydra(job, Loader(path))


class Loader(ConfigLoaderImpl):
    """Hydra's loader, for entries that are arguments of classes (those with a ``_target_``).

    Names may be added to a mapping that a class takes, such as ``diffusivity``, without ``+``: the class knows which
    there are. A constant that has a value is not fitted, whatever ``fitted`` says, and that is told once.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.told: set[str] = set()

    def _compose_config_from_defaults_list(self, *args: Any, **options: Any) -> DictConfig:
        config = super()._compose_config_from_defaults_list(*args, **options)
        for _, entry in _entries(config):
            for _, argument in entry.items_ex(resolve=False):
                if isinstance(argument, DictConfig):
                    OmegaConf.set_struct(argument, False)
        return config

    def load_configuration(self, *args: Any, **options: Any) -> DictConfig:
        config = super().load_configuration(*args, **options)
        for name, entry in _entries(config):
            for note in keep_given(name, entry):
                if note not in self.told:
                    print(f"physgen: {note}", file=sys.stderr)
                self.told.add(note)
        return config


def keep_given(name: str, entry: DictConfig) -> list[str]:
    """Take out of ``fitted`` of a constraint what has a value, and say so.

    >>> entry = OmegaConf.create({"diffusivity": {"c": 5.0}, "parameters": {}, "fitted": ["D", "r"]})
    >>> keep_given("fisher_kpp", entry), entry.fitted
    (['fisher_kpp: diffusivity of c is given: not fitted'], ['r'])
    """
    fitted, diffusivity, parameters = (entry.get(key) or {} for key in ("fitted", "diffusivity", "parameters"))
    if not isinstance(diffusivity, DictConfig | dict) or not isinstance(parameters, DictConfig | dict):
        return []
    given = {str(key): str(key) for key in parameters}
    given |= {name: f"diffusivity of {key!s}" for key in diffusivity for name in ("D", f"D_{key!s}")}
    names = [fitted] if isinstance(fitted, str) else list(fitted)
    both = [constant for constant in names if constant in given]
    if both:
        kept = [constant for constant in names if constant not in given]
        entry.fitted = kept if isinstance(fitted, str | ListConfig) else {key: fitted[key] for key in kept}
    return [f"{name}: {given[constant]} is given: not fitted" for constant in both]


def _entries(config: DictConfig) -> Iterator[tuple[str, DictConfig]]:
    """Every mapping with a ``_target_``, by its key; nothing is resolved."""
    for key, value in config.items_ex(resolve=False):
        if isinstance(value, DictConfig) and not value._is_none() and not value._is_interpolation() and key != "hydra":
            if "_target_" in value:
                yield str(key), value
            yield from _entries(value)
