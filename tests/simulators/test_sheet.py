"""The beating sheet against its law: one period, a shear along the fibres, the texture carried with it."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from physgen.simulators import GRAMMARS, Clips
from physgen.simulators.sheet import AMPLITUDE, GRID, ORIENTATION, PERIOD, simulate, waveform

ATTRIBUTES = [{"kind": "sheet", **a} for a in GRAMMARS["sheet"]["sheet"].combinations()]


@pytest.fixture(scope="module")
def clips() -> Clips:
    return simulate(len(ATTRIBUTES), rng=np.random.default_rng(0), attributes=ATTRIBUTES)


def test_waveform_is_periodic_from_rest_to_one_and_rises_faster_than_it_falls() -> None:
    phase = np.linspace(0.0, 1.0, 2001)
    wave, peak = waveform(phase), phase[np.argmax(waveform(phase))]
    assert waveform(phase + 3.0) == pytest.approx(wave)
    assert (wave.min(), wave.max()) == (pytest.approx(0.0, abs=1e-5), pytest.approx(1.0, abs=1e-5))
    rise, fall = (np.ptp(offset[waveform(peak + offset) > 0.5]) for offset in (-phase[:1000], phase[:1000]))
    assert fall > 1.4 * rise


def test_parameters_are_those_of_the_words(clips: Clips) -> None:
    for attribute, parameters in zip(clips.attributes, clips.parameters, strict=True):
        for name, ranges, value in (
            ("speed", PERIOD, "period"),
            ("strength", AMPLITUDE, "amplitude"),
            ("orientation", ORIENTATION, "angle"),
        ):
            low, high = ranges[attribute[name]]
            assert low <= parameters[value] <= high
        assert 25 * GRID.dt / parameters["period"] > 2.0


def test_nuclei_go_along_the_fibres_with_the_waveform(clips: Clips) -> None:
    assert clips.places is not None
    for places, parameters in zip(clips.places, clips.parameters, strict=True):
        nuclei = places[np.isfinite(places).all((1, 2))]
        assert len(nuclei) > 10
        angle = np.deg2rad(parameters["angle"])
        moved = nuclei - nuclei[:, :1]
        assert np.abs(moved @ [np.cos(angle), np.sin(angle)]).max() < 1e-9
        along = moved @ [-np.sin(angle), np.cos(angle)]
        wave = waveform(GRID.dt * np.arange(25) / parameters["period"] + parameters["start"])
        scale = along @ (wave - wave[0]) / ((wave - wave[0]) ** 2).sum()
        assert np.abs(along - scale[:, None] * (wave - wave[0])).max() < 1e-9
        assert 0.39 * parameters["amplitude"] < scale.min() < scale.max() <= parameters["amplitude"]


def test_texture_is_carried_with_the_nuclei(clips: Clips) -> None:
    """What is seen about each nucleus is the same in all frames, up to the shear."""
    assert clips.places is not None
    window = np.arange(-2.0, 3.0)
    for fields, places in zip(clips.fields, clips.places, strict=True):
        inside = np.isfinite(places).all((1, 2)) & ((places > 20) & (places < 108)).all((1, 2))
        for nucleus in places[inside][:3]:
            middle = nucleus / GRID.spacing[0] - 0.5
            seen = [
                map_coordinates(field, np.meshgrid(y + window, x + window, indexing="ij"), order=3)
                for field, (y, x) in zip(fields[1], middle, strict=True)
            ]
            assert np.abs(np.array(seen) - np.mean(seen, 0)).max() < 0.25
            assert np.mean(seen, 0)[2, 2] > 0.9


def test_frames_a_period_apart_are_alike() -> None:
    drawn = [{"kind": "sheet", "orientation": "diagonal", "speed": "fast", "strength": "strongly"}]
    found = simulate(1, rng=np.random.default_rng(3), attributes=drawn, frames=25)
    period = found.parameters[0]["period"] / GRID.dt
    video, lags = found.fields[0, 0].astype(float), np.arange(3, 12)
    best = lags[np.argmin([np.square(video[lag:] - video[:-lag]).mean() for lag in lags])]
    assert abs(best - round(best / period) * period) < 0.6
