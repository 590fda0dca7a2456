"""The order of raw SIM frames in a file, and their arrangement to (…, A, P, Y, X)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io.lazy import Planes
from napari_dps.io.order_readings import (
    Dims,
    Reading,
    reading_by_sizes,
    readings_of_letters,
)

Image = NDArray[Any] | Planes
"""Pixels, or planes that are not read yet."""

CANONICAL = "tczap"

_USUAL = ((3, 3), (3, 5), (5, 3), (5, 5), (4, 3), (2, 3), (1, 3), (1, 5), (1, 7))
_ORDERS = (
    "apyx, payx, or letters of t c z a p with yx last (apzyx, zapyx, tapyx …), "
    "q for ap (qyx, tqyx), montage, montage-pa"
)


@dataclass(frozen=True, slots=True)
class FrameOrder:
    """What the frames of a file are, in the order in which they lie.

    Attributes
    ----------
    letters : str
        Letters of t, c, z, a, p, slowest first.
    sizes : tuple of int
        Their lengths.

    Examples
    --------
    >>> import numpy as np
    >>> order = FrameOrder("pa", (5, 3))
    >>> order.arrange(np.arange(15).reshape(15, 1, 1))[0, :, 0, 0]
    array([ 0,  3,  6,  9, 12])
    """

    letters: str
    sizes: tuple[int, ...]

    @property
    def order(self) -> str:
        """The order as the user writes it ("apyx")."""
        return f"{self.letters}yx"

    @property
    def axes(self) -> str:
        """Axes of the arranged stack, in canonical order."""
        return "".join(c for c in CANONICAL if c in self.letters).upper() + "YX"

    def size(self, letter: str) -> int:
        """Return the length along a letter; 1 when it is absent."""
        found = self.letters.find(letter)
        return 1 if found < 0 else self.sizes[found]

    def arrange(self, frames: Image) -> Image:
        """Arrange frames to canonical axes.

        Parameters
        ----------
        frames : array or Planes
            (…, Y, X): the frames in the order of the file, in one dimension or more.

        Returns
        -------
        array or Planes
            A view where the memory allows it.
        """
        trailing = frames.shape[-2:]
        order = [self.letters.index(c) for c in CANONICAL if c in self.letters]
        rest = range(len(order), len(order) + len(trailing))
        return frames.reshape(*self.sizes, *trailing).transpose(*order, *rest)


def plain_order(dims: Dims, order: str | None = None) -> FrameOrder:
    """Name the dimensions of an image without angles and phases.

    Parameters
    ----------
    dims : sequence of (str, int)
        As the file has them; "q" is unnamed.
    order : str, optional
        Letters of t, c, z (and a, p) with yx last; default: the file's names, and t
        for an unnamed dimension.

    Raises
    ------
    InputError
        If the order does not fit.
    """
    if order is None:
        return _from_names(dims)
    letters = _letters(order)
    kept = [(c, size) for c, size in dims if size > 1 or c in letters]
    if "q" in letters or len(letters) != len(kept):
        names = "".join(c for c, _ in kept) + "yx"
        raise InputError(
            "order",
            got=order,
            allowed=f"like the file's {names}",
            field="input.order",
        )
    return FrameOrder(letters, tuple(size for _, size in kept))


def sim_order(
    dims: Dims,
    angles: int,
    phases: int,
    order: str | None = None,
    z_holds: str = "zap",
) -> tuple[FrameOrder, str]:
    """Find where angles and phases sit among the frames of a file.

    Parameters
    ----------
    dims : sequence of (str, int)
        As the file has them; "q" is unnamed.
    angles, phases : int
        Numbers of angles and phases in one image.
    order : str, optional
        Letters slowest first with yx last; "q" stands for ap. Default: from the names
        and sizes of the dimensions, phase fastest.
    z_holds : str
        Default order inside a Z axis that holds angles and phases too.

    Returns
    -------
    (FrameOrder, str)
        The order; a warning when the file allows another reading, else "".

    Raises
    ------
    InputError
        If the count or the order does not fit; with what would fit.
    """
    dims = [(c, size) for c, size in dims if size > 1] or [("q", 1)]
    total = math.prod(size for _, size in dims)
    if total % (angles * phases):
        raise InputError(
            f"{total} frames do not fit {angles} angles × {phases} phases "
            f"= {angles * phases} frames an image{_alternatives(total)}"
            f"{_surplus(total, angles * phases)}",
            field=("input.angles", "input.phases"),
        )
    if order is None:
        reading = reading_by_sizes(dims, angles, phases, z_holds)
    else:
        reading = _read_as(dims, order, angles, phases)
    # Dimensions of one frame are dropped, angles and phases stay.
    kept = [(c, size) for c, size in reading.dims if size > 1 or c in "ap"]
    return _from_names(kept), reading.hint


def _from_names(dims: Dims) -> FrameOrder:
    """Take the file's names; unnamed dimensions become t, z, c, whichever is free."""
    free = iter([c for c in "tzc" if c not in {letter for letter, _ in dims}])
    letters = "".join(next(free, "q") if c == "q" else c for c, _ in dims)
    if "q" in letters or len(set(letters)) < len(letters):
        shape = " × ".join(str(size) for _, size in dims)
        raise InputError(f"{shape} frames without names", allowed="an order")
    return FrameOrder(letters, tuple(size for _, size in dims))


