"""Constants that are fitted at each correction and averaged over a run."""

import math
from typing import Any

import torch
from torch import Tensor

from physgen.constraints import Equality
from physgen.constraints.base import given_values
from physgen.constraints.fit import Fit
from physgen.errors import NoSolution
from physgen.grid import Grid
from physgen.guidance.problem import Problem
from physgen.guidance.running_fit import RunningFit


class Fitted(Equality):
    """Its constant is whatever comes next."""

    fitted, holds = ("k",), True

    def __init__(self, *found: Any) -> None:
        super().__init__(lambda x: x)
        self.found = iter(found)

    def fit(self, fields: Tensor, grid: Grid | None) -> Fit:
        values = next(self.found)
        if values is None:
            raise NoSolution("fields", "anything", "fields of which k can be found")
        return Fit({"k": values})

    def with_constants(self, constants: Any) -> "Fitted":
        given_values(constants, self.fitted)
        return self


def held(*found: Any, ancestors: list[int] | None = None) -> Any:
    """What is held after these fits, ``ancestors`` after the first; None where nothing is."""
    fit, problem = RunningFit(), Problem({"law": Fitted(*found)})
    for index, values in enumerate(found):
        fits = fit.hold(problem, torch.zeros(2 if values is None else len(values), 1)).fits
        if ancestors and not index:
            fit.follow(ancestors)
    return fits["law"].values["k"] if fits else None


def test_averages() -> None:
    assert held([1.0, 2.0], [3.0, 2.0]) == [2.0, 2.0]
    assert held([1.0, 2.0], [3.0, 2.0], [4.0, 2.0]) == [3.0, 2.0]
    assert held([1.0, 2.0], None) == [1.0, 2.0]


def test_they_go_with_their_sample() -> None:
    assert held([1.0, 3.0], [5.0, 5.0], ancestors=[1, 0]) == [4.0, 3.0]


def test_what_is_not_finite_counts_for_nothing() -> None:
    assert held([1.0, 2.0], [math.nan, 4.0]) == [1.0, 3.0]
    assert held([math.nan, 2.0]) is None
    assert held([math.nan, 2.0], [1.0, 4.0]) == [1.0, 3.0]


def test_samples_that_are_not_finite_are_left_out() -> None:
    fit, problem = RunningFit(), Problem({"law": Fitted([3.0], [1.0, 2.0], [3.0])})
    both, one = torch.zeros(2, 1), torch.tensor([[0.0], [math.nan]])
    found = [fit.hold(problem, fields).fits["law"].values["k"] for fields in (one, both, one)]
    assert found[0][0] == 3.0
    assert found[1:] == [[2.0, 2.0], [2.5, 2.0]]


def test_constants_of_each_species() -> None:
    assert held([[1.0, 2.0], [3.0, math.nan]], [[3.0, math.nan], [3.0, 7.0]]) == [[2.0, 2.0], [3.0, 7.0]]


def test_another_batch_begins_anew() -> None:
    assert held([1.0, 2.0], [3.0]) == [3.0]
