"""Planes, edge tapers, and radial sums in the Fourier and cosine domains.

The cosine domain (DCT-II, orthonormal) is the Fourier domain of the image continued by
its mirror image: no jump at the edges, real numbers, and every isotropic filter is a
product there. What needs no phases (gains, blurs, noise power) is computed in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.core.kept import kept

Floats = NDArray[np.floating[Any]]
Shape = tuple[int, ...]

CORNER_PER_PIXEL = float(np.sqrt(0.5))
"""|k| at the corner of the Fourier plane, in cycles per pixel."""


def as_plane(data: NDArray[Any], what: str = "image") -> Floats:
    """Return a plane of finite numbers in floating point.

    Parameters
    ----------
    data : (Y, X) array
        A real number type.
    what : str
        What to call it in an error.

    Returns
    -------
    (Y, X) array
        float32 when that holds every value of the input type (8 and 16 bit
        integers, float32), else float64.

    Raises
    ------
    InputError
        If it is not a plane or holds NaN or infinity.
    """
    data = np.asarray(data)
    if data.ndim != 2 or 0 in data.shape:
        raise InputError(f"shape of the {what}", got=data.shape, allowed="(Y, X)")
    plane: Floats = data.astype(np.result_type(data.dtype, np.float32), copy=False)
    if not np.isfinite(plane).all():
        raise InputError(f"the {what} holds values that are not finite (NaN or inf)")
    return plane


def as_pair(image: NDArray[Any], reference: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return two planes of one shape in floating point.

    Raises
    ------
    InputError
        As for `as_plane`, and if the shapes differ.
    """
    pair = as_plane(image), as_plane(reference, "reference")
    if pair[0].shape != pair[1].shape:
        raise InputError(
            "shape of the image",
            got=pair[0].shape,
            allowed=f"that of the reference, {pair[1].shape}",
        )
    return pair


class WithCutoff:
    """A result whose cut-off says how fine the image resolves."""

    __slots__ = ()
    cutoff_per_pixel: float | None

    @property
    def resolution_px(self) -> float | None:
        """Period of the cut-off, in pixels (2 is the Nyquist limit)."""
        return None if self.cutoff_per_pixel is None else 1 / self.cutoff_per_pixel

    def resolution_nm(self, pixel_size_nm: float) -> float | None:
        """Return the period of the cut-off, in nm."""
        px = self.resolution_px
        return None if px is None else px * pixel_size_nm


def centred(plane: Floats) -> Floats:
    """Return the plane less its mean, summed in double precision."""
    result: Floats = plane - plane.dtype.type(plane.mean(dtype=np.float64))
    return result


def is_flat(plane: Floats) -> bool:
    """Whether a plane varies by no more than its rounding error."""
    spread = float(np.ptp(plane))
    rounding = 8 * float(np.finfo(plane.dtype).eps) * float(np.abs(plane).max())
    return spread <= rounding


def require_variation(plane: Floats, what: str) -> None:
    """Refuse a constant plane.

    Raises
    ------
    InputError
        Naming ``what`` cannot be computed.
    """
    if is_flat(plane):
        raise InputError(f"{what} is not defined: the image is constant")


@kept(8)
def edge_taper(shape: Shape, width_px: Shape) -> Floats:
    """Return a window that is 1 inside and falls to 0 along a raised cosine.

    Parameters
    ----------
    shape : (int, int)
        Shape of the plane.
    width_px : (int, int)
        Width of the falling edge along y and x.

    Returns
    -------
    (Y, X) float32 array

    Examples
    --------
    >>> [round(float(w), 2) for w in edge_taper((5, 1), (2, 0))[:, 0]]
    [0.15, 0.85, 1.0, 0.85, 0.15]
    """
    sides = []
    for n, width in zip(shape, width_px, strict=True):
        from_edge = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
        ramp = np.minimum(from_edge / max(width, 0.5), 1)
        sides.append(np.sin(0.5 * np.pi * ramp) ** 2)
    return _frozen(np.outer(*sides))


