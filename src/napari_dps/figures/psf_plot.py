"""The picture of a PSF: image, profile and OTF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dps.core import ImageStack, Optics
from napari_dps.figures.panels import draw_scale_bar
from napari_dps.figures.psf_curves import GAMMA, PsfCurves, psf_curves
from napari_dps.figures.theme import (
    CURVE,
    FAINT,
    INK,
    MARK,
    new_figure,
    style_plot,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def psf_figure(psf: ImageStack) -> Figure:
    """Draw a PSF, its radial profile with FWHM and first zero, and its OTF.

    Parameters
    ----------
    psf : ImageStack
        As `napari_dps.physics.psf.sr_psf` gives it, centred; with optics.

    Returns
    -------
    Figure
    """
    optics = psf.require_optics("the plot of a PSF")
    figure = new_figure(1560, 520)
    axes = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.03, right=0.98, bottom=0.13, top=0.85, wspace=0.25)
    figure.suptitle(
        f"NA {optics.na:g}   λ {optics.emission_nm:g} nm   "
        f"modulation factor {optics.modulation_factor:g}   "
        f"pixel {optics.pixel_size_nm:g} nm",
        color=FAINT,
        fontsize=13,
    )
    _draw_image(axes[0], psf, optics)
    curves = psf_curves(optics)
    _draw_profile(axes[1], psf, curves)
    _draw_otf(axes[2], curves)
    return figure


def _draw_image(axes: Axes, psf: ImageStack, optics: Optics) -> None:
    height, width = psf.shape
    edges = (0, width * optics.pixel_size_nm, height * optics.pixel_size_nm, 0)
    axes.imshow(
        (np.clip(psf.data, 0, None) / psf.data.max()) ** GAMMA,
        extent=edges,
        cmap="inferno",
        interpolation="nearest",
    )
    axes.set_axis_off()
    axes.set_title(f"PSF (gamma {GAMMA:g})", color=INK, fontsize=13)
    draw_scale_bar(axes, edges, font_size=13)


def _draw_profile(axes: Axes, psf: ImageStack, curves: PsfCurves) -> None:
    """Draw the analytic profile, the pixels on it, FWHM and first zero."""
    zero, fwhm = curves.first_zero_nm, curves.fwhm_nm
    axes.plot(curves.radius_nm, curves.intensity, color=CURVE, lw=2)
    row = psf.data[psf.shape[0] // 2, psf.shape[1] // 2 :]
    position = np.arange(row.size) * curves.optics.pixel_size_nm
    shown = position <= curves.radius_nm[-1]
    axes.plot(
        position[shown], (row / row[0])[shown], "o", color=INK, ms=4, label="pixels"
    )
    axes.hlines(0.5, 0, fwhm / 2, color=MARK, lw=2, label=f"FWHM {fwhm:.1f} nm")
    axes.axvline(zero, color=FAINT, ls="--", label=f"first zero {zero:.1f} nm")
    style_plot(axes, title="Radial profile", xlabel="radius (nm)", ylabel="intensity")


def _draw_otf(axes: Axes, curves: PsfCurves) -> None:
    """Draw the OTF with its cut-off and what the pixels can carry."""
    cutoff, nyquist = curves.cutoff_per_um, curves.nyquist_per_um
    axes.plot(curves.frequency_per_um, curves.transfer, color=CURVE, lw=2)
    axes.axvline(
        cutoff, color=MARK, label=f"cut-off {cutoff:.2f}/µm ({1e3 / cutoff:.0f} nm)"
    )
    axes.axvline(
        nyquist,
        color=FAINT,
        ls="--",
        label=f"Nyquist of the pixels {nyquist:.2f}/µm",
    )
    style_plot(axes, title="OTF", xlabel="frequency (cycles/µm)", ylabel="transfer")
