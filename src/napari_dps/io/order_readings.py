"""How the dimensions of a file can be read as angles, phases, z, channels and time.

A file says how many frames it has and at best what some of its dimensions are. Each
function here returns readings of them, the likeliest first; `napari_dps.io.order`
chooses and words what is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_dps.core import InputError

Dims = Sequence[tuple[str, int]]
"""Letters and sizes of dimensions, slowest first; "q" is unnamed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the frames of a file.

    Attributes
    ----------
    dims : sequence of (str, int)
        Letters and sizes, angles and phases among them.
    hint : str
        Warning when the file allows another reading, else "".
    """

    dims: Dims
    hint: str = ""


def reading_by_sizes(dims: Dims, angles: int, phases: int, z_holds: str) -> Reading:
    """Choose the dimension, or the innermost dimensions, that hold the frames.

    Parameters
    ----------
    dims : sequence of (str, int)
        As the file has them, each above 1.
    angles, phases : int
        Numbers of angles and phases in one image.
    z_holds : str
        Order inside a Z axis that holds angles and phases too.

    Raises
    ------
    InputError
        If no dimension holds them, or the file's own angles and phases are others.
    """
    sizes = dict(dims)
    if {"a", "p"} <= set(sizes):
        if (sizes["a"], sizes["p"]) != (angles, phases):
            raise InputError(
                "angles × phases",
                got=f"{angles} × {phases}",
                allowed=f"{sizes['a']} angles × {sizes['p']} phases",
                field=("input.angles", "input.phases"),
            )
        return Reading(dims)
    unit = angles * phases
    exact = [i for i, (_, size) in enumerate(dims) if size == unit]
    if not exact and (inner := _innermost(dims, unit)) is not None:
        return Reading([*dims[:inner], ("a", angles), ("p", phases)])
    holders = exact or [i for i, (_, size) in enumerate(dims) if size % unit == 0]
    if not holders:
        shape = " × ".join(f"{size} ({c})" for c, size in dims)
        raise InputError(
            f"no dimension of the file ({shape}) holds {unit} raw frames",
            allowed="an order that says how they lie",
            field="input.order",
        )
    chosen = min(holders, key=lambda i: ("qztca".find(dims[i][0]), -i))
    split = _split(dims[chosen], angles, phases, z_holds)
    return Reading(
        [*dims[:chosen], *split, *dims[chosen + 1 :]], _hint(dims, holders, chosen)
    )


def readings_of_letters(
    dims: Dims, letters: str, angles: int, phases: int
) -> Iterator[Reading]:
    """Fit the letters of an order to the dimensions of a file.

    An order without leading letters leaves the file's outer dimensions as they are.
    Else the file's sizes are taken first; then one size is inferred, with as many
    outer dimensions of the file left alone as possible, so that channels are never
    mixed into z.

    Parameters
    ----------
    dims : sequence of (str, int)
        As the file has them.
    letters : str
        Letters of t, c, z, a, p, slowest first, with a and p.
    angles, phases : int
        Numbers of angles and phases in one image, whose product divides the number of
        frames.
    """
    images = math.prod(size for _, size in dims) // (angles * phases)
    lead = [c for c in letters if c not in "ap"]
    fixed = {"a": angles, "p": phases}
    if not lead and (outer := _outer(dims, images)) is not None:
        yield Reading([*outer, *((c, fixed[c]) for c in letters)])
        return
    for outer, leading in _leading_sizes(dims, lead, images):
        sizes = fixed | leading
        yield Reading([*outer, *((c, sizes[c]) for c in letters)])


def _innermost(dims: Dims, unit: int) -> int | None:
    """Index of the first of the innermost dimensions that hold one image together."""
    product = 1
    for index in range(len(dims) - 1, -1, -1):
        product *= dims[index][1]
        if product == unit:
            return index
    return None


def _split(
    dim: tuple[str, int], angles: int, phases: int, z_holds: str
) -> list[tuple[str, int]]:
    """Split a dimension into its images (if several), angles and phases."""
    letter, size = dim
    images = size // (angles * phases)
    places = {"z": (letter, images), "a": ("a", angles), "p": ("p", phases)}
    order = z_holds if letter == "z" else "zap"
    return [places[c] for c in order if c != "z" or images > 1]


def _hint(dims: Dims, holders: Sequence[int], chosen: int) -> str:
    """Name the dimensions that could hold the raw frames as well."""
    others = ", ".join(f"{dims[i][1]} ({dims[i][0]})" for i in holders if i != chosen)
    if not others:
        return ""
    letter, size = dims[chosen]
    return (
        f"raw frames taken from the dimension of {size} ({letter}); {others} "
        f"would fit too: give an order if this is wrong"
    )


def _outer(dims: Dims, images: int) -> Dims | None:
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


def _leading_sizes(
    dims: Dims, lead: Sequence[str], images: int
) -> Iterator[tuple[Dims, dict[str, int]]]:
    """Outer dimensions that the order leaves out, and sizes of its leading letters."""
    named = {c: size for c, size in dims if c in lead}
    left_out = list(_left_out(dims, lead, images))
    if len(named) == len(lead):
        for outer, rest in left_out:
            if math.prod(named.values()) == rest:
                yield outer, named
    idle = []
    for outer, rest in reversed(left_out):
        for letter in _inferable(lead, named):
            others = {c: named[c] for c in lead if c != letter}
            size, remainder = divmod(rest, math.prod(others.values()))
            if remainder:
                continue
            found = outer, {**others, letter: size}
            # Unnamed dimensions are what the letter is there to name.
            if size == 1 and any(c == "q" for c, _ in outer):
                idle.append(found)
            else:
                yield found
    yield from idle


def _left_out(
    dims: Dims, lead: Sequence[str], images: int
) -> Iterator[tuple[Dims, int]]:
    """Outer dimensions without a leading letter, 0, 1, …, and images in each."""
    for count in range(len(dims) + 1):
        images_in_each, remainder = divmod(
            images, math.prod(size for _, size in dims[:count])
        )
        if not remainder:
            yield dims[:count], images_in_each
        if count < len(dims) and dims[count][0] in lead:
            return


def _inferable(lead: Sequence[str], named: dict[str, int]) -> list[str]:
    """Leading letters whose size may follow from the number of images, best first."""
    unknown = [c for c in lead if c not in named]
    if unknown:
        return unknown if len(unknown) == 1 else []
    return [c for c in "ztc" if c in named]
