"""Output that is whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_dps.core import InputError
from napari_dps.core.errors import no_room
from napari_dps.io.owner import process_mark, remove_all

_NAME_BYTES = 80
_REASONS = {
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the disk is read-only",
    errno.ENAMETOOLONG: "the name is too long",
}


@contextmanager
def replacing(
    path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()
) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it at the end.

    If the block raises, the temporary file or folder is removed and what was at
    ``path`` stays as it was.

    Parameters
    ----------
    path : path-like
        The final name; missing parent folders are made.
    inputs : iterable of path-like
        Files that must not be overwritten.

    Yields
    ------
    Path
        The temporary name, not existing yet.

    Raises
    ------
    InputError
        If the target is an input or an ordinary folder, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with replacing(Path(folder.name) / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [p.name for p in Path(folder.name).iterdir()]
    ['a.txt']
    >>> folder.cleanup()
    """
    path = Path(path)
    with writing(path):
        check_target(path, inputs)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(path)
        try:
            yield temporary
            _rename(temporary, path)
        finally:
            remove_all(temporary)


def put(
    temporary: Path, path: Path, inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Give something whole its final name; rules and errors as for `replacing`."""
    with writing(path):
        check_target(path, inputs)
        path.parent.mkdir(parents=True, exist_ok=True)
        _rename(temporary, path)


def temporary_name(path: Path) -> Path:
    """Return a hidden name in the folder of a path, another one at each call."""
    # The name is cut so that a long final name still leaves room for the mark.
    name = shortened_name(path.name, _NAME_BYTES)
    mark = f"{process_mark()}.{secrets.token_hex(4)}"
    return path.with_name(f".{name}.{mark}.part")


def shortened_name(name: str, longest: int) -> str:
    """Return the beginning of a name, of so many bytes in the file system at most."""
    while len(os.fsencode(name)) > longest:
        name = name[:-1]
    return name


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error of the disk into one that a person understands.

    Parameters
    ----------
    path : path-like
        What is being written.

    Raises
    ------
    InputError
        Naming it and the reason: full, read-only, no permission, …
    """
    try:
        yield
    except OSError as error:
        known = no_room(error) or _REASONS.get(error.errno or 0)
        reason = known or error.strerror or str(error)
        raise InputError(f"cannot write {path}: {reason}") from error


def check_target(path: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Refuse to write over an input, or where there is an ordinary folder.

    Raises
    ------
    InputError
        Saying which.
    """
    for source in inputs:
        if path.exists() and Path(source).exists() and os.path.samefile(path, source):
            raise InputError(
                f"the output {path} is also an input", allowed="another name or folder"
            )
    if path.is_dir() and not (path / "zarr.json").is_file():
        raise InputError(f"the output {path} is a folder", allowed="a file name")


def _rename(temporary: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(temporary, path)
        return
    # A folder cannot be replaced in one step: the old one moves aside first.
    aside = temporary.with_suffix(".old")
    os.replace(path, aside)
    try:
        os.replace(temporary, path)
    except OSError:
        os.replace(aside, path)
        raise
    remove_all(aside)
