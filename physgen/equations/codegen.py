"""Python source of sympy expressions, in the dialects of torch, numba and Triton."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import sympy as sp
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

from physgen.equations.expression import power

Dialect = Literal["torch", "numba", "triton"]


class _Printer(StrPrinter):
    """Products and integer powers as multiplications, numbers as floats."""

    namespace = ""

    def number(self, value: float) -> str:
        return repr(value)

    def where(self, condition: str, then: str, other: str) -> str:
        return f"{self.namespace}where({condition}, {then}, {other})"

    def pairwise(self, function: str, expr: sp.Expr) -> str:
        text, *others = (self._print(argument) for argument in expr.args)
        for other in others:
            text = f"{function}({text}, {other})"
        return text

    def _print(self, expr: sp.Basic, **kwargs: Any) -> str:
        """Whatever is a number as a float, however sympy writes it."""
        if isinstance(expr, sp.Expr) and expr.is_number:
            return self.number(float(expr))
        text: str = super()._print(expr, **kwargs)
        return text

    def _print_Add(self, expr: sp.Expr, order: str | None = None) -> str:
        return f"({' + '.join(self._print(term) for term in expr.args)})"

    def _print_Mul(self, expr: sp.Expr) -> str:
        above, below = [], []
        for factor in expr.as_ordered_factors():
            if factor.is_Pow and factor.exp.is_Integer and factor.exp < 0:
                below.append(self._print(factor.base ** (-factor.exp)))
            else:
                above.append(self.parenthesize(factor, PRECEDENCE["Mul"]))
        text = " * ".join(above) or self.number(1.0)
        return f"({text})" if not below else f"({text} / ({' * '.join(below)}))"

    def _print_Pow(self, expr: sp.Expr, rational: bool = False) -> str:
        base, exponent = expr.args
        if not (2 * exponent).is_Integer:
            return self._print(power(base, exponent))
        root = base if exponent.is_Integer else sp.Function("sqrt")(base)
        text = self._repeated(f"({self._print(root)})", int(abs(exponent if exponent.is_Integer else 2 * exponent)))
        return text if exponent > 0 else f"({self.number(1.0)} / {text})"

    def _repeated(self, base: str, count: int) -> str:
        if count == 1:
            return base
        half = self._repeated(base, count // 2)
        return f"({half} * {half})" if count % 2 == 0 else f"({base} * ({half} * {half}))"

    def _print_Max(self, expr: sp.Expr) -> str:
        return self.pairwise(f"{self.namespace}maximum", expr)

    def _print_Min(self, expr: sp.Expr) -> str:
        return self.pairwise(f"{self.namespace}minimum", expr)

    def _print_Function(self, expr: sp.Expr) -> str:
        return f"{self.namespace}{expr.func.__name__.lower()}({self._print(expr.args[0])})"

    _print_exp = _print_log = _print_sin = _print_cos = _print_tanh = _print_Function

    def _print_absolute(self, expr: sp.Expr) -> str:
        return f"{self.namespace}abs({self._print(expr.args[0])})"

    def _print_power(self, expr: sp.Expr) -> str:
        base, exponent = (self._print(argument) for argument in expr.args)
        positive = f"{self.namespace}maximum({base}, {self.number(1e-30)})"
        return self.where(
            f"{base} > {self.number(0.0)}",
            f"{self.namespace}exp({exponent} * {self.namespace}log({positive}))",
            self.number(0.0),
        )

    def _print_Heaviside(self, expr: sp.Expr) -> str:
        argument = self._print(expr.args[0])
        return self.where(f"({argument}) > {self.number(0.0)}", self.number(1.0), self.number(0.0))

    def _print_sign(self, expr: sp.Expr) -> str:
        argument = self._print(expr.args[0])
        negative = self.where(f"({argument}) < {self.number(0.0)}", self.number(-1.0), self.number(0.0))
        return self.where(f"({argument}) > {self.number(0.0)}", self.number(1.0), negative)


class _Torch(_Printer):
    namespace = "torch."

    def _print_Heaviside(self, expr: sp.Expr) -> str:
        return f"(({self._print(expr.args[0])}) > 0.0).to(c0.dtype)"

    def _print_sign(self, expr: sp.Expr) -> str:
        return f"torch.sign({self._print(expr.args[0])})"

    def pairwise(self, function: str, expr: sp.Expr) -> str:
        bound = {"torch.maximum": "min", "torch.minimum": "max"}[function]
        numbers = [a for a in expr.args if a.is_number]
        text, *others = (self._print(a) for a in expr.args if not a.is_number)
        for other in others:
            text = f"{function}({text}, {other})"
        return text if not numbers else f"({text}).clamp({bound}={self._print(numbers[0])})"

    def _print_power(self, expr: sp.Expr) -> str:
        base, exponent = (self._print(argument) for argument in expr.args)
        positive = f"torch.exp({exponent} * torch.log(({base}).clamp(min=1e-30)))"
        return f"torch.where(({base}) > 0.0, {positive}, 0.0)"


class _Numba(_Printer):
    namespace = "math."

    def number(self, value: float) -> str:
        return f"real({value!r})"

    def where(self, condition: str, then: str, other: str) -> str:
        return f"(({then}) if {condition} else ({other}))"

    def pairwise(self, function: str, expr: sp.Expr) -> str:
        return super().pairwise({"math.maximum": "max", "math.minimum": "min"}[function], expr)

    def _print_power(self, expr: sp.Expr) -> str:
        return super()._print_power(expr).replace("math.maximum(", "max(")

    def _print_absolute(self, expr: sp.Expr) -> str:
        return f"abs({self._print(expr.args[0])})"


class _Triton(_Printer):
    namespace = "tl."

    def _print_tanh(self, expr: sp.Expr) -> str:
        return f"(1.0 - 2.0 / (tl.exp(2.0 * {self._print(expr.args[0])}) + 1.0))"


PRINTERS: dict[Dialect, type[_Printer]] = {"torch": _Torch, "numba": _Numba, "triton": _Triton}


def _constant(expr: sp.Basic) -> bool:
    return isinstance(expr, sp.Expr) and bool(expr.is_number) and not expr.is_Number


def function_body(expressions: Sequence[sp.Expr], dialect: Dialect) -> str:
    """Lines that compute ``expressions`` with shared subexpressions and return them as a tuple, not indented.

    ``c0``, an argument of the function, is a field: a constant expression is returned as that constant plus zero times
    ``c0``, so that it has a field's shape.

    Source: common subexpression elimination, as in any compiler.

    >>> u, v = sp.symbols("u v", real=True)
    >>> print(function_body([u * v**2, -u * v**2], "torch"))
    c_0 = (u * ((v) * (v)))
    return c_0, ((-1.0) * c_0),
    """
    printer = PRINTERS[dialect]()
    evaluated = [e.replace(_constant, lambda number: sp.Float(float(number))) for e in expressions]
    shared, results = sp.cse(evaluated, symbols=sp.numbered_symbols("c_"), optimizations="basic")
    lines = [f"{name} = {printer.doprint(value)}" for name, value in shared]
    returned = [
        f"{printer.doprint(result)} + {printer.number(0.0)} * c0" if result.is_number else printer.doprint(result)
        for result in results
    ]
    return "\n".join([*lines, f"return {', '.join(returned)},"])
