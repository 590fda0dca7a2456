"""The fall of the OTF is read off the frames, and reconstructions allow for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_dps.core import Optics, finish
from napari_dps.physics.sim.estimate import PatternEstimator
from napari_dps.physics.sim.otf_fall import (
    LEAST_FALL,
    missing_of_cutoff,
    otf_shown_by,
    with_otf_fall,
)
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import choose_steps, run

MODULATION = 0.75


def recorded(fall, photons, structure="microtubules", seed=3, **changes):
    """Return frames through an OTF that falls faster by ``fall``, and their stack."""
    settings = SimulationSettings(
        structure=structure,
        height_px=160,
        width_px=160,
        photons=2e4,
        background_photons=600,
        read_noise_e=0,
        modulation=MODULATION,
        seed=seed,
        **changes,
    )
    stack = simulate(settings).raw
    # exp(−fall · r²) is the transform of a Gaussian.
    sigma_px = math.sqrt(fall / 2) / math.pi / settings.optics.cutoff_per_pixel
    light = (stack.data.astype(float) - 100) * photons / 2e4
    light = gaussian_filter(light, (0, 0, sigma_px, sigma_px), mode="reflect")
    rng = np.random.default_rng(seed)
    frames = rng.poisson(np.maximum(light, 0)) + rng.normal(0, 1.5, light.shape)
    return stack.derive(frames.astype(np.float32))


def patterns_of(stack):
    frames = torch.from_numpy(stack.data)
    estimator = PatternEstimator(frames, stack.optics)
    for angle in range(estimator.angles):
        estimator.search(angle)
    return with_otf_fall(frames, estimator.patterns(), stack.optics)


@pytest.mark.parametrize("structure", ["er", "mitochondria"])
@pytest.mark.parametrize(("fall", "photons"), [(1.0, 60), (2.0, 60), (2.0, 1000)])
def test_fall_and_modulation_are_measured(structure, fall, photons):
    found = patterns_of(recorded(fall, photons, structure, haze_fraction=0.3))
    pixels = 0.2  # what the simulated camera's pixels add
    for pattern in found:
        assert pattern.otf_fall == pytest.approx(fall + pixels, abs=0.35)
        assert pattern.modulation == pytest.approx(MODULATION, abs=0.07)


@pytest.mark.parametrize("photons", [10, 300])
def test_frames_through_an_ideal_lens_show_no_fall(photons):
    assert {p.otf_fall for p in patterns_of(recorded(0.0, photons))} == {0.0}


def test_fall_makes_up_for_an_na_that_is_typed_too_large():
    stack = recorded(1.0, 300)
    exact = patterns_of(stack)
    wrong = Optics(na=1.49, emission_nm=525, pixel_size_nm=65)
    found = patterns_of(stack.derive(stack.data, optics=wrong))
    for one, other in zip(found, exact, strict=True):
        assert LEAST_FALL < other.otf_fall < one.otf_fall <= 4
        assert one.modulation == pytest.approx(MODULATION, abs=0.07)


@pytest.mark.parametrize("structure", ["er", "nuclear_pores"])
@pytest.mark.parametrize("share", [0.1, 0.2])
def test_what_is_missing_of_a_cutoff_is_measured(structure, share):
    stack = recorded(0.0, 200, structure)
    wrong = stack.optics.model_copy(update={"na": (1 - share) * stack.optics.na})
    found = patterns_of(stack.derive(stack.data, optics=wrong))
    assert missing_of_cutoff(found) == pytest.approx(share, abs=0.03)
    for pattern in found:
        assert pattern.modulation == pytest.approx(MODULATION, abs=0.05)
    right = patterns_of(stack)
    assert missing_of_cutoff(right) == 0


def test_a_cutoff_that_is_too_small_is_told():
    stack = recorded(0.0, 200)
    longer = stack.optics.model_copy(update={"emission_nm": 1.15 * 525})
    for optics, expected in ((longer, True), (stack.optics, False)):
        shown = stack.derive(stack.data, optics=optics)
        result = finish(run(shown, choose_steps(shown, ["reconstruct"])))
        told = [w for w in result.warnings if "about 15 % too small" in w]
        assert bool(told) is expected


def test_reconstruction_allows_for_the_fall():
    stack = recorded(1.8, 1000)
    patterns = finish(run(stack, choose_steps(stack, ["reconstruct"]))).patterns
    assert patterns[0].otf_fall > 1
    settings = WienerSettings()
    truth = recorded(0.0, 1e5)
    exact = patterns_of(truth)
    reference = WienerSolver(truth.shape[-2:], exact, truth.optics, settings)
    wanted = reference.solve(truth.data / 100)
    errors = []
    for otf in (None, otf_shown_by(patterns)):
        solver = WienerSolver(
            stack.shape[-2:], patterns, stack.optics, settings, in_focus=otf
        )
        image = solver.solve(stack.data)
        errors.append(float(np.corrcoef(image.ravel(), wanted.ravel())[0, 1]))
    assert errors[1] > errors[0] + 0.01
