"""Where results go: checked before any time is spent, clean after a failure."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_dps.core import InputError


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
