"""The files that a run leaves: images, report and picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from napari_dps import io
from napari_dps.core import ImageStack, InputError
from napari_dps.figures import save_figure
from napari_dps.io import ResultFiles, write_json
from napari_dps.pipeline import PipelineResult
from napari_dps.results.picture import picture
from napari_dps.results.recorded import recorded
from napari_dps.results.report import build_report
from napari_dps.results.scores import Json, error_maps, measure_result


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
        for path in files.maps(stage_id, output.step.stage.maps):
            io.remove_all(path)  # of a run before that asked for more
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
    vouch: Callable[[], None] = lambda: None,
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
        What results that resolve more than SIM can are scored against and drawn beside.
    self_check : dict, optional
        For report and picture.
    vouch : callable
        Called last before the report is written; may raise to prevent that.

    Returns
    -------
    dict
        The report.
    """
    with ThreadPoolExecutor(1) as pool:
        errors = pool.submit(_write_error_maps, result, files)
        metrics = measure_result(result, truth, finer_truth)
        figure = picture(result, files.name, truth, finer_truth, self_check)
        save_figure(figure, files.picture)
    report = build_report(
        result,
        path=source,
        sha256=sha256,
        key=key,
        device=device,
        files=names,
        metrics=metrics,
        errors=errors.result(),
        self_check=self_check,
    )
    report["files"] = recorded(_written(result, files, report))
    try:
        vouch()
    except InputError:  # nor is anything left that the report would have vouched for
        for name in report["files"]:
            io.remove_all(files.folder / name)
        raise
    write_json(report, files.report)
    return report


def _written(
    result: PipelineResult, files: ResultFiles, report: Json
) -> Iterator[Path]:
    """Return the files of a run that are on the disk, but for the report."""
    yield files.picture
    for output, entry in zip(result.outputs, report["stages"], strict=True):
        stage = output.step.stage
        if entry["output"] is not None:
            yield files.stage(stage.id)
            yield from files.maps(stage.id, stage.maps)
        if "error_map" in entry:
            yield files.error_map(stage.id)


def _write_error_maps(result: PipelineResult, files: ResultFiles) -> dict[str, Json]:
    """Write the error maps; return what the report tells of each."""
    entries = {}
    for stage_id, found in error_maps(result).items():
        path = files.error_map(stage_id)
        io.save(found.error, path)
        entries[stage_id] = {
            "file": path.name,
            "rsp": found.rsp,
            "rse": found.rse,
            "rsf_sigma_nm": found.rsf_sigma_nm,
        }
    return entries
