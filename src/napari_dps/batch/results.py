"""The files that a run leaves: images, report and picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_dps import io
from napari_dps.core import ImageStack
from napari_dps.figures import Panel, save_figure, side_by_side
from napari_dps.pipeline import PipelineResult, first_plane
from napari_dps.report import Json, build_report, error_maps, measure_result, write_json
from napari_dps.stages.base import Stage


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

    def all(self, stages: Iterable[Stage[Any]]) -> list[Path]:
        """Return every file that a run of these stages may write."""
        chosen = list(stages)
        return [
            *(self.stage(stage.id) for stage in chosen),
            *(self.error_map(stage.id) for stage in chosen),
            *(self.map(stage.id, name) for stage in chosen for name in stage.maps),
            self.report,
            self.picture,
        ]


def write_images(result: PipelineResult, files: ResultFiles) -> dict[str, str]:
    """Write the images that a run has kept, plane by plane.

    Returns
    -------
    dict
        Name of the file of each stage id.
    """
    names = {}
    for output in result.outputs:
        stage_id, image = output.step.stage.id, output.image
        if image is None:
            continue
        io.save(image, files.stage(stage_id))
        names[stage_id] = files.stage(stage_id).name
        for name, values in image.maps.items():
            io.save(image.derive(values), files.map(stage_id, name))
    return names


def write_report(
    result: PipelineResult,
    files: ResultFiles,
    names: Mapping[str, str],
    *,
    source: Path,
    sha256: str,
    key: str = "",
    device: str,
    truth: ImageStack | None = None,
    finer_truth: ImageStack | None = None,
    self_check: Json | None = None,
) -> Json:
    """Write error maps and picture of a run, and last of all the report.

    Parameters
    ----------
    result : PipelineResult
        Of the run.
    files : ResultFiles
        Where they go.
    names : mapping of str to str
        As `write_images` returns them.
    source : Path
        The file that was read.
    sha256, key : str
        As for `build_report`.
    device : str
        What torch computed on.
    truth : ImageStack, optional
        Known truth (YX): results are scored against it and it is drawn beside them.
    finer_truth : ImageStack, optional
        What the result of `dps` is scored against.
    self_check : dict, optional
        For the report.

    Returns
    -------
    dict
        The report.
    """
    metrics = measure_result(result, truth, finer_truth)
    report = build_report(
        result,
        path=source,
        sha256=sha256,
        key=key,
        device=device,
        files=names,
        metrics=metrics,
        errors=_write_error_maps(result, files),
        self_check=self_check,
    )
    panels = _panels(result, metrics)
    if truth is not None:
        panels.append(Panel("Truth", truth, "at the resolution of ideal SIM"))
    save_figure(
        side_by_side(panels, heading=_heading(result, files.name)), files.picture
    )
    write_json(report, files.report)
    return report


def _write_error_maps(result: PipelineResult, files: ResultFiles) -> dict[str, Json]:
    """Write the error maps; return what the report tells of each."""
    told = {}
    for stage_id, found in error_maps(result).items():
        path = files.error_map(stage_id)
        io.save(found.error, path)
        told[stage_id] = {
            "file": path.name,
            "rsp": found.rsp,
            "rse": found.rse,
            "rsf_sigma_nm": found.rsf_sigma_nm,
        }
    return told


def _panels(result: PipelineResult, metrics: dict[str, Json]) -> list[Panel]:
    """Return the widefield image and each stage's, with their resolution."""
    name = "Widefield" if result.first.is_raw else "Input"
    titles = [(name, "input", result.first)] + [
        (output.step.stage.title, output.step.stage.id, output.first)
        for output in result.outputs
        if not output.step.stage.gives_raw
    ]
    return [
        Panel(title, first_plane(image), _caption(metrics[key]))
        for title, key, image in titles
    ]


def _caption(metrics: Json) -> str:
    """Say the resolution, where one was measured."""
    resolution = metrics.get("resolution_decorrelation_nm")
    return f"resolution {resolution:.0f} nm (decorrelation)" if resolution else ""


def _heading(result: PipelineResult, name: str) -> str:
    """Name the image, and which plane of how many is shown."""
    image = result.input
    of_many = [
        f"{axis} 1 of {image.size(axis)}" for axis in "TCZ" if image.size(axis) > 1
    ]
    return "   ".join([name, *of_many])
