"""Raw frames, their imaging model, and what light there is beside the object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Pattern
from napari_dps.core.at_once import threads_at_hand
from napari_dps.core.context import Context
from napari_dps.core.tiling import (
    GRID_PX,
    Part,
    Tile,
    equal_tiles,
)
from napari_dps.methods.dps.consistency import contrast_share
from napari_dps.methods.dps.ideal_lens import shown_series, unseen
from napari_dps.methods.dps.recording import Recording
from napari_dps.methods.sim.detection import detection_otf
from napari_dps.methods.sim.raw import without_stuck_angles
from napari_dps.physics.gaussian import smooth_series, smoothed_widely
from napari_dps.physics.resampling import from_series, resampled_means
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.raw_light import Light, stripes_of
from napari_dps.physics.sim.raw_plane import RawPlane
from napari_dps.physics.sim.shot_noise import ShotNoise

if TYPE_CHECKING:
    import torch

BLOCK_PX, LEAST_HALVED_PX = 512, 384
"""Longest side of the blocks that frames are fitted in, and rows from which those of
one block are fitted in two, which are done at a time. Sizes do not depend on the memory
that is free: beside what the whole plane needs, blocks need little."""
OVERLAP_PX = 32
"""What blocks share. The flanks of a PSF that reach farther move a result by some 1e-4
of its range (root mean square), by 2e-3 at single pixels."""
WHOLE: Part = (slice(None), slice(None))
"""All rows and columns."""
LEAST_PHOTONS, MOST_PHOTONS = 1e-2, 1e4
FLANK = 0.7
"""Light over that of the brightest place within reach of its PSF, times the root of the
photons there, at which half of a correction is made: what is fainter is the noise of
that place, which draws specks on both sides of a filament. On the real time-lapse of ER
the likeness to its authors' image rises by .001 to .002, simulated stacks stay within
.2 dB."""
HAZE_SIGMA_PX = 8.0
"""What light is evenly lit is known as smoothly as this, in pixels of the frames."""
_DETAIL_SIGMA_PX = 6.0
_WIDE_SIGMA_PX = 2.0
"""From which on a Gaussian is quicker by cosine series."""
_FLOOR_SIGMA_PX, _FLOOR_PERCENTILE = 2.0, 1.0
_TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class RawScene:
    """Frames over their mean, their model, and what is known of both.

    Attributes
    ----------
    raw : Recording
        The frames in counts, with the patterns found on them.
    scale : float
        Mean of the frames in counts.
    plane : RawPlane
        From objects to frames.
    frames : tensor (A·P, Y, X)
        Mean 1.
    haze : tensor (Y, X)
        Light that the stripes do not modulate, in the mean of the frames.
    bright : tensor (A·P,)
        Brightness of each frame over that of their mean.
    noise : ShotNoise
        Of the frames.
    photons : float
        That the brightest structure sends into a pixel of a frame, haze included.
    """

    raw: Recording
    scale: float
    plane: RawPlane
    frames: torch.Tensor
    haze: torch.Tensor
    bright: torch.Tensor
    noise: ShotNoise
    photons: float

    def with_even(self, frames: torch.Tensor, part: Part = WHOLE) -> torch.Tensor:
        """Add to frames, or a part of them, the light that stripes do not modulate."""
        return frames.addcmul_(self.haze[part], self.bright[:, None, None])

    @property
    def clear_photons(self) -> float:
        """Photons that alone would be as far above their noise as the structure is.

        Haze, and any other light that is not the object's, adds noise alone.
        """
        light = smoothed(self.frames.mean(dim=0), 1.0)
        structure = (light - self.haze * self.bright.mean()).clamp(min=0)
        clear = (structure**2 / self.variance(light)).cpu().numpy()
        return _within(float(np.percentile(clear, 99.9)))

    def variance(self, expected: torch.Tensor) -> torch.Tensor:
        """Return the variance of the noise of frames that are expected."""
        return _variance(self.noise, expected)

    def share(self, thing: torch.Tensor) -> torch.Tensor:
        """Return where an object has clear structure: how much of a correction counts.

        Parameters
        ----------
        thing : tensor, float32, the plane's ``object_shape``
            Object.
        """
        import torch

        light = self.plane.seen(thing) + self.haze * self.bright.mean()
        sigma = (self.variance(light) / len(self.frames)).sqrt()
        share = contrast_share(light, sigma).repeat_interleave(2, 0)
        share = self.plane.extended(share.repeat_interleave(2, 1))
        lit = scipy.ndimage.gaussian_filter(thing.cpu().numpy(), 1.0)
        # First zero of the PSF, on the grid twice as fine.
        reach_px = 2 * 1.22 / self.raw.optics.cutoff_per_pixel
        around = scipy.ndimage.maximum_filter(lit, 2 * round(reach_px) + 1)
        part = (lit / np.maximum(around, _TINY)) ** 2
        seen = part / (part + FLANK**2 / self.photons)
        return share * torch.from_numpy(seen).to(share)

    def seen(
        self,
        thing: torch.Tensor,
        cutoff_per_pixel: float,
        shape: tuple[int, int] | None = None,
        beside: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return an object (2 Y, 2 X) as an ideal lens shows it, in counts.

        Parameters
        ----------
        thing : tensor (2 Y, 2 X), float32
            Object.
        cutoff_per_pixel : float
            Of the lens, in cycles per pixel of a frame.
        shape : tuple of int, optional
            Of the result; by default (4 Y, 4 X).
        beside : array (2 Y, 2 X), float32, optional
            Light to add as it is, in counts: its cosine series.

        Returns
        -------
        array (4 Y, 4 X), float32
        """
        rows, columns = self.raw.shape
        series = shown_series(thing.cpu().numpy(), cutoff_per_pixel / 2, self.scale)
        if beside is not None:
            series += beside
        return from_series(series, shape or (4 * rows, 4 * columns))

    def rest_series(
        self, image: NDArray[np.float32], thing: torch.Tensor
    ) -> NDArray[np.float32]:
        """Return the series of an image's smooth light that an object does not explain.

        Of the image, not of the frames: its background may have been subtracted.

        Parameters
        ----------
        image : array (2 Y, 2 X), float32
            The reconstruction, in counts.
        thing : tensor (2 Y, 2 X), float32
            Object.

        Returns
        -------
        array (2 Y, 2 X), float32
            Cosine series of counts.
        """
        rest = image - np.float32(self.scale) * thing.cpu().numpy()
        series: NDArray[np.float32] = scipy.fft.dctn(
            rest, overwrite_x=True, workers=threads_at_hand()
        )
        smooth_series(series, 2 * HAZE_SIGMA_PX)
        return series

    def begin(
        self, image: NDArray[np.float32], seen_per_pixel: float | None = None
    ) -> tuple[RawScene, torch.Tensor]:
        """Return the scene with the haze beside an image, and the image as an object.

        The object's even floor is light that the stripes would modulate; it is given to
        the haze, which then is what of the mean frame the object does not explain.

        Parameters
        ----------
        image : array (Y', X'), float32
            In counts, over the area of the frames: (2 Y, 2 X), or any finer.
        seen_per_pixel : float, optional
            Cut-off of the lens that it is seen through, in cycles per pixel of a frame;
            by default the image is taken for the object.
        """
        import torch

        fine = on_grid(image, self.raw.shape) / self.scale
        if seen_per_pixel is not None:
            fine = unseen(fine, seen_per_pixel / 2)
        first = self.plane.extended(torch.from_numpy(fine).to(self.frames))
        mean = torch.einsum("fyx,f->yx", self.frames, 1 / self.bright)
        thing, haze = _split(first, mean / len(self.frames), self.plane)
        return replace(self, haze=haze), thing


