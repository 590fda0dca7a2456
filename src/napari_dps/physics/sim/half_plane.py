"""Where a block of frequencies lies in the half plane of a real image's spectrum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Piece(NamedTuple):
    """A part of a block of frequencies, and where it lies in a half plane.

    Attributes
    ----------
    block, plane : (slice, slice)
        Rows and columns.
    is_mirrored : bool
        Whether the half plane holds the opposite frequencies, whose values are the
        conjugates.
    """

    block: tuple[slice, slice]
    plane: tuple[slice, slice]
    is_mirrored: bool

    def turned(self, part: torch.Tensor) -> torch.Tensor:
        """Return what one has, as the other has it."""
        return part.flip((0, 1)).conj() if self.is_mirrored else part


def pieces(
    first: Sequence[int],
    size: Sequence[int],
    fine: Sequence[int],
    *,
    twice: bool = False,
) -> Iterator[Piece]:
    """Cut a block of frequencies into what lies together in a half plane.

    Parameters
    ----------
    first, size : (int, int)
        First frequency (y, x) of the block, in bins, and how many it has.
    fine : (int, int)
        Size of what was transformed.
    twice : bool
        Whether frequencies whose opposite is in the half plane too come both ways.

    Yields
    ------
    Piece
        Together they hold each frequency of the block once.

    Examples
    --------
    >>> [piece.is_mirrored for piece in pieces((2, -1), (3, 3), (8, 8))]
    [False, True]
    """
    for across, columns, is_mirrored in _runs(first[1], size[1], fine[1], twice):
        start = -(first[0] + size[0] - 1) if is_mirrored else first[0]
        place, done = start % fine[0], 0
        while done < size[0]:
            count = min(size[0] - done, fine[0] - place)
            down = slice(done, done + count)
            if is_mirrored:
                down = slice(size[0] - done - count, size[0] - done)
            yield Piece(
                (down, across), (slice(place, place + count), columns), is_mirrored
            )
            place, done = 0, done + count


def _runs(
    first: int, size: int, fine: int, twice: bool
) -> Iterator[tuple[slice, slice, bool]]:
    """Yield runs of columns of a block, their place, and whether they are mirrored."""
    nyquist = fine // 2
    inner = 0 if twice else 1
    for period in (-1, 0, 1):
        # Frequencies 0 to Nyquist of this period, and those mirrored into it.
        for low, high, is_mirrored in (
            (0, nyquist, False),
            (inner - nyquist, -inner, True),
        ):
            begin = max(low + period * fine, first)
            end = min(high + period * fine, first + size - 1)
            if begin > end:
                continue
            near, far = begin - period * fine, end - period * fine
            columns = slice(-far, 1 - near) if is_mirrored else slice(near, far + 1)
            yield slice(begin - first, end - first + 1), columns, is_mirrored
