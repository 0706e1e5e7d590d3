"""`physgen finetune`: train a LoRA of the embedded world on movies or a simulator, with constraints in the loss or not.

Every stage resumes: shards, latents, LoRAs and videos that are there are kept, training goes on from its checkpoint.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from physgen.experiments.finetune.compare import compare
from physgen.experiments.finetune.compare_movies import compare_movies
from physgen.experiments.finetune.options import FinetuneConfig
from physgen.experiments.finetune.train import TrainingArm, train_arms
from physgen.experiments.movies.shards import check_movies, contents, cut_all, find_movies
from physgen.experiments.runs.records import run_name
from physgen.experiments.runs.resume import resume
from physgen.experiments.train import latents
from physgen.experiments.train.data import plan, simulate_all
from physgen.worlds.loading import load


def run(config: FinetuneConfig) -> None:
    """Train ``out/ARM-SEED/lora.safetensors`` for every arm and seed, and compare what they draw.

    Raises:
        FileNotFoundError: ``data`` is no folder.
        InvalidArgument: as `FinetuneConfig.check`, `find_movies` and `check_movies`, and a folder with other options
            or of movies that have changed since.
    """
    config.check()
    movies = {} if config.data is None else find_movies(config.data, config.caption)
    if movies:
        config = replace(config, family=check_movies(movies, config.cut, config.hold_out, config.world))
        config.check_constraints(next(iter(movies.values())))
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "processes")}
    settings |= {"movies": contents(movies)} if movies else {}
    out = Path(config.out or Path("runs") / run_name("finetune", settings)).expanduser()
    resume(out, settings)
    shards = plan(out / "data", [config.family], config.clips, config.validation, 0)
    if movies:
        cut_all(movies, shards, config.cut, config.hold_out, config.world)
    simulate_all(shards, config.processes)
    latents.encode_all(out, shards, load(config.world, "cpu").pipe.vae, processes=config.processes)
    names = ("without", "with") if config.constraint else ("without",)
    arms = [TrainingArm(out, name, seed) for seed in config.seeds for name in names]
    train_arms(arms, shards, config)
    (compare_movies if movies else compare)(config, out, shards, arms)
    print(out)
