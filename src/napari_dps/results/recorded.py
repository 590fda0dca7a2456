"""The files of a run as its report records them, to know them again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from napari_dps import io
from napari_dps.results.scores import Json


def recorded(paths: Iterable[Path]) -> Json:
    """Return size and SHA-256 of files, or of the folders of OME-Zarrs, by their names.

    Raises
    ------
    InputError
        If one cannot be read.
    """
    return {
        path.name: {"bytes": _size(path), "sha256": io.content_hash(path)}
        for path in paths
    }


def are_whole(
    files: Mapping[str, Any], folder: Path, check: Callable[[], None]
) -> bool:
    """Whether files in a folder are those that `recorded` has seen.

    Parameters
    ----------
    files : mapping
        As `recorded` returns it; a report may have been written by anybody.
    folder : Path
        Where they lie.
    check : callable
        Called now and then; may raise to stop.

    Raises
    ------
    OSError
        If one is missing.
    """
    paths = {folder / Path(name).name: facts for name, facts in files.items()}
    # Sizes tell most of what is wrong, and at once.
    return all(_size(path) == facts["bytes"] for path, facts in paths.items()) and all(
        io.content_hash(path, check) == facts["sha256"] for path, facts in paths.items()
    )


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(
        Path(root, name).stat().st_size
        for root, _, names in os.walk(path)
        for name in names
    )
