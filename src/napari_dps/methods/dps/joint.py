"""Data consistency with the raw frames: their likelihood, climbed from a first image.

A reconstruction has lost what the noise of each frame was like, and keeps what the
filter did to it. The raw frames know both: with the patterns as part of the imaging
model the object is found that explains all frames at once.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Pattern, Progress
from napari_dps.core.context import Context
from napari_dps.core.device import available_bytes, resolve_device
from napari_dps.methods.dps.consistency import contrast_share
from napari_dps.methods.dps.recording import Recording
from napari_dps.methods.sim.detection import detection_otf
from napari_dps.methods.sim.raw import without_stuck_angles
from napari_dps.physics.deconvolution.richardson_lucy import extrapolation
from napari_dps.physics.otf import otf_2d
from napari_dps.physics.resampling import resample
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.raw_fit import refitted_light
from napari_dps.physics.sim.raw_model import Light, RawModel, stripes_of
from napari_dps.physics.sim.shot_noise import ShotNoise

if TYPE_CHECKING:
    import torch

DEPTH, DEPTH_EXPONENT = 2.6, 0.43
"""Iterations at one photon in the brightest structure, and the power of the photons
that they follow. On simulated stacks of microtubules, ER, clathrin and vesicles at 50,
200 and 1000 photons the best were 8 to 18, 24 to 36 and 50 to 70."""
STRENGTH_SPAN = 4.0
"""Iterations at strength 1 (0) over (under) those at the default."""
MOST_ITERATIONS = 160
MOST_PHOTONS = 1e4
REFITS = (5, 10)
"""Iterations after which the stripes are fitted again."""
LEAST_MODULATION = 0.65
"""Modulation of stripes fitted to the object, over the one found before, below which
they are not those of the frames. On simulated stacks 1.0 to 1.2, with phases 30° wrong
0.85 to 1.1; with wave vectors one period over the field wrong 0.2 to 0.6."""
FLANK = 0.7
"""Light over that of the brightest place within reach of its PSF, times the root of the
photons there, at which half of a correction is made: what is fainter is the noise of
that place, which draws specks on both sides of a filament. On the real time-lapse of ER
the likeness to its authors' image rises by .001 to .002, simulated stacks stay within
.2 dB."""
HAZE_SIGMA_PX = 8.0
"""What light is evenly lit is known as smoothly as this, in pixels of the frames."""
_DETAIL_SIGMA_PX = 6.0
_FLOOR_SIGMA_PX, _FLOOR_PERCENTILE = 2.0, 1.0
BYTES_PER_PX, BYTES_PER_FRAME_PX = 790, 20
"""Memory at the peak, for each pixel of a frame and for that of every frame: in all 970
were measured for 3 × 3 frames of 640²."""
_LEAST_SENSITIVITY = 1e-3
_PAD_PX = 16
_TINY = 1e-6


class _Scene(NamedTuple):
    """The frames over their mean, their model, and what is known of both.

    Attributes
    ----------
    model : RawModel
        From objects to frames.
    frames : tensor (A·P, Y, X)
        Mean 1.
    even : tensor (A·P, Y, X)
        Light that the stripes do not modulate, expected in each frame.
    noise : ShotNoise
        Of the frames.
    """

    model: RawModel
    frames: torch.Tensor
    even: torch.Tensor
    noise: ShotNoise

    def variance(self, expected: torch.Tensor) -> torch.Tensor:
        """Return the variance of the noise of frames that are expected."""
        gain, read = self.noise
        return (gain * expected.clamp(min=0) + read).clamp(min=_TINY)


def joint_steps(
    raw: Recording,
    start: NDArray[np.float32],
    *,
    strength: float,
    width: float,
    context: Context,
) -> Generator[Progress, None, NDArray[np.float32] | None]:
    """Climb the likelihood of all raw frames, where there is structure.

    x ← x · Hᵀ(y/(H x + b))/Hᵀ1 with the raw frames y, their imaging model H, patterns
    included, and the light b that the stripes do not modulate, accelerated as in
    `napari_dps.physics.deconvolution.richardson_lucy`. Read noise of variance σ² is
    taken for the shot noise of as much light: σ²/gain is added to frames and model
    alike (Snyder et al. 1995). The stripes are fitted again on the way. Where the local
    contrast is that of noise nothing is changed, so that darkness stays quiet.

    Parameters
    ----------
    raw : Recording
        The frames, with the patterns found on them.
    start : array (n·Y, n·X), float32
        What to begin with, in counts, on a grid 2 or 4 times finer than the frames'.
    strength : float
        0 to 1; more iterations and a narrower PSF of the result.
    width : float
        Width of the PSF of the result over that of an ideal reconstruction.
    context : Context
        Device, measured OTF; told why the frames are not used.

    Yields
    ------
    Progress

    Returns
    -------
    array (4 Y, 4 X), float32, or None
        Counts; without the light that is not modulated. None if the frames do not
        agree with their patterns, or the memory does not suffice.
    """
    device = resolve_device(context.device)
    frames = len(raw.frames) * raw.frames.shape[1]
    needed = (BYTES_PER_PX + BYTES_PER_FRAME_PX * frames) * math.prod(raw.shape)
    if needed > available_bytes(device):
        context.warn(
            "too little memory is free for data consistency with the raw frames: the "
            "reconstruction alone is used"
        )
        return None
    yield Progress(0, 1, "Raw frames")
    scale, scene, thing = _scene(raw, start, context, device)
    photons = _photons(scene)
    # First zero of the PSF, on the grid twice as fine.
    reach_px = 2 * 1.22 / raw.optics.cutoff_per_pixel
    share = _share(scene, thing, photons, reach_px)
    result = yield from _climb(scene, thing, share, _depth(photons, strength))
    if result is None:
        context.warn(
            "the raw frames do not agree with the stripes that were found: they are "
            "not used for data consistency"
        )
        return None
    seen = _seen(result, raw, width)
    return np.asarray(scale * seen, dtype=np.float32)


def _scene(
    raw: Recording,
    start: NDArray[np.float32],
    context: Context,
    device: torch.device,
) -> tuple[float, _Scene, torch.Tensor]:
    """Return the mean of the frames in counts, the scene, and the object to begin with.

    The object's even floor is light that the stripes would modulate; it is given to the
    even light, which then is what of the mean frame the object does not explain.
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
    model = RawModel(raw.shape, stripes, 1 / factors, raw.optics, device, otf=otf)
    flat = frames.flatten(0, 1)
    mean = (frames / bright[..., None, None]).mean(dim=(0, 1))
    first = torch.from_numpy(_on_grid(start, raw.shape) / scale).to(flat)
    thing, even = _split(model.extended(first), mean, model)
    even = even * bright.flatten()[:, None, None]
    return scale, _Scene(model, flat, even, noise), thing


