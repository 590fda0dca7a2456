"""Whether the frames of a layer come in the order that is set."""

from collections.abc import Generator

import numpy as np

from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.core import Progress
from napari_dps.io import OrderCheck, check_order
from napari_dps.pipeline import InputSettings

_ONE_SET = ("apyx", "payx")
"""Orders of a single set of frames; of several sets the first is looked at."""


def check_frames(
    snapshot: LayerSnapshot, *, angles: int, phases: int, order: str | None
) -> Generator[Progress, None, OrderCheck]:
    """Compare the frames of a layer with an order; call it in a worker's thread.

    Parameters
    ----------
    snapshot : LayerSnapshot
        The layer.
    angles, phases : int
        Counts that are set.
    order : str or None
        Order that is set; None stands for angle by angle.
    """
    yield Progress(0, 1)
    order = order or "apyx"
    data = np.asarray(snapshot.data)
    frames = data.reshape(-1, *data.shape[-2:])
    if order in _ONE_SET:
        frames = frames[: angles * phases]
    return check_order(frames, angles=angles, phases=phases, order=order)


def best_reading(check: OrderCheck) -> InputSettings:
    """Return the order and the counts that the frames fit best.

    Examples
    --------
    >>> best_reading(OrderCheck("wrong", "apyx 3×5", {}, "")).phases
    5
    """
    order, counts = check.best.split()
    angles, phases = (int(n) for n in counts.split("×"))
    return InputSettings(angles=angles, phases=phases, order=order)
