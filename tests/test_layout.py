"""The root folders are physgen's packages: in a checkout, in the wheel, in the sdist."""

import ast
import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import physgen

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
FOLDERS = {package: ROOT / folder for package, folder in SETUPTOOLS["package-dir"].items()}
LINKED = ["conf", "constraints", "experiments", "kernels"]


def source_files() -> set[str]:
    """What the packages hold, by path in the wheel; notes (.md) stay in the repository."""
    return {
        f"{package.replace('.', '/')}/{path.relative_to(folder).as_posix()}"
        for package, folder in FOLDERS.items()
        for parent, _, names in os.walk(folder)
        for path in (Path(parent) / name for name in names)
        if "__pycache__" not in path.parts and path.suffix != ".md"
    }


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and the wheel built from it, of a copy of the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ["pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "physgen", "tests", *LINKED]:
        run("cp", "-a", ROOT / name, source, cwd=ROOT)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", source, cwd=source)
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    return distributions / f"physgen-{physgen.__version__}-py3-none-any.whl"


@pytest.mark.parametrize("name", LINKED)
def test_root_folders_are_linked_into_the_package(name: str) -> None:
    link = ROOT / "physgen" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..", name)
    assert link.resolve() == ROOT / name
    assert FOLDERS[f"physgen.{name}"] == ROOT / name


def test_kernels_is_no_package_of_its_own() -> None:
    assert not (ROOT / "kernels" / "__init__.py").exists()


def test_every_package_is_listed() -> None:
    found = {str(Path(file).parent).replace("/", ".") for file in source_files() if file.endswith("/__init__.py")}
    assert found | {"physgen.kernels"} == set(SETUPTOOLS["packages"])


def test_every_import_is_declared() -> None:
    project = PYPROJECT["project"]
    requirements = sum(project["optional-dependencies"].values(), project["dependencies"])
    declared = {canonicalize_name(Requirement(requirement).name) for requirement in requirements}
    imported = {
        name.split(".")[0]
        for folder in FOLDERS.values()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in imported_names(node)
    }
    providers = packages_distributions()
    assert not [
        name
        for name in imported - set(sys.stdlib_module_names) - {"physgen"}
        if declared.isdisjoint(canonicalize_name(provider) for provider in providers.get(name, [name]))
    ]


@pytest.mark.slow
def test_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == source_files()


@pytest.mark.slow
def test_sdist_has_no_part_of_the_tests(distributions: Path) -> None:
    with tarfile.open(distributions / f"physgen-{physgen.__version__}.tar.gz") as archive:
        assert not [name for name in archive.getnames() if "/tests/" in name]


@pytest.mark.slow
def test_wheel_installs_and_imports_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    program = (
        "import physgen, physgen.constraints; from importlib.resources import files;"
        "configs = [p for p in files('physgen.conf').iterdir() if p.name.endswith('.yaml')];"
        "print(physgen.__file__, physgen.constraints.__file__, len(configs))"
    )
    package, constraints, configs = run(python, "-I", "-c", program, cwd=tmp_path).split()
    assert Path(package).is_relative_to(site)
    assert Path(constraints).is_relative_to(site)
    assert int(configs) == len(list((ROOT / "conf").glob("*.yaml")))


@pytest.mark.slow
def test_repository_root_is_a_safe_working_directory() -> None:
    program = (
        "import sys, transformers, diffusers, physgen.constraints;"
        "from diffusers import WanPipeline; from transformers import UMT5EncoderModel;"
        "print(*(str(m.__spec__.origin) for n in sys.argv[1:] if (m := sys.modules.get(n))))"
    )
    assert str(ROOT) not in run(sys.executable, "-c", program, *LINKED, cwd=ROOT)


def test_every_room_is_found_in_the_package() -> None:
    package = Path(physgen.__file__).parent
    modules = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    rooms = modules | {path.parent.name for path in package.glob("*/__init__.py")} - {"conf"}
    for name in rooms | set(physgen.__all__) - {"__version__"}:
        found = physgen.__getattr__(name)
        assert (found.__name__ == f"physgen.{name}") == (name in rooms), name
    assert set(dir(physgen)) == rooms | set(physgen.__all__)
    with pytest.raises(AttributeError, match="no attribute 'roms'"):
        physgen.roms  # noqa: B018


def test_constraints_need_only_tensors() -> None:
    program = (
        "import sys, numpy, torch; before = set(sys.modules); import physgen.constraints;"
        "print(*{'diffusers', 'hydra', 'transformers', 'triton'} & (set(sys.modules) - before))"
    )
    assert run(sys.executable, "-c", program, cwd=ROOT).split() == []
