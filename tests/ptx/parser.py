"""Text of one PTX kernel -> instructions with typed operands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ptx.errors import Refused

WIDTHS = {"pred": 1, "b8": 8, "b16": 16, "b32": 32, "b64": 64, "f32": 32, "f64": 64}
IGNORED = (".loc ", ".file ", ".pragma ")
SPECIAL = {f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"} | {"%laneid"}


@dataclass(frozen=True)
class Register:
    """A declared register, its name and width in bits."""

    name: str
    width: int


@dataclass(frozen=True)
class Special:
    """A read-only register of the machine, such as ``%tid.x``."""

    name: str


@dataclass(frozen=True)
class Immediate:
    """A constant: an integer of no width of its own, or the bits of a float of ``width``."""

    value: int
    width: int | None = None


@dataclass(frozen=True)
class Symbol:
    """A label, a parameter or a variable."""

    name: str


@dataclass(frozen=True)
class Sink:
    """``_``: a result that nobody wants."""


@dataclass(frozen=True)
class Vector:
    """``{a, b}``."""

    items: tuple[Register | Immediate | Sink, ...]


@dataclass(frozen=True)
class Address:
    """``[base + offset]``."""

    base: Register | Symbol
    offset: int


Operand = Register | Special | Immediate | Symbol | Sink | Vector | Address


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``guard`` is its predicate and whether that is negated."""

    opcode: str
    operands: tuple[Operand, ...]
    guard: tuple[Register, bool] | None
    text: str


@dataclass
class Program:
    """One kernel."""

    name: str
    target: str
    parameters: dict[str, str]
    threads: int
    shared: tuple[str, ...]
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)


def parse(text: str) -> Program:
    """The only kernel of a PTX module.

    Raises:
        Refused: more than one kernel, a device function, a directive or an operand of an unknown form.
    """
    text = re.sub(r"//[^\n]*", "", text)
    entries = re.findall(r"\.entry\s+(\w+)\s*\(([^)]*)\)\s*\.reqntid\s+(\d+)\s*(?:\.maxnreg\s+\d+\s*)?\{", text)
    if len(entries) != 1 or text.count(".entry") != 1 or re.search(r"\.func\b", text):
        raise Refused("a module is one .entry with a one-dimensional .reqntid and no .func")
    (name, signature, threads) = entries[0]
    program = Program(
        name,
        _only(r"\.target\s+(\w+)", text),
        {m[2]: m[1] for m in re.finditer(r"\.param\s+\.(\w+)[^,]*?(\w+)\s*(?:,|$)", signature.strip())},
        int(threads),
        tuple(re.findall(r"\.extern\s+\.shared\s+\.align\s+16\s+\.b8\s+(\w+)\[\]", text)),
    )
    _Body(program).read(_body(text))
    return program


def _only(pattern: str, text: str) -> str:
    found = re.findall(pattern, text)
    if len(found) != 1:
        raise Refused(f"{len(found)} times {pattern}")
    return found[0]


def _body(text: str) -> str:
    start = text.index("{", text.index(".reqntid"))
    depth = 0
    for brace in re.finditer(r"[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[start + 1 : start + brace.start()]
    raise Refused("a kernel without an end")


class _Body:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.registers: dict[str, tuple[int, int]] = {}

    def read(self, body: str) -> None:
        statement = ""
        for line in body.splitlines():
            statement = f"{statement} {' '.join(line.split())}".lstrip()
            if statement.startswith(IGNORED):
                statement = ""
            while label := re.match(r"(\$?\w+):\s*", statement):
                self._label(label[1])
                statement = statement[label.end() :]
            *done, statement = statement.split(";")
            for text in done:
                self._statement(text.strip())
        if statement:
            raise Refused(f"a statement without an end: {statement}")
        missing = {o.name for i in self.program.instructions if i.opcode in ("bra", "bra.uni") for o in i.operands
                   if isinstance(o, Symbol)} - set(self.program.labels)  # fmt: skip
        if missing:
            raise Refused(f"no such label: {missing}")

    def _label(self, name: str) -> None:
        if name in self.program.labels:
            raise Refused(f"two labels {name}")
        self.program.labels[name] = len(self.program.instructions)

    def _statement(self, text: str) -> None:
        if declared := re.fullmatch(r"\.reg\s+\.(\w+)\s+(%\w+?)<(\d+)>", text):
            self.registers[declared[2]] = (WIDTHS[declared[1]], int(declared[3]))
            return
        found = re.fullmatch(r"(?:@(!?)(%\w+)\s+)?([a-z][\w.:]*)\s*(.*)", text)
        if not found:
            raise Refused(f"statement: {text}")
        negated, predicate, opcode, rest = found.groups()
        guard = (self._register(predicate), negated == "!") if predicate else None
        operands = tuple(self._operand(part.strip()) for part in re.findall(r"(?:\{[^}]*\}|\[[^]]*\]|[^,])+", rest))
        self.program.instructions.append(Instruction(opcode, operands, guard, text))

    def _register(self, name: str) -> Register:
        found = re.fullmatch(r"(%[A-Za-z_]+)(\d+)", name)
        width, count = self.registers.get(found[1], (0, 0)) if found else (0, 0)
        if not found or int(found[2]) >= count:
            raise Refused(f"undeclared register {name}")
        return Register(name, width)

    def _item(self, text: str) -> Register | Immediate | Sink:
        item = self._operand(text)
        if not isinstance(item, Register | Immediate | Sink):
            raise Refused(f"{text} in a vector")
        return item

    def _operand(self, text: str) -> Operand:
        if text in SPECIAL:
            return Special(text)
        if text.startswith("%"):
            return self._register(text)
        if text.startswith("{"):
            return Vector(tuple(self._item(part.strip()) for part in text.strip("{}").split(",")))
        if text == "_":
            return Sink()
        if found := re.fullmatch(r"\[\s*([%$\w]+)\s*(?:\+\s*(-?\w+)\s*)?\]", text):
            base = self._register(found[1]) if found[1].startswith("%") else Symbol(found[1])
            return Address(base, int(found[2] or "0", 0))
        if found := re.fullmatch(r"0([fd])([0-9A-Fa-f]+)", text):
            return Immediate(int(found[2], 16), 32 if found[1] == "f" else 64)
        if re.fullmatch(r"-?(0x[0-9A-Fa-f]+|[1-9]\d*|0)", text):
            return Immediate(int(text, 0))
        if re.fullmatch(r"\$?[A-Za-z_]\w*", text):
            return Symbol(text)
        raise Refused(f"operand {text!r}")
