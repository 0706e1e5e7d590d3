"""`physgen train`: simulate, train the autoencoder, encode, train the transformer and the judge, pack the world.

Every stage resumes in a folder of the same options: shards and latents that are there are kept, training goes on from
its last checkpoint.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from physgen.errors import InvalidArgument
from physgen.experiments.runs.resume import resume
from physgen.experiments.train import latents
from physgen.experiments.train.autoencoder import AutoencoderTraining, train_autoencoder
from physgen.experiments.train.data import plan, simulate_all
from physgen.experiments.train.judge import JudgeTraining, train_judge
from physgen.experiments.train.transformer import TransformerTraining, train_transformer
from physgen.simulators import GRAMMARS, SIMULATORS
from physgen.worlds.micro.autoencoder import MicroAutoencoder
from physgen.worlds.micro.export import export
from physgen.worlds.micro.text import build_tokenizer, vocabulary

STAGES = ("simulate", "autoencoder", "encode", "transformer", "judge", "export")


@dataclass
class Simulated:
    """Which simulators, and how many clips of each family."""

    families: list[str]
    clips: int
    validation: int


@dataclass
class TrainConfig:
    """Options of `physgen train`, see ``conf/train.yaml``."""

    simulator: Simulated
    autoencoder: AutoencoderTraining
    transformer: TransformerTraining
    judge: JudgeTraining
    seed: int
    processes: int
    until: str
    out: str


def run(config: TrainConfig) -> None:
    """Train the micro world and write it to ``out/world``; the judge only where all families are trained.

    Raises: InvalidArgument for an unknown family or stage, a judge without clips of its own, a schedule that cannot
        train, or a folder that was begun with other options.
    """
    if config.until not in STAGES:
        raise InvalidArgument("until", config.until, ", ".join(STAGES))
    for family in config.simulator.families:
        if family not in SIMULATORS:
            raise InvalidArgument("simulator.families", family, ", ".join(SIMULATORS))
    if config.judge.held_out < 1:
        raise InvalidArgument("judge.held_out", config.judge.held_out, "at least 1")
    config.autoencoder.schedule.check("autoencoder.schedule")
    config.transformer.schedule.check("transformer.schedule")
    config.judge.schedule.check("judge.schedule")
    folder = Path(config.out).expanduser()
    resume(folder, {key: value for key, value in asdict(config).items() if key not in ("out", "until")})
    last = STAGES.index(config.until)
    shards = plan(
        folder / "data",
        config.simulator.families,
        config.simulator.clips,
        config.simulator.validation,
        config.seed,
    )
    simulate_all(shards, config.processes)
    if last >= STAGES.index("autoencoder"):
        autoencoder = train_autoencoder(
            folder, shards, config.autoencoder, seed=config.seed, processes=config.processes
        )
    if last >= STAGES.index("encode"):
        latents.encode_all(folder, shards, autoencoder, processes=config.processes)
    if last >= STAGES.index("transformer"):
        model = train_transformer(folder, shards, config.transformer, seed=config.seed, processes=config.processes)
    judged = last >= STAGES.index("judge") and set(config.simulator.families) == set(GRAMMARS)
    if judged:
        judge = train_judge(folder, shards, autoencoder, config.judge, seed=config.seed, processes=config.processes)
    if last >= STAGES.index("export"):
        if not isinstance(autoencoder, MicroAutoencoder):
            raise InvalidArgument("autoencoder.model", config.autoencoder.model, "micro, to export the world")
        train = {f: latents.load(folder, shards, f, "train") for f in config.simulator.families}
        mean, std = latents.statistics(train)
        size = export(
            folder / "world",
            transformer=model.transformer,
            text_encoder=model.text_encoder,
            tokenizer=build_tokenizer(vocabulary()),
            autoencoder=autoencoder,
            latents_mean=mean,
            latents_std=std,
            shift=config.transformer.shift,
        )
        if judged:
            judge.save(folder / "world" / "judge")
        print(f"{folder / 'world'}: {size / 1e6:.1f} MB")
