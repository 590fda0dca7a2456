"""Planes that hold the raw frames of an image as tiles."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io.lazy import Planes

MONTAGES = {"montage": "ap", "montage-pa": "pa"}
"""What the rows and the columns of tiles are, by the name of the order."""


def untile(
    data: NDArray[Any] | Planes, angles: int, phases: int, order: str
) -> tuple[NDArray[Any] | Planes, list[tuple[str, int]]]:
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
