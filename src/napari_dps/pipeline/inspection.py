"""A look at the first pixels, for a wrong camera offset and for saturation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps import io
from napari_dps.core import InputError
from napari_dps.core.context import Context
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.rolling import motion_warnings

_TOO_MANY_BELOW = 0.8
"""Share of pixels below the camera's offset that no offset leaves: of dark frames half
the pixels lie below it, by their noise."""

_DARKEST_PERCENT = 1.0
"""Percentile of the pixels that is suggested as the offset."""


def inspected(plan: Plan) -> tuple[str, ...]:
    """Return the warnings of a plan with those that its first pixels give reason for.

    The first and the middle unit of each channel are read.

    Raises
    ------
    InputError
        If the camera's offset lies above most pixels.
    """
    from napari_dps.metrics.saturation import saturation

    warnings = list(plan.warnings)
    if len(plan.stack.history) > len(plan.camera.noted()) + bool(plan.otfs):
        return plan.warnings  # pixels that a stage has made are no camera's
    notes = Context()
    motion_warnings(plan.stack, notes)
    warnings += notes.warnings
    for channel in plan.channels:
        units = {channel.first.index, channel.middle(plan.span).index}
        frames = np.stack([io.fetch(channel.stack.data[i]) for i in sorted(units)])
        _check_offset(plan, frames)
        if frames.dtype.kind in "iu" and (found := saturation(frames)) is not None:
            warnings.append(
                f"{channel.label}{found.percent:.2g} % of the pixels are saturated, at "
                f"{found.level} counts: there the image is too dark"
            )
    return tuple(warnings)


def _check_offset(plan: Plan, frames: NDArray[Any]) -> None:
    camera = plan.camera
    offset = camera.offset if camera.offset_map is None else camera.offset_map
    if not np.any(offset):
        return
    below = float(np.mean(frames < offset))
    if below > _TOO_MANY_BELOW:
        darkest = np.percentile(frames, _DARKEST_PERCENT)
        what = "camera_offset" if camera.offset_map is None else "offset_map"
        raise InputError(
            field=f"input.{what}",
            got=f"{np.mean(offset):g} counts, above {100 * below:.0f} % of the pixels",
            allowed=f"about {darkest:.4g}, what the darkest pixels have, or less",
        )
