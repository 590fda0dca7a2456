"""What is remembered of a run, so that its result can be saved later."""

import weakref
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.core import InputError, Progress
from napari_dps.io import ResultFiles, stem
from napari_dps.pipeline import PipelineResult, StageOutput
from napari_dps.results import save_result, without_pixels

SUFFIXES = {"OME-TIFF": ".ome.tif", "OME-Zarr": ".ome.zarr"}
"""Of the images of a result, by format."""
_IMAGE = ""
"""In the place of the name of a map."""


@dataclass(frozen=True, eq=False)
class RunRecord:
    """What is known of a run but for its images, which the layers alone keep.

    Attributes
    ----------
    result : PipelineResult
        Without images.
    pixels : mapping of (str, str) to weak reference
        Of the image (no name) and the maps of each stage, by its id.
    source : Path
        The file that all began with, or the name of the layer.
    device : str
        What torch computed on.
    """

    result: PipelineResult
    pixels: Mapping[tuple[str, str], "weakref.ref[Any]"]
    source: Path
    device: str

    @classmethod
    def of(
        cls, result: PipelineResult, snapshot: LayerSnapshot, device: str
    ) -> "RunRecord":
        """Remember a run."""
        pixels = {}
        for output in result.outputs:
            stage_id = output.step.stage.id
            if output.image is not None:
                pixels[stage_id, _IMAGE] = weakref.ref(output.image.data)
                for name, values in output.image.maps.items():
                    pixels[stage_id, name] = weakref.ref(values)
        source = Path(snapshot.file or snapshot.base)
        return cls(without_pixels(result), pixels, source, device)

    def shown_by(self, layers: Iterable[Layer]) -> "RunRecord":
        """Return the same with those images alone that layers show."""
        arrays = [layer.data for layer in layers if isinstance(layer, Image)]
        shown = {id(data) for data in arrays}
        for data in arrays:  # axes in another order are another array of the same
            if isinstance(data, np.ndarray) and data.base is not None:
                shown.add(id(data.base))
        pixels = {
            place: data for place, data in self.pixels.items() if id(data()) in shown
        }
        return replace(self, pixels=pixels)

    @property
    def last_stage(self) -> str:
        """Id of the last stage whose result is still there; empty if none."""
        there = [stage for stage, name in self.pixels if not name]
        return there[-1] if there else ""

    def suggested(self) -> str:
        """Return a name for the image of the last stage."""
        return f"{stem(self.source)}.{self.last_stage}{SUFFIXES['OME-TIFF']}"

    def files(self, chosen: str | Path) -> ResultFiles:
        """Return the files of a result whose image a person has named.

        Examples
        --------
        `cell.dps.ome.tif` and `cell.ome.tif` both lead to `cell.dps.ome.tif`,
        `cell.report.json` and `cell.png`.
        """
        path = Path(chosen)
        suffix = ".ome.zarr" if path.suffix.lower() == ".zarr" else ".ome.tif"
        name = stem(path).removesuffix(f".{self.last_stage}")
        return ResultFiles(path.parent, name, suffix)

    def there(self, files: ResultFiles, but: Path) -> list[Path]:
        """Return files of a result that are on the disk already, but for one."""
        stages = {o.step.stage.id: o.step.stage.maps for o in self.result.outputs}
        return [path for path in files.all(stages) if path.exists() and path != but]

    def steps(self, files: ResultFiles) -> Generator[Progress, None, list[Path]]:
        """Write what is left of the run; call it in a worker's thread.

        Raises
        ------
        InputError
            If no layer of it is left, or it cannot be written.
        """
        outputs = tuple(self._with_image(output) for output in self.result.outputs)
        if not any(output.image for output in outputs):
            raise InputError("the layers of this result are gone: run it again")
        whole = replace(self.result, outputs=outputs)
        saving = save_result(whole, files, source=self.source, device=self.device)
        return (yield from saving)

    def _with_image(self, output: StageOutput) -> StageOutput:
        """Return an output with its image, where a layer still shows it."""
        found = {
            name: data()
            for (stage, name), data in self.pixels.items()
            if stage == output.step.stage.id
        }
        data = found.pop(_IMAGE, None)
        if data is None:
            return output
        maps = {name: values for name, values in found.items() if values is not None}
        image = output.first.derive(data, axes=output.axes, maps=maps)
        return replace(output, image=image)
