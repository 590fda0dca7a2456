"""Splines through images, against those of SciPy."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from napari_dps.physics.spline import Spline


def test_values_are_those_of_a_cubic_spline_mirrored_at_the_edges():
    rng = np.random.default_rng(0)
    images = rng.random((3, 31, 40), dtype=np.float32)
    # More places than are computed at once, none of them, and beyond the edges.
    for count in (20_000, 0):
        y, x = rng.uniform(-2, 33, count), rng.uniform(-2, 42, count)
        inside = np.clip(y, 0, 30), np.clip(x, 0, 39)
        expected = np.stack(
            [
                ndimage.map_coordinates(i, inside, order=3, mode="reflect")
                for i in images
            ],
            axis=1,
        )
        places = (torch.from_numpy(one.astype(np.float32)) for one in (y, x))
        found = Spline.through(torch.from_numpy(images)).values(*places).numpy()
        assert found.shape == (count, 3)
        np.testing.assert_allclose(found, expected, atol=2e-4)
