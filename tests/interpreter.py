"""Triton's interpreter, in a process of its own: Triton reads the variable when it is imported."""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch


@cache
def interpret(script: str, group: str) -> Any:
    """What a module saves when it is run as ``script OUT GROUP``."""
    pytest.importorskip("triton")
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONWARNINGS": "error::RuntimeWarning"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.pt"
        subprocess.run([sys.executable, script, str(out), group], check=True, env=environment)
        return torch.load(out)
