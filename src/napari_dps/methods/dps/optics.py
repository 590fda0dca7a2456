"""The optics that the stage ``dps`` works with: stated, from patterns, or measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Optics, Pattern
from napari_dps.core.context import Context
from napari_dps.methods.dps.noise import is_raw

RECONSTRUCTION_WIDTH = 0.87
"""Cut-off of the lens whose PSF is as wide as that of our reconstruction, over the
finest frequency that the patterns bring into reach. Measured on simulated
reconstructions against their truth: 0.868 to 0.878 for microtubules and endoplasmic
reticulum at 300 to 2000 photons, with and without haze."""
_LEAST_EXTENSION = 1.15
"""End of the spectrum over the cut-off of the lens from which on an image is taken for
a SIM reconstruction: the end is found within 10 %, NA and wavelength are rounded."""
_LEAST_WHITE_EXTENSION = 1.5
"""The same where the noise beyond is white: confocal images end up to 1.45."""
_GREATEST_EXTENSION = 2.4
"""The same up to which: stripes of TIRF reach 2.15, found within 10 %. Enlarged images
end beyond."""


def effective_optics(image: ImageStack, purpose: str = "dps") -> Optics:
    """Return the optics with the modulation factor to assume.

    The optics' modulation factor, if it is not 1. After `reconstruct`
    1 + |k| λ/(2 NA), |k| the longest wave vector found at each angle, averaged over the
    angles (0 where none was found), times `RECONSTRUCTION_WIDTH`.

    Parameters
    ----------
    image : ImageStack
        With optics, and the patterns that it was reconstructed with.
    purpose : str
        What asks, for the error.

    Returns
    -------
    Optics

    Raises
    ------
    InputError
        If the image has no optics.
    """
    optics = image.require_optics(purpose)
    if optics.modulation_factor != 1 or not image.patterns:
        return optics
    longest: dict[int, float] = {}
    for pattern in image.patterns:
        length = _longest_per_nm(pattern) * optics.cutoff_period_nm
        longest[pattern.angle_index] = max(length, longest.get(pattern.angle_index, 0))
    if not any(longest.values()):
        return optics
    factor = RECONSTRUCTION_WIDTH * (1 + sum(longest.values()) / len(longest))
    return optics.model_copy(update={"modulation_factor": factor})


def factor_of_spectrum(image: NDArray[Any], optics: Optics) -> float | None:
    """Return the modulation factor of a SIM reconstruction by its spectrum's edge.

    `RECONSTRUCTION_WIDTH` times the edge over the cut-off of the lens.

    Parameters
    ----------
    image : array (Y, X)
        Finite.
    optics : Optics
        NA, emission wavelength, pixel size of the image.

    Returns
    -------
    float or None
        None if the spectrum has no edge, one that a lens alone reaches, or one that no
        stripes bring into reach.
    """
    from napari_dps.methods.effective_psf.spectral_edge import spectral_edge

    edge = spectral_edge(image)
    lens = optics.cutoff_per_pixel
    if edge is None or not _LEAST_EXTENSION <= edge / lens <= _GREATEST_EXTENSION:
        return None
    if edge < _LEAST_WHITE_EXTENSION * lens and is_raw(np.asarray(image, np.float32)):
        return None
    return RECONSTRUCTION_WIDTH * edge / lens


def shows_sim(image: ImageStack) -> bool:
    """Whether an image is a SIM reconstruction, though its history tells of none.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics; as little processed as there is.
    """
    return _sim_edge(image) is not None


def as_it_shows(image: ImageStack, context: Context) -> ImageStack:
    """Return a SIM reconstruction that has no history as one, as sharp as it shows.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics; as little processed as there is.
    context : Context
        Told of a modulation factor that was measured.

    Returns
    -------
    ImageStack
        With that factor, unless another than 1 is stated; the image itself where it has
        a history, or anything else may have made it.

    Raises
    ------
    InputError
        If the image has no optics.
    """
    from napari_dps.methods.effective_psf.sim_image import filter_width

    edge = _sim_edge(image)
    if edge is None:
        return image
    optics = image.require_optics("dps")
    if optics.modulation_factor == 1:
        width = RECONSTRUCTION_WIDTH * filter_width(np.asarray(image.data), edge)
        factor = max(width * edge / optics.cutoff_per_pixel, 1.0)
        context.warn(
            "the image is sharper than its optics allow: its spectrum is that of a SIM "
            f"reconstruction of modulation factor {factor:.2f}, which is used; to take "
            "the PSF of the optics: dps.psf stated"
        )
        optics = optics.model_copy(update={"modulation_factor": factor})
    return replace(image, optics=optics, shows_sim=True)


def _sim_edge(image: ImageStack) -> float | None:
    """Return where the spectrum of a reconstruction without a history ends."""
    from napari_dps.methods.effective_psf.sim_image import sim_edge

    optics = image.require_optics("dps")
    if image.is_reconstruction or image.patterns:
        return None
    return sim_edge(np.asarray(image.data), optics.cutoff_per_pixel)


def contradiction(image: ImageStack) -> str:
    """Say where the PSF of an image contradicts its optics; empty where it does not.

    Parameters
    ----------
    image : ImageStack
        As for `effective_optics`; as little processed as there is.
    """
    from napari_dps.methods.effective_psf.estimate import modulation_factor_auto

    optics = effective_optics(image)
    return modulation_factor_auto(np.asarray(image.data), optics).contradiction


def measured_optics(image: ImageStack, context: Context) -> Optics:
    """Return the optics with the modulation factor that the image shows.

    Parameters
    ----------
    image : ImageStack
        As for `effective_optics`.
    context : Context
        Told where the image contradicts the optics, or cannot tell.

    Returns
    -------
    Optics
        The modulation factor may be below 1; as stated where the image cannot tell.

    Raises
    ------
    InputError
        If the image has no optics.
    """
    from napari_dps.methods.effective_psf.estimate import modulation_factor_auto

    optics = effective_optics(image)
    data = np.asarray(image.data)
    found = modulation_factor_auto(data, optics)
    if found.modulation_factor is None:
        factor = None if is_raw(data) else factor_of_spectrum(data, optics)
        if factor is None:
            context.warn(found.warning)
            return optics
        why = found.psf.reason.removeprefix("cannot tell: ")
        context.warn(
            f"PSF not measured ({why}): the spectrum ends as that of a reconstruction "
            f"of modulation factor {factor:.2f}, which is used"
        )
        return optics.model_copy(update={"modulation_factor": factor})
    if found.warning:
        context.warn(found.warning)
    return optics.model_copy(update={"modulation_factor": found.modulation_factor})


def _longest_per_nm(pattern: Pattern) -> float:
    """Return the longest wave vector of a pattern; 0 if it has none."""
    return max(
        1 / order.period_nm if order.is_usable and order.period_nm else 0.0
        for order in pattern.orders
    )
