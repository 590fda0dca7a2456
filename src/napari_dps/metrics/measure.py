"""All that can be measured of an image, as named values for a report."""

from __future__ import annotations

from typing import Any

from napari_dps.core import ImageStack
from napari_dps.metrics.catalogue import METRICS
from napari_dps.metrics.subject import Subject

Measures = dict[str, Any]


def measure(
    image: ImageStack,
    reference: ImageStack | None = None,
    *,
    fit_intensity: bool = True,
    register: bool = False,
    volume: ImageStack | None = None,
) -> Measures:
    """Measure an image, alone and against a reference.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", or "APYX" for raw SIM frames, whose mean is measured as the widefield
        image and whose stripes are measured too. Axes of length 1 are dropped.
    reference : ImageStack, optional
        Axes "YX". Another pixel grid is allowed: the image is interpolated onto it.
    fit_intensity : bool
        Bring the image to the reference's units by least squares before PSNR, SSIM,
        NRMSE and SNR.
    register : bool
        Undo the displacement between image and reference (found in any case) before
        these and the correlations.
    volume : ImageStack, optional
        Axes "ZYX": the z-stack that the image is a plane of, or a part of it, for the
        resolution along z.

    Returns
    -------
    dict
        JSON-able: names with units to float, int, bool, list or None, and ``notes``, a
        dict from the name of every value that is None (or must be read with care) to
        the reason. See ``docs/metrics.md`` for each name. Lengths are in nm where the
        pixel size is known; the names ending in ``_px`` are always there.

    Raises
    ------
    InputError
        If the axes are others, or values are not finite. An image that is constant or
        too small for a metric is no error: that metric is None, with a note.

    Examples
    --------
    >>> import numpy as np
    >>> values = measure(ImageStack(np.zeros((32, 32)), "YX"))
    >>> values["snr_db"], values["notes"]["snr_db"]
    (None, 'the image is constant')
    """
    subject = Subject(
        image,
        reference,
        fit_intensity=fit_intensity,
        register=register,
        volume=volume,
    )
    values: Measures = {}
    notes: dict[str, str] = {}
    for metric in METRICS:
        measured = metric.measure(subject)
        if measured is None:
            continue
        values[metric.key] = measured.value
        if measured.note:
            notes[metric.key] = measured.note
    return {**values, "notes": notes}  # last, where a reader looks for it
