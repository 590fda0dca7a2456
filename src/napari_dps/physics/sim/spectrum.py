"""Helpers on Fourier spectra: rings, noise level, row noise, change of grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, next_fast_len, rfftn

from napari_dps.core.kept import kept

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float64]


EDGE_TAPER = 0.25
"""Fraction of each axis inside the two flanks of the window that hides the edges."""


def edge_window(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a Tukey window that fades the edges, so that they leave no cross.

    Parameters
    ----------
    shape : (int, int)
        (Y, X).

    Returns
    -------
    array (Y, X), float32
    """
    rows, columns = (_tukey(n + 2)[1:-1] for n in shape)
    return np.asarray(np.outer(rows, columns), dtype=np.float32)


def _tukey(count: int) -> FloatArray:
    """Return a Tukey window with flanks of `EDGE_TAPER`.

    As ``scipy.signal.windows.tukey``, whose package takes most of a second to import.
    """
    last = count - 1
    n = np.arange(count, dtype=np.float64)
    width = math.floor(EDGE_TAPER * last / 2)
    rise, fall = (
        2 * part / EDGE_TAPER / last for part in (n[: width + 1], n[last - width :])
    )
    return np.concatenate(
        [
            0.5 * (1 + np.cos(np.pi * (-1 + rise))),
            np.ones(count - rise.size - fall.size),
            0.5 * (1 + np.cos(np.pi * (1 - 2 / EDGE_TAPER + fall))),
        ]
    )


def correlate_full(image: FloatArray, template: FloatArray) -> FloatArray:
    """Return the cross-correlation of two real arrays at all shifts, by FFT.

    As ``scipy.signal.correlate`` with mode "full" and method "fft".

    Parameters
    ----------
    image, template : array (Y, X), float64
        Any sizes.

    Returns
    -------
    array (Y + Y' - 1, X + X' - 1), float64
    """
    shape = [n + m - 1 for n, m in zip(image.shape, template.shape, strict=True)]
    padded = [next_fast_len(n, real=True) for n in shape]
    product = rfftn(image, padded) * rfftn(template[::-1, ::-1], padded)
    full: FloatArray = irfftn(product, padded)
    return full[: shape[0], : shape[1]]


@kept(4)
def ring_index(
    shape: tuple[int, int], scale: int, size: tuple[int, int]
) -> NDArray[np.int32]:
    """Return the ring number of each cell of a spectrum in ``fft2`` order.

    Parameters
    ----------
    shape : (int, int)
        Cells (Y', X') of the spectrum, cropped or padded from ``size``.
    scale : int
        Rings per cycle per pixel.
    size : (int, int)
        Pixels (Y, X) of the image; a cell is 1/Y by 1/X cycles per pixel.
    """
    frequency_y, frequency_x = (
        np.fft.fftfreq(cells) * cells / pixels
        for cells, pixels in zip(shape, size, strict=True)
    )
    radius = np.hypot(frequency_y[:, np.newaxis], frequency_x)
    rings: NDArray[np.int32] = np.rint(radius * scale).astype(np.int32)
    rings.flags.writeable = False  # shared by all callers
    return rings


def ring_mean(
    values: NDArray[np.float32],
    rings: NDArray[np.int32],
    counts: NDArray[np.intp] | None = None,
) -> FloatArray:
    """Return the mean over each ring; ``counts``, if known, are its cells."""
    if counts is None:
        counts = np.bincount(rings.ravel())
    sums = np.bincount(rings.ravel(), weights=values.ravel())
    return np.asarray(sums / np.maximum(counts, 1))


def noise_cells(rings: NDArray[np.int32], first_ring: float) -> NDArray[np.intp]:
    """Return the cells of a spectrum where the OTF is zero, as flat indices.

    Parameters
    ----------
    rings : array (Y, X)
        From `ring_index`.
    first_ring : float
        First ring beyond the cut-off. Where fewer than 64 cells lie beyond, the
        outermost 3 % of the radii have to do.
    """
    cells = np.flatnonzero(rings >= first_ring)
    return cells if cells.size >= 64 else np.flatnonzero(rings >= 0.97 * rings.max())


