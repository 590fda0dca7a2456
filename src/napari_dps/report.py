"""The report of a run: everything needed to judge and to repeat it, as JSON."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_dps import __version__
from napari_dps.core import ImageStack, InputError, Pattern
from napari_dps.io import replacing
from napari_dps.metrics.error_map import ErrorMap, error_map
from napari_dps.metrics.measure import measure
from napari_dps.pipeline import PipelineResult, StageOutput, first_plane
from napari_dps.stages import dps

Json = dict[str, Any]


def build_report(
    result: PipelineResult,
    *,
    path: Path,
    sha256: str,
    key: str = "",
    device: str,
    files: Mapping[str, str],
    metrics: Mapping[str, Json],
    errors: Mapping[str, Json] | None = None,
    self_check: Json | None = None,
) -> Json:
    """Put together the report of a run.

    Parameters
    ----------
    result : PipelineResult
        Of the run.
    path : Path
        The input file.
    sha256 : str
        Of its content.
    key : str
        Of its content and all settings; empty outside a batch.
    device : str
        What torch computed on.
    files : mapping of str to str
        Name of the output file of each stage id that has one.
    metrics : mapping of str to dict
        As `measure_result` returns them.
    errors : mapping of str to dict, optional
        What is to be told of the error map of each stage id.
    self_check : dict, optional
        What planted pairs told of the stage ``dps``.

    Returns
    -------
    dict
        ``version``, ``key``, ``created``, ``device``, ``input``, ``optics``,
        ``stages``, ``patterns``, ``warnings``, ``metrics``, ``self_check``,
        ``peak_memory_mb``.
    """
    image = result.input
    optics = image.optics
    return {
        "version": __version__,
        "key": key,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "input": {
            "path": str(path),
            "sha256": sha256,
            "shape": list(image.shape),
            "axes": image.axes,
            "pixel_size_nm": image.pixel_size_nm,
            "history": [entry.stage for entry in image.history],
        },
        "optics": None if optics is None else optics.model_dump(mode="json"),
        "stages": [_stage(output, files, errors or {}) for output in result.outputs],
        "patterns": patterns_json(result.patterns),
        "warnings": list(result.warnings),
        "metrics": dict(metrics),
        "self_check": self_check,
        "peak_memory_mb": peak_memory_mb(),
    }


def measure_result(
    result: PipelineResult,
    truth: ImageStack | None = None,
    finer_truth: ImageStack | None = None,
) -> dict[str, Json]:
    """Measure the input and every output, of a stack the first T, C and Z.

    Parameters
    ----------
    result : PipelineResult
        Of the run.
    truth : ImageStack, optional
        An image (YX) to score them against.
    finer_truth : ImageStack, optional
        The same for the result of `dps`, which resolves more.

    Returns
    -------
    dict
        Keys ``input`` (of raw frames their mean, the widefield image) and stage ids.
    """
    images = {"input": result.first} | {
        output.step.stage.id: output.first for output in result.outputs
    }
    finer = truth if finer_truth is None else finer_truth
    truths = dict.fromkeys(images, truth) | {dps.STAGE.id: finer}
    return {name: measure(image, truths[name]) for name, image in images.items()}


def patterns_json(patterns: tuple[Pattern, ...]) -> list[Json]:
    """Return patterns as `napari_dps.io.load_patterns` reads them."""
    return [pattern.model_dump(mode="json") for pattern in patterns]


def error_maps(result: PipelineResult) -> dict[str, ErrorMap]:
    """Compare each finer image with the image that it was made of, blurred back.

    Of stages from image to image; of a stack the first T, C and Z.

    Parameters
    ----------
    result : PipelineResult
        Of the run.

    Returns
    -------
    dict
        By id of the stages that give a finer grid. One whose image or input is
        constant has no map.
    """
    inputs = [result.first, *(output.first for output in result.outputs)]
    maps = {}
    for image, output in zip(inputs, result.outputs, strict=False):
        stage = output.step.stage
        if stage.takes == stage.gives and output.first.shape[-2:] > image.shape[-2:]:
            with contextlib.suppress(InputError):
                maps[stage.id] = error_map(
                    first_plane(output.first), first_plane(image)
                )
    return maps


def _stage(
    output: StageOutput, files: Mapping[str, str], errors: Mapping[str, Json]
) -> Json:
    stage = output.step.stage
    entry: Json = {
        "id": stage.id,
        "title": stage.title,
        "parameters": output.step.parameters.model_dump(mode="json"),
        "seconds": round(output.seconds, 4),
        "warnings": list(output.warnings),
        "output": files.get(stage.id),
        "shape": list(output.shape),
        "axes": output.axes,
        "pixel_size_nm": output.first.pixel_size_nm,
        "origin_nm": list(output.first.origin_nm),
    }
    if stage.id in errors:
        entry["error_map"] = errors[stage.id]
    if stage.takes_raw:
        entry["patterns"] = patterns_json(output.first.patterns)
    return entry


def write_json(values: Mapping[str, Any] | list[Any], path: Path) -> None:
    """Write strict JSON (NaN and infinities become null), whole or not at all."""
    text = json.dumps(
        strict_json(values), indent=2, ensure_ascii=False, allow_nan=False
    )
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows as a table with a column for each name, whole or not at all.

    Values that are missing or None leave their cell empty; ``notes`` are left out.
    """
    names = dict.fromkeys(name for row in rows for name in row if name != "notes")
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.DictWriter(file, list(names), extrasaction="ignore")
        table.writeheader()
        table.writerows(strict_json(rows))


def strict_json(value: Any) -> Any:
    """Replace what JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): strict_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "item"):
        return strict_json(value.item())
    return value


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has held, in MiB.

    None where the system does not tell (Windows).
    """
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss of Linux also counts the parent before exec; VmHWM does not.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    if sys.platform == "darwin":
        import resource

        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)
    return None
