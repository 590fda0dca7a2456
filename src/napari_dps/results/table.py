"""The table of a batch: a row an input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_dps.core.errors import Failure
from napari_dps.core.patterns import UNUSABLE
from napari_dps.io import write_csv
from napari_dps.metrics.catalogue import metrics_of
from napari_dps.results.scores import Json

Row = dict[str, Any]

NAME = "batch.csv"
DONE, WAS_DONE, FAILED, FAULT, LEFT = "done", "was done", "failed", "fault", "left"
"""Status of an input: done now, or by an earlier batch; failed for what the user can
mend, or by a fault of ours; left when the batch was interrupted."""


def finished_row(path: Path, report: Json, *, was_done: bool) -> Row:
    """Return the row of an input that has its results.

    Parameters
    ----------
    path : Path
        The input.
    report : dict
        As `build_report` returns it.
    was_done : bool
        Whether an earlier batch has made them.
    """
    shape = dict(zip(report["input"]["axes"], report["input"]["shape"], strict=True))
    orders = [o for pattern in report["patterns"] for o in pattern["orders"]]
    row: Row = {
        "file": str(path),
        "status": WAS_DONE if was_done else DONE,
        "reason": "",
        "seconds": round(sum(stage["seconds"] for stage in report["stages"]), 2),
        **{name: shape.get(axis, 1) for axis, name in _SIZES.items()},
        "pixel_size_nm": report["input"]["pixel_size_nm"],
        "orders_found": sum(o["status"] not in UNUSABLE for o in orders),
        "orders": len(orders),
    }
    for name, measures in report["metrics"].items():
        for metric in metrics_of("batch"):
            if measures.get(metric.key) is not None:
                row[f"{name}_{metric.column}"] = measures[metric.key]
    for stage in report["stages"]:
        if "error_map" in stage:
            row[f"{stage['id']}_rsp"] = stage["error_map"]["rsp"]
        if "invented" in stage:
            row[f"{stage['id']}_invented"] = stage["invented"]["share"]
    row["warnings"] = "; ".join(report["warnings"])
    return row


_SIZES = {
    "T": "time_points",
    "C": "channels",
    "Z": "z_planes",
    "Y": "height_px",
    "X": "width_px",
}


def failed_row(path: Path, failure: Failure) -> Row:
    """Return the row of an input that has no results; ``failure`` says why."""
    status = FAULT if failure.kind == "fault" else FAILED
    return {
        "file": str(path),
        "status": status,
        "reason": failure.text,
        "failure": failure,
    }


def left_row(path: Path) -> Row:
    """Return the row of an input that an interrupted batch has left."""
    return {"file": str(path), "status": LEFT, "reason": "interrupted"}


def write_table(rows: Sequence[Row], folder: Path) -> Path:
    """Write the table of a batch, the columns of all rows.

    Returns
    -------
    Path
        The file.
    """
    path = folder / NAME
    write_csv([_for_a_file(row) for row in rows], path)
    return path


def _for_a_file(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "failure"}
