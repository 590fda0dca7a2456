"""The order of raw SIM frames in a file, and their arrangement to (…, A, P, Y, X)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io.lazy import Planes

Image = NDArray[Any] | Planes
"""Pixels, or planes that are not read yet."""

Dims = Sequence[tuple[str, int]]
"""Letters and sizes of the frame dimensions of a file, slowest first."""

CANONICAL = "tczap"

MONTAGES = {"montage": "ap", "montage-pa": "pa"}
"""Planes that are tiled: what the rows and the columns of tiles are."""

_USUAL = ((3, 3), (3, 5), (5, 3), (5, 5), (4, 3), (2, 3), (1, 3), (1, 5), (1, 7))
_ORDERS = (
    "apyx, payx, or letters of t c z a p with yx last (apzyx, zapyx, tapyx …), "
    "q for ap (qyx, tqyx), montage, montage-pa"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Meaning of the frames of a file.

    Attributes
    ----------
    letters : str
        Letters of t, c, z, a, p, slowest first.
    sizes : tuple of int
        Their lengths.

    Examples
    --------
    >>> import numpy as np
    >>> layout = Layout("pa", (5, 3))
    >>> layout.arrange(np.arange(15).reshape(15, 1, 1))[0, :, 0, 0]
    array([ 0,  3,  6,  9, 12])
    """

    letters: str
    sizes: tuple[int, ...]

    @property
    def order(self) -> str:
        """The layout as ``order`` is written ("apyx")."""
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


def plain_layout(dims: Dims, order: str | None = None) -> Layout:
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
    dims = list(dims)
    if order is None:
        free = iter([c for c in "tzc" if c not in {letter for letter, _ in dims}])
        named = [(next(free, "q") if c == "q" else c, size) for c, size in dims]
        letters = "".join(c for c, _ in named)
        if "q" in letters or len(set(letters)) < len(letters):
            shape = " × ".join(str(size) for _, size in dims)
            raise InputError(f"{shape} frames without names", allowed="an order")
        return Layout(letters, tuple(size for _, size in named))
    letters = _letters(order)
    kept = [(c, size) for c, size in dims if size > 1 or c in letters]
    if "q" in letters or len(letters) != len(kept):
        names = "".join(c for c, _ in kept) + "yx"
        raise InputError("order", got=order, allowed=f"like the file's {names}")
    return Layout(letters, tuple(size for _, size in kept))


