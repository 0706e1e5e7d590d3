"""Kernels compiled without a GPU: the figures are those of the assembler, and a spill fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from physgen.errors import InvalidArgument
from physgen.experiments.compiled.aot import TARGETS, compile_kernel
from physgen.experiments.compiled.listing import parse_amdgcn, parse_sass
from physgen.experiments.compiled.registry import DTYPES, kernels
from physgen.experiments.compiled.spec import KernelSpec

pytest.importorskip("triton")
SPEC = KernelSpec("copy", "-", "-", "fp32", None, {}, {}, (), 4, 1)


@dataclass(frozen=True)
class Results:
    frugal: list[dict[str, Any]]
    both: list[dict[str, Any]]
    statuses: list[int]
    assembler: str
    printed: str
    complained: str


pytestmark = pytest.mark.slow  # `make kernels` is the same


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    out = tmp_path_factory.mktemp("aot")
    script = Path(__file__).with_name("aot_examples.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    # no compiler and no driver are on this path
    environment["PATH"] = str(out)
    done = subprocess.run([sys.executable, script, out], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = [json.loads((out / name).read_text()) for name in ("frugal.json", "greedy/kernels.json", "rest.json")]
    return Results(read[0], read[1], **read[2], printed=done.stdout, complained=done.stderr)


def test_every_target_is_reported(results: Results) -> None:
    assert [row["target"] for row in results.frugal] == list(TARGETS)
    assert [row for row in results.both if row["kernel"] == "running_sum"] == results.frugal


def test_figures_of_a_small_loop(results: Results) -> None:
    """A load, a conversion, an addition and a store per element, some of them for two or four, and some counting."""
    for row in results.frugal:
        assert row["spill_bytes"] == row["shared_bytes"] == row["convert_layouts"] == row["barriers"] == 0
        assert row["counted"] == "loop"
        assert 1.5 < row["instructions_per_element"] < 16
        assert 8 <= row["registers"] <= 64
        assert row["instructions"] > 20


def test_a_spill_is_what_the_assembler_says(results: Results) -> None:
    (row,) = [row for row in results.both if row["kernel"] == "outer_sums" and row["target"] == "sm_90"]
    stored = re.search(r"(\d+) bytes spill stores", results.assembler)
    used = re.search(r"Used (\d+) registers", results.assembler)
    assert stored is not None
    assert used is not None
    assert row["spill_bytes"] == int(stored[1]) > 0
    assert row["registers"] == int(used[1])


def test_a_spill_fails_and_is_named(results: Results) -> None:
    spilling = {row["target"] for row in results.both if row["spill_bytes"]}
    assert {"sm_80", "sm_90", "sm_100"} <= spilling
    assert results.statuses == [0, 1]
    named = re.findall(r"^outer_sums - - fp32 for (\w+) spills \d+ bytes", results.complained, re.MULTILINE)
    assert set(named) == spilling
    assert "running_sum - -" not in results.complained


def test_the_table_says_it_is_no_timing(results: Results) -> None:
    assert "not timed on a GPU" in results.printed
    assert results.printed.count("running_sum") == 2 * len(TARGETS)


def test_a_reduction_between_warps_is_seen(results: Results) -> None:
    for row in (row for row in results.both if row["kernel"] == "outer_sums"):
        assert row["counted"] == "kernel"
        assert row["barriers"] > 0
        assert row["shared_bytes"] > 0


@pytest.mark.parametrize("target", ["sm_70", "gfx90a", ""])
def test_an_unknown_target(target: str) -> None:
    with pytest.raises(InvalidArgument, match="target"):
        compile_kernel(SPEC, target)


def test_an_interpreting_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(InvalidArgument, match="TRITON_INTERPRET"):
        compile_kernel(SPEC, "sm_80")


def test_every_kernel_is_registered_once_and_whole() -> None:
    specs = list(kernels())
    keys = [(spec.name, spec.system, spec.boundary, spec.dtype) for spec in specs]
    assert len(set(keys)) == len(keys)
    assert {spec.dtype for spec in specs} == set(DTYPES)
    for spec in specs:
        assert set(spec.signature) | set(spec.constexprs) == set(spec.function.arg_names)
        assert set(spec.aligned) <= set(spec.signature)
        assert spec.elements > 0


def test_a_jump_back_out_of_line_is_no_loop() -> None:
    """A rare block behind the end, reached forward and left backward; the loop before it is one."""
    code = """f:
.LBB0_0:
\ts_add_u32 s0, s0, 1
\ts_cbranch_scc1 .LBB0_0
\ts_cbranch_execnz .LBB0_3
.LBB0_2:
\ts_endpgm
.LBB0_3:
\tv_mov_b32 v0, 0
\ts_branch .LBB0_2
.Lfunc_end0:
"""
    assert [item.opcode for item in parse_amdgcn(code).loops().instructions] == ["s_add_u32", "s_cbranch_scc1"]


def test_the_trap_behind_the_end_is_no_loop() -> None:
    code = "/*0000*/ MOV R1, R2 ; /*0010*/ EXIT ; /*0020*/ BRA 0x20; /*0030*/ NOP;"
    assert parse_sass(code).loops().count() == 0
    assert parse_sass(code).count() == 3
