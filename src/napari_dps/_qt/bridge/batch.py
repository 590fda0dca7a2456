"""What the batch of the dock asks for, and what is said of its inputs."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_dps._qt.bridge.wording import in_docks, in_words_of_docks
from napari_dps.batch import (
    FAILED,
    FAULT,
    Job,
    Row,
    Source,
    find_sources,
    run_batch,
    write_table,
)
from napari_dps.core import InputError, Progress
from napari_dps.pipeline import InputSettings, OutputSettings, Settings


@dataclass(frozen=True)
class BatchForm:
    """What is set for a batch in addition to the stages.

    Attributes
    ----------
    inputs : str
        A folder, or a pattern of names.
    results : str
        A folder.
    frames : InputSettings
        How the frames of the files are to be read.
    pixel_size_nm : float
        Of all files; 0 to take that of each.
    output : OutputSettings
        What is written.
    jobs : int
        Tasks at once.
    resume : bool
        Whether results that are there are kept.
    """

    inputs: str
    results: str
    frames: InputSettings
    pixel_size_nm: float
    output: OutputSettings
    jobs: int
    resume: bool


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch that can be run.

    Attributes
    ----------
    job : Job
        What is asked of every input.
    sources : tuple of Source
        The inputs.
    folder : Path
        Of the results.
    jobs : int
        Tasks at once.
    """

    job: Job
    sources: tuple[Source, ...]
    folder: Path
    jobs: int

    def steps(
        self, tell: Callable[[Row], None]
    ) -> Generator[Progress, None, list[Row]]:
        """Run the batch and write its table; in the worker's thread."""
        rows = yield from run_batch(self.job, self.sources, jobs=self.jobs, tell=tell)
        write_table(rows, self.folder)
        return rows


def plan_batch(form: BatchForm, settings: Settings, device: str) -> Batch:
    """Return the batch that a click on Run asks for.

    Parameters
    ----------
    form : BatchForm
        What is set for the batch.
    settings : Settings
        Stages, parameters and optics of the dock; the pixel size in them is that of a
        layer and does not count.
    device : str
        Where torch computes.

    Raises
    ------
    InputError
        If no input or no folder is named, or there is no such input.
    """
    if not form.inputs or not form.results:
        raise InputError("name the inputs and a folder of results")
    optics = {k: v for k, v in settings.optics.items() if k != "pixel_size_nm"}
    if form.pixel_size_nm:
        optics["pixel_size_nm"] = form.pixel_size_nm
    of_dock = {
        "camera_offset": settings.input.camera_offset,
        "patterns": settings.input.patterns,
    }
    job = Job(
        settings=Settings(
            stages=settings.stages,
            parameters=settings.parameters,
            optics=optics,
            input=form.frames.model_copy(update=of_dock),
            output=form.output,
        ),
        device=device,
        resume=form.resume,
        refuse_wrong_order=True,
    )
    folder = Path(form.results)
    sources = find_sources([form.inputs], folder, job.settings)
    return Batch(job, tuple(sources), folder, form.jobs)


def notes_of(row: Row) -> str:
    """Say what there is to know of an input: why it failed, or its warnings."""
    failure = row.get("failure")
    if failure:
        return in_docks(failure)
    return in_words_of_docks(str(row.get("warnings", "")))


def summary(rows: Sequence[Row]) -> tuple[str, tuple[str, ...]]:
    """Say how many inputs are done; and warn of those that are not."""
    failed = sum(row["status"] in (FAILED, FAULT) for row in rows)
    text = f"{len(rows) - failed} of {len(rows)} inputs are done"
    warnings = (f"{failed} failed: the notes say why",) if failed else ()
    return f"{text}; the table is in batch.csv", warnings
