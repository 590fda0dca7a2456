"""All that can be measured of an image, as named values for a report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_dps.core import OFFSET_STEP, ImageStack, InputError
from napari_dps.metrics import reference as likeness
from napari_dps.metrics.decorrelation import decorrelation
from napari_dps.metrics.error_map import error_map
from napari_dps.metrics.frc import ring_correlation, single_image_ring_correlation
from napari_dps.metrics.grids import common_grid
from napari_dps.metrics.pattern import modulation_contrast, raw_checks
from napari_dps.metrics.registration import find_shift, shift_onto
from napari_dps.metrics.snr import (
    noise_is_white,
    noise_std,
    peak_to_noise,
    snr_db,
    snr_reference_db,
)
from napari_dps.metrics.spectrum import as_plane, is_flat

Measures = dict[str, Any]

_COLOURED = "noise shared between pixels (resampled, filtered or reconstructed image)"
_RAW_CHECKS = {
    "angle_variation_percent": "no intensity above zero",
    "phase_variation_percent": "no intensity above zero",
    "saturated_percent": "saturation level not known",
}
_TOO_FINE = "finer than the optics resolve: noise shared between pixels misleads it"
_NO_MAXIMUM = "no decorrelation curve has a maximum"


def measure(
    image: ImageStack,
    reference: ImageStack | None = None,
    *,
    fit_intensity: bool = True,
    register: bool = False,
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
    >>> values = measure(ImageStack(np.zeros((32, 32)), "YX"))
    >>> values["snr_db"], values["notes"]["snr_db"]
    (None, 'the image is constant')
    """
    image = _squeezed(image)
    if image.axes not in ("YX", "APYX"):
        raise InputError("axes to measure", got=image.axes, allowed="YX or APYX")
    values: Measures = {"notes": {}}
    if image.axes == "APYX":
        _measure_frames(values, image)
        mean = image.data.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        image = image.derive(mean, axes="YX")
    _measure_alone(values, image)
    if reference is not None:
        pair = common_grid(image, _squeezed(reference))
        _measure_pair(values, *pair, fit_intensity=fit_intensity, register=register)
        _measure_error(values, image, _squeezed(reference))
    values["notes"] = values.pop("notes")  # last, where a reader looks for it
    return values


def _squeezed(stack: ImageStack) -> ImageStack:
    """Return the stack without axes of length 1, Y and X and raw frames apart."""
    kept = "".join(
        axis
        for axis, n in zip(stack.axes, stack.shape, strict=True)
        if n > 1 or axis in "YX" or (axis in "AP" and stack.is_raw)
    )
    if kept == stack.axes:
        return stack
    shape = tuple(stack.size(axis) for axis in kept)
    return stack.derive(stack.data.reshape(shape), axes=kept)


def _put(values: Measures, name: str, value: float | None, note: str = "") -> None:
    """Store a value, or None and the reason."""
    finite = value is not None and np.isfinite(value)
    values[name] = float(value) if finite and value is not None else None
    if note:
        values["notes"][name] = note
    elif not finite:
        values["notes"][name] = "infinite" if value is not None else "not defined"


def _try(values: Measures, name: str, compute: Callable[[], float | None]) -> None:
    """Store what ``compute`` returns, or None and why the input cannot be used."""
    try:
        _put(values, name, compute())
    except InputError as error:
        _put(values, name, None, str(error))


def _put_length(
    values: Measures, name: str, px: float | None, nm: float | None, note: str = ""
) -> None:
    """Store a length in pixels and, where the pixel size is known, in nm."""
    _put(values, f"{name}_px", px, note)
    if nm is not None:
        _put(values, f"{name}_nm", None if px is None else px * nm, note)


def _measure_frames(values: Measures, image: ImageStack) -> None:
    """Measure the stripes and intensities of raw frames."""
    try:
        contrast = modulation_contrast(image.data)
        values["mcnr"] = contrast.mean
        values["mcnr_per_angle"] = list(contrast.per_angle)
        checks = raw_checks(image.data)
    except InputError as error:
        for name in ("mcnr", "mcnr_per_angle", *_RAW_CHECKS):
            _put(values, name, None, str(error))
        return
    for name, reason in _RAW_CHECKS.items():
        value = getattr(checks, name)
        _put(values, name, value, reason if value is None else "")


