"""What a reader hands over: pixels as the file holds them, and what it says of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_dps.core import InputError, StackInfo
from napari_dps.io.lazy import Planes

NM_PER_UNIT = {
    "pm": 1e-3,
    "Å": 0.1,
    "angstrom": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometre": 1.0,
    "µm": 1e3,
    "um": 1e3,
    "micron": 1e3,
    "micrometer": 1e3,
    "micrometre": 1e3,
    "mm": 1e6,
    "millimeter": 1e6,
    "millimetre": 1e6,
    "cm": 1e7,
    "centimeter": 1e7,
    "inch": 2.54e7,
    "in": 2.54e7,
    "m": 1e9,
    "meter": 1e9,
    "metre": 1e9,
}
"""Lengths as OME, ImageJ and NGFF spell them; a name that is absent is no length. Case
and a plural s make no difference."""

SECONDS_PER_UNIT = {
    "ns": 1e-9,
    "µs": 1e-6,
    "us": 1e-6,
    "microsecond": 1e-6,
    "ms": 1e-3,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
}

_PIXELS = ("pixel", "pixels", "px", "reference frame")
"""Names in place of a unit where no length is known; the last one is OME's."""

PIXEL_RANGE_NM = (1.0, 10000.0)
"""Pixel sizes that a microscope can have; a printer's 72 to 2400 dpi are coarser."""


@dataclass(frozen=True)
class Metadata(StackInfo):
    """What a file says of its pixels; None or empty where it says nothing.

    Unlike those of a stack, its optics need not have its pixel size: other programs
    may have changed one of them.

    Attributes
    ----------
    pixel_size_nm, origin_nm, optics, patterns, ...
        As of `StackInfo`; origin, optics, patterns and history only of files that
        `napari_dps.io.save` wrote.
    na, emission_nm, refractive_index : float or None
        NA and index of the objective, emission of the dye (when all channels share it).
    channel_emission_nm : tuple of (float or None)
        Emission wavelength of each channel; empty when none is known.
    microscope : str
        Name of an instrument for SIM that it mentions, as its maker writes it.
    stored_axes, stored_shape
        Axes and shape of the stack that `napari_dps.io.save` folded into the file.
    warnings : tuple of str
        What was found and not believed.
    """

    na: float | None = None
    emission_nm: float | None = None
    channel_emission_nm: tuple[float | None, ...] = ()
    refractive_index: float | None = None
    microscope: str = ""
    stored_axes: str = ""
    stored_shape: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RawImage:
    """Pixels with the axes that the file names.

    Attributes
    ----------
    data : array or Planes
        In the file's order; memory-mapped where the file is not compressed. A dask
        array, or another array-like of shape, dtype and indexing, stays unread.
    axes : str
        One letter a dimension: T, C, Z, A (SIM angle), P (SIM phase), Q (frames that
        the file does not name; may repeat), then Y and X.
    metadata : Metadata
        What the file says of them.
    z_holds : str
        How raw SIM frames sit inside the Z axis when it holds angles and phases too,
        slowest first; the convention of the instrument that writes the format.
    colours : int
        Planes along the innermost axis that the file calls red, green, blue (and
        alpha): a picture, unless the user's counts of angles and phases say that they
        are frames. 0 for any other image.
    missing : str
        Which pixels are not in the file and were filled in; refused unless allowed.
    """

    data: NDArray[Any] | Planes
    axes: str
    metadata: Metadata
    z_holds: str = "zap"
    colours: int = 0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files and its reader; `napari_dps.io.read.FORMATS` lists them.

    Attributes
    ----------
    name : str
        As people know it, in messages.
    suffixes : tuple of str
        In lower case with the dot: what is looked for in folders. What a file is, its
        content alone decides.
    recognises : callable
        Takes the path and the first 1024 bytes (none of a folder), and says whether
        the file is of this format.
    read : callable
        Takes the path, and whether to leave the pixels unread; returns a `RawImage`.
        Raises `InputError` if the file is damaged.
    read_series : callable or None
        The same with the number of an image, from 0, of a file that holds several;
        None for formats whose files hold one.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path, bytes], bool]
    read: Callable[[Path, bool], RawImage]
    read_series: Callable[[Path, bool, int], RawImage] | None = None


