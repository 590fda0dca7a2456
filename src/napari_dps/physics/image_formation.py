"""From point emitters on a fine grid to what camera pixels see, through the OTF."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import Optics
from napari_dps.physics.otf import widefield_otf

Spectrum = NDArray[np.complex64]

_ROWS_AT_ONCE = 128
"""Rows transformed together: bounds the memory of the complex fine grid."""


class Microscope:
    """Lens and pixels, for objects of one size: spectra of orders, and their images.

    The object is periodic and made of point emitters at the centres of fine pixels.
    Only frequencies that the lens passes are ever computed, so nothing aliases on the
    fine grid; if the camera under-samples, its images alias as real ones do.

    Parameters
    ----------
    optics : Optics
        The detection, at the pixel size of the camera.
    fine_shape : tuple of int
        (Y, X) of the fine grid, multiples of ``oversampling``.
    oversampling : int
        Fine pixels along a camera pixel: camera pixel (i, j) covers fine pixels
        [i f, (i + 1) f) × [j f, (j + 1) f).
    origin_px : tuple of int
        Camera pixel (y, x) from whose centre phases are counted.
    otf : callable, optional
        Returns the OTF at frequencies over the cut-off, an array in and out; that of a
        plane in focus by default.

    Attributes
    ----------
    radius : array
        Frequency over cut-off of the spectra that `order` returns.
    """

    def __init__(
        self,
        optics: Optics,
        fine_shape: tuple[int, int],
        oversampling: int,
        origin_px: tuple[int, int],
        otf: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    ) -> None:
        cutoff = optics.cutoff_per_pixel
        self.pixel_size_nm = optics.pixel_size_nm
        self.oversampling = oversampling
        self._stride = min(oversampling, max(1, math.ceil(2 * cutoff)))
        self._fine_shape = fine_shape
        self._origin = [(p + 0.5) * oversampling - 0.5 for p in origin_px]
        sizes = [side // oversampling * self._stride for side in fine_shape]
        integers = [np.rint(np.fft.fftfreq(n) * n).astype(int) for n in sizes]
        self._bins = [k % side for k, side in zip(integers, fine_shape, strict=True)]
        self._frequency = [  # cycles per camera pixel
            k * oversampling / side
            for k, side in zip(integers, fine_shape, strict=True)
        ]
        f_y, f_x = self._frequency
        self.radius = np.hypot(f_y[:, np.newaxis], f_x) / cutoff
        plain = widefield_otf(self.radius, 1.0) if otf is None else otf(self.radius)
        self._transfer = self._transfer_function(plain)

    def _transfer_function(self, otf: NDArray[np.float64]) -> Spectrum:
        """Return OTF × pixel box × shift from fine to camera pixel centres."""
        f_y, f_x = self._frequency
        centre = 0.5 - 0.5 / self.oversampling
        box_y, box_x = (
            np.sinc(f) * np.exp(2j * np.pi * centre * f) for f in (f_y, f_x)
        )
        scale = self._stride**2
        transfer = scale * otf * box_y[:, np.newaxis] * box_x
        return np.asarray(transfer, dtype=np.complex64)

    def order(
        self, emitters: NDArray[np.float32], wavevector_per_nm: tuple[float, float]
    ) -> Spectrum:
        """Return the spectrum of (s · e^{2πi k·r}) ⊗ PSF on the camera's grid.

        Parameters
        ----------
        emitters : array (Y, X), float32
            The object s on the fine grid.
        wavevector_per_nm : tuple of float
            k (y, x) in cycles per nm; (0, 0) for the widefield image.

        Returns
        -------
        array, complex64
            `image` takes it, or any linear combination of such spectra.
        """
        fine_nm = self.pixel_size_nm / self.oversampling
        wave_y, wave_x = (
            np.exp(2j * np.pi * k * fine_nm * (np.arange(side) - first)).astype(
                np.complex64
            )
            for k, side, first in zip(
                wavevector_per_nm, self._fine_shape, self._origin, strict=True
            )
        )
        rows, columns = self._bins
        half = np.empty((self._fine_shape[0], len(columns)), np.complex64)
        for start in range(0, len(half), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            wide = scipy.fft.fft(emitters[part] * wave_x, axis=1, workers=1)
            half[part] = wide[:, columns]
        half *= wave_y[:, np.newaxis]
        tall = scipy.fft.fft(half, axis=0, overwrite_x=True, workers=1)
        spectrum: Spectrum = tall[rows]
        spectrum *= self._transfer
        return spectrum

    def gaussian(self, sigma_nm: float) -> NDArray[np.float32]:
        """Return the transfer function of a Gaussian blur, to multiply spectra with."""
        sigma_px = sigma_nm / self.pixel_size_nm
        y, x = (
            np.exp(-2 * (math.pi * sigma_px * f) ** 2).astype(np.float32)
            for f in self._frequency
        )
        return np.asarray(y[:, np.newaxis] * x)

    def shift(self, shift_nm: Sequence[float] | NDArray[np.float64]) -> Spectrum:
        """Return the transfer function of a move by (y, x) in nm."""
        y, x = (
            np.exp(-2j * np.pi * d / self.pixel_size_nm * f).astype(np.complex64)
            for d, f in zip(shift_nm, self._frequency, strict=True)
        )
        return np.asarray(y[:, np.newaxis] * x)

    def image(self, spectrum: Spectrum) -> NDArray[np.float32]:
        """Return the real part of a spectrum's image in the camera's pixels.

        Its sum is that of the emitters: values are brightness per camera pixel.
        """
        image: NDArray[np.float32] = scipy.fft.ifft2(spectrum, workers=1).real
        return image[:: self._stride, :: self._stride]
