"""Stripes are bright spots at their wave vector."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, InputError, Optics
from napari_dps.figures.spectrum_picture import all_angles, spectrum_pictures


def test_stripes_are_the_brightest_spot_at_their_wave_vector() -> None:
    y, x = np.mgrid[:90, :140] * 65.0
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
    frames = np.stack(
        [10 + np.cos(2 * np.pi * (x * 0.003 + y * 0.002) + p) for p in range(3)]
    )
    stack = ImageStack(frames[None], "APYX", pixel_size_nm=65, optics=optics)
    (picture,) = spectrum_pictures(stack)
    assert picture.pixels.shape == (90, 90)
    centre = 45
    spots = np.argwhere(picture.pixels == picture.pixels.max()) - centre
    wave = np.array([0.002, 0.003]) / picture.per_nm
    assert min(np.hypot(*(spots - wave).T).min(), np.hypot(*(spots + wave).T).min()) < 1


def test_one_picture_of_all_angles_holds_the_spots_of_each() -> None:
    y, x = np.mgrid[:64, :64] * 65.0
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
    waves = x * 0.003, y * 0.003
    frames = np.stack(
        [[10 + np.cos(2 * np.pi * wave + p) for p in range(3)] for wave in waves]
    )
    stack = ImageStack(frames, "APYX", pixel_size_nm=65, optics=optics)
    pictures = spectrum_pictures(stack)
    picture = all_angles(pictures)
    assert picture.per_nm == pictures[0].per_nm
    for own in pictures:
        assert (picture.pixels >= own.pixels).all()
        spots = own.pixels == own.pixels.max()
        assert (picture.pixels[spots] == own.pixels.max()).all()


def test_plain_image_is_refused() -> None:
    with pytest.raises(InputError, match="raw frames"):
        spectrum_pictures(ImageStack(np.ones((8, 8)), "YX"))
