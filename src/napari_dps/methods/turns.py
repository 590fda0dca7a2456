"""A network on its input turned in all ways, and the average."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from napari_dps.core import Progress, one_of

if TYPE_CHECKING:
    import torch

Running = Generator[Progress, None, "torch.Tensor"]
"""A network at work, that returns its map (…, Y, X)."""


def average_of_turns_steps(
    run: Callable[..., Running], *maps: torch.Tensor
) -> Generator[Progress, None, torch.Tensor]:
    """Average what a network finds in its input flipped and turned by quarters.

    The result turns with the input, whatever the network; it takes eight times as long.

    Parameters
    ----------
    run : callable
        From the maps, turned, to a generator that returns a map (…, Y, X).
    *maps : tensor (…, Y, X)
        The network's input.

    Yields
    ------
    Progress

    Returns
    -------
    tensor (…, Y, X)

    Examples
    --------
    >>> import torch
    >>> from napari_dps.core import finish
    >>> def leans(image):
    ...     yield Progress(0, 1)
    ...     return image.roll(1, -1)
    >>> finish(average_of_turns_steps(leans, torch.eye(3)[1].diag())).tolist()
    [[0.0, 0.25, 0.0], [0.25, 0.0, 0.25], [0.0, 0.25, 0.0]]
    """
    import torch

    from napari_dps.nets.equivariant import TURNS, opposite, turned

    total = torch.zeros((), device=maps[0].device)
    for turn in range(TURNS):
        running = run(*(turned(one, turn).contiguous() for one in maps))
        found = yield from one_of(running, turn, TURNS)
        total = total + turned(found, opposite(turn))
    return total / TURNS
