"""The command: Hydra's multirun with a sweeper that resumes, and one line for what is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ValueType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode

from physgen.errors import InvalidArgument
from physgen.experiments.ablate.run import one_run
from physgen.experiments.ablate.sweep import NAMES, RunsFailed, Sweep
from physgen.experiments.ablate.text import check_text
from physgen.experiments.cli.config import groups, hydra_errors, one_of
from physgen.experiments.cli.loader import hydra_of
from physgen.experiments.content.rewards import names_of

#: what stands for nothing
NULL = "null"
#: Hydra's own sweeper, which `Sweep` stands in for; any other is used as it is
BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def run(arguments: Sequence[str]) -> int:
    """Sweep: 0 when every run is finished, 1 when some failed (each with its command).

    Raises: InvalidArgument for options that do not compose.
    """
    overrides = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    check(overrides)
    try:
        with composed() as hydra, hydra_errors("ablate", overrides):
            config = hydra.compose_config("ablate", overrides, run_mode=RunMode.MULTIRUN, with_log_configuration=True)
            context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
            parts: dict[str, Any] = {"hydra_context": context, "task_function": one_run, "config": config}
            if config.hydra.sweeper._target_ == BASIC:
                if config.objective is not None:
                    allowed = "null, or a search that lowers it: experiment=tune, or hydra/sweeper=optuna"
                    raise InvalidArgument("objective", config.objective, allowed)
                Sweep(context, Plugins.instance().instantiate_launcher(**parts), config).run()
            else:
                Plugins.instance().instantiate_sweeper(**parts).sweep(list(config.hydra.overrides.task))
    except RunsFailed as failed:
        print(f"physgen: {failed}", file=sys.stderr)
        return 1
    return 0


def check(overrides: Sequence[str]) -> None:
    """Refuse what is no ``key=value``, text that would be split, and unknown choices of the groups.

    Raises: InvalidArgument.
    """
    choices = groups("ablate")
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise InvalidArgument("argument", override, "KEY=VALUE or -m")
        check_text(override)
        if key == "rewards":
            names_of([name for name in chosen(override) if name != NULL])
        if key == "name" and "," in value:
            raise InvalidArgument(key, value, NAMES)
        for one in chosen(override) if key in choices else ():
            if one not in choices[key]:
                raise one_of(key, one, choices[key])


def chosen(override: str) -> list[str]:
    """Names that an override chooses of its group, in all points of a sweep; ``glob`` chooses among those there are.

    Raises: InvalidArgument.

    >>> chosen("law=choice(mass,diffusion)"), chosen("constraint=[mass,transport],[mass]"), chosen("law=glob(*)")
    (['mass', 'diffusion'], ['mass', 'transport', 'mass'], [])
    """
    key, _, value = override.partition("=")
    wrong = InvalidArgument(key, value, "a name, [names], or several of them: choice(a,b), glob(a*)")
    try:
        parsed = OverridesParser.create().parse_override(override)
        if parsed.value_type is ValueType.GLOB_CHOICE_SWEEP:
            return []
        values = list(parsed.sweep_iterator()) if parsed.is_sweep_override() else [parsed.value()]
    except HydraException as error:
        raise wrong from error
    names = [getattr(name, "text", name) for one in values for name in (one if isinstance(one, list) else [one])]
    names = [NULL if name is None else name for name in names]
    if not all(isinstance(name, str) for name in names):
        raise wrong
    return [str(name) for name in names]


@contextmanager
def composed() -> Iterator[Hydra]:
    """Hydra on the user's folders and ours; workers say where their errors come from."""
    GlobalHydra.instance().clear()
    with patch.dict(os.environ, HYDRA_FULL_ERROR="1"):
        try:
            hydra = hydra_of("ablate")
            GlobalHydra.instance().initialize(hydra)
            yield hydra
        finally:
            GlobalHydra.instance().clear()
