"""How far a result of the stage ``artifacts`` may be from the right reconstruction."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Optics
from napari_dps.methods.artifacts.low_light import edge_of
from napari_dps.methods.reconstruction_noise import noise_map

Image = NDArray[np.float32]

REMOVED_SHARE, DETAIL_SHARE, NOISE_SHARE = 0.7, 0.3, 1.5
"""Error over what was taken out, over the detail that is left, and over the noise near
the edge of the spectrum. Chosen on two fields each of three structures that no training
saw, with every fault; counted on others by benchmarks/artifacts_trust.py."""
_NEAR, _FAR = 1.5, 3.0
"""Standard deviations of the Gaussians, over that of the PSF: that an error is averaged
by, and that detail is what is left of."""
_TINY = 1e-30


def stated_uncertainty(
    result: Image, found: Image, optics: Optics, strength: float
) -> Image:
    """Return the standard deviation of the error of each pixel.

    σ² = around(a² r² d²/(r² + d²) + b² d²) + c² n² + ((1 − s) r)². r is what is no
    structure, of which the share s was taken out, d the detail that is left, n the
    noise that is left near the edge of the spectrum. What was taken out is wrong by no
    more than there is detail: of an image that is mostly noise nearly all of it is
    rightly gone. Faults that hardly show, such as a modulation depth that is wrong
    everywhere, are errors of the detail.

    Parameters
    ----------
    result, found : array (Y, X), float32
        What the stage gave, and all that it has found to be no structure.
    optics : Optics
        Of the reconstruction.
    strength : float
        Share of it that was taken out.

    Returns
    -------
    array (Y, X), float32
        In the unit of the image.

    Examples
    --------
    >>> optics = Optics(na=1.3, emission_nm=525, pixel_size_nm=40)
    >>> even = np.full((20, 20), 7, np.float32)
    >>> bool(stated_uncertainty(even, 0 * even, optics, 1.0).max() < 1e-5)
    True
    """
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    # Airy's full width at half maximum, 0.51 λ/NA.
    psf_px = 1.029 / 2.3548 / cutoff

    def around(image: Image, widths: float) -> Image:
        smooth = scipy.ndimage.gaussian_filter(image, widths * psf_px, mode="reflect")
        return np.asarray(smooth, dtype=np.float32)

    scale = max(float(np.abs(result).max()), float(np.abs(found).max())) or 1.0
    detail = around(((result - around(result, _FAR)) / scale) ** 2, _NEAR)
    removed = around((found / scale) ** 2, _NEAR)
    noise = noise_map(result / np.float32(scale), edge_of(optics))
    both = removed * detail / (removed + detail + np.float32(_TINY))
    variance = REMOVED_SHARE**2 * both + DETAIL_SHARE**2 * detail
    variance += (NOISE_SHARE * noise) ** 2 + (1 - strength) ** 2 * removed
    return np.asarray(scale * np.sqrt(variance), dtype=np.float32)
