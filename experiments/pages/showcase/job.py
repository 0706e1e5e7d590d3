"""`physgen showcase`: draw the films of the site, or only write their pages again where they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from physgen.errors import InvalidArgument
from physgen.experiments.pages.render import render
from physgen.experiments.pages.showcase.row import Row
from physgen.experiments.runs.progress import Record, read_records, write_records
from physgen.experiments.runs.records import origin


@dataclass
class ShowcaseConfig:
    """Options of `physgen showcase`, see ``conf/showcase.yaml``."""

    laws: list[str]
    halves: list[str]
    choices: list[str]
    n: int
    seed: int
    half_seed: int
    out: str


def run(config: ShowcaseConfig) -> None:
    """Write films, records and the parts of pages into the folder; what is drawn already is not drawn again.

    Raises: InvalidArgument for laws, families, questions or numbers that there are not, or a folder with other options.
    """
    from physgen.experiments.content.questions import prompts_of
    from physgen.experiments.draw.physics import open_world
    from physgen.experiments.draw.prompts import prompts
    from physgen.experiments.pages.showcase.choice import QUESTIONS, choice_record
    from physgen.experiments.pages.showcase.half import FAMILIES, half_record
    from physgen.experiments.pages.showcase.laws import LAWS, law_record
    from physgen.experiments.runs.resume import resume
    from physgen.worlds import World, world_spec

    lists: dict[str, Iterable[str]] = {"laws": LAWS, "halves": FAMILIES, "choices": QUESTIONS}
    for name, known in lists.items():
        chosen = getattr(config, name)
        if not set(chosen) <= set(known) or len(set(chosen)) < len(chosen):
            raise InvalidArgument(name, chosen, f"different ones of {', '.join(known)}")
    for name, least in {"n": 1, "seed": 0, "half_seed": 0}.items():
        if getattr(config, name) < least:
            raise InvalidArgument(name, getattr(config, name), f"at least {least}")
    out = Path(config.out)
    spec = world_spec("micro")
    resume(out, {key: value for key, value in asdict(config).items() if key != "out"} | {"world": spec.label})

    tasks: dict[str, Callable[[World], Record]] = {
        f"{law}-{prompt.index}": partial(law_record, law=law, prompt=prompt, folder=out)
        for law in config.laws
        for prompt in prompts(LAWS[law], config.n, "held_out", config.seed)
    }
    for question in config.choices:
        for prompt in prompts_of(question, config.n, config.seed, spec):
            tasks[f"{question}-{prompt.index}"] = partial(choice_record, question=question, prompt=prompt, folder=out)
    for family in config.halves:
        (prompt,) = prompts(family, 1, "held_out", config.half_seed)
        tasks[f"half-{family}"] = partial(half_record, prompt=prompt, folder=out)
    missing = [name for name in tasks if not (out / f"{name}.json").is_file()]
    if missing:
        world = open_world(spec, "cpu")
        for network in (world.pipe.transformer, world.pipe.vae):
            network.eval().requires_grad_(False)
        for name in tqdm(missing, desc="rows", disable=None):
            write_records(out / f"{name}.json", [{**origin(spec), **tasks[name](world)}])
    write_pages(out, tasks)
    print(out)


def write_pages(out: Path, names: Iterable[str]) -> None:
    """Write the parts of pages of records that are there."""
    records = {name: read_records(out / f"{name}.json")[0] for name in names}
    for record in records.values():
        render(out / f"{record['row']['name']}.html", "showcase_row", row=Row.of(record["row"]))
    halves = [record for record in records.values() if "arms" in record]
    if halves:
        render(out / "half.html", "showcase_half", halves=halves)
