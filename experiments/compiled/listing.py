"""Assembly as instructions, their jumps, and those that a loop repeats."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

SASS = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
ENDS = ("EXIT", "RET", "BRA", "s_endpgm", "s_setpc_b64", "s_branch")
IDLE = ("NOP", "s_nop", "s_code_end")
SASS_BYTES = {"128": 16, "64": 8, "U16": 2, "S16": 2, "U8": 1, "S8": 1}
AMD_BYTES = {"dwordx4": 16, "dwordx3": 12, "dwordx2": 8, "dword": 4, "ushort": 2, "sshort": 2, "short": 2, "ubyte": 1}


@dataclass(frozen=True)
class Instruction:
    """One machine instruction.

    Attributes:
        opcode: with its modifiers.
        places: addresses or labels that a jump here would name.
        target: place that it may jump to.
        final: whether control never goes on to the next one.
    """

    opcode: str
    places: tuple[str, ...]
    target: str | None
    final: bool


@dataclass(frozen=True)
class Listing:
    """The instructions of a kernel in order."""

    instructions: list[Instruction]

    def count(self, *opcodes: str) -> int:
        """Instructions whose opcode starts with one of these; without any, all but those that do nothing.

        >>> code = parse_sass("/*0000*/ BAR.SYNC 0x0 ; /*0010*/ NOP ; /*0020*/ EXIT ;")
        >>> code.count("BAR"), code.count()
        (1, 2)
        """
        if not opcodes:
            return len(self.instructions) - self.count(*IDLE)
        return sum(instruction.opcode.startswith(opcodes) for instruction in self.instructions)

    def loops(self) -> Listing:
        """Those that control can come back to: on a cycle of the control flow graph.

        A jump back alone is no loop: compilers move blocks behind the end and jump back from there.

        >>> parse_sass("/*0000*/ IADD R0 ; /*0010*/ @P0 BRA 0x0 ; /*0020*/ EXIT ;").loops().count()
        2
        """
        places = {place: index for index, item in enumerate(self.instructions) for place in item.places}
        edges = [(i, i + 1) for i, item in enumerate(self.instructions[:-1]) if not item.final]
        edges += [(i, places[item.target]) for i, item in enumerate(self.instructions) if item.target in places]
        shape = (len(self.instructions), len(self.instructions))
        graph = csr_array((np.ones(len(edges)), tuple(np.array(edges, int).reshape(-1, 2).T)), shape=shape)
        component = connected_components(graph, directed=True, connection="strong")[1]
        repeated = np.bincount(component)[component] > 1
        return Listing([item for item, kept in zip(self.instructions, repeated, strict=True) if kept])

    def bytes_moved(self) -> int:
        r"""Bytes that a thread loads from and stores to global memory.

        >>> parse_sass("/*0000*/ LDG.E.128 R0, [R2] ; /*0010*/ @P0 STG.E.U16 [R2], R0 ;").bytes_moved()
        18
        >>> parse_amdgcn("\tglobal_load_dwordx2 v[0:1], v2\n\tbuffer_store_short v0, v1\n.Lfunc_end0:").bytes_moved()
        10
        """
        return self._bytes(lambda opcode: opcode.startswith(("LDG.", "STG.", "global_", "buffer_", "flat_")))

    def bytes_spilled(self) -> int:
        """Bytes that a thread stores to its stack.

        >>> parse_sass("/*0000*/ STL.64 [R1], R2 ; /*0010*/ LDL.64 R2, [R1] ;").bytes_spilled()
        8
        """
        return self._bytes(lambda opcode: opcode.startswith(("STL", "scratch_store_")))

    def _bytes(self, chosen: Callable[[str], bool]) -> int:
        return sum(_size(item.opcode) for item in self.instructions if chosen(item.opcode))


def _size(opcode: str) -> int:
    """Bytes of a load or store."""
    if found := re.match(r"[a-z]+_(?:load|store)_(dwordx\d|[a-z]+)", opcode):
        return AMD_BYTES[found[1]]
    return next((SASS_BYTES[part] for part in opcode.split(".") if part in SASS_BYTES), 4)


def parse_sass(text: str) -> Listing:
    """NVIDIA assembly as ``cuobjdump -sass`` prints it.

    >>> [item.target for item in parse_sass("/*0000*/ @!P0 BRA 0x20 ; /*0010*/ NOP ; /*0020*/ EXIT ;").instructions]
    ['20', None, None]
    """
    instructions = []
    for address, guard, opcode, operands in SASS.findall(text):
        family = opcode.split(".")[0]
        jump = re.findall(r"0x([0-9a-f]+)", operands) if family == "BRA" else []
        always = not guard and not re.match(r"!?U?P\d", operands)
        target = f"{int(jump[-1], 16):x}" if jump else None
        instructions.append(Instruction(opcode, (f"{int(address, 16):x}",), target, family in ENDS and always))
    return Listing(instructions)


def parse_amdgcn(text: str) -> Listing:
    r"""AMD assembly as LLVM prints it.

    >>> code = "f:\n.LBB0_1:\n\ts_add_u32 s0, s0, 1\n\ts_cbranch_scc1 .LBB0_1\n\ts_endpgm\n.Lfunc_end0:\n"
    >>> parse_amdgcn(code).loops().count()
    2
    """
    instructions: list[Instruction] = []
    places: tuple[str, ...] = ()
    for line in text[: text.index(".Lfunc_end0:")].splitlines():
        if label := re.match(r"(\.LBB\w+):", line):
            places = (*places, label[1])
        elif found := re.match(r"\t([a-z]\w+)\s*(\.LBB\w+)?", line):
            opcode, target = found.groups()
            instructions.append(Instruction(opcode, places, target, opcode in ENDS))
            places = ()
    return Listing(instructions)
