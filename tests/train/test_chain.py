"""Fields from raw frames, and soft objects: aligned, repeatable, of the right light."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dps.methods.dps.input import OUTPUT_WIDTH
from napari_dps.methods.dps.target import RECONSTRUCTION_NOISE
from napari_dps.train.dps.chain import draw_chain_field
from napari_dps.train.dps.data import fields_bank
from napari_dps.train.dps.losses import ImageFormation
from napari_dps.train.dps.simulation import DataSettings
from napari_dps.train.dps.soft import soft_object

SETTINGS = DataSettings(field_px=32, empty=0, soft=0.5, chain=1)
THIN = DataSettings(field_px=32, empty=0, haze=0, mixed=0, uneven=0, chain=1)


@pytest.mark.parametrize("index", [2, 4, 5, 6])  # of enough light
def test_reconstruction_lies_on_the_target(index):
    field = draw_chain_field(THIN, index)
    target = torch.from_numpy(field.target)[None, None]
    expected = ImageFormation(output_width=OUTPUT_WIDTH)(target)[0, 0].numpy()
    assert field.is_reconstructed
    assert field.image.mean() == pytest.approx(expected.mean(), rel=0.03)

    def likeness(rows, columns):
        moved = np.roll(field.image, (rows, columns), axis=(0, 1))[4:-4, 4:-4]
        return np.corrcoef(moved.ravel(), expected[4:-4, 4:-4].ravel())[0, 1]

    still = likeness(0, 0)
    assert still > 0.98
    assert still > max(likeness(0, 1), likeness(0, -1), likeness(1, 0), likeness(-1, 0))


def test_draw_is_a_function_of_settings_and_index():
    first, again, other = (draw_chain_field(SETTINGS, index) for index in (3, 3, 4))
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    assert not np.array_equal(first.image, first.partner)


def test_bank_holds_them_with_the_noise_that_the_stage_assumes():
    arrays = fields_bank(SETTINGS, (3,)).draw(range(2))
    assert arrays["image"].shape == (2, 32, 32)
    assert arrays["features"].shape == (2, 1, 64, 64)
    # Full scale is not quite the brightest structure.
    assert (arrays["noise"] > 0.7 * RECONSTRUCTION_NOISE).all()


def test_soft_objects_hold_nothing_finer_than_their_length():
    power = []
    for seed in range(12):
        image = soft_object(128, 8.0, np.random.default_rng(seed))
        assert (image >= 0).all()
        assert image.std() > 0
        spectrum = np.abs(np.fft.rfft2(image - image.mean())) ** 2
        power.append(spectrum[:, 52:].sum() / spectrum.sum())
    assert np.median(power) < 1e-3
