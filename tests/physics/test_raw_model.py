"""The model of raw frames, the illumination fitted with it, and the camera's noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dps.physics.sim.raw_fit import light_equations, refitted_light
from napari_dps.physics.sim.raw_light import Light, stripes_of
from napari_dps.physics.sim.raw_model import RawModel
from napari_dps.physics.sim.shot_noise import shot_noise
from napari_dps.physics.simulate import Simulation, simulate
from napari_dps.physics.simulate_settings import SimulationSettings

CPU = torch.device("cpu")
SHAPE = (48, 60)


def recording(**changes: object) -> Simulation:
    """Simulate frames of a small field."""
    values = {
        "structure": "er",
        "height_px": SHAPE[0],
        "width_px": SHAPE[1],
        "na": 1.3,
        "modulation": 0.8,
        "haze_fraction": 0.0,
        "background_photons": 0.0,
        "seed": 5,
    }
    return simulate(SimulationSettings(**{**values, **changes}))


def model_of(simulation: Simulation) -> RawModel:
    """Return the model with the exact stripes."""
    optics = simulation.settings.optics
    stripes = stripes_of(simulation.patterns, SHAPE, optics.pixel_size_nm)
    even = np.ones(simulation.clean.shape[:2])
    return RawModel(SHAPE, stripes, even, optics, CPU)


def emitters(simulation: Simulation, model: RawModel) -> torch.Tensor:
    """Return the truth in the brightness of the frames."""
    return model.extended(4 * torch.from_numpy(simulation.truth.data))


@pytest.mark.parametrize("phases", [3, 5])
def test_frames_of_the_true_object_are_those_of_the_simulation(phases: int) -> None:
    simulation = recording(phases=phases)
    model = model_of(simulation)
    frames = model.forward(emitters(simulation, model)).numpy()
    inner = (slice(None), slice(8, -8), slice(8, -8))
    error = (frames - simulation.clean.reshape(-1, *SHAPE))[inner]
    # The truth has been gathered on the 2× grid.
    assert np.sqrt(np.mean(error**2)) < 0.01 * simulation.clean.max()


@pytest.mark.parametrize("pixel_size_nm", [65.0, 110.0])
def test_view_through_a_wave_is_that_of_the_object_times_the_wave(
    pixel_size_nm: float,
) -> None:
    # Frames of 110 nm are too coarse for the stripes: they fold over.
    simulation = recording(pixel_size_nm=pixel_size_nm)
    model = model_of(simulation)
    thing = emitters(simulation, model)
    views = model.views(thing)
    inner = (slice(8, -8), slice(8, -8))
    for number, one in enumerate(model.light.stripes):
        y, x = (
            k * place for k, place in zip(one.wavevector, model.places, strict=True)
        )
        turns = 2 * np.pi * (y[:, None] + x)
        for part, wave in enumerate((np.cos(turns), np.sin(turns))):
            lit = thing * torch.from_numpy(wave.astype(np.float32))
            expected = model.views(lit)[0][inner].numpy()
            found = views[1 + 2 * number + part][inner].numpy()
            # What is beyond Nyquist is left out, of bands half a bin apart.
            assert np.abs(found - expected).max() < 5e-3 * float(views[0].max())


@pytest.mark.parametrize("pixel_size_nm", [65.0, 110.0])
def test_adjoint_is_the_transpose_of_forward(pixel_size_nm: float) -> None:
    model = model_of(recording(pixel_size_nm=pixel_size_nm))
    generator = torch.Generator().manual_seed(0)
    thing = torch.rand(model.object_shape, generator=generator)
    frames = torch.rand((9, *SHAPE), generator=generator)
    left = float((model.forward(thing) * frames).sum())
    right = float((model.adjoint(frames) * thing).sum()) / 4
    assert left == pytest.approx(right, rel=1e-5)


def test_light_that_is_wrong_is_mended_by_the_true_object() -> None:
    simulation = recording()
    model = model_of(simulation)
    thing = emitters(simulation, model)
    frames = model.forward(thing)
    true = model.light
    wrong = [
        replace(
            one,
            phases_rad=one.phases_rad + np.radians([8, -6, 4]),
            wavevector=one.wavevector + 0.1 / np.array(SHAPE),
            modulation=0.75,
        )
        for one in true.stripes
    ]
    first = Light(true.intensities * (1 + 0.02 * np.eye(3)), tuple(wrong))
    model.set_light(first)
    for _ in range(3):
        expected = model.forward(thing)
        variance = expected.clamp(min=0.1)
        missing = frames - expected
        seen = light_equations(model, thing, missing, expected, variance)
        found = refitted_light(model.light, [seen], first, SHAPE)
        model.set_light(found)
    assert found.intensities == pytest.approx(true.intensities, abs=0.003)
    for one, right in zip(found.stripes, true.stripes, strict=True):
        assert np.degrees(one.phases_rad) == pytest.approx(
            np.degrees(right.phases_rad), abs=0.5
        )
        assert one.modulation == pytest.approx(0.8, abs=0.01)
        bins = (one.wavevector - right.wavevector) * SHAPE
        assert np.abs(bins).max() < 0.01


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_shot_noise_is_that_of_the_camera(scale: float) -> None:
    simulation = recording(photons=200, read_noise_e=3, background_photons=6)
    raw = scale * (simulation.raw.data.astype(np.float32) - 100)
    found = shot_noise(raw.astype(np.float32), simulation.settings.optics)
    assert found.gain == pytest.approx(2 * scale, rel=0.15)
    mean = float(raw.mean())
    variance = found.gain * mean + found.read_variance
    assert variance == pytest.approx(2 * scale * mean + 36 * scale**2, rel=0.05)