def sim_layout(
    dims: Dims,
    angles: int,
    phases: int,
    order: str | None = None,
    z_holds: str = "zap",
) -> tuple[Layout, str]:
    """Find where angles and phases sit among the frames of a file.

    Parameters
    ----------
    dims : sequence of (str, int)
        As the file has them; "q" is unnamed.
    angles, phases : int
        Of one image.
    order : str, optional
        Letters slowest first with yx last; "q" stands for ap. Default: from the names
        and sizes of the dimensions, phase fastest.
    z_holds : str
        Default order inside a Z axis that holds angles and phases too.

    Returns
    -------
    (Layout, str)
        The layout; a warning when the file allows another reading, else "".

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
        )
    if order is None:
        return _guess(dims, angles, phases, z_holds)
    letters = _letters(order).replace("q", "ap")
    if not {"a", "p"} <= set(letters):
        raise InputError("order", got=order, allowed=f"with a and p; {_ORDERS}")
    return _solve(dims, letters, angles, phases, order), ""


def untile(
    data: Image, angles: int, phases: int, order: str
) -> tuple[Image, list[tuple[str, int]]]:
    """Cut planes of tiles into frames.

    Parameters
    ----------
    data : array or Planes
        (…, Y, X): planes that hold angles × phases tiles.
    angles, phases : int
        Rows and columns of tiles for ``"montage"`` (as Nikon's N-SIM stores them:
        phases along x, angles along y), the reverse for ``"montage-pa"``.
    order : str
        Key of `MONTAGES`.

    Returns
    -------
    (array, list)
        (…, rows, columns, Y, X) and letters and sizes of rows and columns.

    Raises
    ------
    InputError
        If the plane cannot be cut evenly.
    """
    counts = {"a": angles, "p": phases}
    row, column = MONTAGES[order][0], MONTAGES[order][1]
    rows, columns = counts[row], counts[column]
    height, width = data.shape[-2:]
    if height % rows or width % columns:
        raise InputError(
            f"a plane of {height} × {width} pixels cannot be cut into "
            f"{rows} rows and {columns} columns of tiles"
        )
    names = [(row, rows), (column, columns)]
    if isinstance(data, Planes):
        return data.tiled(rows, columns), names
    lead = data.shape[:-2]
    tiles = data.reshape(*lead, rows, height // rows, columns, width // columns)
    return tiles.swapaxes(-3, -2), names


def _letters(order: str) -> str:
    text = order.strip().lower()
    letters = text.removesuffix("yx")
    clean = set(letters) <= set("tczapq") and len(set(letters)) == len(letters)
    both = "q" in letters and {"a", "p"} & set(letters)
    if not text.endswith("yx") or not clean or both:
        raise InputError("order", got=order, allowed=_ORDERS)
    return letters


def _alternatives(total: int) -> str:
    fits = [f"{a}×{p}" for a, p in _USUAL if total % (a * p) == 0]
    return f"; {total} frames fit {', '.join(fits)}" if fits else ""


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


def _guess(dims: Dims, angles: int, phases: int, z_holds: str) -> tuple[Layout, str]:
    """Choose the dimension, or the innermost dimensions, that hold the frames."""
    unit = angles * phases
    letters = "".join(c for c, _ in dims)
    if {"a", "p"} <= set(letters):
        layout = plain_layout(dims)
        if (layout.size("a"), layout.size("p")) != (angles, phases):
            held = f"{layout.size('a')} angles × {layout.size('p')} phases"
            raise InputError(
                "angles × phases", got=f"{angles} × {phases}", allowed=held
            )
        return layout, ""
    exact = [i for i, (_, size) in enumerate(dims) if size == unit]
    holders = exact or [i for i, (_, size) in enumerate(dims) if size % unit == 0]
    if not exact and (inner := _innermost(dims, unit)) is not None:
        expanded = [*dims[:inner], ("a", angles), ("p", phases)]
        return _named(expanded), ""
    if not holders:
        shape = " × ".join(f"{size} ({c})" for c, size in dims)
        raise InputError(
            f"no dimension of the file ({shape}) holds {unit} raw frames",
            allowed="an order that says how they lie",
        )
    chosen = min(holders, key=lambda i: ("qztca".find(dims[i][0]), -i))
    letter, size = dims[chosen]
    sizes = {"a": angles, "p": phases, "z": size // unit}
    inside = z_holds if letter == "z" else "zap"
    inner_dims = [
        ((letter if c == "z" else c), sizes[c])
        for c in inside
        if c != "z" or size > unit
    ]
    layout = _named([*dims[:chosen], *inner_dims, *dims[chosen + 1 :]])
    if len(holders) == 1:
        return layout, ""
    others = ", ".join(f"{dims[i][1]} ({dims[i][0]})" for i in holders if i != chosen)
    return layout, (
        f"raw frames taken from the dimension of {size} ({letter}); {others} "
        f"would fit too: give an order if this is wrong"
    )


def _innermost(dims: Dims, unit: int) -> int | None:
    """Index of the first of the innermost dimensions that hold one image together."""
    product = 1
    for index in range(len(dims) - 1, -1, -1):
        product *= dims[index][1]
        if product == unit:
            return index
    return None


def _named(dims: Dims) -> Layout:
    """Give unnamed dimensions letters, and drop those of one frame."""
    return plain_layout([(c, size) for c, size in dims if size > 1 or c in "ap"])


def _solve(dims: Dims, letters: str, angles: int, phases: int, order: str) -> Layout:
    """Find the sizes of the letters of an explicit order."""
    fixed = {"a": angles, "p": phases}
    lead = [c for c in letters if c not in "ap"]
    named = {c: size for c, size in dims if c in lead}
    total = math.prod(size for _, size in dims)
    if not lead:
        outer = _outer(dims, total // (angles * phases))
        if outer is not None:
            return _named([*outer, *((c, fixed[c]) for c in letters)])
    for kept, sizes in _readings(dims, lead, named, total, angles * phases):
        return _named([*kept, *((c, (fixed | sizes)[c]) for c in letters)])
    if len(lead) - len(named) > 1:
        raise InputError(
            f"the file does not say how {total} frames split into {', '.join(lead)}",
            allowed="an order with one of them",
        )
    shape = " × ".join(f"{size} ({c})" for c, size in dims)
    raise InputError(
        "order",
        got=f"{order} for {shape} frames, {angles} angles × {phases} phases",
        allowed=_ORDERS,
    )


def _outer(dims: Dims, images: int) -> list[tuple[str, int]] | None:
    """Outer dimensions that count the images; the last one may be cut."""
    outer: list[tuple[str, int]] = []
    for letter, size in dims:
        if images == 1:
            break
        if images % size and size % images:
            return None
        outer.append((letter, min(size, images)))
        images //= outer[-1][1]
    return outer


def _readings(
    dims: Dims, lead: list[str], named: dict[str, int], total: int, unit: int
) -> Iterator[tuple[list[tuple[str, int]], dict[str, int]]]:
    """Outer dimensions that the order leaves out, and sizes of its leading letters.

    First the file's own sizes; then one size inferred, beside as many outer
    dimensions of the file as possible, so that channels are never mixed into z.
    """
    count = next((i for i, (c, _) in enumerate(dims) if c in lead), len(dims))
    prefixes = [list(dims[:i]) for i in range(count + 1)]
    images = [total / unit / math.prod(size for _, size in kept) for kept in prefixes]
    if len(named) == len(lead):
        for kept, left in zip(prefixes, images, strict=True):
            if math.prod(named.values()) == left:
                yield kept, named
    unknown = [c for c in lead if c not in named]
    inferred = unknown if len(unknown) == 1 else [c for c in "ztc" if c in named]
    idle = []
    for kept, left in reversed(list(zip(prefixes, images, strict=True))):
        for letter in inferred if len(unknown) < 2 else ():
            others = {c: named[c] for c in lead if c != letter}
            size = left / math.prod(others.values())
            if size.is_integer() and size >= 1:
                reading = kept, {**others, letter: int(size)}
                # Unnamed dimensions are what the letter is there to name.
                is_idle = size == 1 and any(c == "q" for c, _ in kept)
                if is_idle:
                    idle.append(reading)
                else:
                    yield reading
    yield from idle
