"""The planes of a z-stack: taken apart, worked on one by one, put together again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np

from napari_dps.core.progress import Progress, one_of
from napari_dps.core.types import ImageStack


def planes_of(volume: ImageStack) -> Iterator[tuple[int, ImageStack]]:
    """Return the number and the image of each plane of a volume, its maps included.

    Frames behind a volume are not those of a plane: they are left.

    Examples
    --------
    >>> volume = ImageStack(np.zeros((2, 4, 5)), "ZYX")
    >>> [(z, plane.axes) for z, plane in planes_of(volume)]
    [(0, 'YX'), (1, 'YX')]
    """
    for z, data in enumerate(volume.data):
        maps = {name: values[z] for name, values in volume.maps.items()}
        yield (
            z,
            replace(volume, data=data, axes=volume.axes[1:], maps=maps, frames=None),
        )


def volume_of(planes: Sequence[ImageStack]) -> ImageStack:
    """Return the volume of planes; what else they carry is that of the first."""
    return replace(
        planes[0],
        data=np.stack([plane.data for plane in planes]),
        axes="Z" + planes[0].axes,
        frames=None,
        maps={
            name: np.stack([plane.maps[name] for plane in planes])
            for name in planes[0].maps
        },
    )


def each_plane(
    volume: ImageStack,
    steps_of: Callable[[ImageStack], Generator[Progress, None, ImageStack]],
) -> Generator[Progress, None, list[ImageStack]]:
    """Work on the planes of a volume one after the other.

    Parameters
    ----------
    volume : ImageStack
        With "Z" as its first axis.
    steps_of : callable
        What is done with a plane.

    Yields
    ------
    Progress

    Returns
    -------
    list of ImageStack
        Results in the order of the planes.
    """
    results = []
    for z, plane in planes_of(volume):
        running = one_of(steps_of(plane), z, volume.size("Z"))
        results.append((yield from running))
    return results
