"""Names of the files that a run leaves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_dps.core import InputError

_LONGEST_NAME = 255
"""Bytes; of most file systems."""
_DOUBLE_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.tf8", ".ome.btf", ".ome.zarr")


@dataclass(frozen=True)
class ResultFiles:
    """Names of the files of one input.

    Attributes
    ----------
    folder : Path
        Where they lie.
    name : str
        What their names begin with.
    suffix : str
        Of the images: ``.ome.tif`` or ``.ome.zarr``.
    """

    folder: Path
    name: str
    suffix: str = ".ome.tif"

    def stage(self, stage_id: str) -> Path:
        """Return the image of a stage."""
        return self.folder / f"{self.name}.{stage_id}{self.suffix}"

    def map(self, stage_id: str, name: str) -> Path:
        """Return a map of a stage's result, by its name."""
        return self.folder / f"{self.name}.{stage_id}.{name}{self.suffix}"

    def maps(self, stage_id: str, names: Iterable[str]) -> list[Path]:
        """Return those maps of a stage's result that are on the disk."""
        paths = [self.map(stage_id, name) for name in names]
        return [path for path in paths if path.exists()]

    def error_map(self, stage_id: str) -> Path:
        """Return the error map of a stage that gives a finer grid: of one plane."""
        return self.folder / f"{self.name}.{stage_id}.error.ome.tif"

    @property
    def report(self) -> Path:
        """The report."""
        return self.folder / f"{self.name}.report.json"

    @property
    def picture(self) -> Path:
        """The picture of all images side by side."""
        return self.folder / f"{self.name}.png"

    def require_short(self, maps: Mapping[str, Iterable[str]]) -> None:
        """Refuse names that are too long for a file system; ``maps`` as for `all`.

        Raises
        ------
        InputError
            Saying by how much.
        """
        longest = max((os.fsencode(path.name) for path in self.all(maps)), key=len)
        if len(longest) > _LONGEST_NAME:
            raise InputError(
                "the name is too long: a result would have a name of "
                f"{len(longest)} bytes, and file systems take {_LONGEST_NAME}: rename "
                "the input"
            )

    def all(self, maps: Mapping[str, Iterable[str]]) -> list[Path]:
        """Return every file that a run may write.

        Parameters
        ----------
        maps : mapping of str to iterable of str
            Names of the maps that each stage may leave, by its id.
        """
        return [
            *(self.stage(stage_id) for stage_id in maps),
            *(self.error_map(stage_id) for stage_id in maps),
            *(self.map(stage_id, one) for stage_id in maps for one in maps[stage_id]),
            self.report,
            self.picture,
        ]


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
