"""The model of the raw frames of a z-stack."""

import numpy as np
import pytest
import torch

from napari_dps.physics.sim.raw_light import stripes_of
from napari_dps.physics.sim.raw_volume import RawVolume
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulate_volume import simulate_emitters
from napari_dps.physics.simulated import Simulation

CPU = torch.device("cpu")
PLANES, SIDE, MARGIN = 9, 40, 16


def recording(beams: str) -> Simulation:
    """Simulate frames of points that lie well inside the stack."""
    settings = SimulationSettings(
        structure="points",
        planes=PLANES,
        height_px=SIDE,
        width_px=SIDE,
        pixel_size_nm=80,
        phases=5,
        beams=beams,
        modulation=1.2,
        second_modulation=0.6,
        period_nm=395,
        haze_fraction=0,
        background_photons=0,
        oversampling=2,
        photons=1000,
        seed=3,
    )
    side = 2 * (SIDE + 2 * MARGIN)
    emitters = np.zeros((PLANES + 12, side, side), np.float32)
    rng = np.random.default_rng(0)
    for _ in range(20):
        y, x = rng.integers(2 * MARGIN + 20, side - 2 * MARGIN - 20, 2)
        emitters[rng.integers(8, PLANES + 4), y, x] = 1
    return simulate_emitters(emitters, settings, margin=(6, MARGIN, MARGIN))


def model_of(simulation: Simulation) -> RawVolume:
    """Return the model with the exact stripes."""
    settings = simulation.settings
    orders = [order for pattern in simulation.patterns for order in pattern.orders]
    axial = settings.axial_per_nm if settings.beams == "three" else 0.0
    return RawVolume(
        (PLANES, SIDE, SIDE),
        stripes_of(simulation.patterns, (SIDE, SIDE), settings.pixel_size_nm),
        [(o.order, axial if o.order == 1 else 0.0) for o in orders],
        np.ones((PLANES, 3, 5)),
        settings.optics,
        settings.z_step_nm,
        CPU,
    )


@pytest.mark.parametrize("beams", ["two", "three"])
def test_frames_of_the_true_object_are_those_of_the_simulation(beams: str) -> None:
    simulation = recording(beams)
    model = model_of(simulation)
    truth = torch.from_numpy(np.asarray(simulation.truth.data, dtype=np.float32))
    thing = torch.zeros(model.object_shape)
    model.inside(thing).copy_(truth)  # a view: nothing lies in the margins
    assert torch.equal(model.inside(thing), truth)
    frames = 4 * model.depth * model.forward(thing)
    clean = simulation.clean.reshape(frames.shape)
    # The planes of the period are not as many as the simulation's.
    error = frames.numpy() - clean
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.sqrt(np.mean(clean**2))


def test_the_adjoint_is_the_transpose_and_even_light_stays_even() -> None:
    model = model_of(recording("three"))
    rng = torch.Generator().manual_seed(0)
    thing = torch.rand(model.object_shape, generator=rng)
    frames = torch.rand(PLANES, 15, SIDE, SIDE, generator=rng)
    forth = float((model.forward(thing).double() * frames).sum())
    back = float((model.adjoint(frames).double() * thing).sum()) / 4
    assert forth == pytest.approx(back, rel=1e-5)
    even = model.forward(torch.ones(model.object_shape)).mean(dim=(1, 2, 3))
    assert torch.allclose(even, torch.ones(PLANES), atol=1e-3)


def test_margins_mirror_the_ends_of_an_object() -> None:
    model = model_of(recording("three"))
    thing = torch.rand(PLANES, 2 * SIDE, 2 * SIDE)
    whole = model.extended(thing)
    assert tuple(whole.shape) == model.object_shape
    assert torch.equal(model.inside(whole), thing)
    after, before = model.inside(whole[PLANES:]), model.inside(whole.flip(0))
    assert torch.equal(after[0], thing[-1])
    assert torch.equal(before[0], thing[0])
