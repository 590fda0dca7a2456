"""Helpers on spectra, against the functions of SciPy that they stand in for."""

import numpy as np
import pytest
from scipy.signal import correlate, windows

from napari_dps.physics.sim.spectrum import EDGE_TAPER, correlate_full, edge_window


@pytest.mark.parametrize("shape", [(37, 31), (64, 128), (512, 2)])
def test_edge_window_is_that_of_scipy(shape):
    rows, columns = (windows.tukey(n + 2, EDGE_TAPER)[1:-1] for n in shape)
    expected = np.outer(rows, columns).astype(np.float32)
    np.testing.assert_array_equal(edge_window(shape), expected)


@pytest.mark.parametrize(("one", "other"), [((33, 47), (9, 5)), ((8, 8), (21, 30))])
def test_correlation_is_that_of_scipy(one, other):
    rng = np.random.default_rng(0)
    image, template = rng.normal(size=one), rng.normal(size=other)
    expected = correlate(image, template, mode="full", method="fft")
    np.testing.assert_array_equal(correlate_full(image, template), expected)
