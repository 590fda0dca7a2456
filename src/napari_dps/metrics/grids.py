"""Bringing two images onto one pixel grid, with pixel size and origin honoured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError
from napari_dps.metrics.spectrum import Floats, as_plane

_GRID_TOLERANCE_PX = 1e-4


def interpolate(
    plane: Floats,
    y_px: NDArray[np.float64],
    x_px: NDArray[np.float64],
    *,
    pixel_ratio: float = 1.0,
) -> Floats:
    """Evaluate the band-limited, mirror-continued image on a rectangular grid.

    The image is the cosine series (DCT-II) through its pixels, so that its edges are
    mirrored and nothing wraps round. Each axis is one matrix product.

    Parameters
    ----------
    plane : (Y, X) array
        Floating point.
    y_px, x_px : (Y2,), (X2,) arrays
        Where, in pixels of ``plane``; 0 is the centre of the first pixel.
    pixel_ratio : float
        New pixel size over old; above 1 the frequencies that the new grid cannot hold
        are left out.

    Returns
    -------
    (Y2, X2) array
        Values of the type of ``plane``.

    Examples
    --------
    >>> wave = np.cos(np.pi * 2 * (np.arange(8) + 0.5) / 8)[:, None]
    >>> halfway = interpolate(wave, np.array([0.5]), np.array([0.0]))
    >>> bool(np.isclose(halfway[0, 0], np.cos(np.pi * 2 / 8)))
    True
    """
    rows = _cosine_kernel(plane.shape[0], y_px, pixel_ratio).astype(plane.dtype)
    if plane.shape[0] == plane.shape[1] and np.array_equal(y_px, x_px):
        columns = rows
    else:
        columns = _cosine_kernel(plane.shape[1], x_px, pixel_ratio).astype(plane.dtype)
    result: Floats = rows @ plane @ columns.T
    return result


def _cosine_kernel(
    n: int, position_px: NDArray[np.float64], pixel_ratio: float
) -> NDArray[np.float64]:
    """Return the (positions, n) matrix that evaluates the cosine series of n samples.

    The sum over K cosines has a closed form: with D(u) = sin((2K−1)πu/2n) /
    (2n·sin(πu/2n)), the weight of sample m at t is D(t − m) + D(t + m + 1). Positions
    that lie alike between their samples share the values of D.
    """
    terms = n if pixel_ratio <= 1 else max(1, round(n / pixel_ratio))
    whole = np.floor(position_px).astype(int)
    shares, share = np.unique(position_px - whole, return_inverse=True)
    lowest = int(whole.min()) - n + 1
    u = shares[:, None] + np.arange(lowest, int(whole.max()) + n + 1)

    below = 2 * n * np.sin(np.pi * u / (2 * n))
    at_pole = np.abs(below) < 1e-9
    above = np.sin((2 * terms - 1) * np.pi * u / (2 * n))
    limit = (2 * terms - 1) / (2 * n)
    dirichlet = np.where(at_pole, limit, above / np.where(at_pole, 1, below))

    row, t, m = share[:, None], whole[:, None] - lowest, np.arange(n)
    kernel: NDArray[np.float64] = dirichlet[row, t - m] + dirichlet[row, t + m + 1]
    return kernel


def common_grid(
    image: ImageStack, reference: ImageStack
) -> tuple[ImageStack, ImageStack]:
    """Bring an image onto the grid of a reference, where the two overlap.

    Parameters
    ----------
    image, reference : ImageStack
        Axes "YX". Where either lacks a pixel size, both are taken to show the same
        field, edge to edge, so that their shapes must be in proportion.

    Returns
    -------
    image, reference : ImageStack
        Planes of one shape, pixel size and origin: the reference's pixels whose centres
        lie inside the image, untouched, and the image interpolated there. If the two
        grids coincide, pixels are copied.

    Raises
    ------
    InputError
        If the axes are not "YX", values are not finite, the fields do not overlap, or
        shapes are not in proportion where a pixel size is lacking.

    Notes
    -----
    A 2× grid that covers the same area has its first pixel centre a quarter of a
    coarse pixel up and left; comparing without that shift costs several dB.

    Examples
    --------
    >>> coarse = ImageStack(np.ones((8, 8)), "YX", pixel_size_nm=80)
    >>> fine = ImageStack(np.ones((16, 16)), "YX", 40, origin_nm=(-20, -20))
    >>> [stack.shape for stack in common_grid(coarse, fine)]
    [(16, 16), (16, 16)]
    """
    for name, stack in (("image", image), ("reference", reference)):
        if stack.axes != "YX":
            raise InputError(f"axes of the {name}", got=stack.axes, allowed="YX")
    plane = as_plane(image.data)
    ratio, offset_px = _geometry(image, reference)
    places, window = [], []
    for n, n_ref, offset in zip(plane.shape, reference.shape, offset_px, strict=True):
        at: NDArray[np.float64] = offset + ratio * np.arange(n_ref, dtype=np.float64)
        edge = 0.5 + _GRID_TOLERANCE_PX
        inside = np.flatnonzero((at >= -edge) & (at <= n - 1 + edge))
        if not inside.size:
            raise InputError("the image and the reference do not overlap")
        places.append(at[inside])
        window.append(slice(int(inside[0]), int(inside[-1]) + 1))
    if all(_on_pixels(at) for at in places):
        moved = plane[np.ix_(*(np.rint(at).astype(int) for at in places))]
    else:
        moved = interpolate(plane, *places, pixel_ratio=ratio)
    geometry = _reference_geometry(image, reference, ratio, offset_px, window)
    cut = as_plane(reference.data, "reference")[tuple(window)]
    return image.derive(moved, **geometry), reference.derive(cut, **geometry)


def _geometry(
    image: ImageStack, reference: ImageStack
) -> tuple[float, tuple[float, float]]:
    """Return reference pixel over image pixel, and the reference's origin in pixels."""
    pixel_nm, ref_nm = image.pixel_size_nm, reference.pixel_size_nm
    if pixel_nm is not None and ref_nm is not None:
        (y, x), (y0, x0) = reference.origin_nm, image.origin_nm
        return ref_nm / pixel_nm, ((y - y0) / pixel_nm, (x - x0) / pixel_nm)
    (rows, columns), (ref_rows, ref_columns) = image.shape, reference.shape
    if rows * ref_columns != columns * ref_rows:
        raise InputError(
            "shape of the image, pixel size not known",
            got=image.shape,
            allowed=f"in proportion to the reference's {reference.shape}",
        )
    ratio = rows / ref_rows
    return ratio, ((ratio - 1) / 2, (ratio - 1) / 2)


