"""Angles that are lit otherwise over the field are made alike, and only those."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.methods.sim.even_angles import with_even_angles
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import choose_steps, run

SIDE = 96


def raw(photons: float = 200, tilt: float = 0.0) -> ImageStack:
    """Simulate frames; each angle is brighter by a share at another rim."""
    settings = SimulationSettings(
        structure="er", height_px=SIDE, width_px=SIDE, seed=4, photons=photons
    )
    stack = simulate(settings).raw
    data = stack.data.astype(np.float32) - settings.offset_counts
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE / 2) - 1
    turn = np.arange(3)[:, np.newaxis, np.newaxis] * 2 * np.pi / 3
    light = 1 + tilt * (np.cos(turn) * x + np.sin(turn) * y)
    return stack.derive(data * light[:, np.newaxis].astype(np.float32))


def unlike(stack: ImageStack) -> float:
    """Return by how much the smooth light of the angles differs, over its mean."""
    smooth = scipy.ndimage.gaussian_filter(stack.data.mean(axis=1), (0, 12, 12))
    inner = smooth[:, 8:-8, 8:-8]
    return float((inner.std(axis=0) / inner.mean(axis=0)).max())


@pytest.mark.parametrize("photons", [5, 200])
def test_frames_that_are_lit_alike_stay(photons: float) -> None:
    stack, context = raw(photons), Context("cpu")
    assert with_even_angles(stack, context) is stack
    assert not context.warnings


def test_angles_that_are_lit_otherwise_are_made_alike_and_it_is_told() -> None:
    stack, context = raw(tilt=0.5), Context("cpu")
    result = with_even_angles(stack, context)
    assert unlike(stack) > 0.3
    assert unlike(result) < 0.4 * unlike(stack)
    assert result.data.mean() == pytest.approx(stack.data.mean(), rel=0.03)
    assert "lit otherwise over the field" in context.warnings[0]


def test_dps_explains_frames_of_a_beam_that_wanders() -> None:
    def result(tilt: float) -> np.ndarray:
        steps = choose_steps(raw(), ["reconstruct", "dps"])
        return finish(run(raw(tilt=tilt), steps)).images[-1].data

    even, tilted = result(0.0), result(0.5)
    # .70 where the angles are not made alike.
    assert np.corrcoef(even.ravel(), tilted.ravel())[0, 1] > 0.97
