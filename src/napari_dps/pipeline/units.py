"""Cutting a stack into channels and the units that stages work on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from napari_dps import io
from napari_dps.core import ImageStack
from napari_dps.core.otf import MeasuredOtf
from napari_dps.pipeline.camera import Camera

Index = tuple[int, ...]
"""Place of a unit along the leading axes of a stack, in their order."""
Span = tuple[int, int]
"""First time point, and the one after the last."""


@dataclass(frozen=True)
class Unit:
    """A plane, or one set of raw SIM frames, of a stack.

    Attributes
    ----------
    index : tuple of int
        Its place along the leading axes of the stack.
    where : str
        The same for a person: " (T 3/10)"; empty for an only one.
    """

    index: Index
    where: str


Complete = Callable[[ImageStack, Unit], ImageStack]
"""Returns an image with what was behind it when it was made."""


@dataclass(frozen=True)
class Channel:
    """One channel of a stack, with its own optics and patterns.

    Attributes
    ----------
    number : int
        Along C; 0 without this axis.
    stack : ImageStack
        The whole stack with this channel's attributes; the data may be lazy.
    takes : str
        Axes of a unit.
    camera : Camera
        What is corrected of every unit.
    otf : MeasuredOtf or None
        Measured OTF of this channel.
    complete : callable or None
        Adds what was behind each image: raw frames.
    """

    number: int
    stack: ImageStack
    takes: str
    camera: Camera = field(default_factory=Camera)
    otf: MeasuredOtf | None = None
    complete: Complete | None = None

    @property
    def label(self) -> str:
        """What warnings of one of several channels begin with."""
        return f"channel {self.number}: " if self.stack.size("C") > 1 else ""

    @property
    def first(self) -> Unit:
        """The unit that stands for all: of the first T, in the middle of Z."""
        return self.middle((0, 1))

    def units(self, span: Span) -> list[Unit]:
        """Return the units of some time points, the last leading axis fastest."""
        shape = self.stack.shape[: len(self.leading)]
        limits = {"T": span, "C": (self.number, self.number + 1)}
        ranges = [
            limits.get(axis, (0, length)) if length > 1 else (0, 1)
            for axis, length in zip(self.leading, shape, strict=True)
        ]
        return [
            self._unit(tuple(r[0] + n for r, n in zip(ranges, offset, strict=True)))
            for offset in np.ndindex(*(stop - start for start, stop in ranges))
        ]

    @property
    def leading(self) -> str:
        """Axes that lead those of a unit."""
        return self.stack.axes.removesuffix(self.takes)

    @property
    def unit_count(self) -> int:
        """Number of units of the stack, those of other channels as well."""
        return math.prod(self.stack.shape[: len(self.leading)])

    def _unit(self, index: Index) -> Unit:
        """Return the unit at a place."""
        places = [
            f"{axis} {place + 1}/{self.stack.size(axis)}"
            for axis, place in zip(self.leading, index, strict=True)
            if self.stack.size(axis) > 1 and axis != "C"
        ]
        return Unit(index, f" ({', '.join(places)})" if places else "")

    def time_of(self, index: Index) -> int:
        """Return the time point of a unit at a place."""
        return index[self.leading.index("T")] if "T" in self.leading else 0

    def plane_of(self, index: Index) -> int:
        """Return the focal plane of a unit at a place."""
        return index[self.leading.index("Z")] if "Z" in self.leading else 0

    def around(
        self, unit: Unit, window: tuple[int, int], reach: Span
    ) -> tuple[list[Unit], list[Unit]]:
        """Return the units of the same plane before and after one, nearest first.

        Parameters
        ----------
        unit : Unit
            Of this channel.
        window : (int, int)
            Time points before and after it.
        reach : (int, int)
            Time points beyond which there is none.

        Examples
        --------
        >>> channel = Channel(0, ImageStack(np.zeros((9, 4, 5)), "TYX"), "YX")
        >>> before, after = channel.around(channel.units((1, 2))[0], (3, 2), (0, 9))
        >>> [unit.index for unit in before], [unit.index for unit in after]
        ([(0,)], [(2,), (3,)])
        """
        if "T" not in self.leading:
            return [], []
        axis = self.leading.index("T")
        now = unit.index[axis]

        def at(time_point: int) -> Unit:
            before, after = unit.index[:axis], unit.index[axis + 1 :]
            return self._unit((*before, time_point, *after))

        first = max(now - window[0], reach[0])
        last = min(now + window[1], reach[1] - 1)
        return (
            [at(time_point) for time_point in range(now - 1, first - 1, -1)],
            [at(time_point) for time_point in range(now + 1, last + 1)],
        )

    def middle(self, span: Span) -> Unit:
        """Return the unit in the middle of z, likely in focus, of the first time."""
        units = self.units((span[0], span[0] + 1))
        return units[len(units) // 2]

    def units_middle_first(self, span: Span) -> list[Unit]:
        """Return the units of some time points; what is inspected comes first."""
        middle = self.middle(span)
        return [middle, *(unit for unit in self.units(span) if unit != middle)]

    def image(self, unit: Unit) -> ImageStack:
        """Read a unit: float32, corrected for the camera."""
        data = io.fetch(self.stack.data[unit.index]).astype(np.float32)
        time_point = self.time_of(unit.index)
        image = self.stack.derive(
            self.camera.correct(data),
            axes=self.takes,
            patterns=tuple(p.at_time(time_point) for p in self.stack.patterns),
        )
        return image if self.complete is None else self.complete(image, unit)


def channels(
    stack: ImageStack,
    takes: str,
    camera: Camera | None = None,
    otfs: Sequence[MeasuredOtf] = (),
) -> Iterator[Channel]:
    """Return the channels of a stack, each with its own patterns and optics.

    Parameters
    ----------
    stack : ImageStack
        Any leading axes of T, C, Z.
    takes : str
        Axes of a unit.
    camera : Camera, optional
        What is corrected of every unit.
    otfs : sequence of MeasuredOtf, optional
        One for all channels, or one each; empty: none.

    Examples
    --------
    >>> stack = ImageStack(np.zeros((2, 3, 4, 5)), "TCYX")
    >>> [unit.index for unit in list(channels(stack, "YX"))[1].units((0, 2))]
    [(0, 1), (1, 1)]
    """
    camera = Camera() if camera is None else camera
    if "C" not in stack.axes:
        yield Channel(0, stack, takes, camera, otfs[0] if otfs else None)
        return
    for number in range(stack.size("C")):
        of_channel = replace(
            stack,
            patterns=tuple(p for p in stack.patterns if p.channel_index == number),
            optics=stack.optics_of(number),
            channel_optics=(),
            channel_names=(),
        )
        otf = otfs[min(number, len(otfs) - 1)] if otfs else None
        yield Channel(number, of_channel, takes, camera, otf)


def spans(length: int, step: int) -> list[Span]:
    """Cut a length into parts of at most ``step``; 0 leaves it whole.

    Examples
    --------
    >>> spans(5, 2), spans(5, 0)
    ([(0, 2), (2, 4), (4, 5)], [(0, 5)])
    """
    step = step if step > 0 else length
    return [(start, min(start + step, length)) for start in range(0, length, step)]
