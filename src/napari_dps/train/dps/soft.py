"""Objects without edges or lines: textures, filled bodies, thick membranes.

What thin structures alone would teach a network to draw outlines into. All of them are
made of smooth random fields: the field itself, where it is high, and where it is zero.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.special
from numpy.typing import NDArray

from napari_dps.physics.otf import radial_frequency

Image = NDArray[np.float32]

_LENGTH_NM = (60.0, 1200.0)
"""Correlation length of the fields, log-uniform."""
_EDGE = (0.03, 0.6)
"""Softness of the edge of a body, in standard deviations of its field, log-uniform."""
_THICKNESS = (0.06, 0.4)
"""Of a membrane, in standard deviations of its field, log-uniform."""
_TEXTURE = (0.2, 1.5)
"""Standard deviation of the logarithm of a texture."""


def soft_object(side: int, pixel_size_nm: float, rng: np.random.Generator) -> Image:
    """Draw a texture, filled bodies or thick membranes, at random.

    Bodies and membranes have a faint texture of their own, or none.

    Parameters
    ----------
    side : int
        Edge of the grid.
    pixel_size_nm : float
        Edge of its pixels.
    rng : numpy.random.Generator
        Is used up.

    Returns
    -------
    array (Y, X), float32
        Brightness ≥ 0, periodic.

    Examples
    --------
    >>> image = soft_object(64, 8.0, np.random.default_rng(0))
    >>> image.shape, bool((image >= 0).all())
    ((64, 64), True)
    """
    field = _smooth_field(side, _log_uniform(rng, _LENGTH_NM) / pixel_size_nm, rng)
    texture = np.exp(rng.uniform(*_TEXTURE) * field)
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(texture, dtype=np.float32)
    shape = _smooth_field(side, _log_uniform(rng, _LENGTH_NM) / pixel_size_nm, rng)
    if kind == 1:
        level = rng.uniform(-0.3, 1.8)
        shape = scipy.special.expit((shape - level) / _log_uniform(rng, _EDGE))
    else:
        shape = np.exp(-0.5 * (shape / _log_uniform(rng, _THICKNESS)) ** 2)
    return np.asarray(shape * texture ** rng.uniform(0, 0.5), dtype=np.float32)


def _smooth_field(
    side: int, length_px: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a Gaussian random field of mean 0 and standard deviation 1."""
    radius = radial_frequency((side, side), half_plane=True)
    # Longer than the grid, and the field would be all but even.
    fall = np.exp(-((np.pi * min(length_px, side / 3) * radius) ** 2))
    white = rng.standard_normal((side, side))
    smooth = scipy.fft.irfft2(scipy.fft.rfft2(white, workers=1) * fall, s=white.shape)
    smooth -= smooth.mean()
    return np.asarray(smooth / smooth.std())


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