@kept(8)
def fourier_radius(shape: Shape) -> Floats:
    """Return |k| of every element of `scipy.fft.rfft2`, in cycles per pixel.

    Parameters
    ----------
    shape : (int, int)
        Shape of the plane that is transformed.

    Returns
    -------
    (Y, X // 2 + 1) float32 array
    """
    return _frozen(
        np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    )


@kept(8)
def cosine_radius(shape: Shape) -> Floats:
    """Return |k| of every element of `scipy.fft.dctn`, in cycles per pixel.

    Parameters
    ----------
    shape : (int, int)
        Shape of the plane that is transformed.

    Returns
    -------
    (Y, X) float32 array
    """
    ky, kx = (np.arange(n) / (2 * n) for n in shape)
    return _frozen(np.hypot(ky[:, None], kx))


def cosine_transform(plane: Floats) -> Floats:
    """Return the orthonormal DCT-II of a plane."""
    from scipy.fft import dctn

    spectrum: Floats = dctn(plane, norm="ortho")
    return spectrum


def inverse_cosine_transform(spectrum: Floats) -> Floats:
    """Return the plane with this orthonormal DCT-II."""
    from scipy.fft import idctn

    plane: Floats = idctn(spectrum, norm="ortho")
    return plane


def fourier_ring_sums(
    values: NDArray[Any], shape: Shape, n_rings: int, k_max: float = 0.5
) -> NDArray[np.float64]:
    """Sum over rings of the whole Fourier plane, given its half.

    Parameters
    ----------
    values : (Y, X // 2 + 1) array
        A real quantity that is equal at k and −k.
    shape : (int, int)
        Shape (Y, X) of the plane that was transformed.
    n_rings : int
        Number of rings of equal width.
    k_max : float
        Outer radius of the last ring, in cycles per pixel.

    Returns
    -------
    (n_rings,) float64 array

    Examples
    --------
    >>> float(fourier_ring_sums(np.ones((4, 3)), (4, 4), 1, k_max=1.0)[0])
    16.0
    """
    weight = np.full(shape[1] // 2 + 1, 2.0)
    weight[0] = 1
    if shape[1] % 2 == 0:
        weight[-1] = 1  # the Nyquist column is its own mirror image
    return _ring_sums(values * weight, fourier_radius, shape, n_rings, k_max)


def cosine_ring_sums(values: NDArray[Any], n_rings: int) -> NDArray[np.float64]:
    """Sum over rings of the cosine domain, out to its corner.

    Parameters
    ----------
    values : (Y, X) array
        A quantity for each element of `cosine_transform`.
    n_rings : int
        Number of rings of equal width.

    Returns
    -------
    (n_rings,) float64 array
    """
    shape = values.shape
    return _ring_sums(values, cosine_radius, shape, n_rings, CORNER_PER_PIXEL)


def _ring_sums(
    values: NDArray[Any], radius: Any, shape: Shape, n_rings: int, k_max: float
) -> NDArray[np.float64]:
    index = _ring_index(radius, shape, n_rings, k_max)
    sums = np.bincount(index, values.ravel(), n_rings + 1)[:n_rings]
    return sums.astype(np.float64, copy=False)


@kept(8)
def _ring_index(radius: Any, shape: Shape, n_rings: int, k_max: float) -> NDArray[Any]:
    """Return the ring of each element; ``n_rings`` for those at ``k_max`` or beyond."""
    ring = (radius(shape) * (n_rings / k_max)).astype(np.intp)
    index: NDArray[Any] = np.minimum(ring, n_rings).ravel()
    index.flags.writeable = False
    return index


def _frozen(array: NDArray[Any]) -> Floats:
    """Return a float32 copy that a cache may hand out."""
    array = array.astype(np.float32)
    array.flags.writeable = False
    return array