def _reference_geometry(
    image: ImageStack,
    reference: ImageStack,
    ratio: float,
    offset_px: tuple[float, float],
    window: list[slice],
) -> dict[str, Any]:
    """Return pixel size and origin of the shared grid, as far as either knows them."""
    if reference.pixel_size_nm is not None:
        pixel_nm, origin = reference.pixel_size_nm, reference.origin_nm
    elif image.pixel_size_nm is not None:
        image_nm = image.pixel_size_nm
        pixel_nm = image_nm * ratio
        origin = (
            image.origin_nm[0] + image_nm * offset_px[0],
            image.origin_nm[1] + image_nm * offset_px[1],
        )
    else:
        return {}
    return {
        "pixel_size_nm": pixel_nm,
        "origin_nm": (
            origin[0] + pixel_nm * window[0].start,
            origin[1] + pixel_nm * window[1].start,
        ),
    }


def crop(image: ImageStack, rows: slice, columns: slice) -> ImageStack:
    """Cut a rectangle out of an image; its place in the field is kept.

    Parameters
    ----------
    image : ImageStack
        Any axes.
    rows, columns : slice
        Slices of pixels, clipped to the image.

    Returns
    -------
    ImageStack

    Raises
    ------
    InputError
        If nothing is left.

    Examples
    --------
    >>> image = ImageStack(np.zeros((9, 9)), "YX", pixel_size_nm=10)
    >>> part = crop(image, slice(2, 5), slice(-4, 3))
    >>> part.shape, part.origin_nm
    ((3, 3), (20.0, 0.0))
    """
    top, bottom = (min(max(n, 0), image.size("Y")) for n in (rows.start, rows.stop))
    left, right = (
        min(max(n, 0), image.size("X")) for n in (columns.start, columns.stop)
    )
    if bottom <= top or right <= left:
        raise InputError("the region lies outside the image")
    step = image.pixel_size_nm or 0.0
    y, x = image.origin_nm
    return image.derive(
        image.data[..., top:bottom, left:right],
        origin_nm=(y + step * top, x + step * left),
    )


def _on_pixels(position_px: NDArray[np.float64]) -> bool:
    """Whether positions are pixel centres, one after the other."""
    steps = np.diff(position_px)
    near = np.abs(position_px - np.rint(position_px)).max() < _GRID_TOLERANCE_PX
    return bool(near and (not steps.size or np.allclose(steps, 1)))
