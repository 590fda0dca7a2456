"""How sharp a reconstruction is taken to be: by its history, or as it shows."""

from __future__ import annotations

from napari_dps.core import ImageStack, Optics
from napari_dps.core.context import Context
from napari_dps.methods.dps.optics import effective_optics, factor_of_spectrum


def is_plain(image: ImageStack, optics: Optics) -> bool:
    """Whether nothing says that an image is a SIM reconstruction.

    Parameters
    ----------
    image : ImageStack
        With its history.
    optics : Optics
        As `reconstruction_optics` returns them.
    """
    return optics.modulation_factor == 1 and not image.is_reconstruction


def reconstruction_optics(image: ImageStack, context: Context) -> Optics:
    """Return the optics of a reconstruction with the modulation factor to assume.

    That of the patterns that it was reconstructed with, or the one stated; where there
    is neither, what the edge of its spectrum stands for.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics.
    context : Context
        Told of a modulation factor that was measured, or that there is none.

    Returns
    -------
    Optics

    Raises
    ------
    InputError
        If the image has no optics.
    """
    optics = effective_optics(image, "artifacts")
    if optics.modulation_factor != 1:
        return optics
    factor = factor_of_spectrum(image.data, optics)
    if factor is None:
        context.warn(
            "neither patterns nor a modulation factor say that this is a SIM "
            "reconstruction, nor does its spectrum: nothing but strong noise is taken "
            "from it"
        )
        return optics
    context.warn(
        "nothing says how sharp this reconstruction is: its spectrum ends as that of "
        f"modulation factor {factor:.2f}, which is used"
    )
    return optics.model_copy(update={"modulation_factor": factor})
