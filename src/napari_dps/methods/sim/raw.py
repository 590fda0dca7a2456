"""Raw frames made fit for everything else: hot pixels replaced, motion undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Optics, Pattern, RawFrames
from napari_dps.core.context import Context
from napari_dps.methods.sensor import dead_lines, filled, noise_beside_hot_pixels
from napari_dps.methods.sim.even_angles import with_even_angles
from napari_dps.methods.sim.lost_frames import with_lost_frames
from napari_dps.metrics.registration import find_shift
from napari_dps.physics.hot_pixels import hot_pixels, replaced

if TYPE_CHECKING:
    import torch

LEAST_MOTION_PX = 0.25
"""Displacement between angles that is undone: less costs a reconstruction nothing that
can be seen."""
MOST_MOTION_PX = 8.0
"""More is no motion of a sample during a recording, but another mistake."""
_TOLD_MOTION_PX = (LEAST_MOTION_PX, 0.5, 1.0, 2.0, 4.0)
"""Steps in which it is told, so that a time-lapse is not warned of at every point."""
_SMOOTH_OF_PERIOD = 0.3
"""Width (sigma) of the Gaussian before displacements are measured, over the finest
period that the lens passes."""
_LEAST_GAIN = 0.1
"""Share of the difference between two angles that a displacement must explain."""
_SAME_DRIFT = 0.4
"""Difference of the motion within angles and that between them, over it, up to which
both are one drift."""
_LEAST_SIDE_PX = 32


def with_hot_pixels_replaced(image: ImageStack, context: Context) -> ImageStack:
    """Return raw frames without the hot pixels and dead lines of the camera.

    Hot pixels of the sensor are the same in all frames and are sought in their mean;
    what is hot in a single frame, in that.

    Parameters
    ----------
    image : ImageStack
        Axes "APYX"; counts above the camera's offset, as they were recorded.
    context : Context
        Told how many were replaced.

    Returns
    -------
    ImageStack
        The image itself where there are none, no optics are known, or the frames were
        processed before.
    """
    if image.optics is None or image.is_processed:
        return image
    cutoff = image.optics.cutoff_per_pixel
    image = _with_lines_filled(with_lost_frames(image, context), context)
    frames = np.asarray(image.data, dtype=np.float32)
    frames = frames.reshape(-1, *frames.shape[-2:])
    if min(frames.shape[-2:]) < _LEAST_SIDE_PX:
        return image
    key = ("hot pixels", image.optics, frames.shape[-2:])
    if not context.examines and key in context.cache:
        return _with_known_replaced(image, context.cache[key])
    # Less the brightest: an event in a single frame is no pixel of the sensor.
    mean = (frames.sum(axis=0) - frames.max(axis=0)) / max(len(frames) - 1, 1)
    noise = noise_beside_hot_pixels(mean, cutoff)
    if image.camera is not None:
        noise = float(np.sqrt(image.camera.variance(float(mean.mean())) / len(frames)))
    hot = context.cache[key] = hot_pixels(mean, cutoff, noise)
    of_frame = noise * np.sqrt(len(frames))
    masks = [hot | hot_pixels(frame, cutoff, of_frame) for frame in frames]
    if not np.any(masks):
        return image
    cleaned = [
        replaced(frame, mask) if mask.any() else frame
        for frame, mask in zip(frames, masks, strict=True)
    ]
    # Their number differs from one time point to the next: it is said once.
    if hot.any() and key not in context.told:
        context.told[key] = True
        context.warn(_hot_pixel_warning(hot, np.mean(cleaned, axis=0)))
    if any((mask & ~hot).any() for mask in masks):
        context.warn(
            "hot pixels of single raw frames were replaced by the median of their "
            "neighbours"
        )
    return image.derive(np.reshape(cleaned, image.shape))


def _with_lines_filled(image: ImageStack, context: Context) -> ImageStack:
    """Return raw frames whose dead lines are filled from beside."""
    frames = np.asarray(image.data)
    rows, columns = dead_lines(frames.reshape(-1, *frames.shape[-2:]))
    if not (rows.any() or columns.any()):
        return image
    context.warn(
        "rows or columns hold the same counts in all raw frames (dead lines of the "
        f"camera, or a border that was filled; {int(rows.sum() + columns.sum())} in "
        "all): they were filled from beside and show nothing; crop a border"
    )
    return image.derive(filled(frames.astype(np.float32), rows, columns))


def _hot_pixel_warning(hot: NDArray[np.bool_], cleaned: NDArray[np.float32]) -> str:
    """Say how many pixels of the sensor were replaced, and how many show the sample."""
    count = int(hot.sum())
    bright = int((cleaned[hot] > cleaned.mean()).sum())
    where = f"; {bright} of them in bright structures, of which they show nothing"
    return (
        f"{count} hot pixels of the camera ({count / hot.size:.2%} of all) were "
        "replaced by the median of their neighbours" + where * (bright > 0)
    )


def _with_known_replaced(image: ImageStack, hot: NDArray[np.bool_]) -> ImageStack:
    """Replace the hot pixels of the sensor, which were found in another stack."""
    if not hot.any():
        return image
    frames = np.asarray(image.data, dtype=np.float32).reshape(-1, *hot.shape)
    cleaned = [replaced(frame, hot) for frame in frames]
    return image.derive(np.reshape(cleaned, image.shape))


def corrected_frames(image: ImageStack, context: Context) -> ImageStack:
    """Return raw frames with hot pixels replaced and the motion of the sample undone.

    What every stage that takes raw frames does first; frames that another has processed
    are left alone. Motion is left where the context examines nothing; else the frames
    go with the image from here on, for the stages that look at them again.
    """
    image = with_hot_pixels_replaced(image, context)
    if not context.examines or image.is_processed:
        return image
    image = with_even_angles(with_motion_undone(image, context), context)
    frames = RawFrames(np.asarray(image.data, dtype=np.float32), image.camera)
    return replace(image, frames=frames)


def without_stuck_angles(
    frames: torch.Tensor, patterns: Sequence[Pattern]
) -> torch.Tensor:
    """Return frames without those of angles whose mean has stripes.

    In their place stands the mean of the other angles, as bright: it has no stripes,
    and adds nothing that these do not say.

    Parameters
    ----------
    frames : tensor (A, P, Y, X), float32
        Counts above the camera's offset.
    patterns : sequence of Pattern
        Of all angles.

    Returns
    -------
    tensor (A, P, Y, X)
        The frames themselves where no angle is left out, or none is to be used.
    """
    stuck = {p.angle_index for p in patterns if p.keeps_stripes and not p.is_usable}
    others = [a for a in range(len(frames)) if a not in stuck]
    if not stuck or not any(p.is_usable for p in patterns):
        return frames
    mean = frames[others].mean(dim=(0, 1))
    result = frames.clone()
    for angle in stuck:
        result[angle] = mean * (frames[angle].mean() / mean.mean())
    return result


@dataclass(frozen=True, slots=True)
class Motion:
    """How far the sample lies displaced at one angle from the middle one.

    Attributes
    ----------
    angle : int
        Index along A.
    shift_px : (float, float)
        Along (y, x), in pixels of the frames.
    """

    angle: int
    shift_px: tuple[float, float]

    @property
    def length_px(self) -> float:
        """Length of the displacement."""
        return float(np.hypot(*self.shift_px))


def motion_between_angles(frames: NDArray[np.float32], optics: Optics) -> list[Motion]:
    """Measure how the sample moved from angle to angle.

    The mean of the phases of an angle is its widefield image, without stripes. A
    displacement counts if undoing it makes the two images clearly more alike.

    Parameters
    ----------
    frames : array (A, P, Y, X), float32
        Counts above the camera's offset.
    optics : Optics
        Of the frames.

    Returns
    -------
    list of Motion
        Of the angles that are displaced by `LEAST_MOTION_PX` or more.
    """
    if len(frames) == 1 or min(frames.shape[-2:]) < _LEAST_SIDE_PX:
        return []
    sigma = _SMOOTH_OF_PERIOD / optics.cutoff_per_pixel
    fields = [
        scipy.ndimage.gaussian_filter(angle.mean(axis=0), sigma) for angle in frames
    ]
    middle = fields[len(fields) // 2]
    found = []
    for number, field in enumerate(fields):
        try:
            shift = find_shift(field, middle)
        except InputError:  # an even field tells nothing
            continue
        motion = Motion(number, shift)
        if LEAST_MOTION_PX <= motion.length_px <= MOST_MOTION_PX:
            before, after = (
                _unlikeness(f, middle) for f in (field, moved(field, shift))
            )
            if after < (1 - _LEAST_GAIN) * before:
                found.append(motion)
    return found


def with_motion_undone(image: ImageStack, context: Context) -> ImageStack:
    """Return raw frames with the sample of all angles in one place.

    Frames of a displaced angle are moved back with their stripes, or each by itself
    where the sample drifts evenly; patterns that are
    known already are moved with them.

    Parameters
    ----------
    image : ImageStack
        Axes "APYX"; counts above the camera's offset, as they were recorded.
    context : Context
        Told which angles were moved, and how far.

    Returns
    -------
    ImageStack
        The image itself where nothing moved.
    """
    if image.optics is None or image.is_processed:
        return image
    frames = np.array(image.data, dtype=np.float32)
    motions = motion_between_angles(frames, image.optics)
    if not motions:
        return image
    shifts = frame_shifts(frames, motions, image.optics)
    if shifts[len(frames) // 2].any():
        context.warn(
            "the sample drifts evenly, within angles as well: every frame was moved "
            "back by itself"
        )
    patterns = tuple(_moved_back(p, shifts, image.optics) for p in image.patterns)
    for place in zip(*np.nonzero(shifts.any(axis=-1)), strict=True):
        frames[place] = moved(frames[place], tuple(shifts[place]))
    for motion in motions:
        least_px = max(px for px in _TOLD_MOTION_PX if px <= motion.length_px)
        context.warn(
            f"the sample lies displaced by more than {least_px:g} px "
            f"({least_px * image.optics.pixel_size_nm:.0f} nm) at angle "
            f"{motion.angle + 1}: its frames were moved back; motion that is not the "
            "same everywhere leaves artefacts"
        )
    return image.derive(frames, patterns=patterns)


def frame_shifts(
    frames: NDArray[np.float32], motions: Sequence[Motion], optics: Optics
) -> NDArray[np.float64]:
    """Return how far the sample lies displaced in each frame.

    As in the others of its angle, unless it drifts evenly: if it moves from the first
    to the last frame of an angle as fast as from angle to angle. Stripes disturb that
    measure, each angle's in its way; its mean over the angles is good to .1 pixels.

    Parameters
    ----------
    frames : array (A, P, Y, X), float32
        Counts above the camera's offset.
    motions : sequence of Motion
        As of `motion_between_angles`.
    optics : Optics
        Of the frames.

    Returns
    -------
    array (A, P, 2), float64
        Pixels (y, x), from the middle of the recording.
    """
    angles, phases = frames.shape[:2]
    shifts = np.zeros((angles, phases, 2))
    for motion in motions:
        shifts[motion.angle] = motion.shift_px
    if len(motions) < angles - 1 or angles % 2 == 0:
        return shifts
    number = np.array([motion.angle - angles // 2 for motion in motions])
    each = np.array([motion.shift_px for motion in motions]) / number[:, np.newaxis]
    drift = each.mean(axis=0) / phases
    wanted = (phases - 1) * drift
    sigma = 2 * _SMOOTH_OF_PERIOD / optics.cutoff_per_pixel
    ends = scipy.ndimage.gaussian_filter(frames[:, [0, -1]], (0, 0, sigma, sigma))
    try:
        seen = np.mean([find_shift(last, first) for first, last in ends], axis=0)
    except InputError:  # an even field tells nothing
        return shifts
    if np.hypot(*(seen - wanted)) < _SAME_DRIFT * np.hypot(*wanted):
        steps = np.arange(phases) - (phases - 1) / 2
        shifts += steps[:, np.newaxis] * drift
    return shifts


def _moved_back(
    pattern: Pattern, shifts: NDArray[np.float64], optics: Optics
) -> Pattern:
    """Return a pattern as frames show it that were moved back by `frame_shifts`."""
    if not pattern.phases_deg:
        return pattern
    phases = tuple(
        pattern_from(pattern, (float(y), float(x)), optics).phases_deg[number]
        for number, (y, x) in enumerate(shifts[pattern.angle_index])
    )
    return pattern.model_copy(update={"phases_deg": phases})


def moved(
    image: NDArray[np.float32], shift_px: tuple[float, float]
) -> NDArray[np.float32]:
    """Return what lies displaced by (y, x) pixels where it would lie otherwise.

    Cubic splines; the image is mirrored beyond its edge.
    """
    back = (-shift_px[0], -shift_px[1])
    result: NDArray[np.float32] = scipy.ndimage.shift(
        image, back, order=3, mode="reflect"
    )
    return result


def pattern_from(
    pattern: Pattern, origin_px: tuple[float, float], optics: Optics
) -> Pattern:
    """Return a pattern as frames show it whose first pixel is another one's place.

    ``origin_px`` is that place (y, x), as of frames that were cropped, or moved back.
    """
    wave = pattern.orders[0].wavevector_per_nm
    turns = sum(
        k * optics.pixel_size_nm * s for k, s in zip(wave, origin_px, strict=True)
    )
    phases = tuple(phase + 360 * turns for phase in pattern.phases_deg)
    return pattern.model_copy(update={"phases_deg": phases})


def _unlikeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the squared difference of two images of one brightness, rim left out."""
    rim = int(MOST_MOTION_PX)
    inner = (slice(rim, -rim), slice(rim, -rim))
    x, y = (image[inner] - image[inner].mean() for image in (a, b))
    power = float((x * x).sum())
    scale = float((x * y).sum()) / power if power else 0.0
    return float(((scale * x - y) ** 2).sum())