def check_series(number: int, count: int) -> None:
    """Refuse the number of an image that a file does not hold.

    Raises
    ------
    InputError
        With how many there are.
    """
    if number >= count:
        allowed = f"0 to {count - 1}" if count > 1 else "0: the file holds one image"
        raise InputError("number of the series", got=number, allowed=allowed)


def positive(value: object) -> float | None:
    """Return a number above 0, or None for anything else.

    Examples
    --------
    >>> positive("0,065"), positive(0), positive("1,000,000")
    (0.065, None, None)
    """
    if not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and "." not in value:
        value = value.replace(",", ".", 1)  # as some languages write decimals
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def length_nm(value: object, unit: str) -> float | None:
    """Convert a length to nm; None when it is no positive length.

    Examples
    --------
    >>> length_nm("0.065", "µm"), length_nm("0,065", "MICRONS")
    (65.0, 65.0)
    >>> length_nm(1, "pixel") is None
    True
    """
    return _in_units(value, unit, NM_PER_UNIT)


def doubted_length(value: object, unit: str, what: str) -> str:
    """Say that a length is left out whose unit is missing or not understood.

    Empty for what is understood, for pixels and where there is no number but 1, which
    programs write that know no length.

    Examples
    --------
    >>> doubted_length(0.065, " ", "pixel size")
    'the metadata give a pixel size of 0.065 without a unit: ignored'
    >>> doubted_length(0.065, "furlong", "pixel size")
    'the metadata give a pixel size of 0.065 furlong, which is no unit: ignored'
    >>> doubted_length(1, "", "pixel size"), doubted_length(2, "pixels", "pixel size")
    ('', '')
    """
    number, name = positive(value), _plain(unit)
    if number is None or number == 1 or name.casefold() in _PIXELS:
        return ""
    if length_nm(value, unit) is not None:
        return ""
    unit_in_words = f" {name}, which is no unit" if name else " without a unit"
    return f"the metadata give a {what} of {number:g}{unit_in_words}: ignored"


def seconds(value: object, unit: str) -> float | None:
    """Convert a time to seconds; None when it is no positive time."""
    return _in_units(value, unit, SECONDS_PER_UNIT)


def _in_units(value: object, unit: str, factors: dict[str, float]) -> float | None:
    """Convert a positive number by the name of its unit, in any case and plural."""
    number, name = positive(value), _plain(unit)
    small = _plain(name.casefold())
    names = (name, small, small.removesuffix("s"))
    factor = next((factors[n] for n in names if n in factors), None)
    return None if number is None or factor is None else number * factor


def _plain(unit: str) -> str:
    """One spelling for the two Unicode micro signs and ImageJ's escape of one."""
    name = unit.strip().strip('"').strip()
    return name.replace("\\u00B5", "µ").replace("\u03bc", "µ")


def square_pixel(x_nm: float | None, y_nm: float | None) -> tuple[float | None, str]:
    """Return the edge of a square pixel, or None and the reason for disbelief.

    Examples
    --------
    >>> square_pixel(65.0, 65.0)
    (65.0, '')
    >>> square_pixel(352777.8, 352777.8)[0] is None  # 72 dpi
    True
    """
    if x_nm is None:
        return None, ""
    low, high = PIXEL_RANGE_NM
    if not low <= x_nm <= high:
        return None, f"pixel size of {x_nm:g} nm in the metadata ignored"
    if y_nm is not None and abs(y_nm / x_nm - 1) > 0.01:
        text = f"{x_nm:g} × {y_nm:g} nm"
        return None, f"the metadata's pixels of {text} are not square: ignored"
    return x_nm, ""
