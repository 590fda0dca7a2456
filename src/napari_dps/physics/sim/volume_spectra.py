"""Spectra of the orders of a z-stack, and what the objective passes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import Optics
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.measured_otf import measured_table
from napari_dps.physics.otf3d import (
    axial_frequency_per_nm,
    cap_height_per_nm,
    defocus_table,
)
from napari_dps.physics.sim.spectrum import edge_window
from napari_dps.physics.sim.wiener_grid import Padding

Real = NDArray[np.float64]
Complex = NDArray[np.complex64]
Wave = tuple[float, float]
"""A wave vector (y, x) in cycles per pixel."""

PADDING_PLANES = 16
NOTCH = 0.25
"""Frequencies below that share of the cut-off are left out: haze, and what phases that
are not exact leave of order 0."""


class VolumeSpectra:
    """Transforms orders (Z, Y, X), over the axial frequencies that order 0 passes.

    Parameters
    ----------
    shape : (int, int, int)
        (Z, Y, X).
    optics : Optics
        Detection, at the pixel size of the frames, and excitation.
    z_step_nm : float
        Distance of the planes.
    otf : MeasuredOtf, optional
        Whose order 0 is used in place of that of an ideal objective.

    Attributes
    ----------
    shape : (int, int, int)
        (Z, Y, X).
    cutoff : float
        Of the detection, in cycles per pixel.
    window : array (Y, X), float32
        Fades the edges, so that they leave no cross.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        optics: Optics,
        z_step_nm: float,
        otf: MeasuredOtf | None = None,
    ) -> None:
        self.shape, self._optics = shape, optics
        self.cutoff = optics.cutoff_per_pixel
        padding = Padding(shape[0], PADDING_PLANES // 2)
        if otf is None:
            self._table = defocus_table(optics, padding.size, z_step_nm)
        else:
            self._table = measured_table(otf, 0, optics, padding.size, z_step_nm)
        kz = np.fft.fftfreq(padding.size, z_step_nm)
        # Where order 0 passes light: nothing is compared elsewhere.
        self._kz = np.flatnonzero(np.abs(kz) <= cap_height_per_nm(optics))
        self._along_z = _closed_transform(padding, shape[0])[self._kz]
        self._y, self._x = (np.fft.fftfreq(n) for n in shape[1:])
        self.window = edge_window((shape[1], shape[2]))

    def spectrum(self, image: NDArray[Any]) -> Complex:
        """Return the spectrum (kz, y, x) of an order (Z, Y, X) that fades at its edges.

        It is extended along z until its period closes.
        """
        planes = scipy.fft.fft2(image.astype(np.complex64), workers=1)
        return np.asarray(np.tensordot(self._along_z, planes, 1), dtype=np.complex64)

    def moved(self, order: NDArray[Any], shift: Wave) -> Complex:
        """Return the spectrum of an order (Z, Y, X) at q + shift."""
        rows, columns = (
            np.exp(-2j * np.pi * k * np.arange(n))
            for k, n in zip(shift, self.shape[1:], strict=True)
        )
        return self.spectrum(order * (rows[:, None] * columns).astype(np.complex64))

    def transfer(self, shift: Wave, axial: float) -> NDArray[np.float32]:
        """Return an order's transfer function at (q + shift, kz), (kz, y, x).

        Its stripes are modulated along z at the frequency ``axial``, in cycles per nm.
        """
        rows = self._table.transfer(axial).real[:, self._kz] / self._table.unit
        radius = np.hypot(
            _wrapped(self._y + shift[0])[:, None], _wrapped(self._x + shift[1])
        )
        place = radius / self.cutoff * (len(rows) - 1)
        lower = np.minimum(place.astype(np.int32), len(rows) - 1)
        part = (place - lower).astype(np.float32)[..., None]
        padded = np.concatenate([rows, np.zeros((2, rows.shape[1]))]).astype(np.float32)
        lower = np.where(place >= len(rows) - 1, len(rows), lower)
        values = (
            padded[lower] * (1 - part)
            + padded[np.minimum(lower + 1, len(rows) + 1)] * part
        )
        return np.asarray(np.moveaxis(values, -1, 0))

    def radius(self, shift: Wave = (0.0, 0.0)) -> Real:
        """Return |q + shift| over the cut-off, (y, x)."""
        y, x = _wrapped(self._y + shift[0]), _wrapped(self._x + shift[1])
        return np.asarray(np.hypot(y[:, None], x) / self.cutoff)

    def axial_per_nm(self, wavenumber: float) -> float:
        """Return kz0 of the first order of a wave number in cycles per pixel."""
        excitation_nm = self._optics.excitation_or_usual_nm
        finest = self._optics.refractive_index / excitation_nm
        return axial_frequency_per_nm(
            min(wavenumber / self._optics.pixel_size_nm, 0.99 * finest),
            excitation_nm=excitation_nm,
            refractive_index=self._optics.refractive_index,
        )


def _wrapped(frequency: NDArray[np.floating]) -> Real:
    """Bring frequencies into −½ … ½ cycles per pixel."""
    return np.asarray((frequency + 0.5) % 1 - 0.5)


def _closed_transform(padding: Padding, planes: int) -> Complex:
    """Return the matrix (kz, Z) that closes a stack's period and transforms it."""
    closed = np.eye(planes)
    ends = [
        factor.real[:, None] * closed[source]
        for source, factor in zip(padding.sources, padding.factors(0.0), strict=True)
    ]
    whole = np.concatenate([closed, ends[0] + ends[1]])
    return np.asarray(np.fft.fft(whole, axis=0), dtype=np.complex64)
