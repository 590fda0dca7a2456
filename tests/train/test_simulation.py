"""Simulated fields: exact expectations, repeatable draws, held-out classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dps.methods.dps.input import OUTPUT_WIDTH
from napari_dps.train.dps.losses import ImageFormation
from napari_dps.train.dps.simulation import (
    DataSettings,
    FieldConditions,
    draw_emitters,
    draw_field,
    record_field,
)
from napari_dps.train.objects import HELD_OUT_CLASSES, TRAINING_CLASSES

SETTINGS = DataSettings(field_px=32)


def test_held_out_classes_are_never_trained_on():
    assert not set(HELD_OUT_CLASSES) & set(TRAINING_CLASSES)


def test_draw_is_a_function_of_settings_and_index():
    first, again, other = (draw_field(SETTINGS, index) for index in (3, 3, 4))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.target, again.target)
    assert not np.array_equal(first.image, other.image)


def test_fields_in_a_row_show_one_object_that_moves():
    settings = DataSettings(
        field_px=48, photons=(1e6, 1e6), empty=0, reconstructed=0, mixed=0,
        time_points=3, motion_px=(1, 1),
    )  # fmt: skip
    images = [draw_field(settings, n).target for n in range(4)]
    still = settings.model_copy(update={"motion_px": (0, 0)})
    first, same = (draw_field(still, n) for n in (0, 2))
    assert np.array_equal(first.target, same.target)
    assert not np.array_equal(first.image, same.image)
    np.testing.assert_array_equal(first.target, images[0])
    near, far, other = (
        np.corrcoef(images[0].ravel(), image.ravel())[0, 1] for image in images[1:]
    )
    assert other < far < near < 0.999


def test_shapes_and_independent_noise_of_the_two_recordings():
    field = draw_field(SETTINGS, 0)
    assert field.image.shape == field.partner.shape == (32, 32)
    assert field.target.shape == (64, 64)
    assert not np.array_equal(field.image, field.partner)


def _record(**conditions):
    emitters = draw_emitters("glyphs", 48, seed=5)
    rng = np.random.default_rng(0)
    return record_field(emitters, FieldConditions(**conditions), rng)


def test_target_reblurred_is_the_image_for_the_canonical_psf():
    # 1e8 photons: noise is 1e-4 of the signal
    field = _record(photons=1e8, background=0.1)
    target = torch.from_numpy(field.target)[None, None]
    image = ImageFormation(output_width=OUTPUT_WIDTH)(target)[0, 0].numpy()
    inside = slice(10, -10)
    error = (image - field.image)[inside, inside] / 1e8
    assert np.abs(error).max() < 5e-3
    assert np.percentile(field.image, 99.9) == pytest.approx(1.1e8, rel=0.2)


@pytest.mark.parametrize("colour", [None, 0.0, 6.0])
def test_noise_has_the_variance_of_shot_and_read_noise(colour):
    emitters = np.zeros((4 * 88, 4 * 88), dtype=np.float32)
    conditions = FieldConditions(photons=400, background=0.1, colour=colour)
    fields = [
        record_field(emitters + np.float32(1e-9), conditions, np.random.default_rng(s))
        for s in range(4)
    ]
    difference = np.stack([f.image - f.partner for f in fields])
    mean = np.mean([f.image for f in fields])
    assert difference.var() / 2 == pytest.approx(mean + 1.6**2, rel=0.1)


def _line_width_px(**conditions):
    """Return the full width at half maximum of the image of a thin line."""
    emitters = np.zeros((4 * 72, 4 * 72), dtype=np.float32)
    emitters[144, :] = 1
    bright = FieldConditions(photons=1e8, background=0, **conditions)
    profile = record_field(emitters, bright, np.random.default_rng(0)).image[:, 24]
    fine = np.interp(np.linspace(0, 47, 4701), np.arange(48), profile / profile.max())
    return (fine > 0.5).sum() / 100


@pytest.mark.parametrize("psf", ["gaussian", "apodised"])
def test_other_psfs_have_the_same_width(psf):
    assert _line_width_px(psf=psf) == pytest.approx(_line_width_px(), rel=0.08)


def test_image_widens_with_the_psf():
    ratio = _line_width_px(psf_width=1.2) / _line_width_px()
    assert ratio == pytest.approx(1.2, rel=0.04)
