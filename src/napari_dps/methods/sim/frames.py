"""Raw frames at canonical sampling: their noise, and what a model leaves of them."""

from __future__ import annotations

import math
from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.fft

from napari_dps.core import CameraNoise, Optics, Progress
from napari_dps.core.at_once import at_once
from napari_dps.methods.sim.orders import Zoom
from napari_dps.metrics.snr import noise_std
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.resampling import resample
from napari_dps.physics.sim.noise import DIFFERENCE_RINGS
from napari_dps.physics.sim.pattern_model import mirrored
from napari_dps.physics.sim.spectrum import squared

if TYPE_CHECKING:
    import torch

BEYOND = 1.15
"""What cannot be explained is kept as far as it exceeds that many times the noise."""
NEIGHBOURS = 9
"""Edge, in frequencies, of the squares over which the power of it is averaged."""
FADING_LEVEL = 0.0012
"""Noise of order 0, full scale 1, at which the model has taken over half of it: chosen
on structures of the training (microtubules, vesicles, ER) at 50 to 5000 photons."""
RIM_PX = 12
"""Mirrored and fading rim of the frames: wider than the reach of the PSF."""
_LEAST_SIDE_PX = 4


class Rim(NamedTuple):
    """Pixels around images."""

    left: int
    right: int
    top: int
    bottom: int


def resampled_steps(
    frames: torch.Tensor, shape: tuple[int, int], done: int, total: int
) -> Generator[Progress, None, torch.Tensor]:
    """Resample frames (A, P, Y, X) one by one.

    Parameters
    ----------
    frames : tensor (A, P, Y, X)
    shape : tuple of int
        New (Y, X).
    done, total : int
        Where the steps stand, for the reports.

    Yields
    ------
    Progress
        After each frame.

    Returns
    -------
    tensor (A, P, *shape)
    """
    import torch

    images = frames.flatten(0, 1)
    result = torch.empty((len(images), *shape), device=frames.device)
    resampling = at_once(
        partial(resample, image.cpu().numpy(), shape) for image in images
    )
    for number, image in enumerate(resampling):
        result[number] = torch.from_numpy(image).to(frames.device)
        yield Progress(done + number + 1, total, "Resampling")
    return result.view(*frames.shape[:2], *shape)


def frame_noise(
    frames: torch.Tensor,
    zeros: torch.Tensor,
    optics: Optics,
    zoom: Zoom,
    camera: CameraNoise | None = None,
    cutoff_per_pixel: float = CANONICAL_CUTOFF_PER_PIXEL,
) -> float:
    """Measure the noise of a frame at canonical or another sampling.

    Beyond the cut-off, where a frame holds noise alone; and just within it, where the
    mean frames of the angles differ by noise alone: the larger counts, since frames
    that were interpolated to finer pixels have lost their noise beyond.

    Parameters
    ----------
    frames : tensor (A, P, Y, X)
        Raw, equally bright.
    zeros : tensor (A, Y', X')
        Order 0 of each angle at canonical sampling, of noise √P times less.
    optics : Optics
        Optics of the frames.
    zoom : Zoom
        To canonical pixels.
    camera : CameraNoise, optional
        Noise of the frames where it is stated: it is not measured then.
    cutoff_per_pixel : float
        Of ``zeros``.

    Returns
    -------
    float
        Standard deviation as if the noise were white.

    Notes
    -----
    What the angles differ by is low: the median of A angles' power is taken for its
    mean, which is 1/0.84 times that at three angles (1/0.69 at two, 1/0.92 at five),
    so that the standard deviation is 8 % low. `noise_to_signal` corrects for this.
    Here it stays, since the shipped weights ``sim`` learned from denoised frames whose
    noise was measured so, and the constants of this module were chosen with it: a
    training that mends it has to make both anew.
    """
    import torch

    if camera is not None:
        return math.sqrt(camera.variance(float(frames.mean())) * zoom.y * zoom.x)
    beyond = 0.0
    if min(frames.shape[-2:]) >= _LEAST_SIDE_PX:
        cutoff = optics.cutoff_per_pixel
        levels = [noise_std(f[0].cpu().numpy(), cutoff) for f in frames]
        beyond = float(np.mean(np.square(levels))) * zoom.y * zoom.x
    within = 0.0
    if len(zeros) > 1:
        spectra = torch.fft.fft2(zeros - zeros.mean(dim=0), norm="ortho")
        power = spectra.abs().square().sum(dim=0) / (len(zeros) - 1)
        ring = _radius(zeros, cutoff_per_pixel)
        inside = (ring > DIFFERENCE_RINGS[0]) & (ring < DIFFERENCE_RINGS[1])
        if inside.any():
            within = float(power[inside].median()) * frames.shape[1]
    return math.sqrt(max(beyond, within))