def scene_of(
    raw: Recording,
    start: NDArray[np.float32],
    context: Context,
    device: torch.device,
) -> tuple[RawScene, torch.Tensor]:
    """Return the scene of a recording, and the object to begin with.

    Parameters
    ----------
    raw : Recording
        The frames, with the patterns found on them.
    start : array (n·Y, n·X), float32
        A first image in counts, on a grid 2 or 4 times finer than the frames'.
    context : Context
        For an OTF that was measured.
    device : torch.device
        Where to compute.

    Returns
    -------
    scene : RawScene
    thing : tensor, float32, the plane's ``object_shape``
    """
    import torch

    frames = torch.from_numpy(raw.frames).to(device)
    factors = equalisation(frames)
    scale = float(frames.mean())
    frames = without_stuck_angles(frames / scale, raw.patterns)
    frames = _evenly_lit(frames, raw.patterns)
    bright = torch.from_numpy(1 / factors).to(frames)
    noise = ShotNoise(raw.noise.gain / scale, raw.noise.read_variance / scale**2)
    stripes = stripes_of(raw.patterns, raw.shape, raw.optics.pixel_size_nm)
    otf = detection_otf(raw.patterns, raw.optics, context)
    plane = RawPlane(
        raw.shape,
        Light(1 / factors, stripes),
        raw.optics,
        device,
        _blocks(raw.shape),
        otf=otf,
    )
    flat, brightness = frames.flatten(0, 1), bright.flatten()
    dark = torch.zeros_like(flat[0])
    photons = _photons(flat, noise)
    scene = RawScene(raw, scale, plane, flat, dark, brightness, noise, photons)
    return scene.begin(start)


