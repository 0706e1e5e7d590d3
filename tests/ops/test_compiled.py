"""Compiled functions where neither the package nor a home can be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import physgen

CHECK = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
import pytest

import physgen
assert physgen.__file__.startswith(sys.argv[1]), physgen.__file__
from physgen.constraints import ReactionDiffusion
from physgen.grid import Grid
from physgen.ops import mass
from physgen.simulators import SIMULATORS
from physgen.simulators.gray_scott import _euler
grid = Grid(spacing=(1.0, 1.0), dt=1.0)
print(mass(torch.ones(1, 1, 2, 4, 4), backend="numba")[0].flatten().tolist())
from physgen.kernels.forward_backward import forward_backward
fields = torch.rand(1, 1, 4, 16, 16)
print(ReactionDiffusion("diffusion", {"c": 0.1}).residual(fields, grid).isfinite().all().item())
"""


@pytest.mark.slow
def test_a_read_only_package_and_no_home(tmp_path: Path) -> None:
    """numba finds no place beside a source whose ``__pycache__`` is a file, nor in a home that is none."""
    package = tmp_path / "packages" / "physgen"
    shutil.copytree(Path(physgen.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (package / "ops", package / "kernels", package / "simulators"):
        (folder / "__pycache__").write_text("")
    (tmp_path / "temporary").mkdir()
    outside = {k: v for k, v in os.environ.items() if k not in {"XDG_CACHE_HOME", "PHYSGEN_CACHE", "PYTHONPATH"}}
    found = subprocess.run(
        [sys.executable, "-c", CHECK, str(package.parent)],
        env={**outside, "HOME": "/dev/null", "TMPDIR": str(tmp_path / "temporary")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split("\n")[:2] == ["[16.0, 16.0]", "True"]
    assert not list((tmp_path / "temporary").glob("physgen-*")), "what was made for the run is left behind"
