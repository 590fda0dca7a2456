"""Results that are in memory as files: the same as a run from a file leaves."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps import io
from napari_dps.core import ImageStack, Progress
from napari_dps.core.beside import beside
from napari_dps.io import Planes, ResultFiles
from napari_dps.pipeline import PipelineResult
from napari_dps.results.write import write_images, write_report


def without_pixels(result: PipelineResult) -> PipelineResult:
    """Return what is known of a run but for its images: a unit a stage is left.

    With images put back in by `with_images` it can be saved.
    """
    image = result.input
    shape_alone = np.broadcast_to(np.zeros((), image.data.dtype), image.shape)
    return replace(
        result,
        input=replace(image, data=shape_alone),
        outputs=tuple(replace(output, image=None) for output in result.outputs),
    )


def save_result(
    result: PipelineResult, files: ResultFiles, *, source: Path, device: str
) -> Generator[Progress, None, list[Path]]:
    """Write the images of a run, its error maps, picture and report: all, or none.

    Parameters
    ----------
    result : PipelineResult
        Of the run; stages whose image is None have no file.
    files : ResultFiles
        Where they go; what is there under these names is replaced.
    source : Path
        The file that the input was read from; where there is none its name alone.
    device : str
        What torch computed on.

    Yields
    ------
    Progress
        Closing the generator stops it at the next plane and leaves nothing.

    Returns
    -------
    list of Path
        What was written, the report last.

    Raises
    ------
    InputError
        If the input would be overwritten, or something cannot be written.
    """
    targets = {o.step.stage.id: o.step.stage.maps for o in result.outputs}
    files.require_short(targets)
    inputs = [source] if source.exists() else []
    for path in files.all(targets):
        io.check_target(path, inputs)
    hidden = io.temporary_name(files.report)
    draft = replace(files, folder=hidden)

    def write(check: Callable[[], None]) -> None:
        sha256 = io.content_hash(source, check) if inputs else ""
        names = write_images(_checking(result, check), draft)
        write_report(result, draft, names, source=source, sha256=sha256, device=device)
        check()

    try:
        with io.writing(files.folder):
            hidden.mkdir(parents=True)
        yield from beside(write, "Writing the result")
        made = sorted(hidden.iterdir(), key=lambda path: path == draft.report)
        for path in made:
            io.put(path, files.folder / path.name)
    finally:
        io.remove_all(hidden)
    return [files.folder / path.name for path in made]


def _checking(result: PipelineResult, check: Callable[[], None]) -> PipelineResult:
    """Return a result whose images are read plane by plane, with a check at each."""

    def checked(image: ImageStack) -> ImageStack:
        planes = Planes.of(image.data)

        def read(block: int) -> NDArray[Any]:
            check()
            return planes.read(block)

        maps = {name: np.asarray(values) for name, values in image.maps.items()}
        data: Any = replace(planes, read=read)
        return replace(image, data=data, maps=maps)

    outputs = tuple(
        output if output.image is None else replace(output, image=checked(output.image))
        for output in result.outputs
    )
    return replace(result, outputs=outputs)
