"""`kill -9` of a driver and of a worker, on every launcher that runs on one machine."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_world import SIZES, save_tiny_world

LAUNCHERS = {
    "basic": ["hydra/launcher=basic"],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "local": ["hydra/launcher=local"],
    "ray": ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"],
}
PLUGINS = {"joblib": "hydra_joblib_launcher", "local": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}
#: what is in the command line of a process that makes runs
WORKERS = {"joblib": "loky", "local": "submitit.core._submit", "ray": "ray::_run_job"}
RUNS = 6

pytestmark = pytest.mark.slow


def command(tmp_path: Path, launcher: str) -> list[str]:
    if launcher in PLUGINS and importlib.util.find_spec(f"hydra_plugins.{PLUGINS[launcher]}") is None:
        pytest.skip(f"pip install physgen[{launcher}]")
    tiny = tmp_path / "tiny"
    if not tiny.exists():
        save_tiny_world(tiny)
    options = [f"world.path={tiny}", *SIZES, "law=mass", "guidance=none,afterwards", f"seed=range({RUNS // 2})"]
    return [
        sys.executable,
        "-m",
        "physgen",
        "ablate",
        "-m",
        *options,
        f"runs={tmp_path / 'runs'}",
        *LAUNCHERS[launcher],
    ]


def finished(tmp_path: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("run-*/metrics.json")}


def wait_for(process: subprocess.Popen, tmp_path: Path, count: int) -> None:
    while len(finished(tmp_path)) < count:
        assert process.poll() is None, "over before anything was finished"
        time.sleep(0.02)


def workers(launcher: str) -> list[int]:
    """Processes of this launcher that are at work."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if entry.name.isdigit() and WORKERS[launcher] in line:
            found.append(int(entry.name))
    return found


def begin(arguments: list[str]) -> subprocess.Popen:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(arguments, stdout=quiet, stderr=quiet, start_new_session=True)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_driver(tmp_path: Path, launcher: str) -> None:
    arguments = command(tmp_path, launcher)
    driver = begin(arguments)
    wait_for(driver, tmp_path, 2)
    driver.kill()
    driver.wait()
    before = finished(tmp_path)
    assert subprocess.run(arguments, capture_output=True).returncode == 0
    after = finished(tmp_path)
    assert len(after) == RUNS
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("launcher", WORKERS)
def test_worker(tmp_path: Path, launcher: str) -> None:
    arguments = command(tmp_path, launcher)
    already = set(workers(launcher))
    driver = begin(arguments)
    wait_for(driver, tmp_path, 1)
    for pid in [pid for pid in workers(launcher) if pid not in already][:1]:
        os.kill(pid, signal.SIGKILL)
    assert driver.wait() == 0, "goes on by itself"
    assert len(finished(tmp_path)) == RUNS
