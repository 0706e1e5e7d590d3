import jaxtyping
import pytest
import sympy as sp

from physgen.equations.expression import absolute, check_expression, parse, power
from physgen.errors import InvalidArgument

U, N = sp.Symbol("u", real=True), sp.Symbol("n", real=True)
SYMBOLS = {"u": U, "n": N}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u*(1 - u/2)", U * (1 - U / 2)),
        ("-u**3 + 2.5", -(U**3) + 2.5),
        ("u**-2", U**-2),
        ("u**n/(1 + u**n)", power(U, N) / (1 + power(U, N))),
        ("u**0.5", power(U, sp.Float(0.5))),
        ("max(u, 0)*min(n, u)", sp.Max(U, 0) * sp.Min(N, U)),
        ("exp(-u) + tanh(u) + abs(u) + log(n)", sp.exp(-U) + sp.tanh(U) + absolute(U) + sp.log(N)),
        ("2**0.5*u", sp.Float(2**0.5) * U),
        ("+u", U),
    ],
)
def test_reads(text: str, expected: sp.Expr) -> None:
    assert sp.simplify(parse(text, SYMBOLS) - expected) == 0


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("__import__('os').system('true')", "system"),
        ("__import__", "'__import__'"),
        ("__import__('os')", "'__import__'"),
        ("u.__class__", "'.__class__'"),
        ("u.real", "'.real'"),
        ("gamma(u)", "'gamma'"),
        ("v*u", "'v'"),
        ("'text'", "'text'"),
        ("True*u", "True"),
        ("1j*u", "1j"),
        ("u if u else 1", "IfExp"),
        ("[u]", "List"),
        ("u < n", "Compare"),
        ("lambda: u", "Lambda"),
        ("u @ n", "MatMult"),
        ("u // n", "FloorDiv"),
        ("~u", "Invert"),
        ("exp(u, n)", "exp with 2 arguments"),
        ("exp(u, x=1)", "'exp' with keywords"),
        ("max(*u)", "max with 1 arguments"),
        ("u; n", "what is no expression"),
        ("(u", "what is no expression"),
        ("", "what is no expression"),
        ("u = n", "what is no expression"),
        ("1/0", "a division by 0"),
        ("log(0)*u", "no finite real number"),
        ("sqrt(-1)", "no finite real number"),
        ("1e999*u", "inf"),
        ("9**9**9**9", "no finite number"),
        ("u**1000", "the exponent 1000"),
        ("((u**64)**64)**64", "powers of powers"),
        ("((u*n)**9)**9", "powers of powers"),
        ("u" + " + u" * 1000, "2000 characters"),
        ("-" * 150 + "u", "nesting deeper"),
        ("(" * 500 + "u" + ")" * 500, "what is no expression"),
    ],
)
def test_refuses_and_names_the_token(text: str, token: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text, SYMBOLS)
    assert caught.value.name == "rate"
    assert token in str(caught.value.allowed)


@pytest.mark.parametrize("expression", [sp.gamma(sp.Symbol("u")), sp.Symbol("w"), sp.oo * sp.Symbol("u"), sp.I])
def test_refuses_other_sympy(expression: sp.Expr) -> None:
    with pytest.raises(InvalidArgument, match="rate"):
        check_expression(expression, SYMBOLS)


def test_sympy_is_read_as_text_is() -> None:
    u, n = sp.symbols("u n", positive=True)
    given = u**n / (1 + u**n) + sp.sqrt(u) - sp.exp(-u) / 3 + sp.Abs(n - u, evaluate=False)
    text = "u**n/(1 + u**n) + sqrt(u) - exp(-u)/3 + abs(n - u)"
    assert sp.simplify(check_expression(given, SYMBOLS) - parse(text, SYMBOLS)) == 0


def test_power_has_a_derivative_at_zero() -> None:
    slope = power(U, sp.Float(2.5)).diff(U)
    assert slope == 2.5 * power(U, sp.Float(1.5))
    assert sp.latex(power(U, N)) == "u^{n}"
    assert float(power(U, N).diff(N).subs({U: 0, N: 2})) == 0.0


def test_text_that_is_no_text_is_a_type_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises((TypeError, AttributeError)):
        parse(3, SYMBOLS)  # type: ignore[arg-type]
