"""What the command line says, and where: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    from napari_dps.core import Progress
    from napari_dps.core.errors import Failure

T = TypeVar("T")

SOME_FAILED = 1
"""Of several inputs some have no results; or the machine could not: too little memory,
no cluster."""
USER_MISTAKE = 2
OUR_FAULT = 3
INTERRUPTED = 130
TERMINATED = 143
"""Exit codes; docs/cli.md lists them."""

_BAR_FORMAT = "{desc:<56.56} {percentage:3.0f}% |{bar}| {elapsed}<{remaining}"


_LONGEST = 1500


def one_line(text: str) -> str:
    r"""Return text as one line without control characters.

    Messages may quote file names and metadata from untrusted files, which could
    otherwise forge lines or drive the terminal.

    Examples
    --------
    >>> one_line("two\nlines \x1b[2J")
    'two lines \\x1b[2J'
    """
    from napari_dps.core.text import shortened, shown

    return shown(shortened(" ".join(text.split()), _LONGEST))


def error(message: str) -> None:
    """Print one line of error."""
    _write(sys.stderr, f"napari-dps: error: {one_line(message)}\n")


def warning(message: str) -> None:
    """Print one line of warning, with the options of the parameters that it names."""
    from napari_dps.cli.arguments import in_words_of_options

    _write(sys.stderr, f"warning: {one_line(in_words_of_options(message))}\n")


def say(text: str) -> None:
    """Print a line of results, control characters of names in it as escapes."""
    from napari_dps.core.text import shown

    show(shown(text))


def show(text: str) -> None:
    """Print text of several lines as it is: tables, JSON."""
    _write(sys.stdout, f"{text}\n")


def show_json(values: dict[str, Any]) -> None:
    """Print results as strict JSON."""
    from napari_dps.io import strict_json

    show(json.dumps(strict_json(values), indent=2, allow_nan=False))


_bars: list[Any] = []
"""The progress bars that are on the terminal."""


def _write(stream: TextIO, text: str) -> None:
    """Write beside a progress bar, if there is one; as the character set can."""
    encoding = stream.encoding or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    if not _bars:
        stream.write(text)
        return
    with _bars[-1].external_write_mode(file=stream):
        stream.write(text)


def tell(problem: Exception, *, debug: bool) -> int:
    """Print an error as one line and return the exit code for it.

    Parameters
    ----------
    problem : Exception
        What was raised.
    debug : bool
        Show the traceback too.

    Returns
    -------
    int
        As `exit_code`.
    """
    from napari_dps.cli.arguments import in_options
    from napari_dps.core.errors import explain

    if debug:
        traceback.print_exception(problem)
    failure = explain(problem)
    error(in_options(failure))
    return exit_code([failure])


def exit_code(failures: Sequence[Failure], inputs: int = 1) -> int:
    """Return the exit code: the same for a fault wherever it occurs.

    Parameters
    ----------
    failures : sequence of Failure
        All that failed.
    inputs : int
        Of how many.

    Examples
    --------
    >>> from napari_dps.core.errors import Failure
    >>> mistake, fault = Failure("too dark"), Failure("oh", kind="fault")
    >>> exit_code([]), exit_code([mistake]), exit_code([mistake], 2)
    (0, 2, 1)
    >>> exit_code([fault]), exit_code([mistake, fault], 9)
    (3, 3)
    """
    kinds = {failure.kind for failure in failures}
    if not kinds:
        return 0
    if "fault" in kinds:
        return OUR_FAULT
    return USER_MISTAKE if inputs == 1 and kinds == {"input"} else SOME_FAILED


@contextmanager
def tracebacks(*, wanted: bool) -> Iterator[None]:
    """Show on stderr what errors that are told in one line have in the log."""
    log, handler = logging.getLogger("napari_dps"), logging.StreamHandler()
    before = log.level
    if wanted:
        log.setLevel(logging.DEBUG)
        log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def track(steps: Generator[Progress, None, T], label: str) -> T:
    """Run a generator of `Progress` to its end, with a bar when someone watches.

    A pipe or a file gets one line for each stage of each input.

    Parameters
    ----------
    steps : generator
        As returned by ``pipeline.run``.
    label : str
        Shown before the bar; may be empty.

    Returns
    -------
    object
        What the generator returned.
    """
    return _with_bar(steps, label) if sys.stderr.isatty() else _with_lines(steps, label)


def _with_lines(steps: Generator[Progress, None, T], label: str) -> T:
    from napari_dps.core import finish, relay
    from napari_dps.stages import STAGES

    told: set[str] = set()

    def tell(report: Progress) -> Progress:
        for stage in STAGES:
            head, title, _ = report.message.partition(stage.title)
            line = f"{label}: {head}{title}" if label else head + title
            if title and line not in told:
                told.add(line)
                _write(sys.stderr, f"{one_line(line)}\n")
        return report

    return finish(relay(steps, tell))


def _with_bar(steps: Generator[Progress, None, T], label: str) -> T:
    from tqdm import tqdm

    # There is one bar at most, in the row of the cursor whoever else holds bars.
    form = {"leave": False, "position": 0, "bar_format": _BAR_FORMAT}
    with tqdm(total=1, file=sys.stderr, **form) as bar:
        _bars.append(bar)
        try:
            return _follow(steps, label, bar)
        finally:
            _bars.remove(bar)


def _follow(steps: Generator[Progress, None, T], label: str, bar: Any) -> T:
    message = ""
    while True:
        try:
            report = next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        bar.total = report.total
        bar.update(report.done - bar.n)
        if report.message != message:
            # What is being done is shown at once, numbers as often as tqdm likes.
            message = report.message
            text = f"{label}: {message}" if label else message
            bar.set_description_str(one_line(text))


def number(value: float | None, form: str = ".4g") -> str:
    """Return a number as text; a dash when there is none."""
    return "–" if value is None else f"{value:{form}}"


def table(rows: list[list[str]]) -> str:
    """Return rows as aligned columns, the first left, the others right.

    Examples
    --------
    >>> print(table([["", "PSNR"], ["input", "21.3"]]))
           PSNR
    input  21.3
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