def _read_as(dims: Dims, order: str, angles: int, phases: int) -> Reading:
    """Take the first reading that an order of the user allows."""
    letters = _letters(order).replace("q", "ap")
    if not {"a", "p"} <= set(letters):
        raise InputError(
            "order",
            got=order,
            allowed=f"with a and p; {_ORDERS}",
            field="input.order",
        )
    reading = next(readings_of_letters(dims, letters, angles, phases), None)
    if reading is not None:
        return reading
    lead = [c for c in letters if c not in "ap"]
    if len(set(lead) - {c for c, _ in dims}) > 1:
        total = math.prod(size for _, size in dims)
        raise InputError(
            f"the file does not say how {total} frames split into {', '.join(lead)}",
            allowed="an order with one of them",
            field="input.order",
        )
    shape = " × ".join(f"{size} ({c})" for c, size in dims)
    raise InputError(
        "order",
        got=f"{order} for {shape} frames, {angles} angles × {phases} phases",
        allowed=_ORDERS,
        field="input.order",
    )


def _letters(order: str) -> str:
    """Check an order of the user; return its letters without yx."""
    text = order.strip().lower()
    letters = text.removesuffix("yx")
    clean = set(letters) <= set("tczapq") and len(set(letters)) == len(letters)
    both = "q" in letters and {"a", "p"} & set(letters)
    if not text.endswith("yx") or not clean or both:
        raise InputError("order", got=order, allowed=_ORDERS, field="input.order")
    return letters


def _alternatives(total: int) -> str:
    """Name the usual angles and phases that fit a number of frames."""
    fits = [f"{a}×{p}" for a, p in _USUAL if total % (a * p) == 0]
    return f"; {total} frames fit {', '.join(fits)}" if fits else ""


def _surplus(total: int, unit: int) -> str:
    """Say how frames beside the raw ones, a widefield image perhaps, are left out."""
    if total <= unit:
        return ""
    every = next((n for n in (unit + 1, unit + 2) if total % n == 0), 0)
    return f"; to leave out frames say which to read, as 0-{unit - 1}" + (
        f"/{every}" if every and every < total else ""
    )


def usual_counts(total: int) -> tuple[int, int] | None:
    """Return the usual angles and phases of a number of frames.

    Examples
    --------
    >>> usual_counts(15), usual_counts(4)
    ((3, 5), None)
    """
    exact = [(a, p) for a, p in _USUAL if a * p == total]
    several = [(a, p) for a, p in _USUAL if total % (a * p) == 0]
    return next(iter(exact + several), None)
