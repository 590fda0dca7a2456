"""The raw frames behind a reconstruction, and what is known of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Optics, Pattern
from napari_dps.physics.sim.shot_noise import ShotNoise, shot_noise

FINEST_PER_PIXEL = 0.65
"""Cut-off of a reconstruction, in cycles per pixel of a frame, half of whose width the
grid of half these pixels shows: beyond, ripples accompany what is as thin as a pixel.
"""
_VOLUME = 5
"""Axes of the frames of a z-stack."""
_DARK_SIGMA_PX, _DARK_PERCENTILE = 2.0, 1.0
"""How the light of the darkest places is measured, so that noise does not count."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The raw frames behind a reconstruction, and what is known of them.

    Attributes
    ----------
    frames : array ([Z,] A, P, Y, X), float32
        Counts above the camera's offset, dark places not below 0.
    patterns : tuple of Pattern
        That the image was reconstructed with.
    optics : Optics
        The detection, at the pixel size of the frames.
    noise : ShotNoise
        Of the frames, stated or measured.
    z_step_nm : float
        Distance of the planes; 0 for those of a plane.
    """

    frames: NDArray[np.float32]
    patterns: tuple[Pattern, ...]
    optics: Optics
    noise: ShotNoise
    z_step_nm: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of a frame."""
        return int(self.frames.shape[-2]), int(self.frames.shape[-1])

    @property
    def finest_per_pixel(self) -> float:
        """Cut-off of an ideal reconstruction, in cycles per pixel of a frame.

        With the longest wave vector of each angle, averaged over the angles.
        """
        longest = [
            max(math.hypot(*o.wavevector_per_nm) for o in p.orders if o.is_usable)
            for p in self.patterns
            if p.is_usable
        ]
        k = sum(longest) / max(len(longest), 1)
        optics = self.optics
        return (1 + k * optics.cutoff_period_nm) * optics.cutoff_per_pixel

    def shown_per_pixel(self, width: float) -> float:
        """Return the cut-off of the lens that an object found is shown through.

        Parameters
        ----------
        width : float
            Of its PSF, over that of an ideal reconstruction; of one that the object's
            grid, half the frames' pixels, can hold, where that is wider.

        Returns
        -------
        float
            In cycles per pixel of a frame.
        """
        return min(self.finest_per_pixel, FINEST_PER_PIXEL) / width

    def noisier(self, share: float, draw: int) -> Recording:
        """Return frames with some of their noise added once more; drawn by number."""
        rng = np.random.default_rng(draw)
        light = scipy.ndimage.gaussian_filter(self.frames, (0, 0, 1, 1))
        variance = self.noise.variance(light)
        noise = rng.standard_normal(light.shape, dtype=np.float32)
        more = np.sqrt(variance, dtype=np.float32) * noise
        return replace(self, frames=self.frames + np.float32(share) * more)


def recording_behind(image: ImageStack) -> Recording | None:
    """Return the raw frames of a reconstruction that can be fitted.

    None without frames, light, optics or stripes, where the frames are those of another
    field, or where the stripes are those of a volume and the image is a plane, or the
    other way round.
    """
    behind, optics = image.frames, image.optics
    if behind is None or optics is None or not frames_fit(image):
        return None
    is_lit = float(behind.data.mean()) > 0
    if not (is_lit and any(p.is_usable for p in image.patterns)):
        return None
    detection = optics.at_pixel_size(2 * optics.pixel_size_nm)
    detection = detection.model_copy(update={"modulation_factor": 1.0})
    frames, camera = _above_zero(behind.data), behind.camera
    if camera is None:
        noise = shot_noise(_sharpest(frames), detection)
    else:
        noise = ShotNoise(camera.gain, (camera.gain * camera.read_noise_e) ** 2)
    z_step_nm = (image.z_step_nm or 0.0) if frames.ndim == _VOLUME else 0.0
    return Recording(frames, image.patterns, detection, noise, z_step_nm)


def frames_fit(image: ImageStack) -> bool:
    """Whether there are frames behind an image, and of its field and dimensions."""
    if image.frames is None:
        return False
    shape = image.frames.data.shape
    fine = (*shape[:-4], *(2 * side for side in shape[-2:]))
    in_depth = any(pattern.is_three_dimensional for pattern in image.patterns)
    return image.shape == fine and in_depth == (len(shape) == _VOLUME)


def _sharpest(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the frames (A, P, Y, X) of the plane with most contrast."""
    if frames.ndim < _VOLUME:
        return frames
    sharpest: NDArray[np.float32] = frames[np.argmax([one.std() for one in frames])]
    return sharpest


def _above_zero(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return frames ([Z,] A, P, Y, X) whose dark places are not below 0.

    There is no such light: too large an offset was subtracted, or the frames were
    sharpened. What is added is even light, which no result shows.
    """
    mean = frames.mean(axis=(-4, -3), dtype=np.float32)
    sigma = (*(0.0 for _ in mean.shape[:-2]), _DARK_SIGMA_PX, _DARK_SIGMA_PX)
    smooth = scipy.ndimage.gaussian_filter(mean, sigma)
    dark = min(float(np.percentile(smooth, _DARK_PERCENTILE)), 0.0)
    return frames - np.float32(dark)
