"""Line profiles: the values along a line, in nm, and the width of their peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError

_STEPS_PER_PX = 4
_LONGEST_PX = 20_000
_MARGIN_PX = 16
"""Around what is interpolated: splines feel no edge that far away."""
_LEAST_DIP = 0.1
"""Between two summits, of the height of the profile: a smaller one may be noise."""


@dataclass(frozen=True, slots=True, eq=False)
class LineProfile:
    """Values along a line.

    Attributes
    ----------
    distance : array (N,)
        From the start of the line, in ``unit``.
    values : array (N,)
        In the unit of the image.
    unit : str
        "nm", or "px" where the pixel size is not known.
    fwhm : float or None
        Full width at half maximum of the highest peak, in ``unit``; None where the
        profile does not fall to half on both sides of it.
    is_merged : bool
        Whether that peak has more than one summit above half: its width is that of
        several structures together.
    """

    distance: NDArray[np.float64]
    values: NDArray[np.float64]
    unit: str
    fwhm: float | None
    is_merged: bool = False

    @property
    def summit(self) -> float:
        """Place of the highest value, from 0, the start of the line, to 1, its end."""
        return int(self.values.argmax()) / (len(self.values) - 1)

    @property
    def relative(self) -> NDArray[np.float64]:
        """The values from 0, the lowest, to 1, the highest; 0 where all are alike."""
        low, high = float(self.values.min()), float(self.values.max())
        return (self.values - low) / ((high - low) or 1.0)


def line_profile(
    image: ImageStack,
    start_px: tuple[float, float],
    end_px: tuple[float, float],
    *,
    width_px: float = 1.0,
) -> LineProfile:
    """Return the profile of an image along a line.

    Parameters
    ----------
    image : ImageStack
        Axes "YX".
    start_px, end_px : (float, float)
        Ends (y, x) in pixels of the image, 0 the centre of the first; outside it the
        nearest pixel counts.
    width_px : float
        Across the line, over which values are averaged.

    Returns
    -------
    LineProfile
        Interpolated with cubic splines at four points a pixel.

    Raises
    ------
    InputError
        If the axes are others, or the line has no length.

    Examples
    --------
    >>> ridge = np.exp(-0.5 * ((np.arange(40) - 20) / 3) ** 2) * np.ones((8, 1))
    >>> found = line_profile(ImageStack(ridge, "YX"), (4, 4), (4, 36))
    >>> round(found.fwhm, 1), round(3 * 2.3548, 1)  # of a Gaussian: 2.3548 sigma
    (7.1, 7.1)
    """
    if image.axes != "YX":
        raise InputError("axes of the image of a profile", got=image.axes, allowed="YX")
    start, end = np.asarray(start_px, float), np.asarray(end_px, float)
    length = float(np.hypot(*(end - start)))
    if not 0 < length < _LONGEST_PX:
        raise InputError(
            "length of the line", got=f"{length:g} px", allowed=f"0 to {_LONGEST_PX}"
        )
    count = int(np.ceil(length * _STEPS_PER_PX)) + 1
    along = (end - start) / length
    across = np.array([-along[1], along[0]])
    lines = max(1, round(width_px))
    offsets = (np.arange(lines) - (lines - 1) / 2)[:, None, None] * across
    points = start + np.linspace(0, length, count)[:, None] * along
    data, corner = _around(image.data, points + offsets)
    coordinates = np.moveaxis(points + offsets - corner, -1, 0)
    found = scipy.ndimage.map_coordinates(data, coordinates, order=3, mode="nearest")
    values = np.asarray(found.mean(axis=0))
    distance = np.linspace(0, length, count)
    if image.pixel_size_nm is not None:
        distance = distance * image.pixel_size_nm
    unit = "px" if image.pixel_size_nm is None else "nm"
    width, summits = _fwhm(distance, values)
    return LineProfile(distance, values, unit, width, summits > 1)


def depth_profile(volume: ImageStack, place_px: tuple[float, float]) -> LineProfile:
    """Return the profile of a z-stack along z.

    Parameters
    ----------
    volume : ImageStack
        Axes "ZYX".
    place_px : (float, float)
        (y, x) in pixels, 0 the centre of the first; outside the nearest pixel counts.

    Returns
    -------
    LineProfile
        From the first plane on, interpolated with cubic splines at four points a
        plane; its unit is px, for planes, where the z step is not known.

    Raises
    ------
    InputError
        If the axes are others.

    Examples
    --------
    >>> spot = np.exp(-0.5 * ((np.arange(20) - 9) / 2) ** 2)[:, None, None]
    >>> stack = ImageStack(spot * np.ones((5, 5)), "ZYX", z_step_nm=100)
    >>> found = depth_profile(stack, (2, 2))
    >>> round(found.fwhm), round(2 * 2.3548 * 100)
    (471, 471)
    """
    if volume.axes != "ZYX":
        raise InputError("axes of a profile in z", got=volume.axes, allowed="ZYX")
    y, x = (
        min(max(place, 0.0), n - 1.0)
        for place, n in zip(place_px, volume.shape[1:], strict=True)
    )
    rows, columns = (
        slice(max(int(place) - _MARGIN_PX, 0), int(place) + _MARGIN_PX + 1)
        for place in (y, x)
    )
    data = np.asarray(volume.data[:, rows, columns], dtype=np.float64)
    depth = np.linspace(0, len(data) - 1, (len(data) - 1) * _STEPS_PER_PX + 1)
    around = np.broadcast_to(
        np.array([[y - rows.start], [x - columns.start]]), (2, len(depth))
    )
    values = scipy.ndimage.map_coordinates(
        data, np.concatenate([depth[None], around]), order=3, mode="nearest"
    )
    step = volume.z_step_nm
    distance = depth * (1.0 if step is None else step)
    width, summits = _fwhm(distance, values)
    return LineProfile(
        distance, values, "px" if step is None else "nm", width, summits > 1
    )


def _around(
    data: NDArray[Any], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cut out what the splines need: a spline of the whole image is slow."""
    low = np.floor(points.reshape(-1, 2).min(axis=0)).astype(int) - _MARGIN_PX
    high = np.ceil(points.reshape(-1, 2).max(axis=0)).astype(int) + _MARGIN_PX + 1
    size = np.array(data.shape)
    low = np.clip(low, 0, size - 1)
    high = np.clip(high, low + 1, size)
    part = data[low[0] : high[0], low[1] : high[1]]
    return np.asarray(part, dtype=np.float64), low.astype(np.float64)


def _fwhm(
    distance: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[float | None, int]:
    """Return width and number of summits of the highest peak.

    Both above halfway between it and the lowest value.
    """
    from scipy.signal import find_peaks  # its package takes long to import

    peak = int(values.argmax())
    half = (float(values[peak]) + float(values.min())) / 2
    below = values <= half
    left, right = np.flatnonzero(below[:peak]), np.flatnonzero(below[peak:])
    if not left.size or not right.size:
        return None, 0

    def crossing(inside: int, outside: int) -> float:
        share = (half - values[inside]) / (values[outside] - values[inside])
        return float(distance[inside] + share * (distance[outside] - distance[inside]))

    first, last = int(left[-1]), peak + int(right[0])
    dip = _LEAST_DIP * (float(values[peak]) - float(values.min()))
    summits, _ = find_peaks(values[first : last + 1], prominence=dip)
    return crossing(last - 1, last) - crossing(first + 1, first), len(summits)
