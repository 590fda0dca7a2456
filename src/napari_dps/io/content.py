"""What a file holds, as one number."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from napari_dps.core import InputError
from napari_dps.core.files import open_regular
from napari_dps.io.ngff import is_zarr
from napari_dps.io.ome_files import companions

_PART_BYTES = 2**22


def content_hash(
    path: str | os.PathLike[str], check: Callable[[], None] = lambda: None
) -> str:
    """Return the SHA-256 of all that reading a file reads.

    That is the file; of an OME-TIFF in several files all of them; of an OME-Zarr all
    names and bytes in the folder.

    Parameters
    ----------
    path : path-like
        Its name and times play no part, nor do those of the folder.
    check : callable
        Called now and then; may raise to stop.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InputError
        If it cannot be read, is a folder that is no OME-Zarr, or lacks one of its
        files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.tif"
    ...     _ = path.write_bytes(b"abc")
    ...     content_hash(path)[:16]
    'ba7816bf8f01cfea'
    """
    path = Path(path)
    try:
        if not path.is_dir():
            files = companions(path)
            hashes = [_file_hash(file, check) for file in files]
            if len(files) == 1:
                return hashes[0].hex()
            return hashlib.sha256(b"".join(hashes)).hexdigest()
        if not is_zarr(path):
            raise InputError(f"{path} is a folder", allowed="a file or an OME-Zarr")
        total = hashlib.sha256()
        for name, file in sorted(_files(path)):
            # Two hashes of fixed length: names and bytes cannot run into each other.
            total.update(
                hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
            )
            total.update(_file_hash(file, check))
        return total.hexdigest()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read {path}: {reason}") from error


def _file_hash(path: Path, check: Callable[[], None]) -> bytes:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while part := file.read(_PART_BYTES):
            check()
            digest.update(part)
    return digest.digest()


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return names below the folder, with ``/`` on every system, and the files."""
    found, seen = [], set()
    for root, below, names in os.walk(folder, onerror=_raise, followlinks=True):
        # Chunks may be linked from elsewhere, and links may lead in a circle.
        real = os.path.realpath(root)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        for name in names:
            file = Path(root, name)
            found.append((file.relative_to(folder).as_posix(), file))
    return found


def _raise(error: OSError) -> None:
    raise error
