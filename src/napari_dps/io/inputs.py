"""From a name, a folder or a pattern to the images it means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from napari_dps.core import InputError
from napari_dps.io.ngff import is_zarr
from napari_dps.io.ome_files import first_of_each_set
from napari_dps.io.read import FORMATS

IMAGE_SUFFIXES = tuple(
    suffix for file_format in FORMATS for suffix in file_format.suffixes
)
"""Names that are looked for; those that end a pattern are too (``*.dat``)."""


def is_image_name(name: str | os.PathLike[str]) -> bool:
    """Whether a name ends as those of files that can be read.

    Examples
    --------
    >>> is_image_name("cell.CZI"), is_image_name("notes.txt")
    (True, False)
    """
    return str(name).lower().endswith((*IMAGE_SUFFIXES, ".zarr"))


def find_inputs(
    pattern_or_path: str | os.PathLike[str],
    *,
    exclude: str | os.PathLike[str] | None = None,
) -> list[tuple[Path, Path]]:
    """Find the images that a name, a folder or a pattern means.

    Parameters
    ----------
    pattern_or_path : str or path-like
        A file or an OME-Zarr: itself, whatever its name. A folder: all images in it
        and below. A pattern with ``*``, ``?`` or ``[…]``, where ``**`` stands for any
        number of folders: the images it matches. A name that exists is no pattern.
        Images are known by their suffix; one that ends the pattern (``*.dat``) counts.
    exclude : path-like, optional
        A folder, as a rule that of the outputs, in which nothing is looked for.

    Returns
    -------
    list of (Path, Path)
        The images, sorted, and the folder of each relative to the part of the pattern
        that is fixed. Hidden files and folders are left out; an image in several files
        comes once, by the first of them.

    Raises
    ------
    InputError
        If nothing is found, or a folder cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     (Path(root) / "day 1").mkdir()
    ...     (Path(root) / "day 1" / "a.tif").touch()
    ...     [(path, folder)] = find_inputs(f"{root}/**/*.tif")
    >>> path.name, str(folder)
    ('a.tif', 'day 1')
    """
    path = Path(pattern_or_path)
    excluded = None if exclude is None else Path(exclude).resolve()
    try:
        # What is no file (a pipe, a link in a circle) fails by itself when it is read.
        is_there = path.exists() or path.is_symlink()
        if is_there and (not path.is_dir() or is_zarr(path)):
            return [(path, Path("."))]
        fixed, pattern = (path, ("**",)) if path.is_dir() else _split(path)
        depth = 1000 if "**" in pattern else len(pattern)
        suffixes = {*IMAGE_SUFFIXES, Path(pattern[-1]).suffix.lower()}
        found = [
            image
            for image in _images(fixed, depth, excluded)
            if image.suffix.lower() in suffixes or image.is_dir()
            if _matches(image.relative_to(fixed).parts, pattern)
        ]
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read {path}: {reason}") from error
    if not found:
        raise InputError(_nothing(path, fixed, excluded))
    images = first_of_each_set(sorted(found))
    return [(image, image.parent.relative_to(fixed)) for image in images]


def _nothing(path: Path, fixed: Path, excluded: Path | None) -> str:
    if excluded is not None and fixed.resolve().is_relative_to(excluded):
        return f"{path} lies in the folder of the outputs, {excluded}"
    return f"no image found: {path}"


def _split(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Split a pattern into its fixed folder and the names below."""
    is_magic = [bool(set(part) & set("*?[")) for part in path.parts]
    if not any(is_magic):
        raise InputError(f"no such file or folder: {path}")
    start = is_magic.index(True)
    fixed = Path(*path.parts[:start])
    if not fixed.is_dir():
        raise InputError(f"no such folder: {fixed}")
    return fixed, path.parts[start:]


def _matches(names: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not names
    if pattern == ("**",):
        return True
    if pattern[0] == "**":
        return any(_matches(names[i:], pattern[1:]) for i in range(len(names)))
    return (
        bool(names)
        and fnmatch(names[0], pattern[0])
        and _matches(names[1:], pattern[1:])
    )


def _images(
    folder: Path,
    depth: int,
    excluded: Path | None,
    above: frozenset[Path] = frozenset(),
) -> Iterator[Path]:
    """Files and OME-Zarr folders below a folder, which need not be images.

    Links are followed, but none to a folder that is being searched.
    """
    real = folder.resolve()
    if real == excluded or real in above:
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        is_group = path.suffix.lower() == ".zarr" and is_zarr(path)
        if is_group or not path.is_dir():
            yield path
        elif depth > 1:
            yield from _images(path, depth - 1, excluded, above | {real})
