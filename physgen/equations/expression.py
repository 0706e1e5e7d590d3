"""Rate expressions from text, by a whitelist: never `eval`, never `sympify`."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping

import sympy as sp

from physgen.errors import InvalidArgument

#: longest text, largest constant power and deepest nesting that are read
LENGTH, POWER, DEPTH = 2000, 64, 100
#: positive number that a logarithm beside a `power` is taken of at least
TINY = 1e-30


class power(sp.Function):
    """Real power of a concentration, zero where the concentration is not positive.

    power(x, n) = exp(n log x) for x > 0, else 0;  d/dx power(x, n) = n power(x, n - 1)

    So a Hill term with a fitted exponent has a value and a derivative at x = 0, where x^n n / x has none.
    """

    nargs = 2
    is_real = True

    @classmethod
    def eval(cls, base: sp.Expr, exponent: sp.Expr) -> sp.Expr | None:
        """The number, of numbers."""
        if base.is_Number and exponent.is_Number:
            return sp.Float(float(base) ** float(exponent)) if base > 0 else sp.S.Zero
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Derivative with respect to base (1) or exponent (2)."""
        x, n = self.args
        return n * power(x, n - 1) if argindex == 1 else power(x, n) * sp.log(sp.Max(x, TINY))

    def _latex(self, printer: sp.printing.latex.LatexPrinter, exp: str | None = None) -> str:
        base, exponent = self.args
        inner = printer.parenthesize(base, sp.printing.precedence.PRECEDENCE["Pow"])
        text = f"{inner}^{{{printer.doprint(exponent)}}}"
        return text if exp is None else rf"\left({text}\right)^{{{exp}}}"


