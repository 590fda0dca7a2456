"""Raw frames of a whole plane, modelled block by block.

An image of a point is small: what a block of the frames shows is the object there and a
little beyond. So memory and time of the transforms grow with the pixels alone, and
blocks are worked on at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from napari_dps.core import Optics
from napari_dps.core.at_once import at_once
from napari_dps.core.tiling import Part, Tile
from napari_dps.physics.otf import Transfer
from napari_dps.physics.sim.raw_light import Light
from napari_dps.physics.sim.raw_model import RawModel
from napari_dps.physics.sim.rim import Margin, mirrored_rim, without_rim

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
_LEAST_SENSITIVITY = 1e-3


class Block(NamedTuple):
    """One block of the frames, and of the object that they show.

    Attributes
    ----------
    read : tuple of slice
        Rows and columns of the plane's frames.
    kept, write : tuple of slice
        What of those is the block's alone, and where it lies in the plane.
    thing_read, thing_kept, thing_write : tuple of slice
        The same for the object, margins included.
    """

    read: Part
    kept: Part
    write: Part
    thing_read: Part
    thing_kept: Part
    thing_write: Part


class RawPlane:
    """Raw frames of a plane, in blocks of one size that overlap.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the frames.
    light : Light
        The illumination, phases at the centre of the plane.
    optics, device, otf
        As of `RawModel`.
    tiles : sequence of Tile
        Of the frames; all read as many rows and columns.

    Attributes
    ----------
    object_shape : tuple of int
        (Y, X) of the object, with its margin.
    blocks : tuple of Block

    Examples
    --------
    >>> import numpy as np, torch
    >>> from napari_dps.core.tiling import Tile
    >>> optics = Optics(na=1.3, emission_nm=525, pixel_size_nm=65)
    >>> whole = slice(0, 20), slice(0, 31)
    >>> even = Light(np.ones((1, 3)), ())
    >>> tiles = [Tile(whole, whole, whole)]
    >>> plane = RawPlane((20, 31), even, optics, torch.device("cpu"), tiles)
    >>> thing = plane.extended(torch.full((40, 62), 7.0))
    >>> plane.seen(thing).shape, plane.inside(thing).shape
    (torch.Size([20, 31]), torch.Size([40, 62]))
    """

    def __init__(
        self,
        shape: tuple[int, int],
        light: Light,
        optics: Optics,
        device: torch.device,
        tiles: Sequence[Tile],
        *,
        otf: Transfer | None = None,
    ) -> None:
        self.shape = shape
        size = tiles[0].read[0].stop - tiles[0].read[0].start
        across = tiles[0].read[1].stop - tiles[0].read[1].start
        stripes, intensities = light.stripes, light.intensities
        self._model = RawModel(
            (size, across), stripes, intensities, optics, device, otf=otf
        )
        self._margin: Margin = self._model.margin
        self.object_shape = tuple(
            2 * (side + sum(m)) for side, m in zip(shape, self._margin, strict=True)
        )
        self.blocks = tuple(_block(tile, shape, self._margin) for tile in tiles)
        self._models = tuple(self._moved(block) for block in self.blocks)

    @property
    def light(self) -> Light:
        """The illumination, phases at the centre of the plane."""
        return self._model.light

    def set_light(self, light: Light) -> None:
        """Take another illumination."""
        self._model.set_light(light)
        self._models = tuple(self._moved(block) for block in self.blocks)

    def _moved(self, block: Block) -> RawModel:
        """Return the model of a block's frames and of the object that is read."""
        centre = [
            (side.start + side.stop - size) / 2
            for side, size in zip(block.read, self.shape, strict=True)
        ]
        return self._model.at(centre)

    def over_blocks(self, work: Callable[[Block, RawModel], T]) -> Iterator[T]:
        """Yield what some work returns for each block, in order; see `at_once`."""
        parts = zip(self.blocks, self._models, strict=True)
        yield from at_once(partial(work, *part) for part in parts)

    def do_blocks(self, work: Callable[[Block, RawModel], None]) -> None:
        """Do some work on each block that returns nothing."""
        for _ in self.over_blocks(work):
            pass

    def forward(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the frames (A·P, Y, X) of an object (``object_shape``)."""
        count = self.light.intensities.size
        frames = thing.new_empty(count, *self.shape)

        def work(block: Block, model: RawModel) -> None:
            seen = model.forward(thing[block.thing_read])
            frames[:, *block.write] = seen[:, *block.kept]

        self.do_blocks(work)
        return frames

    def seen(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object (``object_shape``) under even light: (Y, X)."""
        result = thing.new_empty(self.shape)

        def work(block: Block, model: RawModel) -> None:
            seen = model.seen_evenly(thing[block.thing_read])
            result[block.write] = seen[block.kept]

        self.do_blocks(work)
        return result

    def sensitivity(self, frames: torch.Tensor) -> torch.Tensor:
        """Return how much of each fine pixel's light all frames get together.

        Parameters
        ----------
        frames : tensor (A·P, Y, X)
            For their number and their place.

        Returns
        -------
        tensor, float32, shape ``object_shape``
        """
        import torch

        result = frames.new_empty(self.object_shape)

        def work(block: Block, model: RawModel) -> None:
            light = model.adjoint(torch.ones_like(frames[:, *block.read]))
            result[block.thing_write] = light[block.thing_kept]

        self.do_blocks(work)
        return result.clamp_(min=_LEAST_SENSITIVITY * float(result.max()))

    def extended(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object (2 Y, 2 X) with a margin that mirrors its edges."""
        return mirrored_rim(thing, self._margin)

    def inside(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the part of an object that lies in the frames: (2 Y, 2 X)."""
        return without_rim(thing, self.shape, self._margin)


def _block(tile: Tile, shape: tuple[int, int], margin: Margin) -> Block:
    """Return a block of frames of a shape, and its object's."""
    reads, keeps, writes = [], [], []
    for read, write, size, (before, after) in zip(
        tile.read, tile.write, shape, margin, strict=True
    ):
        first = 2 * (write.start + before) if write.start else 0
        last = 2 * (write.stop + before + (after if write.stop == size else 0))
        begin = 2 * read.start
        reads.append(slice(begin, 2 * (read.stop + before + after)))
        keeps.append(slice(first - begin, last - begin))
        writes.append(slice(first, last))
    return Block(
        tile.read,
        tile.keep,
        tile.write,
        (reads[0], reads[1]),
        (keeps[0], keeps[1]),
        (writes[0], writes[1]),
    )
