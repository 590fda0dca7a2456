"""Where results go: checked before any time is spent, clean after a failure."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_dps import io
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
    io.remove_stale(folder)
    try:
        yield folder
    finally:
        _remove_empty(missing)


@contextmanager
def output_files(*paths: Path) -> Iterator[list[Path]]:
    """Give files their names when all of them are whole, or none.

    Parameters
    ----------
    *paths : Path
        In one folder, which is made and tried.

    Yields
    ------
    list of Path
        Where to write each instead: of the same name, in a hidden folder.

    Raises
    ------
    InputError
        If one cannot be written.
    """
    with output_folder(paths[0].parent) as folder:
        for path in paths:
            io.check_target(path)
        hidden = io.temporary_name(paths[0])
        try:
            with io.writing(folder):
                hidden.mkdir()
            yield [hidden / path.name for path in paths]
            for path in paths:
                io.put(hidden / path.name, path)
        except InputError as error:
            place = f"{hidden}{os.sep}"
            what = error.what.replace(place, f"{folder}{os.sep}")
            raise InputError(what + error.detail, field=error.fields) from error
        finally:
            io.remove_all(hidden)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, as long as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