class absolute(sp.Function):
    """Absolute value of a real number, whose derivative is its sign (sympy's own speaks of complex numbers)."""

    nargs = 1
    is_real = True

    @classmethod
    def eval(cls, number: sp.Expr) -> sp.Expr | None:
        """The number, of a number."""
        return abs(number) if number.is_Number else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Derivative."""
        return sp.sign(self.args[0])

    def _latex(self, printer: sp.printing.latex.LatexPrinter) -> str:
        return rf"\left|{{{printer.doprint(self.args[0])}}}\right|"


FUNCTIONS: Mapping[str, tuple[int, Callable[..., sp.Expr]]] = {
    "exp": (1, sp.exp),
    "log": (1, sp.log),
    "sqrt": (1, sp.sqrt),
    "sin": (1, sp.sin),
    "cos": (1, sp.cos),
    "tanh": (1, sp.tanh),
    "abs": (1, absolute),
    "min": (2, sp.Min),
    "max": (2, sp.Max),
}
OPERATORS = "+ - * / **"


def parse(text: str, symbols: Mapping[str, sp.Symbol]) -> sp.Expr:
    """Expression of a rate, in the names ``symbols`` and the functions of `FUNCTIONS`.

    ``x**n`` is an integer power where ``n`` is an integer, else `power`. A number to a number is computed in floating
    point.

    Raises:
        InvalidArgument: anything but names, finite real numbers, + - * / ** and the listed functions; the offending
            token is named.

    >>> u = sp.Symbol("u", real=True)
    >>> parse("2*u*(1 - u)", {"u": u}).diff(u)
    2 - 4*u
    >>> parse("u.__class__", {"u": u})
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: rate='u.__class__': allowed: ... not the attribute '.__class__'
    """
    allowed = f"names ({', '.join(symbols)}), numbers, {OPERATORS}, {', '.join(FUNCTIONS)}"

    def refuse(token: str) -> InvalidArgument:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        return InvalidArgument("rate", shown, f"{allowed}; not {token}")

    if len(text) > LENGTH:
        raise refuse(f"text of more than {LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise refuse(f"what is no expression ({getattr(error, 'msg', error)})") from error

    def build(node: ast.expr, depth: int) -> sp.Expr:
        if depth > DEPTH:
            raise refuse(f"nesting deeper than {DEPTH}")
        match node:
            case ast.Name(id=name) if name in symbols:
                return symbols[name]
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) < 1e300:
                return sp.Integer(value) if float(value).is_integer() and abs(value) < 2**53 else sp.Float(float(value))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -build(operand, depth + 1)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return build(operand, depth + 1)
            case ast.BinOp(left=left, op=op, right=right):
                return combine(op, build(left, depth + 1), build(right, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
                count, function = FUNCTIONS[name]
                if len(arguments) != count:
                    raise refuse(f"{name} with {len(arguments)} arguments ({count})")
                return function(*(build(argument, depth + 1) for argument in arguments))
        raise refuse(_token(node))

    def combine(op: ast.operator, left: sp.Expr, right: sp.Expr) -> sp.Expr:
        match op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                if right == 0:
                    raise refuse("a division by 0")
                return left / right
            case ast.Pow():
                return raised(left, right)
        raise refuse(f"the operator {type(op).__name__}")

    def raised(base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        if base.is_number and exponent.is_number:
            try:
                return sp.Float(math.pow(float(base), float(exponent)))
            except (OverflowError, ValueError, TypeError) as error:
                raise refuse(f"{base}**{exponent}, which is no finite number") from error
        if exponent.is_number and abs(exponent) > POWER:
            raise refuse(f"the exponent {exponent} (at most {POWER})")
        result = base**exponent if exponent.is_Integer else power(base, exponent)
        if any(p.exp.is_number and abs(p.exp) > POWER for p in result.atoms(sp.Pow)):
            raise refuse(f"powers of powers beyond the exponent {POWER}")
        return result

    expression = build(tree.body, 0)
    if expression.has(sp.zoo, sp.oo, -sp.oo, sp.nan, sp.I):
        raise refuse("what is no finite real number")
    return expression


def check_expression(expression: sp.Expr, symbols: Mapping[str, sp.Symbol]) -> sp.Expr:
    """A sympy expression in the same names and functions, with its own symbols of those names replaced.

    >>> u = sp.Symbol("u", real=True)
    >>> check_expression(sp.Symbol("u") ** 2, {"u": u}) == u**2
    True
    """
    known = {sp.exp, sp.log, sp.sin, sp.cos, sp.tanh, sp.Min, sp.Max, power, absolute}

    def convert(node: sp.Basic) -> sp.Expr:
        if isinstance(node, sp.Symbol):
            if node.name in symbols:
                return symbols[node.name]
        elif node.is_number and node.is_real and node.is_finite:
            return node
        elif isinstance(node, sp.Pow):
            base, exponent = map(convert, node.args)
            if base == sp.E:
                return sp.exp(exponent)
            whole = exponent.is_Integer or abs(exponent) == sp.S.Half
            return base**exponent if whole else power(base, exponent)
        elif isinstance(node, sp.Abs):
            return absolute(convert(node.args[0]))
        elif node.func in known | {sp.Add, sp.Mul}:
            return node.func(*map(convert, node.args))
        token = node.name if isinstance(node, sp.Symbol) else node.func.__name__
        allowed = f"names ({', '.join(symbols)}), finite numbers, {OPERATORS}, {', '.join(FUNCTIONS)}; not {token!r}"
        raise InvalidArgument("rate", str(expression), allowed)

    return convert(expression)


def _token(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return f"the name {name!r}"
        case ast.Attribute(attr=attribute):
            return f"the attribute '.{attribute}'"
        case ast.Call(func=ast.Name(id=name)):
            return f"the function {name!r}" + ("" if name not in FUNCTIONS else " with keywords")
        case ast.Call(func=function):
            return _token(function)
        case ast.Constant(value=value):
            return f"the constant {value!r}"
        case ast.UnaryOp(op=op):
            return f"the operator {type(op).__name__}"
    return f"a {type(node).__name__}"
