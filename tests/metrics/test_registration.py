from __future__ import annotations

import numpy as np
import pytest
from scenes import filaments

from napari_dps.core import InputError
from napari_dps.metrics.registration import find_shift, shift_onto

BIG = filaments((300, 340), 3, cutoff=0.3, photons=1000)


def displaced(shift, noise=None):
    """Cut the same window from the scene displaced exactly, in the Fourier domain."""
    ky = np.fft.fftfreq(BIG.shape[0])[:, None]
    kx = np.fft.rfftfreq(BIG.shape[1])
    ramp = np.exp(-2j * np.pi * (ky * shift[0] + kx * shift[1]))
    moved = np.fft.irfft2(np.fft.rfft2(BIG) * ramp, BIG.shape)[40:257, 50:281]
    return moved if noise is None else noise.poisson(np.maximum(moved, 0))


@pytest.mark.parametrize("shift", [(0.3, -0.7), (0, 0), (3.37, -6.81), (-20.4, 11.25)])
def test_find_shift_recovers_a_known_shift(shift):
    found = find_shift(displaced(shift), displaced((0, 0)))
    np.testing.assert_allclose(found, shift, atol=0.02)


@pytest.mark.parametrize("shift", [(0.3, -0.7), (3.37, -6.81)])
def test_find_shift_recovers_a_known_shift_in_shot_noise(shift):
    noise = np.random.default_rng(0)
    found = find_shift(displaced(shift, noise), displaced((0, 0), noise))
    np.testing.assert_allclose(found, shift, atol=0.02)


def test_find_shift_is_not_drawn_to_a_fixed_camera_pattern():
    # the fault of phase correlation: columns common to both outweigh a dim image
    rng = np.random.default_rng(1)
    columns = rng.normal(0, 3, displaced((0, 0)).shape[1])
    image = displaced((0, 2.5)) + columns
    found = find_shift(image, displaced((0, 0)) + columns)
    assert found[1] == pytest.approx(2.5, abs=0.05)


def test_shift_onto_brings_the_image_back():
    shift = (2.3, -4.6)
    moved, kept = shift_onto(displaced(shift), displaced((0, 0)), shift)
    assert moved.shape == kept.shape == (217 - 3, 231 - 5)
    inner = (slice(8, -8), slice(8, -8))  # the mirrored edge is not the true scene
    np.testing.assert_allclose(moved[inner], kept[inner], atol=0.01 * kept.max())


def test_shift_beyond_the_image_is_refused():
    image = displaced((0, 0))
    with pytest.raises(InputError, match="less than a side"):
        shift_onto(image, image, (400.0, 0.0))


def test_constant_image_is_refused():
    with pytest.raises(InputError, match="constant"):
        find_shift(np.ones((32, 32)), np.eye(32))
