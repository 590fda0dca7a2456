"""A result after every angle: the raw frames of a lapse, interpolated in time.

Frames are recorded angle by angle, so that those of a set show the sample at A moments.
A rolling set takes, for every angle, the four frames that were recorded around one
moment, and a cubic between them (Catmull, Rom 1974,
doi:10.1016/B978-0-12-079050-0.50020-5). All angles then show the sample at that moment,
as long as it moves by less than the resolution from set to set. Windows that simply
begin with another angle each time differ with period A, since the order of their
moments does. A line between two frames takes 0.6 dB more of the noise away, and shows
what moves by a pixel a set 5 to 6 dB worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_dps import io
from napari_dps.core import ImageStack, InputError
from napari_dps.core.context import Context
from napari_dps.pipeline.steps import Step

MOTION_PLACES = 5
"""Time points, spread over the lapse, at which motion is measured."""
LEAST_WEIGHT = 1e-7
"""Of frames that are read."""
TILE_PX = 128
"""Edge of the parts of the field whose motion is measured apart."""


def is_rolling(steps: Sequence[Step]) -> bool:
    """Whether a step asks for a result after every angle."""
    return any(getattr(step.parameters, "rolling", False) for step in steps)


def rolled(stack: ImageStack, steps: Sequence[Step]) -> ImageStack:
    """Return a lapse with a time point after every angle, if a step asks for that.

    Parameters
    ----------
    stack : ImageStack
        Raw frames, recorded angle by angle at equal intervals.
    steps : sequence of Step
        What will run.

    Returns
    -------
    ImageStack
        T time points become A (T − 1) + 1, from the middle of the first set to that of
        the last; the frame interval becomes 1/A. Frames are interpolated when they are
        read.

    Raises
    ------
    InputError
        If it is no lapse of raw frames of several angles.
    """
    if not is_rolling(steps):
        return stack
    if not stack.is_raw or stack.size("T") < 2 or stack.size("A") < 2:
        raise InputError(
            "a result after every angle of a stack",
            got=f"axes {stack.axes}, shape {stack.shape}",
            allowed="raw frames of two or more time points and angles",
            field="reconstruct.rolling",
        )
    for step in steps:
        if step.averages_time:
            raise InputError(
                f"'{step.stage.id}' averages over neighbours in time, which share "
                "frames where there is a result after every angle",
                allowed="one of the two",
                field=("reconstruct.rolling", "pipeline.stages"),
            )
    interval = stack.frame_interval_s
    frames = RollingFrames(stack.data, stack.axes)
    return replace(
        stack,
        data=cast(NDArray[Any], frames),
        frame_interval_s=interval and interval / stack.size("A"),
    )


@dataclass(frozen=True, eq=False)
class RollingFrames:
    """Raw frames of a lapse at A moments a set; an array-like that computes them.

    Attributes
    ----------
    data : array-like
        The frames as they were recorded.
    axes : str
        Their axes.

    Examples
    --------
    >>> frames = np.arange(3.0)[:, None, None, None, None] * np.ones((1, 2, 3, 1, 1))
    >>> rolling = RollingFrames(frames, "TAPYX")
    >>> rolling.shape, rolling[1][:, 0, 0, 0]
    ((5, 2, 3, 1, 1), array([0.75, 0.25], dtype=float32))
    """

    data: Any
    axes: str

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Type of the frames: they are interpolated."""
        return np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole."""
        shape = list(self.data.shape)
        shape[self._time] = self._angles * (shape[self._time] - 1) + 1
        return tuple(shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        """Compute frames or parts of them: whole numbers and slices, one an axis."""
        key = key if isinstance(key, tuple) else (key,)
        full = [*key, *[slice(None)] * (self.ndim - len(key))]
        moment = full[self._time]
        if not isinstance(moment, slice):
            return self._at(int(moment), full)
        moments = range(*moment.indices(self.shape[self._time]))
        place = sum(isinstance(part, slice) for part in full[: self._time])
        return np.stack([self._at(number, full) for number in moments], axis=place)

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        """Compute all of it."""
        whole = self[()]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    @property
    def _time(self) -> int:
        return self.axes.index("T")

    @property
    def _angles(self) -> int:
        return int(self.data.shape[self.axes.index("A")])

    def _at(self, number: int, key: Sequence[Any]) -> NDArray[np.float32]:
        """Interpolate to a moment; the key of T is not used."""
        angle, total = self.axes.index("A"), None
        place = sum(
            isinstance(part, slice) for n, part in enumerate(key[:angle])
            if n != self._time
        )  # fmt: skip
        number = range(self.shape[self._time])[number]
        for time, weights in self._weights(number):
            wanted = list(key)
            wanted[self._time], wanted[angle] = time, slice(None)
            frames = io.fetch(self.data[tuple(wanted)]).astype(np.float32)
            share = weights.reshape(-1, *[1] * (frames.ndim - place - 1))
            total = frames * share if total is None else total + frames * share
        chosen = (*[slice(None)] * place, key[angle])
        return np.asarray(cast(NDArray[np.float32], total)[chosen])

    def _weights(self, number: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the time points that count, and the weight (A,) of each angle.

        Before the first frames of an angle, and after the last, those count alone.
        """
        count, last = self._angles, self.data.shape[self._time] - 1
        recorded = (np.arange(count) - (count - 1) / 2) / count
        moment = np.clip(number / count - recorded, 0, last)
        before = np.minimum(np.floor(moment + 1e-9), max(last - 1, 0)).astype(int)
        found: dict[int, NDArray[np.float64]] = {}
        for angle, first in enumerate(before.tolist()):
            for step, weight in enumerate(cubic(moment[angle] - first), first - 1):
                for time, share in _within(step, last):
                    row = found.setdefault(time, np.zeros(count))
                    row[angle] += share * weight
        for time, row in sorted(found.items()):
            if np.abs(row).max() > LEAST_WEIGHT:
                yield time, row.astype(np.float32)


