"""Global and shared memory that know who touched each byte, and when."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ptx.errors import Fault

Offsets = NDArray[np.int64]

#: in place of the number of a thread: nobody yet, the caller before the launch, more than one thread
NOBODY, HOST, SEVERAL = -1, -2, -3
WARP = 32
SECTOR = 32
SPACING = 1 << 40


@dataclass(frozen=True)
class Threads:
    """The active threads of one access.

    Times count instructions over the whole launch, so what another CTA did lies before ``started``.
    """

    numbers: NDArray[np.int64]
    now: int
    started: int
    met_cta: int
    met_warp: NDArray[np.int64]


class Touches:
    """The last thread to touch each byte, and its warp."""

    def __init__(self, size: int, who: int) -> None:
        self.who = np.full(size, who, np.int64)
        self.warp = np.full(size, who, np.int64)
        self.when = np.full(size, -1, np.int64)

    def races(self, offsets: Offsets, threads: Threads) -> NDArray[np.bool_]:
        """Where another thread touched the byte, with no barrier since that both passed."""
        who, when, number = self.who[offsets], self.when[offsets], threads.numbers[:, None]
        foreign = (who != number) & (who != NOBODY) & (who != HOST)
        same_warp = self.warp[offsets] == number // WARP
        passed = (when < threads.met_cta) | (same_warp & (when < threads.met_warp[:, None]))
        return foreign & ~(passed & (when >= threads.started))

    def touch(self, offsets: Offsets, threads: Threads, together: bool) -> None:
        """Note the threads, and if ``together`` also those before them that met no barrier since."""
        number = np.broadcast_to(threads.numbers[:, None], offsets.shape)
        recent = together & (self.when[offsets] >= threads.met_cta)
        for last, now in ((self.who, number), (self.warp, number // WARP)):
            before = last[offsets]
            last[offsets] = now
            mixed = (last[offsets] != now) | (recent & (before != now) & (before != NOBODY))
            last[offsets[mixed]] = SEVERAL
        self.when[offsets] = threads.now


class Bytes:
    """One allocation: all ones at first, which is NaN in every float type."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.values = np.full(size, 0xFF, np.uint8)
        self.writes, self.reads = Touches(size, NOBODY), Touches(size, NOBODY)

    def offsets(self, first: Offsets, size: int) -> Offsets:
        """The offset of each byte ``[threads, size]`` of an access.

        Raises:
            Fault: out of bounds or misaligned.
        """
        outside = (first < 0) | (first + size > len(self.values))
        if outside.any():
            raise Fault(f"out of bounds: offset {first[outside][0]} of {self.name}, {len(self.values)} bytes")
        if (first % size).any():
            raise Fault(f"misaligned: {size} bytes at offset {first[first % size != 0][0]} of {self.name}")
        return first[:, None] + np.arange(size)

    def load(self, offsets: Offsets, threads: Threads) -> NDArray[np.uint8]:
        """Bytes at ``offsets [threads, n]``.

        Raises:
            Fault: never written, or written by another thread with no barrier since.
        """
        self._refuse(offsets, self.writes.who[offsets] == NOBODY, "read of memory never written")
        self._refuse(offsets, self.writes.races(offsets, threads), "race: read of what another thread wrote")
        self.reads.touch(offsets, threads, together=True)
        return self.values[offsets]

    def store(self, offsets: Offsets, values: NDArray[np.uint8], threads: Threads) -> None:
        """Write ``values [threads, n]``.

        Raises:
            Fault: another thread wrote or read it with no barrier since, or writes something else at the same time.
        """
        self._refuse(offsets, self.writes.races(offsets, threads), "race: write over what another thread wrote")
        self._refuse(offsets, self.reads.races(offsets, threads), "race: write over what another thread reads")
        self.values[offsets] = values
        self._refuse(offsets, self.values[offsets] != values, "two threads write different values")
        self.writes.touch(offsets, threads, together=False)

    def _refuse(self, offsets: Offsets, wrong: NDArray[np.bool_], what: str) -> None:
        if wrong.any():
            raise Fault(f"{what}: byte {offsets[wrong][0]} of {self.name}")


@dataclass
class Traffic:
    """Bytes that threads asked for, and the 32-byte sectors that hold them."""

    requested: int = 0
    sectors: int = 0
    distinct: set[int] = field(default_factory=set)

    def count(self, addresses: Offsets, size: int, warps: NDArray[np.int64]) -> None:
        """One access of ``size`` bytes by each thread: the sectors of a warp count once."""
        first, last = addresses // SECTOR, (addresses + size - 1) // SECTOR
        self.requested += len(addresses) * size
        self.sectors += len(set(zip(warps.tolist() * 2, [*first.tolist(), *last.tolist()], strict=True)))
        self.distinct.update(first.tolist(), last.tolist())

    @property
    def distinct_bytes(self) -> int:
        """What a cache that forgets nothing would move."""
        return SECTOR * len(self.distinct)


class GlobalMemory:
    """Buffers far apart, so that a wrong address is in none of them."""

    def __init__(self) -> None:
        self.buffers: list[Bytes] = []
        self.loaded, self.stored = Traffic(), Traffic()

    def place(self, name: str, array: NDArray) -> int:
        """Copy an array to the device and return its address."""
        address = self.reserve(name, array.nbytes)
        self.buffers[-1].values[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self.buffers[-1].writes = Touches(array.nbytes, HOST)
        return address

    def reserve(self, name: str, size: int) -> int:
        """Address of ``size`` bytes that nobody has written."""
        self.buffers.append(Bytes(name, size))
        return len(self.buffers) * SPACING

    def fetch(self, address: int, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
        """Copy a whole buffer back.

        Raises:
            Fault: a byte of it was never written.
        """
        buffer = self.buffers[address // SPACING - 1]
        missing = np.flatnonzero(buffer.writes.who == NOBODY)
        if len(missing):
            raise Fault(f"{len(missing)} bytes of {buffer.name} never written, the first is byte {missing[0]}")
        return buffer.values.view(dtype).reshape(shape).copy()

    def locate(self, addresses: Offsets, size: int) -> tuple[Bytes, Offsets]:
        """The buffer that the addresses are in, and the offset of each byte ``[threads, size]``.

        Raises:
            Fault: in no buffer or in more than one, out of bounds, misaligned.
        """
        number = int(addresses[0]) // SPACING
        if (addresses // SPACING != number).any() or not 1 <= number <= len(self.buffers):
            raise Fault(f"out of bounds: addresses {addresses.min():#x} to {addresses.max():#x} are in no one buffer")
        buffer = self.buffers[number - 1]
        return buffer, buffer.offsets(addresses - number * SPACING, size)
