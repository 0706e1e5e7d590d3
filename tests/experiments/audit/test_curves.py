"""The curve of each law against simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from physgen.audit import fields_mass, measure
from physgen.constraints import Constraint, Continuity, Kinetics, MassConservation, PhaseOrder, ReactionDiffusion
from physgen.dynamics.flow_map import FlowMap
from physgen.equations import reaction_system
from physgen.experiments.audit.curves import draw_curve, mass_curve
from physgen.experiments.audit.fields import Fields
from physgen.experiments.pages.charts import Chart
from physgen.experiments.pages.ribbon import Ribbon
from physgen.grid import Grid
from physgen.observables import Intensity
from physgen.video import Video

GRID = Grid(spacing=(0.5, 0.5), dt=0.5)
UNITS = {"length": "µm", "time": "s", "mass": "counts µm²"}
Y, X = torch.meshgrid(0.5 * torch.arange(64.0), 0.5 * torch.arange(64.0), indexing="ij")
SPOT = torch.exp(-((Y - 16) ** 2 + (X - 16) ** 2) / 8).double()
COUNTS = 1000.0


def fields_of(values: torch.Tensor) -> Fields:
    """Fields as an audit reads them, of brightness in thousand counts."""
    video = Video(torch.zeros(1, 3, 1, 1), spacing=(0.5, 0.5), dt=0.5)
    return Fields(values[None, None], video, Intensity(), COUNTS, False, GRID, UNITS, [])


def times_of(read: Fields) -> list[float]:
    return [0.5 * t for t in range(read.values.shape[2])]


def curve(law: Constraint, read: Fields) -> Chart | Ribbon | None:
    return draw_curve("law", law, measure(read.values, law, GRID, tolerance=0.05), read, times_of(read))


def lines(chart: Chart | Ribbon | None) -> list[np.ndarray]:
    assert isinstance(chart, Chart)
    assert chart.from_zero
    return [np.array(line.y) for line in chart.series]


def heat(diffusivity: float, frames: int = 16) -> Fields:
    variance = 4 + 2 * diffusivity * 0.5 * torch.arange(frames).view(-1, 1, 1)
    return fields_of(2 / variance * torch.exp(-((Y - 16) ** 2 + (X - 16) ** 2).double() / 2 / variance))


@pytest.mark.parametrize("law", [
    ReactionDiffusion("diffusion", fitted=["D"], form="flow_map", order=4),
    ReactionDiffusion("diffusion", {"c": 0.4}, form="flow_map"),
])  # fmt: skip
def test_diffusion_spreads_as_4_d_t(law: ReactionDiffusion) -> None:
    chart = curve(law, heat(0.4))
    measured, expected = lines(chart)
    assert isinstance(chart, Chart)
    np.testing.assert_allclose(measured, 4 * 0.4 * 0.5 * np.arange(16), rtol=0.02, atol=1e-6)
    np.testing.assert_allclose(expected, 4 * 0.4 * 0.5 * np.arange(16), rtol=0.02, atol=1e-6)
    assert chart.series[1].label == "4 D t within the walls, D = 0.4 µm²/s"
    assert (chart.x_label, chart.y_label) == ("time (s)", "squared width gained (µm²)")


def test_no_line_of_a_law_is_drawn_whose_constants_are_not_measured() -> None:
    centre = 6 + torch.arange(12.0).view(-1, 1, 1)
    moving = fields_of(torch.exp(-((Y - 16) ** 2 + (X - centre) ** 2).double() / 8))
    (measured,) = lines(curve(ReactionDiffusion("diffusion", fitted=["D"], form="flow_map"), moving))
    assert np.abs(measured).max() < 0.05


def test_growth_has_a_front_of_speed_2_sqrt_r_d() -> None:
    flow = FlowMap(reaction_system("fisher_kpp"), {"u": 0.5}, {"r": 2.0, "K": 0.8}, GRID)
    frames = [(0.8 * torch.sigmoid(2 * (4 - X)))[None, None, None].double()]
    for _ in range(20):
        frames.append(flow(frames[-1]))
    read = fields_of(torch.cat(frames, 2)[0, 0])
    law = ReactionDiffusion("fisher_kpp", {"u": 0.5}, {"r": 2.0, "K": 0.8}, form="flow_map")
    measured, expected = lines(chart := curve(law, read))
    assert isinstance(chart, Chart)
    np.testing.assert_allclose(expected, 2 * math.sqrt(2.0 * 0.5) * 0.5 * np.arange(21))
    position = [(np.interp(-0.4, -row.numpy(), X[0].numpy())) for row in read.values[0, 0, :, 32]]
    np.testing.assert_allclose(measured, np.array(position) - position[0], atol=0.1)
    assert measured[-1] == pytest.approx(expected[-1], rel=0.1)
    assert chart.series[0].label == "measured, at 400 counts"


def test_kinetics_shows_the_trace_and_the_trajectory() -> None:
    t = 0.5 * torch.arange(24.0).double()
    amount = 0.6 * torch.exp(-0.3 * t) + 0.3 * torch.exp(-0.3 * (t - 6)) * (t >= 6)
    read = fields_of(amount.view(-1, 1, 1) * SPOT / SPOT.mean())
    decay = {"species": ["c"], "parameters": ["k"], "rates": ["-k*c"]}
    chart = curve(Kinetics(decay, {"k": (0.01, 10.0)}, {"c": 0.6}, [("c", 6.0, 0.3)]), read)
    for line in lines(chart):
        np.testing.assert_allclose(line, COUNTS * amount, rtol=1e-4)
    assert isinstance(chart, Chart)
    assert [line.dots for line in chart.series] == [True, False]
    assert chart.y_label == "mean amount (counts)"


def test_mass_is_drawn_beside_the_law_in_the_same_unit() -> None:
    read = fields_of(torch.exp(-0.1 * 0.5 * torch.arange(10.0).double()).view(-1, 1, 1) * SPOT)
    law = MassConservation(bleaching="exponential")
    report = measure(read.values, law, GRID, tolerance=0.05)
    mass = fields_mass(read.values, ["intensity"], GRID, scale=COUNTS)
    chart = mass_curve("a.tif", {"mass": (law, report)}, mass, read, times_of(read))
    seen, expected = lines(chart)
    np.testing.assert_allclose(seen, COUNTS * 0.25 * SPOT.sum() * np.exp(-0.05 * np.arange(10)))
    np.testing.assert_allclose(expected, seen, rtol=1e-6)


def test_a_law_without_a_curve_of_its_own_shows_its_residual_frame_by_frame() -> None:
    (residual,) = lines(curve(Continuity((0.0, 0.0), 0.4), heat(0.4)))
    assert residual.shape == (15,)
    assert 0 < residual.max() < 0.1


def test_nothing_is_drawn_of_a_video_that_shows_nothing() -> None:
    still = fields_of(SPOT.expand(8, -1, -1))
    law = ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")
    report = measure(still.values, law, GRID, tolerance=0.05, nothing="frozen")
    assert draw_curve("law", law, report, still, times_of(still)) is None


def test_the_ribbon_of_a_dividing_cell_marks_the_steps_that_the_order_forbids() -> None:
    from physgen.simulators import SIMULATORS
    from physgen.worlds import world_spec

    clips = SIMULATORS["mitosis"](1, rng=np.random.default_rng(0))
    spec, caption = world_spec("micro"), clips.captions[0]
    chromatin = spec.observable(caption)(torch.from_numpy(clips.video).double())[0, 0]
    law = PhaseOrder()
    forward, backward = (curve(law, fields_of(film)) for film in (chromatin, chromatin.flip(0)))
    assert isinstance(forward, Ribbon)
    assert isinstance(backward, Ribbon)
    assert list(forward.path) == sorted(forward.path)
    assert backward.named == forward.named[::-1]
    assert len(forward.illegal) < len(backward.illegal)
    named = backward.named
    assert all(not law.allowed[named[t - 1], named[t]] for t in backward.illegal)