def _blocks(shape: tuple[int, int]) -> list[Tile]:
    """Return the blocks that frames of a shape are fitted in."""
    rows = BLOCK_PX
    if max(shape) <= BLOCK_PX and shape[0] >= LEAST_HALVED_PX:
        rows = GRID_PX * math.ceil(shape[0] / 2 / GRID_PX)
    return equal_tiles(shape, (rows, BLOCK_PX), OVERLAP_PX)


def _variance(noise: ShotNoise, expected: torch.Tensor) -> torch.Tensor:
    """Return the variance of the noise of frames that are expected."""
    variance: torch.Tensor = noise.variance(expected).clamp(min=_TINY)
    return variance


def _photons(frames: torch.Tensor, noise: ShotNoise) -> float:
    """Return the photons that the brightest structure sends into a pixel of a frame."""
    import torch

    mean = frames.mean(dim=0).cpu().numpy()
    bright = float(np.percentile(scipy.ndimage.gaussian_filter(mean, 1.0), 99.9))
    variance = float(_variance(noise, torch.tensor(bright)))
    return _within(bright**2 / variance)


def _within(photons: float) -> float:
    """Return photons within the bounds."""
    return max(min(photons, MOST_PHOTONS), LEAST_PHOTONS)


def _evenly_lit(frames: torch.Tensor, patterns: Sequence[Pattern]) -> torch.Tensor:
    """Return frames (A, P, Y, X), those of angles without patterns by their mean."""
    striped = {p.angle_index for p in patterns if p.is_usable}
    unknown = [angle for angle in range(len(frames)) if angle not in striped]
    if unknown:
        frames = frames.clone()
        for angle in unknown:
            frames[angle] = frames[angle].mean(dim=0)
    return frames


def on_grid(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return an image on the grid twice as fine as frames of a shape."""
    rows, columns = (2 * side for side in shape)
    if image.shape == (rows, columns):
        return image
    return resampled_means(image, (rows, columns))


def _split(
    thing: torch.Tensor, mean: torch.Tensor, plane: RawPlane
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an object in the brightness of the mean frame, and the even light."""
    seen = plane.seen(thing)
    smooth = smoothed(seen, _FLOOR_SIGMA_PX)
    floor = float(np.percentile(smooth.cpu().numpy(), _FLOOR_PERCENTILE))
    thing = (thing - floor).clamp(min=_TINY)
    seen = plane.seen(thing)
    gain = gain_of_detail(seen, mean)
    even = smoothed(mean - gain * seen, HAZE_SIGMA_PX).clamp(min=0)
    return gain * thing, even


def gain_of_detail(seen: torch.Tensor, mean: torch.Tensor) -> float:
    """Return the brightness of frames over that of an object, by their detail.

    Parameters
    ----------
    seen : tensor (…, Y, X), float32
        Object under even light.
    mean : tensor (…, Y, X), float32
        Of the frames.
    """
    fine, wanted = (x - smoothed(x, _DETAIL_SIGMA_PX) for x in (seen, mean))
    power = float((fine * fine).sum())
    gain = float((fine * wanted).sum()) / power if power > 0 else 0.0
    return gain if gain > 0 else 1.0


def smoothed(image: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Return an image (…, Y, X) under a Gaussian along y and x, with mirrored edges."""
    import torch

    wide = sigma_px >= _WIDE_SIGMA_PX
    values = image.cpu().numpy()
    if wide:
        smooth = smoothed_widely(values, sigma_px)
    else:
        smooth = scipy.ndimage.gaussian_filter(values, sigma_px, axes=(-2, -1))
    return torch.from_numpy(smooth).to(image)
