"""Chunks of a Zarr array: which are there, and none read that is not."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_dps.core import InputError
from napari_dps.io.lazy import one_line

_EXPANSION = 100_000
"""Bytes that one stored byte can become."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredArray:
    """A Zarr array whose missing chunks are an error, but for those known.

    Zarr itself fills a missing chunk without a word.

    Attributes
    ----------
    array : zarr.Array
        The array.
    folder : Path
        Where it lies.
    allowed : frozenset of str
        Chunks that may be missing: they were when it was opened.
    """

    array: Any
    folder: Path
    allowed: frozenset[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> Any:
        """Type of the pixels."""
        return self.array.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of what is stored together."""
        return tuple(self.array.chunks)

    def __getitem__(self, key: Any) -> Any:
        """Read what is asked for, by slices along the leading axes."""
        sizes = _stored_together(self.array)
        spans = []
        for axis, (length, size) in enumerate(zip(self.shape, sizes, strict=True)):
            part = key[axis] if axis < len(key) else slice(None)
            start, stop, _ = part.indices(length)
            spans.append(range(start // size, -(-stop // size)))
        for name in _names(self.array, spans):
            if name not in self.allowed and not (self.folder / name).is_file():
                raise InputError(f"{self.folder.name}: chunk {name} is missing")
        try:
            return self.array[key]
        except Exception as error:
            # Whatever a decoder of untrusted bytes raises means: not readable.
            raise InputError(
                f"{self.folder.name}: a chunk cannot be read: {one_line(error)}"
            ) from error


def opened(array: Any, folder: Path) -> tuple[StoredArray, str]:
    """Look which chunks of an array are there, before a byte is allocated.

    Parameters
    ----------
    array : zarr.Array
        In a folder.
    folder : Path
        That of the array.

    Returns
    -------
    (StoredArray, str)
        The array; what is missing, else "".

    Raises
    ------
    InputError
        If its chunks could not hold the pixels that its shape promises.
    """
    held = _files(folder)
    sizes = _stored_together(array)
    grid = [-(-n // size) for n, size in zip(array.shape, sizes, strict=True)]
    count, needed = math.prod(grid), math.prod(array.shape) * array.dtype.itemsize
    if needed > _EXPANSION * max(sum(held.values()), 1) or count > 1000 * (
        1 + len(held)
    ):
        raise InputError(
            f"the metadata promise {needed} bytes of pixels in {count} chunks, far "
            f"more than its {len(held)} files can hold"
        )
    missing = {n for n in _names(array, [range(n) for n in grid]) if n not in held}
    text = ""
    if missing:
        text = (
            f"{len(missing)} of {count} chunks are missing ({min(missing)} is one): "
            f"their pixels are {array.fill_value}"
        )
    return StoredArray(array, folder, frozenset(missing)), text


def chunk_files(array: Any, first: int) -> list[str]:
    """Return the names of the files that hold one place along the first axis.

    Raises
    ------
    InputError
        If they hold other places too: then nothing tells when it is whole.
    """
    sizes = _stored_together(array)
    if sizes[0] != 1:
        raise InputError(
            "chunks along the axis that grows", got=sizes[0], allowed="of 1"
        )
    grid = [-(-n // size) for n, size in zip(array.shape, sizes, strict=True)]
    return _names(array, [range(first, first + 1), *map(range, grid[1:])])


def _stored_together(array: Any) -> tuple[int, ...]:
    """Shape of what lies in one file: a shard, else a chunk."""
    return tuple(array.shards or array.chunks)


def _names(array: Any, spans: list[range]) -> list[str]:
    """Names of the files of a block of chunks."""
    numbers: list[tuple[int, ...]] = [()]
    for span in spans:
        numbers = [(*head, i) for head in numbers for i in span]
    return [array.metadata.encode_chunk_key(number) for number in numbers]


def _files(folder: Path) -> dict[str, int]:
    """Sizes of the files of an array, by their names below its folder."""
    found = {}
    for root, _, names in os.walk(folder, followlinks=True):
        if len(Path(root).relative_to(folder).parts) > 64:  # links in a circle
            break
        for name in names:
            file = Path(root, name)
            if file.is_file():
                found[file.relative_to(folder).as_posix()] = file.stat().st_size
    return found