def _evenly_lit(frames: torch.Tensor, patterns: tuple[Pattern, ...]) -> torch.Tensor:
    """Return frames (A, P, Y, X), those of angles without patterns by their mean."""
    frames = frames.clone()
    for angle in range(len(frames)):
        if not any(p.angle_index == angle and p.is_usable for p in patterns):
            frames[angle] = frames[angle].mean(dim=0)
    return frames


def _on_grid(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return an image on the grid twice as fine as frames of a shape."""
    rows, columns = (2 * side for side in shape)
    finer = image.shape[0] // rows
    blocks = image.reshape(rows, finer, columns, finer)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def _split(
    thing: torch.Tensor, mean: torch.Tensor, model: RawModel
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an object in the brightness of the mean frame, and the even light."""
    seen = model.views(thing)[0]
    smooth = _smoothed(seen, _FLOOR_SIGMA_PX)
    floor = float(np.percentile(smooth.cpu().numpy(), _FLOOR_PERCENTILE))
    thing = (thing - floor).clamp(min=_TINY)
    seen = model.views(thing)[0]
    fine, wanted = (x - _smoothed(x, _DETAIL_SIGMA_PX) for x in (seen, mean))
    power = float((fine * fine).sum())
    gain = float((fine * wanted).sum()) / power if power > 0 else 0.0
    gain = gain if gain > 0 else 1.0
    even = _smoothed(mean - gain * seen, HAZE_SIGMA_PX).clamp(min=0)
    return gain * thing, even


def _photons(scene: _Scene) -> float:
    """Return the photons that the brightest structure sends into a pixel of a frame."""
    mean = scene.frames.mean(dim=0).cpu().numpy()
    bright = float(np.percentile(scipy.ndimage.gaussian_filter(mean, 1.0), 99.9))
    variance = scene.noise.gain * bright + scene.noise.read_variance
    return min(bright**2 / max(variance, bright**2 / MOST_PHOTONS), MOST_PHOTONS)


def _depth(photons: float, strength: float) -> int:
    """Return the iterations that suit the light and the strength."""
    wanted = DEPTH * math.pow(photons, DEPTH_EXPONENT)
    wanted *= math.pow(STRENGTH_SPAN, 2 * strength - 1)
    return min(max(round(wanted), 2), MOST_ITERATIONS)


def _share(
    scene: _Scene, thing: torch.Tensor, photons: float, reach_px: float
) -> torch.Tensor:
    """Return where an object has clear structure: how much of a correction is made."""
    import torch

    light = scene.model.views(thing)[0] + scene.even.mean(dim=0)
    sigma = (scene.variance(light) / len(scene.frames)).sqrt()
    share = contrast_share(light, sigma)
    share = scene.model.extended(share.repeat_interleave(2, 0).repeat_interleave(2, 1))
    lit = scipy.ndimage.gaussian_filter(thing.cpu().numpy(), 1.0)
    around = scipy.ndimage.maximum_filter(lit, 2 * round(reach_px) + 1)
    part = (lit / np.maximum(around, _TINY)) ** 2
    seen = part / (part + FLANK**2 / photons)
    return share * torch.from_numpy(seen).to(share)


def _climb(
    scene: _Scene, thing: torch.Tensor, share: torch.Tensor, steps: int
) -> Generator[Progress, None, torch.Tensor | None]:
    """Iterate; return the object (2 Y, 2 X), or None if the stripes explain nothing."""
    import torch

    model, frames, even, noise = scene
    shift = noise.read_variance / noise.gain if noise.gain > 0 else 0.0
    shifted = frames + shift
    sensitivity = _sensitivity(model, frames)
    point = estimate = thing
    step = torch.zeros_like(thing)
    first = model.light
    for number in range(steps):
        expected = model.forward(point).add_(even)
        if number in REFITS and first.stripes:
            variance = scene.variance(expected)
            missing = frames - expected
            model.set_light(
                refitted_light(model, point, missing, expected, variance, first)
            )
            views = model.views(point)
            expected = model.mixed(views).add_(even)
            if not _agrees(scene, views, expected, first):
                return None
            sensitivity = _sensitivity(model, frames)
        # In place: memory that is new costs more than what is done with it.
        ratio = torch.div(shifted, expected.add_(shift).clamp_(min=_TINY), out=expected)
        correction = model.adjoint(ratio).div_(sensitivity).sub_(1).mul_(share).add_(1)
        previous, before = estimate, step
        estimate = correction.mul_(point).clamp_(min=0)
        step = torch.sub(estimate, point, out=point if number else None)
        reach = extrapolation(step, before)
        point = torch.sub(estimate, previous).mul_(reach).add_(estimate).clamp_(min=0)
        yield Progress(number + 1, steps, "Raw frames")
    return model.inside(estimate)


def _sensitivity(model: RawModel, frames: torch.Tensor) -> torch.Tensor:
    """Return how much of each fine pixel's light all frames get together."""
    import torch

    light = model.adjoint(torch.ones_like(frames))
    return light.clamp_(min=_LEAST_SENSITIVITY * float(light.max()))


def _agrees(
    scene: _Scene, views: torch.Tensor, expected: torch.Tensor, first: Light
) -> bool:
    """Whether the frames show the stripes that were found.

    Those are not theirs if the modulation falls when it is fitted to the object, or
    even light explains the frames as well.
    """
    for one, was in zip(scene.model.light.stripes, first.stripes, strict=True):
        if one.modulation < LEAST_MODULATION * was.modulation:
            return False
    intensities, stripes = scene.model.light
    count = intensities.shape[1]
    variance = scene.variance(expected)
    for angle in {one.angle for one in stripes}:
        part = slice(angle * count, (angle + 1) * count)
        frames, even = scene.frames[part], scene.even[part]
        plain = scene.model.mixing[part, :1, None] * views[:1] + even
        errors = [
            float(((frames - x) ** 2 / variance[part]).mean())
            for x in (expected[part], plain)
        ]
        if errors[0] >= errors[1]:
            return False
    return True


def _seen(thing: torch.Tensor, raw: Recording, width: float) -> NDArray[np.float32]:
    """Return an object as a PSF shows it, on the grid of the result (4 Y, 4 X)."""
    rows, columns = raw.shape
    longest = [
        max(math.hypot(*o.wavevector_per_nm) for o in p.orders if o.is_usable)
        for p in raw.patterns
        if p.is_usable
    ]
    k = sum(longest) / max(len(longest), 1)
    factor = 1 + k * raw.optics.cutoff_period_nm
    cutoff = factor * raw.optics.cutoff_per_pixel / 2 / width
    pad = min(_PAD_PX, 2 * rows - 1, 2 * columns - 1)
    padded = np.pad(thing.cpu().numpy(), pad, mode="reflect")
    otf = otf_2d(padded.shape, cutoff, half_plane=True).astype(np.float32)
    spectrum = scipy.fft.rfft2(padded, workers=1) * otf
    seen = scipy.fft.irfft2(spectrum, s=padded.shape, workers=1)
    return resample(seen[pad:-pad, pad:-pad], (4 * rows, 4 * columns))


def _smoothed(image: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Return an image under a Gaussian, with mirrored edges."""
    import torch

    smooth = scipy.ndimage.gaussian_filter(image.cpu().numpy(), sigma_px)
    return torch.from_numpy(smooth).to(image)
