"""Reaction systems as equations: written once, computed everywhere."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from keyword import iskeyword
from typing import Any

import sympy as sp
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.equations.codegen import Dialect, function_body
from physgen.equations.expression import FUNCTIONS, check_expression, parse
from physgen.errors import InvalidArgument

Bounds = tuple[float, float]
#: value of a parameter: a number, or one per sample
Value = float | int | Tensor


class ReactionSystem:
    r"""Reactions of well-mixed species, as equations.

    dc_s/dt = R_s(c_1 ... c_S; theta_1 ... theta_P)

    Args:
        species: names of the concentrations c.
        parameters: names of the constants theta, or a mapping from name to (lowest, highest) value.
        rates: R of every species, in order or by name: text as `expression.parse` reads it, or sympy.

    Raises:
        InvalidArgument: names that are no identifiers or occur twice, rates that do not match the species, and whatever
            is no expression of these names.

    Source: law of mass action and its relatives, Murray (2002), Mathematical Biology I, ch. 6.

    >>> logistic = ReactionSystem(["u"], {"r": (0.0, 10.0)}, ["r*u*(1 - u)"])
    >>> logistic.reaction(torch.tensor([[0.5]]), {"r": 2.0})
    tensor([[0.5000]])
    >>> print(logistic.latex())
    \begin{aligned}
    \frac{\partial u}{\partial t} &= r u \left(1 - u\right)
    \end{aligned}
    """

    def __init__(
        self,
        species: Sequence[str],
        parameters: Sequence[str] | Mapping[str, Sequence[float | int]],
        rates: Sequence[Any] | Mapping[str, Any],
    ) -> None:
        for what, given in (("species", species), ("parameters", parameters)):
            if not isinstance(given, Sequence | Mapping) or isinstance(given, str):
                raise InvalidArgument(what, given, "a list of names")
        bounds = parameters if isinstance(parameters, Mapping) else dict.fromkeys(parameters, (-math.inf, math.inf))
        names = [*species, *parameters]
        for name in names:
            usable = isinstance(name, str) and name.isidentifier() and not iskeyword(name) and name not in FUNCTIONS
            if not usable or names.count(name) > 1:
                raise InvalidArgument("species, parameters", name, "identifiers, each once, and no function's name")
        if not species:
            raise InvalidArgument("species", species, "one or more names")
        self.species = tuple(species)
        self.parameters = tuple(parameters)
        self.bounds: dict[str, Bounds] = {name: _bounds(name, pair) for name, pair in bounds.items()}
        self.symbols = {name: sp.Symbol(name, real=True) for name in names}
        self.rates = tuple(self._read(rate) for rate in self._in_order(rates))
        self._equations = (self.species, self.parameters, self.rates)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReactionSystem) and self._equations == other._equations

    def __hash__(self) -> int:
        return hash(self._equations)

    def __repr__(self) -> str:
        return f"ReactionSystem({list(self.species)}, {list(self.parameters)}, {[str(rate) for rate in self.rates]})"

    def _in_order(self, rates: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any]:
        names = list(rates) if isinstance(rates, Mapping) else None
        if (
            not isinstance(rates, Mapping | list | tuple)
            or len(rates) != len(self.species)
            or (names and set(names) != set(self.species))
        ):
            raise InvalidArgument("rates", names or rates, f"one rate of each species, {', '.join(self.species)}")
        return [rates[name] for name in self.species] if isinstance(rates, Mapping) else rates

    def _read(self, rate: Any) -> sp.Expr:
        if isinstance(rate, str):
            return parse(rate, self.symbols)
        if isinstance(rate, sp.Expr | int | float):
            return check_expression(sp.sympify(rate), self.symbols)
        raise InvalidArgument("rate", rate, "text, a number or a sympy expression")

    def latex(self, diffusion: bool = False) -> str:
        """The equations in LaTeX, with the diffusion term D_s lap(c_s) where asked for."""
        rows = []
        for name, rate in zip(self.species, self.rates, strict=True):
            symbol = sp.latex(self.symbols[name])
            term = rf"D_{{{symbol}}} \nabla^2 {symbol}" if diffusion else ""
            reaction = sp.latex(rate) if rate != 0 or not diffusion else ""
            plus = "" if not (term and reaction) or reaction.startswith("-") else "+ "
            rows.append(
                rf"\frac{{\partial {symbol}}}{{\partial t}} &= {' '.join(filter(None, [term, plus + reaction]))}"
            )
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def values(self, parameters: Mapping[str, Value]) -> dict[str, Value]:
        """The parameters in order, once all are there, known, finite and within their bounds.

        Raises:
            InvalidArgument: naming the one that is not.

        >>> ReactionSystem(["u"], {"k": (0.0, 1.0)}, ["-k*u"]).values({"k": 2.0})
        Traceback (most recent call last):
        physgen.errors.InvalidArgument: k=2.0: allowed: 0.0 to 1.0
        """
        wrong = sorted(set(parameters) ^ set(self.parameters))
        if wrong:
            missing = [name for name in wrong if name in self.parameters]
            what = f"without {missing[0]}" if missing else f"unknown {wrong[0]}"
            raise InvalidArgument("parameters", what, f"a value of each of: {', '.join(self.parameters) or 'none'}")
        for name, (low, high) in self.bounds.items():
            value = parameters[name]
            if isinstance(value, Tensor) and torch.compiler.is_compiling():
                continue
            numbers = value.detach().flatten().tolist() if isinstance(value, Tensor) else [value]
            if not all(isinstance(x, float | int) and math.isfinite(x) and low <= x <= high for x in numbers):
                raise InvalidArgument(
                    name, value, f"{low} to {high}" if math.isfinite(high - low) else "finite numbers"
                )
        return {name: parameters[name] for name in self.parameters}

    def reaction(self, fields: Float[Tensor, "B S *rest"], values: Mapping[str, Value]) -> Float[Tensor, "B S *rest"]:
        """R(c; theta) of concentrations ``[B, S, ...]``, differentiable in both; values are numbers or ``[B]``."""
        return self._evaluate(self._rate_function, [fields], values)

    def vjp(
        self, fields: Float[Tensor, "B S *rest"], cotangent: Float[Tensor, "B S *rest"], values: Mapping[str, Value]
    ) -> Float[Tensor, "B S *rest"]:
        """(dR/dc)^T g at each point.

        >>> decay = ReactionSystem(["u"], ["k"], ["-k*u"])
        >>> decay.vjp(torch.ones(1, 1), torch.full((1, 1), 2.0), {"k": 3.0})
        tensor([[-6.]])
        """
        return self._evaluate(self._vjp_function, [fields, cotangent], values)

    def jvp(
        self, fields: Float[Tensor, "B S *rest"], tangent: Float[Tensor, "B S *rest"], values: Mapping[str, Value]
    ) -> Float[Tensor, "B S *rest"]:
        """(dR/dc) v at each point."""
        return self._evaluate(self._jvp_function, [fields, tangent], values)

    def jacobian(self, fields: Float[Tensor, "B S *rest"], values: Mapping[str, Value]) -> Float[Tensor, "B S S *rest"]:
        """dR_s/dc_r at each point, ``[B, S, S, ...]``."""
        flat = self._evaluate(self._jacobian_function, [fields], values)
        return flat.unflatten(1, (len(self.species),) * 2)

    def design(
        self, fields: Float[Tensor, "B S *rest"], names: Sequence[str], values: Mapping[str, Value]
    ) -> tuple[Float[Tensor, "B P S *rest"], Float[Tensor, "B S *rest"]]:
        """Design matrix of the parameters ``names``, and what is left without them.

        R = sum_j theta_j X_j + R_0,  X_j = dR/dtheta_j,  ``[B, P, S, ...]`` and ``[B, S, ...]``

        ``values`` are those of the other parameters.

        Raises:
            InvalidArgument: ``names`` do not enter linearly, together.

        >>> decay = ReactionSystem(["u"], ["k", "s"], ["s - k*u"])
        >>> columns, rest = decay.design(torch.full((1, 1), 3.0), ["k", "s"], {})
        >>> columns.flatten().tolist(), rest.item()
        ([-3.0, 1.0], 0.0)
        """
        columns, rest = self._design_functions(tuple(names))
        filled = {**dict.fromkeys(names, 0.0), **values}
        flat = self._evaluate(columns, [fields], filled)
        return flat.unflatten(1, (len(names), len(self.species))), self._evaluate(rest, [fields], filled)

    def linear(self, names: Sequence[str]) -> bool:
        """Whether the rates are linear in ``names`` together (with any values of the others).

        Second derivatives that sympy does not see to be 0 are tried at random points.
        """
        chosen = [self.symbols[name] for name in names]
        curvatures = {rate.diff(a, b) for rate in self.rates for a in chosen for b in chosen} - {sp.S.Zero}
        generator = random.Random(0)
        points = [{symbol: generator.uniform(0.5, 1.5) for symbol in self.symbols.values()} for _ in range(4)]
        return all(abs(float(curvature.subs(point))) < 1e-9 for curvature in curvatures for point in points)

    def code(self, dialect: Dialect) -> dict[str, Any]:
        """The rates as lines of code, of concentrations c0, c1 ... and parameters p0, p1 ...

        Returns:
            ``rate``, the body of a function that returns R of every species; ``vjp``, that of (dR/dc)^T g with
            g0, g1 ... besides; ``S``, the indices of the species; ``P``, the names of the parameters.

        >>> print(ReactionSystem(["u"], ["k"], ["-k*u"]).code("numba")["rate"])
        return ((real(-1.0)) * c0 * p0),
        """
        return {
            "S": range(len(self.species)),
            "P": self._parameter_names,
            "rate": self._source(self.rates, dialect),
            "vjp": self._source(self._vjp, dialect),
        }

    @staticmethod
    def _names(prefix: str, names: Sequence[str]) -> list[str]:
        return [f"{prefix}{index}" for index in range(len(names))]

    @property
    def _parameter_names(self) -> list[str]:
        return self._names("p", self.parameters)

    def _source(self, expressions: Sequence[sp.Expr], dialect: Dialect) -> str:
        """A function body in names that no user's symbol can clash with."""
        safe = [*self._names("c", self.species), *self._parameter_names, *self._names("g", self.species)]
        symbols = [*self.symbols.values(), *self._vector]
        renamed = {symbol: sp.Symbol(name, real=True) for symbol, name in zip(symbols, safe, strict=True)}
        return function_body([sp.sympify(e).xreplace(renamed) for e in expressions], dialect)

    @cached_property
    def _jacobian(self) -> sp.Matrix:
        return sp.Matrix(self.rates).jacobian([self.symbols[name] for name in self.species])

    @cached_property
    def _vector(self) -> list[sp.Dummy]:
        """What the Jacobian is multiplied with."""
        return [sp.Dummy(real=True) for _ in self.species]

    @cached_property
    def _vjp(self) -> list[sp.Expr]:
        return list(self._jacobian.T * sp.Matrix(self._vector))

    @cached_property
    def _rate_function(self) -> Callable[..., Any]:
        return self._compile(self.rates, "c")

    @cached_property
    def _vjp_function(self) -> Callable[..., Any]:
        return self._compile(self._vjp, "c", "g")

    @cached_property
    def _jvp_function(self) -> Callable[..., Any]:
        return self._compile(list(self._jacobian * sp.Matrix(self._vector)), "c", "g")

    @cached_property
    def _jacobian_function(self) -> Callable[..., Any]:
        return self._compile(list(self._jacobian), "c")

    @lru_cache(maxsize=32)  # noqa: B019 - systems are few and live as long as the process
    def _design_functions(self, names: tuple[str, ...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
        unknown = [name for name in names if name not in self.parameters]
        if unknown or not self.linear(names):
            linear = [name for name in self.parameters if self.linear([name])]
            raise InvalidArgument("fitted", list(names), f"parameters that enter linearly, together, of {linear}")
        zero = {self.symbols[name]: 0 for name in names}
        columns = [rate.diff(self.symbols[name]) for name in names for rate in self.rates]
        return self._compile(columns, "c"), self._compile([rate.xreplace(zero) for rate in self.rates], "c")

    def _compile(self, expressions: Sequence[sp.Expr], *vectors: str) -> Callable[..., Any]:
        """A torch function of the vectors' components, c concentrations and g what they are multiplied with."""
        components = [name for vector in vectors for name in self._names(vector, self.species)]
        arguments = [*components, *self._parameter_names]
        body = self._source(expressions, "torch").replace("\n", "\n    ")
        namespace: dict[str, Any] = {"torch": torch}
        exec(f"def function({', '.join(arguments)}):\n    {body}\n", namespace)  # generated, never user text
        function: Callable[..., Any] = namespace["function"]
        return function

    def _evaluate(self, function: Callable[..., Any], fields: Sequence[Tensor], values: Mapping[str, Value]) -> Tensor:
        first = fields[0]
        if first.shape[1] != len(self.species):
            raise InvalidArgument("fields", f"{first.shape[1]} fields", f"one of each species, {self.species}")
        shape = (-1, *[1] * (first.ndim - 2))
        tensors = (torch.as_tensor(values[name], dtype=first.dtype, device=first.device) for name in self.parameters)
        constants = [value.view(shape) for value in tensors]
        components = [component for field in fields for component in field.unbind(1)]
        results = (torch.as_tensor(result).to(first) for result in function(*components, *constants))
        return torch.stack([result.expand_as(components[0]) for result in results], dim=1)


def _bounds(name: str, pair: Any) -> Bounds:
    try:
        low, high = (float(end) for end in pair)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not low <= high:
        raise InvalidArgument("parameters", f"{name}: {pair}", "bounds (lowest, highest)")
    return low, high
