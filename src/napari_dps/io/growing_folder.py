"""A folder into which files of raw frames are written one after the other."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from napari_dps.core import InputError
from napari_dps.io.joined import in_natural_order, read_joined, stem_of_all
from napari_dps.io.raw import RawImage
from napari_dps.io.read import FORMATS, read
from napari_dps.io.result_files import stem

_SUFFIXES = tuple(suffix for one in FORMATS for suffix in one.suffixes)
_PATIENCE_S = 2.0
"""How long a file that cannot be read yet holds up those after it."""
_REST_S = 0.5
"""How long a file must not have changed to be taken for the first of those that hold a
part of a set: so the first pages of a whole one look too."""


@dataclass
class _Waiting:
    """A file that is not whole, and since when it has its size."""

    size: int
    since: float


class GrowingFolder:
    """A folder of files, each of one or more sets, or of some frames of one.

    Files count in the natural order of their names as they appear. Which kind they
    are, the first that is whole tells.

    Parameters
    ----------
    folder : Path
        Files in it, not in folders below.
    frames : int
        Of a set.
    exclude : Path, optional
        Nothing is looked for if the folder is this one or lies in it.
    """

    def __init__(self, folder: Path, frames: int, exclude: Path | None = None) -> None:
        if exclude is not None and folder.resolve().is_relative_to(exclude.resolve()):
            raise InputError(f"{folder} lies in the folder of the outputs, {exclude}")
        self._folder, self._frames = folder, frames
        self._seen: set[str] = set()
        self._files: list[Path] = []
        self._waiting: dict[Path, _Waiting] = {}
        self._planes = 0
        self._changed_ns = -1
        self.newest_written = 0.0

    def arrived(self) -> int:
        """Look for files that are new, or whole by now."""
        changed = self._folder.stat().st_mtime_ns
        if changed != self._changed_ns:
            self._changed_ns = changed
            for path in self._new_names():
                self._waiting[path] = _Waiting(-1, time.monotonic())
        for path in in_natural_order(self._waiting):
            if self._take(path):
                del self._waiting[path]
            elif time.monotonic() - self._waiting[path].since < _PATIENCE_S:
                break  # those after it wait for it
        if not self._planes:
            return 0
        return len(self._files) // self._files_per_set

    def read(self, number: int) -> RawImage:
        """Read the file, or the files, of a set."""
        paths = self._of_set(number)
        if len(paths) > 1:
            return read_joined(paths)
        raw = read(paths[0])
        is_alone = raw.axes == "QYX" and raw.metadata.stored_axes == ""
        if is_alone and raw.data.shape[0] > self._frames > 1:
            raw = replace(raw, data=raw.data[-self._frames :])  # its newest set
        return raw

    def name(self, number: int) -> str:
        """Return the name of the file; of several, with the number of the set."""
        paths = self._of_set(number)
        if len(paths) == 1:
            return stem(paths[0])
        return f"{stem_of_all(paths)}.{number:06d}"

    @property
    def _files_per_set(self) -> int:
        return max(self._frames // self._planes, 1)

    def _of_set(self, number: int) -> list[Path]:
        count = self._files_per_set
        return self._files[number * count : (number + 1) * count]

    def _new_names(self) -> list[Path]:
        """Return the images that have appeared since the last look."""
        with os.scandir(self._folder) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.name not in self._seen
                and not entry.name.startswith(".")
                and entry.name.lower().endswith(_SUFFIXES)
            ]
        self._seen.update(names)
        return [self._folder / name for name in names]

    def _take(self, path: Path) -> bool:
        """Count a file if it is whole, or gone."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return True
        waiting = self._waiting[path]
        if found.st_size != waiting.size:
            waiting.size, waiting.since = found.st_size, time.monotonic()
        is_steady = time.monotonic() - waiting.since >= _REST_S
        try:
            planes = math.prod(read(path, lazy=True).data.shape[:-2])
        except InputError:
            return False
        is_set = planes % self._frames == 0
        is_part = planes == self._planes or (is_steady and self._frames % planes == 0)
        if not (is_set or is_part):
            return False
        self._planes = self._planes or planes
        self._files.append(path)
        self.newest_written = found.st_mtime
        return True