def noise_power(power: NDArray[np.float32], cells: NDArray[np.intp]) -> float:
    """Return the mean noise power, measured where the OTF is zero.

    Parameters
    ----------
    power : array (Y, X)
        Squared modulus of a spectrum.
    cells : array (N,)
        From `noise_cells`.

    Returns
    -------
    float
        The median over ln 2 (the power of noise is exponential), which a few bright
        lines of row noise do not move.
    """
    return float(np.median(power.take(cells))) / math.log(2)


def axis_excess(power: NDArray[np.float32], reach: int = 2) -> NDArray[np.float32]:
    """Return how much the cells on the two axes exceed the rest, at least 1.

    Rows and columns of a camera with their own noise put power on the lines f_x = 0
    and f_y = 0 of the spectrum, where a matched filter would find stripes at exactly
    0° and 90°.

    Parameters
    ----------
    power : array (Y, X)
        Power over its ring mean, ``fft2`` order.
    reach : int
        Cells on either side of an axis that are judged.

    Returns
    -------
    array (Y, X), float32
    """
    excess = np.ones_like(power)
    for offset in range(-reach, reach + 1):
        for axis in (0, 1):
            line = (slice(None), offset) if axis == 0 else (offset, slice(None))
            level = max(1.0, float(np.median(power[line])) / math.log(2))
            excess[line] = np.maximum(excess[line], np.float32(level))
    return excess


def plane_waves(frequencies: FloatArray, count: int) -> NDArray[np.complex64]:
    """Return e^(2πi f n) for some frequencies f at the cells n.

    Parameters
    ----------
    frequencies : array (N,)
        Frequencies in cycles per cell.
    count : int
        Cells, from 0 on.

    Returns
    -------
    array (N, count), complex64
    """
    angles = 2 * np.pi * np.outer(frequencies, np.arange(count))
    waves = np.empty(angles.shape, np.complex64)
    waves.real, waves.imag = np.cos(angles), np.sin(angles)
    return waves


def vertex(values: FloatArray) -> float:
    """Return where the parabola through three points is highest.

    Parameters
    ----------
    values : array (3,)
        At −1, 0, 1; the middle one is the highest.

    Returns
    -------
    float
        Offset from the middle, −1 to 1; 0 where the points are on a line or a valley.

    Examples
    --------
    >>> vertex(np.array([0.0, 3.0, 2.0]))
    0.25
    """
    curvature = values[0] - 2 * values[1] + values[2]
    if curvature >= 0:
        return 0.0
    return float(np.clip((values[0] - values[2]) / (2 * curvature), -1, 1))


def squared(values: torch.Tensor) -> torch.Tensor:
    """Return the squared modulus, without the square root that ``abs`` takes."""
    if not values.is_complex():
        return values.square()
    return values.real.square().addcmul_(values.imag, values.imag)


def over_real(spectrum: torch.Tensor, divisor: torch.Tensor) -> torch.Tensor:
    """Return complex values over real ones: torch makes the divisor complex first."""
    import torch

    return torch.view_as_complex(torch.view_as_real(spectrum) / divisor[..., None])


def inverse_fft2(spectrum: torch.Tensor) -> torch.Tensor:
    """Return the inverse transform over the last two axes, scaled here.

    ``torch.fft.ifft2`` scales twice for 2048 × 2048 complex64 values on two threads
    (torch 2.13 with MKL): the result is 2048² times too small.
    """
    import torch

    cells = spectrum.shape[-2] * spectrum.shape[-1]
    image: torch.Tensor = torch.fft.ifft2(spectrum, norm="forward").mul_(1 / cells)
    return image


def resize_spectrum(spectrum: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Crop or zero-pad spectra (..., Y, X) in ``fft2`` order to another grid."""
    result = spectrum.new_zeros((*spectrum.shape[:-2], *shape))
    halves = []
    for old, new in zip(spectrum.shape[-2:], shape, strict=True):
        keep = min(old, new)
        positive, negative = (keep + 1) // 2, keep // 2
        halves.append(
            (
                (slice(positive), slice(positive)),
                (slice(old - negative, old), slice(new - negative, new)),
            )
        )
    for from_rows, to_rows in halves[0]:
        for from_columns, to_columns in halves[1]:
            part = spectrum[..., from_rows, from_columns]
            result[..., to_rows, to_columns] = part
    return result
