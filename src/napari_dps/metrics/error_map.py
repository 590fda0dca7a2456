"""Error map of a super-resolved image against its widefield image (SQUIRREL)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack
from napari_dps.metrics.grids import common_grid
from napari_dps.metrics.spectrum import (
    CORNER_PER_PIXEL,
    centred,
    cosine_radius,
    cosine_ring_sums,
    cosine_transform,
    inverse_cosine_transform,
    require_variation,
)

_RINGS = 4096
_SIGMA_STEPS = 64
_SMALLEST_SIGMA_PX = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class ErrorMap:
    """How a super-resolved image, blurred back, differs from the widefield image.

    Attributes
    ----------
    error : ImageStack
        |widefield − scale·(image ⊗ RSF) − offset|, in the widefield's counts, "YX".
    rsp : float
        Resolution-scaled Pearson coefficient, −1 to 1.
    rse : float
        Resolution-scaled error, RMS of the map, in the widefield's counts.
    scale, offset : float
        Intensity fit α and β.
    rsf_sigma_px : float
        Standard deviation of the Gaussian resolution scaling function, in pixels of the
        widefield image.
    rsf_sigma_nm : float or None
        The same in nm; None when no pixel size is known.
    """

    error: ImageStack
    rsp: float
    rse: float
    scale: float
    offset: float
    rsf_sigma_px: float
    rsf_sigma_nm: float | None


def error_map(image: ImageStack, reference: ImageStack) -> ErrorMap:
    """Compare a super-resolved image with the widefield image of the same field.

    Finds scale α, offset β and the width σ of a Gaussian so that
    α·(image ⊗ G_σ) + β is nearest to the widefield image in least squares; what is left
    is the error map. High where structure was invented, lost or dimmed; a map cannot
    tell below the widefield's resolution.

    Parameters
    ----------
    image : ImageStack
        The super-resolved image, axes "YX"; its grid may be finer.
    reference : ImageStack
        The widefield image, axes "YX", of the same field (registered: a shift of a
        tenth of the resolution shows).

    Returns
    -------
    ErrorMap
        On the widefield's grid, where the two overlap.

    Raises
    ------
    InputError
        As for `napari_dps.metrics.grids.common_grid`, and if one is constant.

    Notes
    -----
    For each σ, α and β have a closed form and all it needs are sums over |k| in the
    cosine domain (mirrored edges), so that σ is searched on radial sums: 64 widths in
    geometric steps up to a quarter of the shorter side, then Brent's method. σ is the
    blur *between* the two images: σ² = σ²_widefield − σ²_image for Gaussian PSFs.

    References
    ----------
    .. [1] Culley et al., Nature Methods 15, 263 (2018), doi:10.1038/nmeth.4605.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> fine = np.random.default_rng(0).normal(size=(64, 64))
    >>> blurred = 2 * gaussian_filter(fine, 3, mode="reflect", truncate=8) + 5
    >>> found = error_map(ImageStack(fine, "YX"), ImageStack(blurred, "YX"))
    >>> round(found.rsp, 4), round(found.rsf_sigma_px, 2), round(found.scale, 2)
    (1.0, 3.0, 2.0)
    """
    moved, kept = common_grid(image, reference)
    require_variation(moved.data, "the error map")
    require_variation(kept.data, "the error map")
    a, b = cosine_transform(centred(moved.data)), cosine_transform(centred(kept.data))
    a[0, 0] = b[0, 0] = 0  # what rounding left of the means
    sigma = _best_sigma(a, b)
    blurred = a * _gaussian(cosine_radius(a.shape), sigma)
    energy = np.sum(blurred**2, dtype=np.float64)
    product = np.sum(blurred * b, dtype=np.float64)
    total = np.sum(b**2, dtype=np.float64)
    scale = float(product / energy)
    difference = inverse_cosine_transform(b - b.dtype.type(scale) * blurred)
    nm = kept.pixel_size_nm
    return ErrorMap(
        error=kept.derive(np.abs(difference)),
        rsp=float(product / np.sqrt(energy * total)),
        rse=float(np.sqrt(np.mean(difference**2, dtype=np.float64))),
        scale=scale,
        offset=float(np.mean(kept.data, dtype=np.float64))
        - scale * float(np.mean(moved.data, dtype=np.float64)),
        rsf_sigma_px=sigma,
        rsf_sigma_nm=None if nm is None else sigma * nm,
    )


def _gaussian(radius: NDArray[Any], sigma_px: float) -> NDArray[Any]:
    """Return the transfer function of a Gaussian blur at |k| in cycles per pixel."""
    return np.exp(-2 * (np.pi * sigma_px * radius) ** 2)


def _best_sigma(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the blur of a that correlates best with b."""
    from scipy.optimize import minimize_scalar

    both, power = cosine_ring_sums(a * b, _RINGS), cosine_ring_sums(a * a, _RINGS)
    radius = (np.arange(_RINGS) + 0.5) * CORNER_PER_PIXEL / _RINGS

    def mismatch(sigma: float) -> float:
        gain = _gaussian(radius, sigma)
        energy = gain**2 @ power
        return -float(gain @ both / np.sqrt(energy)) if energy > 0 else np.inf

    widest = max(min(a.shape) / 4, 4 * _SMALLEST_SIGMA_PX)
    steps = np.geomspace(_SMALLEST_SIGMA_PX, widest, _SIGMA_STEPS)
    sigmas = np.concatenate([[0.0], steps])
    best = int(np.argmin([mismatch(s) for s in sigmas]))
    bounds = sigmas[max(best - 1, 0)], sigmas[min(best + 1, _SIGMA_STEPS)]
    fine = minimize_scalar(mismatch, bounds=bounds, method="bounded")
    return float(fine.x) if fine.fun < mismatch(sigmas[best]) else float(sigmas[best])
