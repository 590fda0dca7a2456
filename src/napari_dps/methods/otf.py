"""Measured OTFs, ready for use: read, brought to one scale, checked."""

from __future__ import annotations

import os
from dataclasses import replace

from napari_dps import io
from napari_dps.core import ImageStack
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.measured_otf import check_otf, normalised


def load_otf(path: str | os.PathLike[str], image: ImageStack) -> MeasuredOtf:
    """Read the OTF to use for an image.

    Parameters
    ----------
    path : path-like
        As for `napari_dps.io.read_otf`.
    image : ImageStack
        With optics, which it has to fit; of a TIFF file of cudasirecon pixel size and
        z step are taken to be the image's.

    Raises
    ------
    InputError
        If it cannot be read, is no OTF, or one of other optics.
    """
    optics = image.require_optics("a measured OTF")
    otf = io.read_otf(
        path, pixel_size_nm=optics.pixel_size_nm, z_step_nm=image.z_step_nm
    )
    otf = replace(otf, values=normalised(otf.values))
    check_otf(otf, optics)
    return otf
