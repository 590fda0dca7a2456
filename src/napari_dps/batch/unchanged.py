"""Whether inputs are what they were, and results what their report says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from napari_dps.batch.job import Job, Source
from napari_dps.core import InputError
from napari_dps.io import ResultFiles
from napari_dps.results import Json
from napari_dps.results.recorded import are_whole


@contextmanager
def of_one_content(job: Job, source: Source, key: str) -> Iterator[None]:
    """Say of what fails because the input is changed meanwhile that this is why."""
    try:
        yield
    except (InputError, OSError, MemoryError, GeneratorExit):
        raise
    except Exception:
        require_unchanged(job, source, key)
        raise


def require_unchanged(
    job: Job, source: Source, key: str, check: Callable[[], None] = lambda: None
) -> None:
    """Refuse an input whose content, or a file that its settings name, has changed.

    Parameters
    ----------
    job : Job
        Of the batch.
    source : Source
        The input.
    key : str
        `Job.key` of it when the work began.
    check : callable
        Called now and then; may raise to stop.

    Raises
    ------
    InputError
        If it has, or is gone.
    """
    if job.key(source.content(check)) != key:
        raise InputError(
            f"{source.path.name} has changed, or a file that its settings name, while "
            "it was computed: run it again"
        )


def finished_report(
    files: ResultFiles, key: str, check: Callable[[], None] = lambda: None
) -> Json | None:
    """Return the report of a run whose files are all there and whole.

    Parameters
    ----------
    files : ResultFiles
        Of an input.
    key : str
        See `Job.key`; that of the report must be the same.
    check : callable
        Called now and then; may raise to stop.
    """
    try:
        report: Json = json.loads(files.report.read_text(encoding="utf-8"))
        is_done = report["key"] == key
        is_done = is_done and are_whole(report["files"], files.folder, check)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return report if is_done else None
