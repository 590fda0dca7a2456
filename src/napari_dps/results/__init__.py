"""What a run leaves: images, report, picture, table; no stage is named here."""

from napari_dps.results.report import peak_memory_mb
from napari_dps.results.save import save_result, without_pixels
from napari_dps.results.scores import Json
from napari_dps.results.table import (
    DONE,
    FAILED,
    FAULT,
    LEFT,
    WAS_DONE,
    Row,
    failed_row,
    finished_row,
    left_row,
    write_table,
)
from napari_dps.results.write import write_images, write_report

__all__ = [
    "DONE",
    "FAILED",
    "FAULT",
    "LEFT",
    "WAS_DONE",
    "Json",
    "Row",
    "failed_row",
    "finished_row",
    "left_row",
    "peak_memory_mb",
    "save_result",
    "without_pixels",
    "write_images",
    "write_report",
    "write_table",
]
