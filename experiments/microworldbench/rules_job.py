"""`physgen benchmark rules`: which rule fires on which words of a task, and which constraints it gets."""

from __future__ import annotations

from collections import Counter

from rich.console import Console

from physgen.errors import InvalidArgument
from physgen.experiments.draw.rules import Decision, decide, table
from physgen.experiments.measure.tables import Table
from physgen.experiments.microworldbench.options import BenchmarkConfig, data_file
from physgen.experiments.microworldbench.readers.agreement import laws_of
from physgen.experiments.microworldbench.readers.labels import LAWS, read_readers
from physgen.experiments.microworldbench.readers.report import report_readers
from physgen.experiments.microworldbench.tasks.data import TASKS, read_tasks
from physgen.experiments.runs.records import write_json_atomic


def run_rules(config: BenchmarkConfig) -> None:
    """Explain a task by its number, a text, or count over all tasks; ``out`` is a JSON file with all of them.

    With ``labels`` the rules are held against what two readers say.

    Raises: FileNotFoundError, InvalidArgument.
    """
    console = Console(highlight=False, soft_wrap=True)
    text = " ".join(config.action[1:])
    if text and config.labels:
        raise InvalidArgument("labels", config.labels, "no text beside: physgen benchmark rules labels=[A.csv,B.csv]")
    if text and not text.isdecimal():
        explain(console, text, config)
        return
    tasks = {task.index: task.task for task in read_tasks(data_file(config, TASKS))}
    if config.labels:
        readers = read_readers(config.labels, tasks)
        found = report_readers(console, readers, {index: decide(tasks[index]) for index in readers[0].labels})
        if config.out:
            write_json_atomic(config.out, found)
        return
    if text:
        if int(text) not in tasks:
            raise InvalidArgument("task", int(text), f"{min(tasks)} to {max(tasks)}")
        explain(console, tasks[int(text)], config)
        return
    decisions = {index: decide(task, config.world) for index, task in tasks.items()}
    count(console, decisions, {index: decide(task) for index, task in tasks.items()}, config.world.name)
    if config.out:
        write_json_atomic(config.out, {index: decision.record() for index, decision in decisions.items()})


def explain(console: Console, text: str, config: BenchmarkConfig) -> None:
    """One text: its topics, the rules that matched, the constraints it gets in the world, and why not others."""
    decision = decide(text, config.world)
    for topic, words in decision.topics.items():
        console.print(f"speaks of {topic}: {', '.join(words)}", markup=False)
    for rule in decision.rules:
        verb = f"is prevented by: {', '.join(rule.prevented)}" if rule.prevented else "fires"
        console.print(f"rule '{rule.rule}' on {', '.join(rule.words)} {verb}", markup=False)
    for note in decision.notes:
        console.print(note, markup=False)
    console.print(f"constraints: {', '.join(decision.constraint) or 'none'}")


def count(console: Console, here: dict[int, Decision], anywhere: dict[int, Decision], world: str) -> None:
    """How many texts have each topic, each law and each rule, in any world and in this one."""
    topics, rules = table()
    spoken = Counter(topic for decision in anywhere.values() for topic in decision.topics)
    Table("Topics", ["topic", "tasks"], [[name, str(spoken[name])] for name in topics]).show(console)
    fired, kept = (Counter(rule for d in ds.values() for rule in {*d.rule_of.values()}) for ds in (anywhere, here))
    prevented = Counter(rule.rule for decision in anywhere.values() for rule in decision.rules if rule.prevented)
    rows = [
        [r.name, r.topic, ", ".join(r.constraint), *(str(c[r.name]) for c in (prevented, fired, kept))] for r in rules
    ]
    Table("Rules", ["rule", "topic", "constraint", "prevented", "fires", f"holds in {world}"], rows).show(console)
    tasks_of = {law: [index for index, decision in anywhere.items() if law in laws_of(decision)] for law in LAWS}
    held = Counter(law for decision in here.values() for law in laws_of(decision))
    laws = [[law, str(len(found)), str(held[law]), ", ".join(map(str, found[:3]))] for law, found in tasks_of.items()]
    Table("Laws", ["law", "tasks", f"holds in {world}", "for example"], laws).show(console)
    spoken_of, constrained = (sum(bool(decision.constraint) for decision in ds.values()) for ds in (anywhere, here))
    console.print(f"{spoken_of} of {len(here)} tasks have a constraint by their words alone")
    console.print(f"{constrained} of {len(here)} tasks have a constraint in {world}")