def _within(time: int, last: int) -> list[tuple[int, int]]:
    """Return the time points that stand for one, and how often each counts.

    Beyond the ends a lapse goes on as a line through its last two.
    """
    if time < 0:
        return [(0, 2), (1, -1)]
    return [(last, 2), (last - 1, -1)] if time > last else [(time, 1)]


def cubic(share: float) -> tuple[float, float, float, float]:
    """Return the weights of four values in a row at a place between the inner two.

    Parameters
    ----------
    share : float
        0 at the second of them, 1 at the third.

    Examples
    --------
    >>> cubic(0.5)
    (-0.0625, 0.5625, 0.5625, -0.0625)
    """
    s = float(share)
    return (
        (-s + 2 * s**2 - s**3) / 2,
        (2 - 5 * s**2 + 3 * s**3) / 2,
        (s + 4 * s**2 - 3 * s**3) / 2,
        (-(s**2) + s**3) / 2,
    )


def motion_warnings(stack: ImageStack, notes: Context) -> None:
    """Warn where the sample moves more within a set than a rolling result bears.

    The widefield images of three sets in a row are compared in tiles, at a few places
    of the lapse; a displacement counts as for the angles of a set.

    Parameters
    ----------
    stack : ImageStack
        A rolling lapse, as `rolled` returns it.
    notes : Context
        Receives the warning.
    """
    from napari_dps.methods.sim.raw import LEAST_MOTION_PX, motion_between_angles

    if not isinstance(stack.data, RollingFrames) or stack.optics is None:
        return
    recorded = stack.data.data
    count = recorded.shape[stack.axes.index("T")]
    moving, tiles, most = 0, 0, 0.0
    places = np.unique(np.linspace(0, max(count - 3, 0), MOTION_PLACES).astype(int))
    for first in places:
        fields = np.stack(
            [_widefield(recorded, stack.axes, t) for t in range(first, first + 3)
             if t < count]
        )  # fmt: skip
        for rows, columns in _tiles(fields.shape[-2:]):
            part = fields[:, None, rows, columns]
            found = motion_between_angles(part, stack.optics)
            tiles += 1
            moving += bool(found)
            most = max([most, *(motion.length_px for motion in found)])
    if moving:
        notes.warn(
            f"the sample moves by up to {most:.1f} px from set to set, in "
            f"{100 * moving / tiles:.0f} % of the places looked at: from "
            f"{LEAST_MOTION_PX:g} px on, results after every angle flicker and show "
            "artefacts"
        )


def _widefield(data: Any, axes: str, time: int) -> NDArray[np.float32]:
    """Return the mean frame of a set, of the first channel and plane."""
    first = {"T": time, "C": 0, "Z": 0}
    frames = io.fetch(data[tuple(first.get(axis, slice(None)) for axis in axes)])
    mean = frames.reshape(-1, *frames.shape[-2:]).mean(axis=0, dtype=np.float64)
    return np.asarray(mean, dtype=np.float32)


def _tiles(plane: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Yield tiles that cover a plane."""
    counts = [max(1, round(side / TILE_PX)) for side in plane]
    edges = [
        np.linspace(0, side, n + 1).astype(int)
        for side, n in zip(plane, counts, strict=True)
    ]
    for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True):
        for left, right in zip(edges[1][:-1], edges[1][1:], strict=True):
            yield slice(top, bottom), slice(left, right)
