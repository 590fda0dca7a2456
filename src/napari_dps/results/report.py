"""The report of a run: everything needed to judge and to repeat it, as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from napari_dps import __version__
from napari_dps.io import patterns_json
from napari_dps.pipeline import PipelineResult, StageOutput
from napari_dps.results.scores import Json


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
        Entry on the error map of each stage id.
    self_check : dict, optional
        What the self-check of a stage has found.

    Returns
    -------
    dict
        ``version``, ``key``, ``created``, ``device``, ``input``, ``optics``,
        ``stages``, ``patterns``, ``corrections``, ``warnings``, ``metrics``,
        ``self_check``, ``peak_memory_mb``.
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
        "corrections": result.corrections.to_json(),
        "warnings": list(result.warnings),
        "metrics": dict(metrics),
        "self_check": self_check,
        "peak_memory_mb": peak_memory_mb(),
    }


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
    if stage.note is not None and (note := stage.note(output.step.parameters)):
        entry["note"] = note
    if stage.id in errors:
        entry["error_map"] = errors[stage.id]
    return entry if stage.report is None else entry | stage.report(output.first)


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
