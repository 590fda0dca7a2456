"""Images of any size on the cells of a network; a mirrored image is cut alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Inside = tuple[slice, slice]
"""Rows and columns of an image in a larger one."""


def centred(x: Tensor, multiple: int, *, finer: int = 1) -> tuple[Tensor, Inside]:
    """Mirror the edges until the sides are multiples, by as much on either side.

    An odd side is first brought to the borders between the pixels, which are one more,
    see `to_borders`: else its middle would not be that of the cells.

    Parameters
    ----------
    x : tensor (N, C, Y, X)
        Of any size.
    multiple : int
        Even.
    finer : int
        Grid on which the result of a network is, over that of ``x``: 1 or 2.

    Returns
    -------
    filled : tensor (N, C, Y', X')
    inside : tuple of slice
        Where the image lies in a result on the ``finer`` grid. That of an odd side on
        the same grid has one more, at the borders: `to_pixels` brings it back.

    Examples
    --------
    >>> filled, (rows, columns) = centred(torch.rand(1, 1, 6, 7), 4, finer=2)
    >>> tuple(filled.shape), rows, columns
    ((1, 1, 8, 8), slice(2, 14, None), slice(1, 15, None))
    """
    sides = []
    for axis in (-2, -1):
        size = x.shape[axis]
        rim = 0
        if size % 2:
            x, rim = to_borders(x, axis), finer - 1
            size += 1 if finer == 1 else 0
        start = finer * ((-x.shape[axis] % multiple) // 2) + rim
        sides.append(slice(start, start + finer * size))
    rows, columns = ((-side % multiple) // 2 for side in x.shape[-2:])
    return mirrored_rim(x, rows, columns), (sides[0], sides[1])


def mirrored_rim(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return (N, C, Y, X) with as many mirrored rows and columns on either side."""
    if not rows and not columns:
        return x
    small = min(x.shape[-2:]) <= max(rows, columns)
    mode = "replicate" if small else "reflect"
    return F.pad(x, (columns, columns, rows, rows), mode=mode)


def to_borders(x: Tensor, axis: int) -> Tensor:
    """Interpolate between the pixels: N values in their middles become N + 1.

    The cosine series of the pixels (mirrored edges, DCT-II) at the borders, the outer
    ones included: exact for what the pixels can hold, as
    `napari_dps.physics.resampling.resample`.

    Examples
    --------
    >>> wave = torch.cos(torch.pi * (torch.arange(7) + 0.5) / 7)
    >>> borders = to_borders(wave, 0)
    >>> expected = torch.cos(torch.pi * torch.arange(8) / 7)
    >>> bool(torch.allclose(borders, expected, atol=1e-6))
    True
    """
    size = x.shape[axis]
    return _shifted(torch.cat([x, x.flip(axis)], axis), axis, -0.5, size + 1)


def to_pixels(x: Tensor, axis: int) -> Tensor:
    """Interpolate from the borders to the middles of pixels: undo `to_borders`."""
    size = x.shape[axis] - 1
    back = x.narrow(axis, 1, size - 1).flip(axis)
    return _shifted(torch.cat([x, back], axis), axis, 0.5, size)


def _shifted(periodic: Tensor, axis: int, by: float, size: int) -> Tensor:
    """Return the first values of a periodic signal, each so many places further on."""
    length = periodic.shape[axis]
    spectrum = torch.fft.rfft(periodic, dim=axis).movedim(axis, -1)
    turn = 2 * torch.pi * by * torch.arange(spectrum.shape[-1], device=periodic.device)
    phase = turn / length
    spectrum = spectrum * torch.polar(torch.ones_like(phase), phase)
    moved = torch.fft.irfft(spectrum, n=length, dim=-1).movedim(-1, axis)
    result: Tensor = moved.narrow(axis, 0, size)
    return result
