"""The picture of a measured OTF beside that of an ideal objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core.otf import MeasuredOtf
from napari_dps.figures.theme import CURVE, MARK, new_figure, style_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAMMA = 0.4
"""Display only: the OTF spans four powers of ten."""


def otf_figure(
    measured: MeasuredOtf, ideal: MeasuredOtf, likeness: list[float]
) -> Figure:
    """Draw the orders of a measured OTF, of the ideal one, and both in focus.

    Parameters
    ----------
    measured, ideal : MeasuredOtf
        On the same grid.
    likeness : list of float
        Correlation of both, for each order.

    Returns
    -------
    Figure
    """
    figure = new_figure(1500, 420 * measured.orders)
    axes = np.reshape(figure.subplots(measured.orders, 3), (measured.orders, 3))
    figure.subplots_adjust(
        left=0.07,
        right=0.98,
        bottom=0.13 / measured.orders + 0.02,
        top=0.94,
        wspace=0.25,
        hspace=0.4,
    )
    for number, row in enumerate(axes):
        _draw_table(row[0], measured, number, f"order {number}, measured")
        _draw_table(row[1], ideal, number, f"order {number}, ideal")
        _draw_focus(row[2], measured, ideal, number)
        style_plot(
            row[2],
            title=f"order {number} in focus, r {likeness[number]:.3f}",
            xlabel="kr, cycles per µm",
            ylabel="transfer",
        )
    return figure


def _per_um(otf: MeasuredOtf) -> tuple[NDArray[np.float64], float]:
    """Return kr, and the highest |kz|, in cycles per µm."""
    radius = np.arange(otf.values.shape[1]) * otf.radial_step_per_nm * 1000
    highest = otf.values.shape[2] / 2 * otf.axial_step_per_nm * 1000
    return radius.astype(np.float64), float(highest)


def _draw_table(axes: Axes, otf: MeasuredOtf, number: int, title: str) -> None:
    radius, highest = _per_um(otf)
    table = np.fft.fftshift(np.abs(otf.values[number]), axes=1).T
    bright = float(np.percentile(table[:, 1:], 99.8)) or 1.0
    axes.imshow(
        np.clip(table / bright, 0, 1) ** GAMMA,
        extent=(0, float(radius[-1]), -highest, highest),
        origin="lower",
        aspect="auto",
        cmap="inferno",
    )
    if otf.optics is not None:
        cutoff = 1000 / otf.optics.cutoff_period_nm
        axes.axvline(cutoff, color=MARK, lw=1, ls=":", label="2 NA/λ")
    style_plot(
        axes, title=title, xlabel="kr, cycles per µm", ylabel="kz, cycles per µm"
    )


def _draw_focus(
    axes: Axes, measured: MeasuredOtf, ideal: MeasuredOtf, number: int
) -> None:
    radius, _ = _per_um(measured)
    axes.plot(
        radius, ideal.values[number].sum(axis=1), color=CURVE, lw=2, label="ideal"
    )
    seen = measured.values[number].sum(axis=1)
    axes.plot(radius, seen, "o", color=MARK, ms=4, label="measured")
