"""Quantities that metrics of the catalogue read, where that takes more than a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_dps.core import InputError
from napari_dps.metrics import reference as likeness
from napari_dps.metrics.metric import Measured, Metric, Table
from napari_dps.metrics.subject import COLOURED, Need, Subject

TOO_FINE = "finer than the optics resolve: noise shared between pixels misleads it"
NO_MAXIMUM = "no decorrelation curve has a maximum"

Px = Callable[[Subject], tuple[float | None, str]]
"""Returns a length in pixels, or None, and a note."""


def length_metrics(
    key: str,
    length_px: Px,
    size_nm: Callable[[Subject], float | None],
    *,
    needs: tuple[Need, ...] = (),
    tables: tuple[Table, ...] = (),
    **same: Any,
) -> tuple[Metric, Metric]:
    """Return a length in pixels and, where the pixel size is known, in nm."""

    def length_nm(subject: Subject) -> Measured | None:
        nm = size_nm(subject)
        if nm is None:
            return None
        px, note = length_px(subject)
        return Measured(px if px is None else px * nm, note)

    in_px = Metric(
        f"{key}_px",
        function=lambda subject: Measured(*length_px(subject)),
        unit="px",
        digits=1,
        needs=needs,
        tables=tuple(table for table in tables if table == "compare"),
        **same,
    )
    in_nm = Metric(
        f"{key}_nm",
        function=length_nm,
        unit="nm",
        digits=0,
        needs=(*needs, "pixel size"),
        tables=tables,
        **same,
    )
    return in_px, in_nm


def raw_check(name: str, reason: str) -> Callable[[Subject], Measured]:
    """Return what reads a check of the raw frames; ``reason`` says why it is None."""

    def read(subject: Subject) -> Measured:
        value = getattr(subject.stripes[1], name)
        return Measured(value, reason if value is None else "")

    return read


def of_white_noise(
    read: Callable[[Subject], float | None],
) -> Callable[[Subject], Measured]:
    """Return what reads a value of the noise, where there is noise to measure.

    What denoising, reconstruction and deconvolution leave in the dark is next to
    nothing, while the bright parts err as before: a ratio to it says 50 dB of anything.
    """

    def measured(subject: Subject) -> Measured:
        value = read(subject)
        if subject.has_white_noise:
            return Measured(value)
        return Measured(None, f"cannot be told: {COLOURED}")

    return measured


def decorrelation_px(subject: Subject) -> tuple[float | None, str]:
    """Return the resolution by decorrelation, unless noise of pixels fakes it."""
    px, optics = subject.decorrelation.resolution_px, subject.image.optics
    if not px:
        return None, NO_MAXIMUM
    if optics and not subject.image.is_processed:
        finest_px = optics.cutoff_period_nm / optics.pixel_size_nm
        if px < 0.9 * finest_px / optics.modulation_factor:
            return None, TOO_FINE
    return px, ""


def axial_resolution_nm(subject: Subject) -> Measured:
    """Return the resolution along z by decorrelation."""
    volume, planes = subject.volume, subject.axial.resolution_px
    if volume is None or not volume.z_step_nm or not planes:
        return Measured(None, NO_MAXIMUM)
    return Measured(planes * volume.z_step_nm)


def psnr_radial_gain_db(subject: Subject) -> float:
    """Return the PSNR after a radial transfer function was fitted."""
    image, reference = subject.compared
    return likeness.psnr_db(likeness.fit_radial_gain(image, reference), reference)


def rsf_sigma_nm(subject: Subject) -> float | None:
    """Return the width of the blur between image and reference, if there is one."""
    try:
        return subject.error_map.rsf_sigma_nm
    except InputError:  # the note of the length in pixels says why
        return None
