"""Runs a kernel, one CTA after another, all its threads in step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ptx.errors import Fault, Refused
from ptx.instructions import BITS, TABLE, TYPES, decode, encode
from ptx.memory import WARP, Bytes, GlobalMemory, Offsets, Threads
from ptx.parser import Address, Immediate, Instruction, Operand, Program, Register, Symbol, Vector
from ptx.registers import SHARED_BASE, Mask, Registers, Value, join, select, split, width_of

MOVES = {f"mov.{kind}" for kind in ("pred", "b16", "u16", "b32", "u32", "f32", "b64", "u64")}
SELECTS = {f"selp.{kind}" for kind in ("b16", "b32", "b64", "s32", "u32", "f32")}
PARAMETERS = {f"ld.param.{kind}" for kind in ("b32", "u32", "s32", "f32", "b64", "u64")}
SHUFFLES = {f"shfl.sync.{way}.b32" for way in ("bfly", "down", "idx")}
BRANCHES = {"bra", "bra.uni"}
BARRIERS = {"bar.sync": 0, "bar.warp.sync": -1}
#: opcode: (load or store, space, registers, type)
ACCESSES = {
    f"{verb}.{space}{f'.v{count}' if count > 1 else ''}.b{width}": (verb, space, count, f"b{width}")
    for verb, space, count, width in product(("ld", "st"), ("global", "shared"), (1, 2, 4), (16, 32, 64))
    if count * width <= 128
}
#: opcode: (load or store, matrices)
MATRICES = {
    f"{name}.sync.aligned.m8n8.x{count}.shared.b16": (name[:2], count)
    for name, count in product(("ldmatrix", "stmatrix"), (1, 2, 4))
}
KNOWN = {*TABLE, *MOVES, *SELECTS, *PARAMETERS, *SHUFFLES, *BRANCHES, *BARRIERS, *ACCESSES, *MATRICES, "ret"}


def check(program: Program) -> None:
    """Refuse a program with an instruction, on any path, that is not known in full."""
    unknown = sorted({instruction.opcode for instruction in program.instructions} - KNOWN)
    if unknown:
        raise Refused(f"unknown instructions: {', '.join(unknown)}")
    if program.threads % WARP:
        raise Refused(f"{program.threads} threads, which are no whole warps")


def launch(
    program: Program,
    grid: tuple[int, int, int],
    arguments: Sequence[float | int],
    memory: GlobalMemory,
    shared: int = 0,
    limit: int = 1_000_000,
) -> Counter[str]:
    """Run every CTA of a grid; returns how often each instruction was executed, per thread, summed over CTAs.

    Triton appends two pointers to scratch memory to the parameters; they are null here.

    Args:
        program: what `ptx.parser.parse` returned.
        grid: CTAs along x, y and z.
        arguments: one for each parameter: addresses, integers, floats.
        memory: holds the buffers.
        shared: bytes of shared memory.
        limit: instructions of a CTA after which it is taken to hang.

    Raises:
        Refused: something the interpreter does not model.
        Fault: something that a GPU would not do reliably.
    """
    check(program)
    values = [*arguments, 0, 0]
    if len(values) != len(program.parameters):
        raise Refused(f"{len(arguments)} arguments for {len(program.parameters) - 2} parameters")
    parameters = {
        name: np.array([value], TYPES[kind])
        for (name, kind), value in zip(program.parameters.items(), values, strict=True)
    }
    executed: Counter[str] = Counter()
    clock = 0
    for z, y, x in product(*map(range, reversed(grid))):
        cta = Cta(program, parameters, memory, Bytes("shared memory", shared), (x, y, z), grid, clock)
        cta.run(limit)
        clock = cta.now
        executed += cta.executed
    return executed


class Cta:
    """One block of threads."""

    def __init__(
        self,
        program: Program,
        parameters: dict[str, NDArray],
        memory: GlobalMemory,
        shared: Bytes,
        index: tuple[int, int, int],
        grid: tuple[int, int, int],
        clock: int,
    ) -> None:
        self.program, self.parameters, self.memory, self.shared, self.index = program, parameters, memory, shared, index
        count = program.threads
        self.lanes = np.arange(count)
        self.numbers = self.lanes + count * (index[0] + grid[0] * (index[1] + grid[1] * index[2]))
        self.everyone = np.ones(count, bool)
        special = {"%laneid": self.lanes % WARP}
        for axis, at, of in zip("xyz", index, grid, strict=True):
            special[f"%ctaid.{axis}"], special[f"%nctaid.{axis}"] = np.full(count, at), np.full(count, of)
            special[f"%tid.{axis}"] = self.lanes if axis == "x" else np.zeros(count)
            special[f"%ntid.{axis}"] = np.full(count, count if axis == "x" else 1)
        self.registers = Registers({name: value.astype(np.uint32) for name, value in special.items()}, program.shared)
        self.now = self.started = self.met_cta = clock
        self.met_warp = np.full(count, clock)
        self.executed: Counter[str] = Counter()

    def run(self, limit: int) -> None:
        """Execute to the end."""
        counter: int | None = 0
        while counter is not None:
            if counter >= len(self.program.instructions):
                raise Fault("the kernel ends without ret")
            if self.now - self.started >= limit:
                raise Fault(f"no end after {limit} instructions")
            instruction = self.program.instructions[counter]
            self.now += 1
            self.executed[instruction.opcode] += 1
            try:
                counter = self._step(instruction, counter)
            except (Fault, Refused) as error:
                raise type(error)(f"{error} [{instruction.text}, CTA {self.index}]") from None

    def _step(self, instruction: Instruction, counter: int) -> int | None:
        """Execute one instruction; returns the place of the next one, None at the end."""
        opcode, operands, active = instruction.opcode, instruction.operands, self._active(instruction)
        if opcode in BRANCHES:
            return self._branch(operands, active, counter)
        if opcode == "ret" or opcode in BARRIERS:
            if not active.all():
                raise Refused(f"{opcode} by some threads of a CTA only")
            if opcode == "ret":
                return None
            self._barrier(opcode, operands)
        elif opcode in ACCESSES:
            if active.any():
                self._access(opcode, operands, active)
        elif opcode in MATRICES:
            self._matrices(opcode, operands, active)
        elif opcode in SHUFFLES:
            self._shuffle(opcode, operands, active)
        elif opcode in MOVES and any(isinstance(operand, Vector) for operand in operands):
            self._repack(opcode, operands, active)
        else:
            self._compute(opcode, operands, active)
        return counter + 1

    def _active(self, instruction: Instruction) -> Mask:
        if instruction.guard is None:
            return self.everyone
        register, negated = instruction.guard
        return self.registers.read(register, "pred").use(self.everyone, "predicate") ^ negated

    def _branch(self, operands: tuple[Operand, ...], active: Mask, counter: int) -> int:
        (label,) = operands
        if active.any() and not active.all():
            raise Refused("a branch that threads of a CTA take differently")
        if not isinstance(label, Symbol):
            raise Refused(f"a branch to {label}")
        return self.program.labels[label.name] if active.all() else counter + 1

    def _barrier(self, opcode: str, operands: tuple[Operand, ...]) -> None:
        if operands != (Immediate(BARRIERS[opcode]),):
            raise Refused("a barrier of some threads only")
        self.met_warp[:] = self.now
        if opcode == "bar.sync":
            self.met_cta = self.now

    def _compute(self, opcode: str, operands: tuple[Operand, ...], active: Mask) -> None:
        target, *sources = operands
        value = self._parameter(opcode, sources, target) if opcode in PARAMETERS else self._value(opcode, sources)
        self.registers.write(target, value, active)

    def _value(self, opcode: str, sources: Sequence[Operand]) -> Value:
        """What an instruction computes from registers alone."""
        kind = opcode.rsplit(".", 1)[1]
        if opcode in MOVES:
            (source,) = sources
            return self.registers.read(source, kind)
        if opcode in SELECTS:
            yes, no, predicate = sources
            chosen = self.registers.read(predicate, "pred")
            value = select(chosen.bits, self.registers.read(yes, kind), self.registers.read(no, kind))
            return value if chosen.written is None else Value(value.bits, np.where(chosen.written, value.mask(), 0))
        operation = TABLE[opcode]
        if len(sources) != len(operation.sources):
            raise Refused(f"{len(sources)} operands")
        values = [self.registers.read(*pair) for pair in zip(sources, operation.sources, strict=True)]
        with np.errstate(all="ignore"):
            decoded = (decode(value.bits, kind) for value, kind in zip(values, operation.sources, strict=True))
            bits = encode(operation.compute(*decoded), operation.result)
        return Value(
            bits, None if all(value.written is None for value in values) else _written(values, operation.lanes, bits)
        )

    def _parameter(self, opcode: str, sources: Sequence[Operand], target: Operand) -> Value:
        (address,), kind = sources, opcode.removeprefix("ld.param.")
        if not (isinstance(address, Address) and isinstance(address.base, Symbol) and address.offset == 0):
            raise Refused(f"parameter at {address}")
        value = self.parameters[address.base.name]
        if value.dtype.itemsize * 8 != width_of(kind):
            raise Refused(f"a parameter of {value.dtype}")
        value = value.view(TYPES[kind])
        if kind == "s32" and isinstance(target, Register) and target.width == 64:
            value = value.astype(np.int64)
        return Value(np.full(len(self.lanes), value.view(BITS[value.dtype.itemsize * 8])))

    def _repack(self, opcode: str, operands: tuple[Operand, ...], active: Mask) -> None:
        """Two registers to one of twice the width, or back."""
        target, source = operands
        halves = {"mov.b32": "b16", "mov.b64": "b32"}
        if opcode not in halves:
            raise Refused("a vector")
        if isinstance(source, Vector):
            low, high = source.items
            value = join(*(self.registers.read(item, halves[opcode]) for item in (low, high)))
            self.registers.write(target, value, active)
        elif isinstance(target, Vector):
            low, high = target.items
            parts = split(self.registers.read(source, opcode.removeprefix("mov.")))
            for item, part in zip((low, high), parts, strict=True):
                self.registers.write(item, part, active)

    def _shuffle(self, opcode: str, operands: tuple[Operand, ...], active: Mask) -> None:
        target, source, by, clamp, members = operands
        if not active.all() or clamp != Immediate(WARP - 1) or members != Immediate(-1):
            raise Refused("a shuffle within less than whole warps")
        amount = self.registers.read(by, "u32").use(active, "lane").astype(np.int64)
        lane = self.lanes % WARP
        other = {"bfly": lane ^ amount, "down": lane + amount, "idx": amount % WARP}[opcode.split(".")[2]]
        origin = self.lanes - lane + np.where(other < WARP, other, lane)
        value = self.registers.read(source, "b32")
        written = None if value.written is None else value.written[origin]
        self.registers.write(target, Value(value.bits[origin], written), active)

    def _access(self, opcode: str, operands: tuple[Operand, ...], active: Mask) -> None:
        verb, space, count, kind = ACCESSES[opcode]
        address, items = self._memory_operands(verb, operands, count)
        base = self.registers.read(address.base, "u64" if space == "global" else "u32").use(active, "address")[active]
        addresses, size = base.astype(np.int64) + address.offset, count * width_of(kind) // 8
        if space == "shared":
            buffer, offsets = self.shared, self.shared.offsets(addresses - SHARED_BASE, size)
        else:
            buffer, offsets = self.memory.locate(addresses, size)
            traffic = self.memory.loaded if verb == "ld" else self.memory.stored
            traffic.count(addresses, size, self.lanes[active] // WARP)
        self._transfer(verb, buffer, offsets, items, kind, active)

    def _matrices(self, opcode: str, operands: tuple[Operand, ...], active: Mask) -> None:
        """8 x 8 matrices of 16 bits: lane 8 i + r has the address of row r of matrix i, lane t two of row t // 4."""
        if not active.all():
            raise Refused(f"{opcode} by some threads of a CTA only")
        verb, count = MATRICES[opcode]
        address, items = self._memory_operands(verb, operands, count)
        base = self.registers.read(address.base, "u32")
        lane = self.lanes % WARP
        for matrix, item in enumerate(items):
            source = self.lanes - lane + 8 * matrix + lane // 4
            rows = Value(base.bits[source], None if base.written is None else base.written[source])
            first = rows.use(active, "address").astype(np.int64) + address.offset - SHARED_BASE
            offsets = self.shared.offsets(first, 16).reshape(-1, 4, 4)[self.lanes, lane % 4]
            self._transfer(verb, self.shared, offsets, (item,), "b32", active)

    @staticmethod
    def _memory_operands(verb: str, operands: tuple[Operand, ...], count: int) -> tuple[Address, tuple[Operand, ...]]:
        data, address = operands if verb == "ld" else reversed(operands)
        items = data.items if isinstance(data, Vector) else (data,)
        if len(items) != count or not isinstance(address, Address):
            raise Refused(f"{len(items)} registers at {address}")
        return address, items

    def _transfer(
        self, verb: str, buffer: Bytes, offsets: Offsets, items: tuple[Operand, ...], kind: str, active: Mask
    ) -> None:
        threads = Threads(self.numbers[active], self.now, self.started, self.met_cta, self.met_warp[active])
        if verb == "st":
            values = [self.registers.read(item, kind).use(active, "stored value")[active] for item in items]
            buffer.store(offsets, np.stack(values, 1).view(np.uint8), threads)
            return
        loaded = buffer.load(offsets, threads).view(BITS[width_of(kind)])
        for item, column in zip(items, loaded.T, strict=True):
            bits = np.zeros(len(self.lanes), loaded.dtype)
            bits[active] = column
            self.registers.write(item, Value(bits), active)


def _written(values: Sequence[Value], lanes: int, bits: NDArray) -> NDArray:
    """Lanes of the result that come from lanes written in every source."""

    def parts(array: NDArray) -> NDArray:
        return array if lanes == 1 else array.view(BITS[array.dtype.itemsize * 8 // lanes])

    whole = np.all([parts(value.mask()) == ~parts(np.zeros_like(value.bits)) for value in values], 0)
    ones = ~parts(np.zeros_like(bits))
    return np.where(whole, ones, ~ones).view(bits.dtype)
