"""Phantoms: biological and man-made structures with exact truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.physics.phantoms.canvas import Canvas
from napari_dps.physics.phantoms.filaments import actin, microtubules
from napari_dps.physics.phantoms.organelles import (
    endoplasmic_reticulum,
    mitochondria,
)
from napari_dps.physics.phantoms.particles import (
    beads,
    clathrin,
    nuclear_pores,
    vesicles,
)
from napari_dps.physics.phantoms.targets import (
    glyphs,
    gratings,
    line_pairs,
    point_pairs,
    star,
)

StructureId = Literal[
    "microtubules",
    "actin",
    "er",
    "vesicles",
    "clathrin",
    "mitochondria",
    "nuclear_pores",
    "beads",
    "line_pairs",
    "point_pairs",
    "glyphs",
    "gratings",
    "star",
]
"""Names of the structures that can be drawn."""

STRUCTURES: dict[StructureId, Callable[[Canvas], None]] = {
    "microtubules": microtubules,
    "actin": actin,
    "er": endoplasmic_reticulum,
    "vesicles": vesicles,
    "clathrin": clathrin,
    "mitochondria": mitochondria,
    "nuclear_pores": nuclear_pores,
    "beads": beads,
    "line_pairs": line_pairs,
    "point_pairs": point_pairs,
    "glyphs": glyphs,
    "gratings": gratings,
    "star": star,
}
"""The function that draws each structure."""

_ATTEMPTS = 40
"""Draws until something lies in a small field."""


def phantom(
    structure: StructureId,
    shape: tuple[int, int],
    *,
    pixel_size_nm: float,
    seed: int | np.random.Generator = 0,
    separation_nm: float = 120.0,
) -> NDArray[np.float32]:
    """Draw a structure on a fine grid.

    Emitters have continuous positions and sizes in nm, and each is shared among four
    pixels by bilinear weights, so a structure need not lie on the grid. The same seed
    gives the same scene on every grid that covers the same field.

    Parameters
    ----------
    structure : str
        A key of `STRUCTURES`.
    shape : tuple of int
        (Y, X) of the grid.
    pixel_size_nm : float
        Edge of its pixels; 5 to 25 nm is sensible.
    seed : int or numpy.random.Generator
        Same seed, same scene.
    separation_nm : float
        Distance within line pairs and point pairs.

    Returns
    -------
    array (Y, X), float32
        Emitters in each pixel, ≥ 0, scaled to a maximum of 1.

    Raises
    ------
    InputError
        If an argument is out of range, or the field of view is so small that nothing
        of the structure lies in it.

    Examples
    --------
    >>> image = phantom("er", (128, 96), pixel_size_nm=32, seed=3)
    >>> image.shape, float(image.max())
    ((128, 96), 1.0)
    """
    if structure not in STRUCTURES:
        raise InputError("structure", got=structure, allowed=", ".join(STRUCTURES))
    if len(shape) != 2 or min(shape) < 1:
        raise InputError("shape of the phantom", got=shape, allowed="(Y, X), 1 or more")
    for name, value in (("pixel size", pixel_size_nm), ("separation", separation_nm)):
        if not 0 < value < np.inf:
            raise InputError(f"{name} in nm", got=value, allowed="above 0")
    rng = np.random.default_rng(seed)
    for _ in range(_ATTEMPTS):
        canvas = Canvas(shape, pixel_size_nm, rng, separation_nm)
        STRUCTURES[structure](canvas)
        image = canvas.image()
        if image.any():
            image /= image.max()
            return image
    raise InputError(
        f"a field of {shape[0] * pixel_size_nm:g} × {shape[1] * pixel_size_nm:g} nm",
        allowed=f"larger, so that {structure} are in it",
    )
