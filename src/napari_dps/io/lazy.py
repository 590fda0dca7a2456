"""Planes that are read when they are asked for, whatever their arrangement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError

Read = Callable[[int], NDArray[Any]]
"""Reads a block of planes, (plane, Y, X), by its number; can be pickled."""

LARGEST_BLOCK_BYTES = 2**28
"""Chunks of a store that hold more are read plane by plane, to bound the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """An image in a file, (…, Y, X); reshaped and transposed without reading it.

    A file of n frames becomes n numbers, so that an arrangement costs no pixels and
    no task graph. A stack may hold it as it is; `to_dask` gives what one computes with.

    Attributes
    ----------
    read : callable
        Reads a block.
    index : array of int
        Number of each plane, in the shape of the leading axes: block times
        ``per_block`` plus the place in the block.
    plane : (int, int)
        Height and width.
    dtype : dtype
        Native; what is read is cast to it.
    per_block : int
        Planes that are stored, and read, together.

    Examples
    --------
    >>> stored = np.arange(24).reshape(6, 2, 2)
    >>> planes = Planes.of(stored).reshape(3, 2, 2, 2).transpose(1, 0, 2, 3)
    >>> planes[1, 2]
    array([[20, 21],
           [22, 23]])
    >>> planes.to_dask().chunksize
    (1, 1, 2, 2)
    """

    read: Read
    index: NDArray[np.intp]
    plane: tuple[int, int]
    dtype: np.dtype[Any]
    per_block: int = 1

    @classmethod
    def of(cls, array: Any) -> Planes:
        """Make planes of an array-like, dask's and zarr's with their own chunks.

        Parameters
        ----------
        array : array-like
            (…, Y, X) with shape, dtype and indexing by slices.
        """
        lead, plane = tuple(array.shape[:-2]), tuple(array.shape[-2:])
        dtype = np.dtype(array.dtype).newbyteorder("=")
        chunk = _regular_chunk(array)
        if math.prod((*chunk, *plane)) * dtype.itemsize > LARGEST_BLOCK_BYTES:
            chunk = (1,) * len(lead)
        grid = tuple(-(-n // c) for n, c in zip(lead, chunk, strict=True))
        places = np.indices(lead, dtype=np.intp, sparse=True)
        block, place = np.zeros(lead, np.intp), np.zeros(lead, np.intp)
        for where, size, count in zip(places, chunk, grid, strict=True):
            block = block * count + where // size
            place = place * size + where % size
        per_block = math.prod(chunk)
        index = np.asarray(block * per_block + place)
        return cls(_Chunks(array, grid, chunk), index, plane, dtype, per_block)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image."""
        return (*self.index.shape, *self.plane)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.index.ndim + 2

    @property
    def size(self) -> int:
        """Number of pixels."""
        return math.prod(self.shape)

    def reshape(self, *shape: int) -> Planes:
        """Reshape the leading axes; the last two sizes must be those of a plane."""
        if shape[-2:] != self.plane:
            raise ValueError(f"planes of {self.plane} cannot become {shape[-2:]}")
        return replace(self, index=self.index.reshape(shape[:-2]))

    def transpose(self, *order: int) -> Planes:
        """Transpose the leading axes; Y and X stay last."""
        if order[-2:] != (self.ndim - 2, self.ndim - 1):
            raise ValueError("Y and X stay last")
        return replace(self, index=self.index.transpose(order[:-2]))

    def tiled(self, rows: int, columns: int) -> Planes:
        """Cut planes evenly into tiles, (…, rows, columns, Y, X)."""
        count = rows * columns
        tile = np.arange(count).reshape(rows, columns)
        return Planes(
            _Tiles(self.read, rows, columns),
            self.index[..., None, None] * count + tile,
            (self.plane[0] // rows, self.plane[1] // columns),
            self.dtype,
            self.per_block * count,
        )

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read planes or parts of them: whole numbers and slices, one an axis."""
        key = key if isinstance(key, tuple) else (key,)
        lead, rest = key[: self.index.ndim], key[self.index.ndim :]
        chosen = np.asarray(self.index[lead])
        corner = np.empty((0, *self.plane), self.dtype)[(slice(None), *rest)]
        out = np.empty((chosen.size, *corner.shape[1:]), self.dtype)
        blocks, places = np.divmod(chosen.ravel(), self.per_block)
        whole = self.plane
        for block in np.unique(blocks):
            planes = self.read(int(block))
            if len(planes) < self.per_block or planes.shape[1:] != whole:
                raise InputError(
                    f"damaged: a plane of {' × '.join(map(str, whole))} pixels is none"
                )
            for i in np.flatnonzero(blocks == block):
                out[i] = planes[(places[i], *rest)]
        return out.reshape((*chosen.shape, *corner.shape[1:]))

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        """Read all of it."""
        whole = self[()]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def to_dask(self) -> NDArray[Any]:
        """Return a dask array in chunks of one plane, or of what is stored together."""
        import dask.array as da

        # Inlined, the array costs dask some ms a slice, however many frames it has.
        array: NDArray[Any] = da.from_array(
            self,
            chunks=(*self._chunk(), *self.plane),
            name=False,
            asarray=False,
            inline_array=True,
            meta=np.empty((0,) * self.ndim, self.dtype),
        )
        return array

    def _chunk(self) -> tuple[int, ...]:
        """Length along each leading axis over which the block stays the same."""
        if self.per_block == 1:
            return (1,) * self.index.ndim
        lengths = []
        for axis in range(self.index.ndim):
            line = np.moveaxis(self.index, axis, -1)[(0,) * (self.index.ndim - 1)]
            other = line // self.per_block != line[0] // self.per_block
            lengths.append(int(other.argmax()) if other.any() else len(line))
        return tuple(lengths)


@dataclass(frozen=True, slots=True, eq=False)
class MappedPlanes:
    """Reads planes that lie one after the other in a file, by their number.

    Unlike a memory map it can be sent to another process.
    """

    path: Path
    offset: int
    plane: tuple[int, int]
    dtype: np.dtype[Any]

    def __call__(self, block: int) -> NDArray[Any]:
        """Read one plane, (1, Y, X)."""
        count = math.prod(self.plane)
        start = self.offset + block * count * self.dtype.itemsize
        try:
            data = np.fromfile(self.path, self.dtype, count, offset=start)
            return data.reshape(1, *self.plane)
        except (OSError, ValueError) as error:
            raise unreadable(self.path.name, block, error) from error


def mapped(data: np.memmap[Any, Any]) -> Planes:
    """Planes of a memory map of a whole image, (…, Y, X), in native byte order."""
    height, width = data.shape[-2:]
    frames = math.prod(data.shape[:-2])
    path = Path(str(data.filename))
    return Planes(
        MappedPlanes(path, data.offset, (height, width), data.dtype),
        np.arange(frames).reshape(data.shape[:-2]),
        (height, width),
        data.dtype.newbyteorder("="),
    )


def fetch(part: Any) -> NDArray[Any]:
    """Read what was taken of lazy data, in this thread.

    Inside a task of dask, another scheduler than this one could wait for ever.
    """
    compute = getattr(part, "compute", None)
    return np.asarray(part if compute is None else compute(scheduler="sync"))


def planes(data: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the planes of an array, (…, Y, X), holding few of a lazy one at a time.

    A chunk of several planes is computed once, unless those that the order of the
    planes needs together hold more than `LARGEST_BLOCK_BYTES`.
    """
    lead = data.shape[:-2]
    chunks = getattr(data, "chunks", None)
    if chunks is None or all(set(sizes) == {1} for sizes in chunks[:-2]):
        for index in np.ndindex(lead):
            yield fetch(data[index])
        return
    cache = _ChunkCache(data)
    for index in np.ndindex(lead):
        yield cache.plane(index)


def unreadable(name: str, plane: int, error: Exception) -> InputError:
    """Return the error for a plane that was there when the file was opened."""
    reason = one_line(error)
    return InputError(f"{name}: plane {plane + 1} cannot be read: {reason}")


def one_line(error: Exception) -> str:
    """Return the message of an error of another library, or its kind."""
    return " ".join(str(error).split()) or type(error).__name__


def _regular_chunk(array: Any) -> tuple[int, ...]:
    """Chunk along the leading axes; single planes when chunks differ in size."""
    single = (1,) * (len(array.shape) - 2)
    chunks = getattr(array, "chunks", None)
    if not chunks:
        return single
    sizes = []
    for length, chunk in zip(array.shape[:-2], chunks, strict=False):
        if isinstance(chunk, tuple):  # dask's, one length a chunk
            if set(chunk[:-1]) - {chunk[0]} or chunk[-1] > chunk[0]:
                return single
            chunk = chunk[0]
        sizes.append(min(int(chunk), length))
    return tuple(sizes)


@dataclass(frozen=True, slots=True, eq=False)
class _Chunks:
    """Reads chunks of an array-like."""

    array: Any
    grid: tuple[int, ...]
    chunk: tuple[int, ...]

    def __call__(self, block: int) -> NDArray[Any]:
        first = np.unravel_index(block, self.grid) if self.grid else ()
        part = self.array[
            tuple(
                slice(int(i) * n, (int(i) + 1) * n)
                for i, n in zip(first, self.chunk, strict=True)
            )
        ]
        data = fetch(part)
        lead = data.shape[:-2]
        if lead != self.chunk:  # the last chunk along an axis is shorter
            rest = [(0, n - found) for n, found in zip(self.chunk, lead, strict=True)]
            data = np.pad(data, [*rest, (0, 0), (0, 0)])
        return data.reshape(-1, *data.shape[-2:])


@dataclass(frozen=True, slots=True, eq=False)
class _Tiles:
    """Reads planes and cuts them."""

    read: Read
    rows: int
    columns: int

    def __call__(self, block: int) -> NDArray[Any]:
        planes = self.read(block)
        height = planes.shape[-2] // self.rows
        width = planes.shape[-1] // self.columns
        tiles = planes.reshape(-1, self.rows, height, self.columns, width)
        return tiles.swapaxes(-3, -2).reshape(-1, height, width)


class _ChunkCache:
    """Planes of lazy data in chunks of several, asked for in the order of the data."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._edges = [np.cumsum((0, *sizes)) for sizes in data.chunks[:-2]]
        self._chunks: dict[tuple[int, ...], NDArray[Any]] = {}

    def plane(self, index: tuple[int, ...]) -> NDArray[Any]:
        """Return one plane; computes its chunk unless that is in memory."""
        numbers = [
            int(np.searchsorted(edges, i, side="right")) - 1
            for edges, i in zip(self._edges, index, strict=True)
        ]
        first, end = (
            tuple(int(e[n + k]) for e, n in zip(self._edges, numbers, strict=True))
            for k in (0, 1)
        )
        if self._chunks and next(iter(self._chunks))[0] != first[0]:
            self._chunks.clear()  # no plane to come lies in them
        if first not in self._chunks:
            self._add(first, end)
        inside = tuple(i - n for i, n in zip(index, first, strict=True))
        plane: NDArray[Any] = self._chunks[first][inside]
        return plane

    def _add(self, first: tuple[int, ...], end: tuple[int, ...]) -> None:
        """Compute a chunk, after room was made for it."""
        chunk = self._data[tuple(map(slice, first, end))]
        size = sum(chunk.nbytes for chunk in self._chunks.values())
        while self._chunks and size + chunk.nbytes > LARGEST_BLOCK_BYTES:
            size -= self._chunks.pop(next(iter(self._chunks))).nbytes
        self._chunks[first] = fetch(chunk)
