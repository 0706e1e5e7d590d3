"""Four sizes of transformer behind the shipped autoencoder, on two families: the size axis of the scaling study.

``python -m physgen.experiments.train.sizes OUT`` writes ``OUT/SIZE/world``, for ``physgen ablate world.path=…``; it
resumes.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from physgen.experiments.cli.config import configure, typed
from physgen.experiments.runs.resume import resume
from physgen.experiments.train import latents
from physgen.experiments.train.data import plan, simulate_all
from physgen.experiments.train.job import TrainConfig
from physgen.experiments.train.transformer import train_transformer
from physgen.worlds import load_world, world_spec
from physgen.worlds.micro.export import export
from physgen.worlds.micro.text import build_tokenizer, vocabulary

FAMILIES, CLIPS, STEPS = ("dye", "growth"), 2000, 1500
#: heads of 64 channels, layers; ``m`` has the shape of the shipped transformer, ``l`` four times its weights
SIZES = {"xs": (1, 2), "s": (2, 4), "m": (4, 6), "l": (8, 6)}


def train(size: str, out: Path, *, clips: int = CLIPS, steps: int = STEPS, processes: int = 1) -> Path:
    """Train one size and return its world's folder.

    Raises: InvalidArgument for a folder that was begun with other options.
    """
    config = typed(configure("train", []), TrainConfig)
    heads, layers = SIZES[size]
    arguments = {
        **config.transformer.arguments,
        "num_attention_heads": heads,
        "num_layers": layers,
        "ffn_dim": 192 * heads,
    }
    schedule = replace(config.transformer.schedule, steps=steps, warmup=min(200, 1 + steps // 4))
    settings = replace(config.transformer, arguments=arguments, schedule=schedule, compile=False)
    folder, seed = out / size, config.seed
    resume(
        out, {"families": list(FAMILIES), "clips": clips, "seed": seed, "world": world_spec("micro").label}, part=size
    )
    resume(folder, {"transformer": asdict(settings), "seed": seed, "processes": processes})
    shards = plan(out / "data", FAMILIES, clips, clips // 20, seed)
    simulate_all(shards, processes)
    autoencoder = load_world("micro").pipe.vae
    latents.encode_all(out, shards, autoencoder, processes=processes)
    if not (folder / "latents").exists():
        (folder / "latents").symlink_to((out / "latents").resolve())
    model = train_transformer(folder, shards, settings, seed=seed, processes=processes)
    mean, std = latents.statistics({family: latents.load(out, shards, family, "train") for family in FAMILIES})
    export(
        folder / "world",
        transformer=model.transformer,
        text_encoder=model.text_encoder,
        tokenizer=build_tokenizer(vocabulary()),
        autoencoder=autoencoder,
        latents_mean=mean,
        latents_std=std,
        shift=settings.shift,
    )
    return folder / "world"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("size", choices=SIZES, nargs="*", default=list(SIZES))
    parser.add_argument("--processes", type=int, default=1, help="single-threaded workers, each with its own batch")
    options = parser.parse_args()
    for name in options.size:
        print(train(name, options.out, processes=options.processes))
