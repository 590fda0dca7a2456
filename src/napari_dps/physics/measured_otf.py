"""Measured transfer functions on the grids that reconstructions need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Optics
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.otf import Transfer
from napari_dps.physics.otf3d import RADII, DefocusTable, defocus_table

Real = NDArray[np.float64]

EMISSION_TOLERANCE_NM = 15.0
"""By which the emission of beads may differ from that of the sample."""
NA_TOLERANCE = 0.03
INDEX_TOLERANCE = 0.02
CUTOFF_TOLERANCE = 0.2
"""Share by which the cut-off of a table without optics may differ from 2 NA/λ."""
LOWEST = 3
"""First radial step that counts where OTFs are compared."""
SEEN = 0.01
"""Share of its highest value at which a transfer function has come to its end."""


def measured_table(
    otf: MeasuredOtf, order: int, optics: Optics, planes: int, z_step_nm: float
) -> DefocusTable:
    """Return the transfer function of an order at the planes of a period.

    Its transform along kz is known within half a period of the measurement on either
    side of focus, and taken at the planes that are asked for; beyond it is 0.

    Parameters
    ----------
    otf : MeasuredOtf
        Of these optics; see `check_otf`.
    order : int
        0 to ``otf.orders`` − 1.
    optics : Optics
        The cut-off is its 2 NA/λ.
    planes : int
        Of the period.
    z_step_nm : float
        Distance of the planes.

    Returns
    -------
    DefocusTable
        With the axial factor of the stripes in it.
    """
    count = otf.values.shape[2]
    kz = np.fft.fftfreq(count, 1 / count) * otf.axial_step_per_nm
    z = np.fft.fftfreq(planes, 1 / planes) * z_step_nm
    waves = np.exp(2j * np.pi * np.outer(kz, z))
    waves[:, np.abs(z) > 0.5 / otf.axial_step_per_nm] = 0
    rows = (otf.values[order] @ waves).real
    wanted = np.linspace(0, 1 / optics.cutoff_period_nm, RADII)
    measured = np.arange(len(rows)) * otf.radial_step_per_nm
    values = np.stack(
        [np.interp(wanted, measured, column, right=0.0) for column in rows.T], axis=1
    )
    values[-1] = 0
    return DefocusTable(values, z_step_nm)


def measured_in_focus(otf: MeasuredOtf, optics: Optics) -> Transfer:
    """Return the OTF of the focal plane, from frequency over cut-off to its value.

    It is that of order 0, summed over kz: what the detection makes of any order.
    """
    table = measured_table(otf, 0, optics, 1, 1.0)
    column = table.values[:, 0] / table.values[0, 0]
    grid = np.linspace(0, 1, RADII)

    def transfer(radius: Real) -> Real:
        return np.asarray(np.interp(radius, grid, column, right=0.0))

    return transfer


def order_tables(
    otf: MeasuredOtf | None,
    optics: Optics,
    planes: int,
    z_step_nm: float,
    axial_per_nm: Sequence[tuple[int, float]],
) -> tuple[float, list[Real]]:
    """Return the transfer functions (R, kz) of the orders of a z-stack.

    Parameters
    ----------
    otf : MeasuredOtf or None
        None: those of an ideal objective. Measured ones of higher orders are used where
        as many were measured as there are.
    optics : Optics
        Detection.
    planes : int
        Of the period.
    z_step_nm : float
        Distance of the planes.
    axial_per_nm : sequence of (int, float)
        Number of each order, and its kz0.

    Returns
    -------
    unit : float
        `DefocusTable.unit` of order 0.
    tables : list of array (R, kz)
        In the order of ``axial_per_nm``, over the unit.
    """
    if otf is None:
        plain = defocus_table(optics, planes, z_step_nm)
    else:
        plain = measured_table(otf, 0, optics, planes, z_step_nm)
    highest = max(number for number, _ in axial_per_nm)
    tables = []
    for number, axial in axial_per_nm:
        if otf is not None and number and otf.orders == highest + 1:
            table = measured_table(otf, number, optics, planes, z_step_nm).transfer()
        else:
            table = plain.transfer(axial)
        tables.append(table.real / plain.unit)
    return plain.unit, tables


def normalised(values: NDArray[np.number]) -> NDArray[np.float32]:
    """Return tables of orders scaled as `MeasuredOtf.values` are.

    Parameters
    ----------
    values : array (N, R, K), real or complex
        Transfer functions of any scale, each with one phase of its own.

    Raises
    ------
    InputError
        If order 0 passes no light, or values are not finite.
    """
    if not np.isfinite(values).all():
        raise InputError("values of the OTF", allowed="finite")
    real = np.stack([_rotated(order) for order in values])
    flat = real.sum(axis=2)
    if flat[0].max() <= 0 or flat[0, 0] < SEEN * flat[0].max():
        raise InputError("order 0 of the OTF passes no light at low frequencies")
    real /= flat[0, 0]
    flat /= flat[0, 0]
    for number in range(1, len(real)):
        power = float(np.sum(flat[number] ** 2))
        if power > 0:
            real[number] *= float(np.sum(flat[number] * flat[0])) / power
    return real.astype(np.float32)


def _rotated(order: NDArray[np.number]) -> Real:
    """Return the real part of a table turned so that the rest is least."""
    if not np.iscomplexobj(order):
        return np.asarray(order, dtype=np.float64)
    angle = np.angle(np.sum(order.astype(np.complex128) ** 2)) / 2
    real = (order * np.exp(-1j * angle)).real
    # The sum over kz is the OTF in focus, which is positive.
    return np.asarray(real if real.sum() >= 0 else -real, dtype=np.float64)


def check_otf(otf: MeasuredOtf, optics: Optics) -> None:
    """Refuse an OTF that was measured with other optics.

    Raises
    ------
    InputError
        Naming what differs.
    """
    measured = otf.optics
    if measured is None:
        period_nm = 1 / max(_cutoff_seen_per_nm(otf), 1e-12)
        if abs(period_nm / optics.cutoff_period_nm - 1) > CUTOFF_TOLERANCE:
            raise InputError(
                f"cut-off period of the OTF {otf.name}, nm",
                got=f"{period_nm:.0f}",
                allowed=f"about {optics.cutoff_period_nm:.0f}, as NA and emission say",
                field="input.otf",
            )
        return
    for title, unit, got, wanted, tolerance in (
        ("NA", "", measured.na, optics.na, NA_TOLERANCE),
        (
            "emission",
            " nm",
            measured.emission_nm,
            optics.emission_nm,
            EMISSION_TOLERANCE_NM,
        ),
        (
            "refractive index",
            "",
            measured.refractive_index,
            optics.refractive_index,
            INDEX_TOLERANCE,
        ),
    ):
        if abs(got - wanted) > tolerance:
            raise InputError(
                f"{title} of the OTF {otf.name}",
                got=f"{got:g}{unit}",
                allowed=f"{wanted:g}{unit}, that of the image, ± {tolerance:g}{unit}",
                field="input.otf",
            )


def _cutoff_seen_per_nm(otf: MeasuredOtf) -> float:
    """Return where order 0 comes to its end, in cycles per nm."""
    flat = np.abs(otf.values[0]).sum(axis=1)
    seen = np.flatnonzero(flat > SEEN * flat.max())
    return float((seen[-1] + 1) * otf.radial_step_per_nm)


def ideal_like(otf: MeasuredOtf, optics: Optics, axial_per_nm: float) -> MeasuredOtf:
    """Return what an ideal objective has on the grid of a measured OTF.

    Parameters
    ----------
    otf : MeasuredOtf
        Gives number of orders, radii and axial frequencies.
    optics : Optics
        Of the objective.
    axial_per_nm : float
        kz0 of the first order; 0: two beams.
    """
    count = otf.values.shape[2]
    table = defocus_table(optics, count, 1 / (count * otf.axial_step_per_nm))
    radius = np.arange(otf.values.shape[1]) * otf.radial_step_per_nm
    grid = np.linspace(0, 1 / optics.cutoff_period_nm, RADII)
    values = [
        np.stack([np.interp(radius, grid, c, right=0.0) for c in rows.real.T], axis=1)
        for rows in (
            table.transfer(axial_per_nm if number == 1 else 0.0)
            for number in range(otf.orders)
        )
    ]
    return replace(otf, values=(np.stack(values) / count).astype(np.float32))


def likeness(one: MeasuredOtf, other: MeasuredOtf) -> list[float]:
    """Return the correlation of two OTFs on one grid, for each order.

    The lowest rings, which hold the background of the beads, are left out.
    """
    return [
        float(np.corrcoef(a[LOWEST:].ravel(), b[LOWEST:].ravel())[0, 1])
        for a, b in zip(one.values, other.values, strict=True)
    ]
