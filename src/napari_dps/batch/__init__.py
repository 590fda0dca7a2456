"""Many inputs, long time-lapses: streamed, in parallel, resumable; any failure is told.

`pipeline.run` keeps a whole stack in memory for the GUI; here blocks of time points go
through the same steps one by one, in this process, in threads, or on the workers of a
dask cluster, and their results wait on the disk until an input is complete.
"""

from napari_dps.batch.engine import run_batch
from napari_dps.batch.inputs import find_sources
from napari_dps.batch.job import Job, Source
from napari_dps.io import ResultFiles, stem
from napari_dps.results import (
    DONE,
    FAILED,
    FAULT,
    LEFT,
    WAS_DONE,
    Row,
    left_row,
    write_images,
    write_report,
    write_table,
)

__all__ = [
    "DONE",
    "FAILED",
    "FAULT",
    "LEFT",
    "WAS_DONE",
    "Job",
    "ResultFiles",
    "Row",
    "Source",
    "find_sources",
    "left_row",
    "run_batch",
    "stem",
    "write_images",
    "write_report",
    "write_table",
]
