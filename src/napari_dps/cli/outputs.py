"""Where results go: checked before any time is spent, clean after a failure."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_dps.core import InputError

_DOUBLE_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.tf8", ".ome.btf", ".ome.zarr")


def stem(path: str | os.PathLike[str]) -> str:
    """Return the name of an image without its folder and its suffix.

    Examples
    --------
    >>> stem("data/cell 1.ome.tif"), stem("cell.2.dv")
    ('cell 1', 'cell.2')
    """
    name = Path(path).name
    for suffix in _DOUBLE_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return Path(path).stem


def tiff_name(path: str | os.PathLike[str]) -> Path:
    """Return the name of a TIFF file to write, checked.

    Raises
    ------
    InputError
        If the name ends otherwise.
    """
    if not str(path).lower().endswith((".tif", ".tiff")):
        raise InputError("--out", got=path, allowed="a name that ends in .tif or .tiff")
    return Path(path)


def check_collisions(inputs: Sequence[Path], outputs: Iterable[Path]) -> None:
    """Refuse inputs whose results would overwrite one another, or an input.

    Parameters
    ----------
    inputs : sequence of Path
        The files to read.
    outputs : iterable of Path
        All files that may be written.

    Raises
    ------
    InputError
        Naming the files in question.
    """
    # Many file systems take upper and lower case for the same name.
    counts = Counter(stem(path).casefold() for path in inputs)
    for path in inputs:
        if counts[stem(path).casefold()] > 1:
            same = [
                str(p) for p in inputs if stem(p).casefold() == stem(path).casefold()
            ]
            raise InputError(
                f"these inputs would write files of the same name: {', '.join(same)}; "
                "run them with different --out"
            )
    read = {path.resolve() for path in inputs}
    for output in outputs:
        if output.resolve() in read:
            raise InputError(f"the results would overwrite the input {output}")


@contextmanager
def output_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder and try it; take it away again if it stays empty.

    Parameters
    ----------
    path : path
        The folder; its parents are made too.

    Yields
    ------
    Path

    Raises
    ------
    InputError
        If it cannot be made or written to.
    """
    folder = Path(path)
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _remove_empty(missing)
        raise InputError(
            f"cannot write into the folder {folder}: {error.strerror}"
        ) from error
    try:
        yield folder
    finally:
        _remove_empty(missing)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, as long as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