def _measure_alone(values: Measures, image: ImageStack) -> None:
    """Measure what needs no reference."""
    plane = as_plane(image.data)
    values["minimum"], values["maximum"] = float(plane.min()), float(plane.max())
    values["mean"] = float(plane.mean(dtype=np.float64))
    processed = any(entry.stage != OFFSET_STEP for entry in image.history)
    white = not is_flat(plane) and not processed and noise_is_white(plane)
    values["noise_is_white"] = white
    has_signal = _measure_noise(values, image, white)
    nm = image.pixel_size_nm
    if not has_signal:
        note = values["notes"]["snr_db"]
        _put(values, "decorrelation_amplitude", None, note)
        _put_length(values, "resolution_decorrelation", None, nm, note)
        _put_length(values, "resolution_frc", None, nm, note)
        return
    try:
        found = decorrelation(plane)
        px, note = found.resolution_px, "" if found.resolution_px else _NO_MAXIMUM
        _put(values, "decorrelation_amplitude", found.amplitude)
    except InputError as error:
        px, note = None, str(error)
        _put(values, "decorrelation_amplitude", None, note)
    if px and image.optics and not processed:
        finest_px = image.optics.cutoff_period_nm / image.optics.pixel_size_nm
        if px < 0.9 * finest_px / image.optics.modulation_factor:
            px, note = None, _TOO_FINE
    _put_length(values, "resolution_decorrelation", px, nm, note)
    try:
        curve = single_image_ring_correlation(plane) if white else None
        px, note = (curve.resolution_px, curve.note) if curve else (None, _COLOURED)
    except InputError as error:
        px, note = None, str(error)
    _put_length(values, "resolution_frc", px, nm, note)


def _measure_noise(values: Measures, image: ImageStack, white: bool) -> bool:
    """Measure noise and SNR; return whether there is any signal above the noise."""
    plane = as_plane(image.data)
    names = ("noise_std", "snr_db", "peak_to_noise")
    if is_flat(plane):
        for name in names:
            _put(values, name, None, "the image is constant")
        return False
    try:
        cutoff = image.optics.cutoff_per_pixel if image.optics and white else None
        noise = noise_std(plane, cutoff)
    except InputError as error:
        for name in names:
            _put(values, name, None, str(error))
        return False
    _put(values, "noise_std", noise, "" if white else f"a lower bound: {_COLOURED}")
    care = "" if white else f"an upper bound: {_COLOURED}"
    _put(values, "peak_to_noise", peak_to_noise(plane, noise), care)
    snr = snr_db(plane, noise)
    _put(values, "snr_db", snr, "no signal above the noise" if snr is None else care)
    return snr is not None


def _measure_pair(
    values: Measures,
    image: ImageStack,
    reference: ImageStack,
    *,
    fit_intensity: bool,
    register: bool,
) -> None:
    """Measure the likeness of two images on one grid."""
    a, b = as_plane(image.data), as_plane(reference.data)
    try:
        shift_px = find_shift(a, b)
        if register:
            a, b = shift_onto(a, b, shift_px)
    except InputError as error:
        _put(values, "shift_y_px", None, str(error))
        _put(values, "shift_x_px", None, str(error))
    else:
        _put(values, "shift_y_px", shift_px[0])
        _put(values, "shift_x_px", shift_px[1])
    _try(values, "pearson", lambda: likeness.pearson(a, b))
    fitted = likeness.fit_intensity(a, b) if fit_intensity else a
    _try(values, "psnr_db", lambda: likeness.psnr_db(fitted, b))
    _try(values, "ssim", lambda: likeness.ssim(fitted, b))
    _try(values, "nrmse", lambda: likeness.nrmse(fitted, b))
    _try(values, "snr_reference_db", lambda: snr_reference_db(fitted, b))
    shaped = likeness.fit_radial_gain(a, b)
    _try(values, "psnr_radial_gain_db", lambda: likeness.psnr_db(shaped, b))
    nm = reference.pixel_size_nm
    try:
        curve = ring_correlation(a, b)
        px, note = curve.resolution_px, curve.note
    except InputError as error:
        px, note = None, str(error)
    _put_length(values, "resolution_frc_reference", px, nm, note)


def _measure_error(values: Measures, image: ImageStack, reference: ImageStack) -> None:
    """Measure the resolution-scaled error, taking the reference for the widefield."""
    names = ("rsp", "rse", "rsf_sigma_px")
    finer = (reference.pixel_size_nm or 0) < 0.99 * (image.pixel_size_nm or 0)
    if finer or reference.shape[0] > image.shape[0]:
        for name in names:
            _put(values, name, None, "the reference is on a finer grid than the image")
        return
    try:
        found = error_map(image, reference)
    except InputError as error:
        for name in names:
            _put(values, name, None, str(error))
        return
    _put(values, "rsp", found.rsp)
    _put(values, "rse", found.rse)
    _put(values, "rsf_sigma_px", found.rsf_sigma_px)
    if found.rsf_sigma_nm is not None:
        _put(values, "rsf_sigma_nm", found.rsf_sigma_nm)
