import inspect
import subprocess
import sys

import jaxtyping
import pytest
import torch

from physgen.errors import InvalidArgument
from physgen.ops.frame_mass import mass

SHAPES = [(1, 1, 1, 1), (2, 3, 4, 5), (2, 1, 3, 7, 11), (1, 2, 2, 64, 65), (1, 1, 2, 3, 5, 17), (2, 1, 3, 0)]


def values(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("backend", ["reference", "numba", "auto"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_are_exact(shape: tuple[int, ...], dtype: torch.dtype, backend: str) -> None:
    fields = values(shape, dtype)
    signed, absolute = mass(fields, backend)
    space = tuple(range(3, len(shape)))
    assert signed.dtype == absolute.dtype == torch.float64
    torch.testing.assert_close(signed, fields.double().sum(space), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(absolute, fields.double().abs().sum(space), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_small_values_are_not_lost(backend: str) -> None:
    """A float32 sum would stop at 2^24."""
    fields = torch.ones(1, 1, 1, 4200, 4001)
    assert mass(fields, backend)[0].item() == 4200 * 4001


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_repeats_bit_for_bit_and_ignores_layout(backend: str) -> None:
    fields = values((2, 2, 3, 33, 65), torch.float32)
    once = mass(fields, backend)
    for again in (fields, fields.clone(), fields.transpose(3, 4).contiguous().transpose(3, 4)):
        assert all(torch.equal(a, b) for a, b in zip(once, mass(again, backend), strict=True))


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_gradient(backend: str) -> None:
    fields = values((2, 1, 3, 2, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mass(x, backend)[0].square(), (fields,))
    assert torch.autograd.gradgradcheck(lambda x: mass(x, backend)[0].square(), (fields,))
    assert not mass(fields, backend)[1].requires_grad


def test_gradient_is_one_number_per_frame() -> None:
    fields = values((2, 1, 3, 64, 64), torch.float32).requires_grad_()
    (gradient,) = torch.autograd.grad(mass(fields)[0].sum(), fields)
    assert gradient.dtype == torch.float32
    assert torch.equal(gradient, torch.ones_like(fields))
    assert gradient.untyped_storage().nbytes() == 2 * 1 * 3 * 4


@pytest.mark.parametrize("backend", ["reference", "numba", "auto"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_operator_is_registered_properly(dtype: torch.dtype, backend: str) -> None:
    rows = values((4, 35), dtype).requires_grad_()
    torch.library.opcheck(torch.ops.physgen.row_sums, (rows, backend))


def test_compiles_as_one_graph() -> None:
    fields = values((2, 2, 3, 7, 11), torch.float32).requires_grad_()

    def loss(x: torch.Tensor) -> torch.Tensor:
        signed, absolute = inspect.unwrap(mass)(x)  # the run-time type checker cannot be traced
        return (signed / absolute).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected, found = (torch.autograd.grad(f(fields), fields)[0] for f in (loss, compiled))
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected)


@pytest.mark.slow
def test_import_loads_no_compiler() -> None:
    code = "import sys, physgen.ops.frame_mass; print(sorted({'numba', 'triton'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("fields", "backend", "message"),
    [
        (torch.zeros(2, 3, 4), "auto", r"fields='torch.float32 \(2, 3, 4\)': allowed: floating point"),
        (torch.zeros(2, 3, 4, 5, dtype=torch.long), "auto", r"fields='torch.int64 .*allowed: floating point"),
        (torch.zeros(2, 3, 4, 5), "cuda", "backend='cuda': allowed: auto, reference, numba, triton"),
        (torch.zeros(2, 3, 4, 5), "triton", "backend='triton': allowed: reference, numba for tensors on cpu"),
    ],
)
def test_refuses(monkeypatch: pytest.MonkeyPatch, fields: torch.Tensor, backend: str, message: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InvalidArgument, match=message):
        mass(fields, backend)
