"""What describes a metric, wherever it is listed, computed or shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from napari_dps.core import InputError
from napari_dps.metrics.subject import Need, Subject

Value = float | bool | list[float] | None
Table = Literal["batch", "demo", "compare"]
"""Tables that show some of the metrics: a batch's, the demo's, the dock Compare's."""


class Measured(NamedTuple):
    """A value, or None and why there is none.

    Attributes
    ----------
    value : float, bool, list of float or None
        What was measured.
    note : str
        Why there is no value, or how it is to be read; empty for most.
    """

    value: Value
    note: str = ""


class Source(NamedTuple):
    """Who a metric comes from: a paper with its DOI, or a program."""

    text: str
    doi: str = ""


@dataclass(frozen=True)
class Metric:
    """One metric: everything that reports, tables and documentation say of it.

    Attributes
    ----------
    key : str
        Name in reports.
    title : str
        What a person reads; without the unit.
    meaning : str
        One line: what it is.
    function : callable
        ``function(subject)`` returns a value or a `Measured`; None if the metric has no
        place in this measurement. An `InputError` becomes a note.
    unit : str
        Unit of the value; empty for a ratio.
    direction : {"larger", "smaller", "none"}
        Which value is the better one; none where an image can be too good to be true.
    digits : int
        Decimals that a table shows.
    needs : tuple of str
        What must be known beside the image: "raw frames", "reference", "optics",
        "pixel size", "volume". Where that is missing the report has no such key.
    tables : tuple of str
        Tables in which it has a column; the report has every metric.
    sources : tuple of Source
        Papers and programs.
    """

    key: str
    title: str
    meaning: str
    function: Callable[[Subject], Measured | Value]
    unit: str = ""
    direction: Literal["larger", "smaller", "none"] = "none"
    digits: int = 4
    needs: tuple[Need, ...] = ()
    tables: tuple[Table, ...] = ()
    sources: tuple[Source, ...] = ()

    @property
    def heading(self) -> str:
        """Title and unit, for the column of a table."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def column(self) -> str:
        """The same as one word, for the column of a file."""
        return "_".join(f"{self.title} {self.unit}".lower().split())

    @property
    def tip(self) -> str:
        """The meaning, and which value is better."""
        text = self.meaning[:1].upper() + self.meaning[1:]
        better = "" if self.direction == "none" else f"; {self.direction} is better"
        return f"{text}{better}."

    def measure(self, subject: Subject) -> Measured | None:
        """Measure; None if that has no place here."""
        if not all(subject.has(need) for need in self.needs):
            return None
        try:
            found = self.function(subject)
        except InputError as error:
            return Measured(None, str(error))
        if found is None:
            return None
        return _checked(found if isinstance(found, Measured) else Measured(found))


def _checked(found: Measured) -> Measured:
    """Give a reason where there is no finite value."""
    value, note = found
    if value is None:
        return Measured(None, note or "not defined")
    if isinstance(value, bool | list):
        return found
    if not math.isfinite(value):
        return Measured(None, note or "infinite")
    return Measured(float(value), note)
