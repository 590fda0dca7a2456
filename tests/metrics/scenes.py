"""Scenes with known optics, drawn simply; and noise with a known spectrum."""

from __future__ import annotations

import numpy as np
from scipy import fft


def airy_otf(frequency, cutoff):
    """Return the OTF of a circular aperture."""
    x = np.clip(frequency / cutoff, 0, 1)
    return 2 / np.pi * (np.arccos(x) - x * np.sqrt(1 - x * x))


def radius(shape):
    return np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))


def filtered(image, gain):
    """Apply a transfer function of |k| in cycles per pixel."""
    return fft.irfft2(fft.rfft2(image) * gain(radius(image.shape)), image.shape)


def filaments(shape, seed, cutoff, photons):
    """Return the expected counts of wavy filaments seen by an aperture."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros(shape)
    for _ in range(max(shape) // 8):
        length = 2 * max(shape)
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.02, length))
        y = rng.uniform(0, shape[0]) + np.cumsum(np.sin(angle)) / 2
        x = rng.uniform(0, shape[1]) + np.cumsum(np.cos(angle)) / 2
        inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
        np.add.at(drawn, (y[inside].astype(int), x[inside].astype(int)), 1)
    seen = np.maximum(filtered(drawn, lambda k: airy_otf(k, cutoff)), 0)
    return photons * (0.05 + seen / np.percentile(seen, 99.9))
