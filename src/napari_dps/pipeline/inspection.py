"""A look at the first pixels, for a wrong camera offset and for saturation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps import io
from napari_dps.core import InputError
from napari_dps.core.context import Context
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.rolling import motion_warnings
from napari_dps.pipeline.units import Channel

_TOO_MANY_BELOW = 0.8
"""Share of pixels below the camera's offset that no offset leaves: of dark frames half
the pixels lie below it, by their noise."""

_DARKEST_PERCENT = 1.0
"""Percentile of the pixels that is suggested as the offset."""

_LEAST_PEDESTAL = 0.1
"""Of the mean of raw frames: an offset that is worth a word if none is subtracted."""

_MOST_BELOW = 0.1
"""Of the mean light of a unit: what its dark places may lie below the offset."""
_OTHER_NOISE = 1.7
"""Noise over that of the camera as it is stated that is worth a word, or its inverse.
Frames of one microscope differ by hot pixels and by what their mean does not tell."""
_LEAST_SIDE_PX = 16
_DARK_SIGMA_PX = 2.0
"""Of the Gaussian that dark places are seen through, so that noise does not count."""


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
        units = {channel.units((0, 1))[0].index, channel.middle(plan.span).index}
        frames = np.stack([io.fetch(channel.stack.data[i]) for i in sorted(units)])
        _check_offset(plan, frames)
        warnings += _offset_warnings(plan, channel, frames[0])
        warnings += _darkness_warnings(plan, channel, frames[0])
        warnings += _noise_warnings(plan, channel, frames[0])
        if frames.dtype.kind in "iu" and (found := saturation(frames)) is not None:
            warnings.append(
                f"{channel.label}{found.percent:.2g} % of the pixels are saturated, at "
                f"{found.level} counts: there the image is too dark"
            )
    return tuple(warnings)


def _offset_warnings(plan: Plan, channel: Channel, unit: NDArray[Any]) -> Iterator[str]:
    """Say that raw frames stand on an offset which is not subtracted."""
    from napari_dps.physics.sim.shot_noise import pedestal

    optics, camera = channel.stack.optics, plan.camera
    if not channel.stack.is_raw or optics is None:
        return
    if camera.offset or camera.offset_map is not None:
        return
    frames = unit.reshape(-1, *unit.shape[-4:])
    middle = frames[len(frames) // 2].astype(np.float32)
    counts = pedestal(middle, optics)
    if counts > _LEAST_PEDESTAL * float(middle.mean()):
        yield (
            f"{channel.label}every pixel holds about {counts:.3g} counts without the "
            "noise of light: probably the camera's offset, which is not subtracted; "
            "give it, or brightness and noise are taken for more than they are"
        )


def _darkness_warnings(
    plan: Plan, channel: Channel, unit: NDArray[Any]
) -> Iterator[str]:
    """Say that dark places lie below the offset, which noise alone does not do."""
    from scipy.ndimage import gaussian_filter

    from napari_dps.methods.sensor import dead_lines
    from napari_dps.metrics.snr import noise_std

    camera = plan.camera
    offset = camera.offset if camera.offset_map is None else camera.offset_map
    if not np.any(offset):
        return
    frames = unit.reshape(-1, *unit.shape[-2:])
    rows, columns = dead_lines(frames)  # a border that was filled is no light
    frames = (frames.astype(np.float32) - offset)[:, ~rows][..., ~columns]
    if min(frames.shape[-2:]) < _LEAST_SIDE_PX:
        return
    mean, noise = frames.mean(axis=0), noise_std(frames[0]) / len(frames) ** 0.5
    smooth = gaussian_filter(mean, _DARK_SIGMA_PX)
    dark = float(np.percentile(smooth, _DARKEST_PERCENT))
    if dark < -max(_MOST_BELOW * abs(float(mean.mean())), noise):
        yield (
            f"{channel.label}the darkest places hold {-dark:.3g} counts less than the "
            "camera's offset: there is no light below 0; the offset is too large, or "
            "light was taken from the frames before"
        )


def _noise_warnings(plan: Plan, channel: Channel, unit: NDArray[Any]) -> Iterator[str]:
    """Say that frames are noisier, or less noisy, than the camera is said to be."""
    from napari_dps.metrics.snr import noise_std

    camera, optics = plan.camera, channel.stack.optics
    if camera.noise is None or optics is None or min(unit.shape[-2:]) < _LEAST_SIDE_PX:
        return
    frames = unit.reshape(-1, *unit.shape[-2:])
    frame = camera.correct(frames[len(frames) // 2].astype(np.float32))
    seen = noise_std(frame, optics.cutoff_per_pixel)
    stated = camera.noise.variance(float(frame.mean())) ** 0.5
    if stated and not stated / _OTHER_NOISE < seen < stated * _OTHER_NOISE:
        yield (
            f"{channel.label}the frames hold noise of {seen:.3g} counts where the gain "
            f"and read noise that are stated make {stated:.3g}: without them the noise "
            "is measured"
        )


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
