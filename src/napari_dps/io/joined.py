"""Files of single images, one after the other, as one stack."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io.content import content_hash
from napari_dps.io.lazy import Planes, unreadable
from napari_dps.io.raw import RawImage
from napari_dps.io.read import read


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort files by name, numbers in names by their value.

    Examples
    --------
    >>> [path.name for path in in_natural_order(map(Path, ["a10.tif", "a9.tif"]))]
    ['a9.tif', 'a10.tif']
    """

    def key(path: Path) -> tuple[list[str | int], str]:
        cut = re.split(r"(\d+)", str(path))
        # Every other part is a number, so that text meets text.
        return [int(c) if i % 2 else c.casefold() for i, c in enumerate(cut)], str(path)

    return sorted(paths, key=key)


def name_of_all(paths: Sequence[Path]) -> Path:
    """Return what stands for some files in a message or a report.

    Examples
    --------
    >>> name_of_all([Path("d/cell_1.tif"), Path("d/cell_2.tif")]).as_posix()
    'd/cell_*.tif'
    """
    first = paths[0]
    names = [path.name for path in paths]
    begin = _common(names)
    ends = [name[len(begin) :][::-1] for name in names]
    return first.with_name(f"{begin}*{_common(ends)[::-1]}")


def _common(names: Sequence[str]) -> str:
    """Return what all names begin with."""
    lengths = range(min(map(len, names)), 0, -1)
    return next((names[0][:n] for n in lengths if len({m[:n] for m in names}) == 1), "")


def stem_of_all(paths: Sequence[Path]) -> str:
    """Return what results of some files that are joined are called after.

    Examples
    --------
    >>> stem_of_all([Path("cell_01.tif"), Path("cell_02.tif")])
    'cell'
    """
    begin = name_of_all(paths).name.partition("*")[0]
    return begin.rstrip("0123456789").rstrip("_-. ") or "joined"


def read_joined(paths: Sequence[Path], *, lazy: bool = False) -> RawImage:
    """Read files of equal shape as one stack, with the metadata of the first.

    Parameters
    ----------
    paths : sequence of Path
        In the order of the frames.
    lazy : bool
        Leave the pixels in the files.

    Returns
    -------
    RawImage
        The files are its first dimension, which nothing names.

    Raises
    ------
    InputError
        If one cannot be read, or they differ in shape, axes or type.
    """
    first = read(paths[0], lazy=True)
    kind = _kind(first)
    for path in paths[1:]:
        other = _kind(read(path, lazy=True))
        if other != kind:
            raise InputError(
                f"{path.name}, which is to be joined to {paths[0].name}",
                got=_in_words(*other),
                allowed=_in_words(*kind),
                field="input.join",
            )
    shape, _, dtype = kind
    count = int(np.prod(shape[:-2], dtype=np.intp))
    index = np.arange(len(paths) * count).reshape(len(paths), *shape[:-2])
    plane = (shape[-2], shape[-1])
    planes = Planes(_Files(tuple(paths)), index, plane, np.dtype(dtype), count)
    data = planes if lazy else planes[()]
    metadata = replace(first.metadata, stored_axes="", stored_shape=())
    return replace(first, data=data, axes=f"Q{first.axes}", metadata=metadata)


def content_of_all(
    paths: Sequence[Path], check: Callable[[], None] = lambda: None
) -> str:
    """Return the SHA-256 of what the files hold, in their order."""
    total = hashlib.sha256()
    for path in paths:
        total.update(bytes.fromhex(content_hash(path, check)))
    return total.hexdigest()


def _kind(image: RawImage) -> tuple[tuple[int, ...], str, str]:
    native = np.dtype(image.data.dtype).newbyteorder("=")
    return tuple(image.data.shape), image.axes, native.str


def _in_words(shape: tuple[int, ...], axes: str, dtype: str) -> str:
    size = " × ".join(map(str, shape))
    return f"{size} ({axes}) {np.dtype(dtype)}"


@dataclass(frozen=True, slots=True)
class _Files:
    """Reads a file by its number; can be sent to another process."""

    paths: tuple[Path, ...]

    def __call__(self, block: int) -> NDArray[Any]:
        """Read all planes of one file, (plane, Y, X)."""
        try:
            data = np.asarray(read(self.paths[block]).data)
        except InputError as error:
            raise unreadable(self.paths[block].name, 0, error) from error
        return data.reshape(-1, *data.shape[-2:])