def fast_even(least: int) -> int:
    """Return the next even size that transforms fast.

    Even, so that an image lies in the middle of its rim and on the cells of a network,
    and a turned one likewise.
    """
    return 2 * int(scipy.fft.next_fast_len(-(-least // 2), real=True))


def fast_rim(height: int, width: int) -> Rim:
    """Return a rim of `RIM_PX` and more, up to sizes that transform fast.

    As wide on either side where a side is even.
    """
    rows, columns = (fast_even(side + 2 * RIM_PX) - side for side in (height, width))
    return Rim(columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)


def faded(image: torch.Tensor, rim: Rim) -> torch.Tensor:
    """Fade the rim of images (…, Y, X) to 0, so that nothing ends abruptly."""
    import torch

    def fade(size: int, before: int, after: int) -> torch.Tensor:
        place = torch.arange(size, device=image.device)
        inwards = torch.minimum((place + 0.5) / before, (size - place - 0.5) / after)
        return torch.sin(math.pi / 2 * inwards.clamp(max=1)) ** 2

    height, width = image.shape[-2:]
    rows = fade(height, rim.top, rim.bottom)
    return image * (rows[:, None] * fade(width, rim.left, rim.right))


def noise_in_rest(level: float) -> float:
    """Return how much of the noise the rest of an order must exceed to be kept.

    The more light, the more of the noise has the model of an order taken over, so that
    the rest holds less of it: without noise all of the rest is kept, and denoising
    gives the frames back.

    Parameters
    ----------
    level : float
        Standard deviation of the noise of order 0, full scale 1.

    Returns
    -------
    float
        Power, in units of that of the noise.
    """
    return BEYOND * level**2 / (level**2 + FADING_LEVEL**2)


def kept_rest(rest: torch.Tensor, noise: float, beyond: float = BEYOND) -> torch.Tensor:
    """Return what of images less their model cannot be noise.

    Wiener filter by the power of the rest around each frequency, averaged over the
    images, with what the noise explains taken away. Beyond the cut-off nothing is left;
    the edges are mirrored, else what is cut off there would ring.

    Parameters
    ----------
    rest : tensor (N, Y, X), real or complex
        Images less those of the model: frames of an angle, or an order.
    noise : float
        Standard deviation of their noise, of both parts together if complex.
    beyond : float
        Power that counts as noise, in units of that of the noise; 0: all is kept.

    Returns
    -------
    tensor (N, Y, X)
    """
    import torch
    import torch.nn.functional as F

    from napari_dps.physics.windows import window_means

    height, width = rest.shape[-2:]
    rim = fast_rim(height, width)
    wide = mirrored(mirrored(rest, -1, rim.left, rim.right), -2, rim.top, rim.bottom)
    spectra = torch.fft.fft2(faded(wide, rim), norm="ortho")
    power = squared(spectra).mean(dim=0)[None, None]
    reach = NEIGHBOURS // 2
    padded = F.pad(power, [reach] * 4, mode="circular")
    # By sums: a pooling layer takes ten times as long.
    around = window_means(padded[0], reach)[0, reach:-reach, reach:-reach]
    seen = float(faded(torch.ones_like(around), rim).square().mean())
    explained = beyond * noise**2 * seen
    gain = (1 - explained / around.clamp(min=1e-30)).clamp(min=0)
    spectra *= gain * (_radius(spectra) < 1)
    kept: torch.Tensor = torch.fft.ifft2(spectra, norm="ortho")
    kept = kept[..., rim.top : rim.top + height, rim.left : rim.left + width]
    return kept if rest.is_complex() else kept.real


def _radius(
    images: torch.Tensor, cutoff: float = CANONICAL_CUTOFF_PER_PIXEL
) -> torch.Tensor:
    """Return frequency over cut-off for the transform of images (…, Y, X)."""
    import torch

    y, x = (torch.fft.fftfreq(n, device=images.device) for n in images.shape[-2:])
    return torch.hypot(y[:, None], x) / cutoff
