"""The inputs of a batch and the names of their results."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from napari_dps import io
from napari_dps.batch.job import Source
from napari_dps.core import InputError
from napari_dps.io import ResultFiles, stem
from napari_dps.io.ngff import require_zarr
from napari_dps.pipeline import Settings, find_stage
from napari_dps.stages import STAGES

_SUFFIXES = {"tiff": ".ome.tif", "zarr": ".ome.zarr"}


def find_sources(
    names: Iterable[str], folder: Path, settings: Settings
) -> list[Source]:
    """Find the inputs that names, folders and patterns mean.

    Parameters
    ----------
    names : iterable of str
        As `napari_dps.io.find_inputs` takes them.
    folder : Path
        Where the results go; below it the folders that a pattern or a folder of inputs
        leads through. Nothing in it is an input.
    settings : Settings
        Stages to run and format of the images.

    Returns
    -------
    list of Source
        A file that is there twice comes once, an image in several files too.

    Raises
    ------
    InputError
        If nothing is found, results would overwrite one another or an input, or
        OME-Zarr is asked for without the extra ``zarr``.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for name in names:
        if not Path(name).exists() and not glob.has_magic(name):
            images = [(Path(name), Path())]  # fails by itself, not all others
        else:
            images = io.find_inputs(name, exclude=folder)
        for path, below in images:
            found.setdefault(os.path.abspath(path), (path, below))
    if settings.output.format == "zarr":
        require_zarr(folder)
    once = {
        os.path.abspath(p) for p in io.first_of_each_set(p for p, _ in found.values())
    }
    suffix = _SUFFIXES[settings.output.format]
    if settings.input.join:
        sources = [_joined([path for path, _ in found.values()], folder, suffix)]
    else:
        sources = [
            Source(path, ResultFiles(folder / below, stem(path), suffix))
            for place, (path, below) in found.items()
            if place in once
        ]
    _check_collisions(sources, settings)
    return sources


def _joined(paths: Sequence[Path], folder: Path, suffix: str) -> Source:
    """Return one input made of some files, in the natural order of their names."""
    paths = io.in_natural_order(paths)
    if len(paths) == 1:
        raise InputError(f"{paths[0]} is one file: nothing to join", field="input.join")
    files = ResultFiles(folder, io.stem_of_all(paths), suffix)
    return Source(io.name_of_all(paths), files, tuple(paths))


def _check_collisions(sources: Sequence[Source], settings: Settings) -> None:
    """Refuse results that would overwrite one another, or an input."""
    # Many file systems take upper and lower case for the same name.
    names: dict[str, list[Path]] = {}
    for source in sources:
        name = str(source.files.report.resolve()).casefold()
        names.setdefault(name, []).append(source.path)
    for same in names.values():
        if len(same) > 1:
            raise InputError(
                "these inputs would write files of the same name: "
                f"{', '.join(map(str, same))}; give each a folder of its own"
            )
    stages = [find_stage(name) for name in settings.stages or ()] or STAGES
    maps = {stage.id: stage.maps for stage in stages}
    read = {path.resolve() for source in sources for path in source.reads}
    for output in chain.from_iterable(source.files.all(maps) for source in sources):
        if output.resolve() in read:
            raise InputError(f"the results would overwrite the input {output}")
