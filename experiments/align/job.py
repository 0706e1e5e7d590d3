"""`physgen align`: a world learns from those of its own samples that instruments accept, projected onto their laws.

In every round a model draws training prompts, instruments select, the accepted are projected, and a new LoRA of the
untouched weights is trained on them; the next round draws with that LoRA. Every stage resumes: samples, readings, LoRAs
and figures that are in the folder are kept, and training goes on from its checkpoint.

Source: rejection sampling and fine-tuning in rounds: Singh et al. (2023), Beyond Human Data, arXiv:2312.06585.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from physgen.experiments.align.asked import training, use_of_lines
from physgen.experiments.align.cost import Cost
from physgen.experiments.align.evaluate import evaluate
from physgen.experiments.align.options import ALIGNED, DATA, RANDOM, AlignConfig
from physgen.experiments.align.plan import show_plan
from physgen.experiments.align.pool import SamplePool, make_pool
from physgen.experiments.align.train import Training, cost_of_training, train_all
from physgen.experiments.finetune.train import TrainingArm
from physgen.experiments.runs.records import run_name, with_contents
from physgen.experiments.runs.resume import resume


def run(config: AlignConfig) -> None:
    """Train ``out/round-R/ARM-SEED/lora.safetensors`` for every arm, seed and round, and compare the last ones.

    Raises:
        InvalidArgument: as `AlignConfig.check`, a folder with other options, a model none of whose samples is accepted.
    """
    config.check()
    settings = settings_of(config)
    if config.plan:
        show_plan(config)
        return
    out = Path(config.out or Path("runs") / run_name("align", settings)).expanduser()
    resume(out, settings)
    if config.prompts is not None:
        print(use_of_lines(config))
    last: list[TrainingArm] = []
    costs: dict[tuple[str, int], Cost] = {}
    counts: list[dict[str, object]] = []
    for seed in config.seeds:
        before: dict[str, TrainingArm] = {}
        for round_ in range(1, config.rounds + 1):
            pools = draw_round(config, out, seed, round_, before)
            accepted = [pools[ALIGNED].prompts[row] for row in pools[ALIGNED].accepted]
            arms = {name: TrainingArm(out / f"round-{round_}", name, seed) for name in config.arms}
            train_all([Training(arm, pools[name], accepted) for name, arm in arms.items()], config)
            for name, arm in arms.items():
                drawn = Cost() if name == DATA else pools[name].cost
                costs[name, seed] = costs.get((name, seed), Cost()) + drawn + cost_of_training(arm, config.lora)
            counts += [counted(name, seed, round_, pool) for name, pool in pools.items() if name != DATA]
            before = arms
        last += before.values()
    evaluate(config, out, last, costs, counts, run_name("align", settings))
    print(out)


def settings_of(config: AlignConfig) -> dict[str, object]:
    """What a run depends on: its options, and what is in the files with prompts."""
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "processes", "plan")}
    return with_contents(settings, "prompts", "held_out")


def draw_round(
    config: AlignConfig, out: Path, seed: int, round_: int, before: dict[str, TrainingArm]
) -> dict[str, SamplePool]:
    """What every arm is trained on in a round; in the first one all have the samples of the untouched world.

    Raises: InvalidArgument for a model none of whose samples is accepted.
    """
    asked, folder = training(config, seed, round_), out / f"round-{round_}" / "samples"
    if not before:
        pool = make_pool(config, folder / f"base-{seed}", asked, None)
        pool.require_accepted(config)
        return dict.fromkeys(config.arms, pool)
    pools = {
        name: make_pool(config, folder / f"{name}-{seed}", asked, arm.file)
        for name, arm in before.items()
        if name != DATA
    }
    for name, pool in pools.items():
        if name != RANDOM:
            pool.require_accepted(config)
    return {name: pools.get(name, pools[ALIGNED]) for name in config.arms}


def counted(name: str, seed: int, round_: int, pool: SamplePool) -> dict[str, object]:
    """How many samples a model drew, and how many were degenerate and accepted."""
    found = {"samples": len(pool.prompts), "degenerate": int(pool.degenerate.sum()), "accepted": len(pool.accepted)}
    return {"arm": name, "seed": seed, "round": round_, **found}
