"""Which of the stages that are ticked a run consists of."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from napari_dps._qt.bridge.layers import stages_behind
from napari_dps.core import ImageStack, StageParameters
from napari_dps.pipeline import choose_steps, suited_stages


def stages_done(layer: Any) -> frozenset[str]:
    """Return the ids of the stages that made a layer; empty for no layer."""
    return frozenset() if layer is None else frozenset(stages_behind(layer))


def choose_stages(
    ticked: Collection[str],
    parameters: Callable[[str], StageParameters],
    *,
    is_raw: bool,
    done: Collection[str] = (),
) -> dict[str, StageParameters]:
    """Return parameters of the stages that an image is meant for, in order.

    Parameters
    ----------
    ticked : collection of str
        Ids; stages for raw frames are left out of other images.
    parameters : callable
        Returns the parameters of a stage; asked only for those that run.
    is_raw : bool
        Whether the image is a stack of raw SIM frames.
    done : collection of str
        Ids of the stages that made the image.

    Raises
    ------
    InputError
        If the stages do not follow one another, or none is left.
    """
    names = suited_stages(ticked, raw=is_raw, done=done)
    chosen = {name: parameters(name) for name in names}
    axes = "APYX" if is_raw else "YX"
    # The pipeline is asked with a stack of one pixel: nothing is read.
    stack = ImageStack(np.zeros((1,) * len(axes), np.float32), axes)
    choose_steps(stack, names, chosen)
    return chosen
