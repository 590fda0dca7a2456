"""Noise over signal of a raw stack, against frequency: what a Wiener filter needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import NoiseToSignal, Optics
from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.sim.spectrum import (
    FloatArray,
    edge_window,
    noise_power,
    ring_index,
    ring_mean,
)

if TYPE_CHECKING:
    import torch

NOISE_RINGS = (1.1, 1.5)
"""Of the cut-off: where noise alone is left. Not farther out, since frames that were
interpolated to finer pixels have lost their noise there."""
SIGNAL_RINGS = (0.05, 0.9)
"""Of the cut-off: where the power of the object is read."""
EXPONENTS = (2.0, 5.0)
"""Range of the fall of an object's power with frequency; simulated and real stacks
gave 2.6 (ER), 3.5 (mitochondria) and 3.9 (microtubules)."""
USUAL_EXPONENT = 3.0
"""Taken where too few rings rise above the noise to measure it."""


def noise_to_signal(frames: torch.Tensor, optics: Optics) -> NoiseToSignal:
    """Measure noise over signal on the mean of all frames of a raw stack.

    White noise is read beyond the OTF's cut-off; the power of the object is what its
    rings hold above that, over the squared OTF; a straight line is fitted to its
    logarithm.

    Parameters
    ----------
    frames : tensor (A, P, Y, X), float32
        Raw frames, camera offset subtracted.
    optics : Optics
        Of the detection, at the pixel size of the frames.

    Returns
    -------
    NoiseToSignal
        An upper bound where nothing rises above the noise.
    """
    import torch

    shape = (int(frames.shape[-2]), int(frames.shape[-1]))
    mean = frames.mean(dim=(0, 1))
    window = torch.from_numpy(edge_window(shape)).to(frames.device)
    spectrum = torch.fft.fft2((mean - mean.mean()) * window)
    power = spectrum.abs().square().cpu().numpy()
    rings = ring_index(shape, min(shape), shape)
    radius = np.arange(rings.max() + 1) / min(shape) / optics.cutoff_per_pixel
    noise = _noise(power, rings, radius)
    level, exponent = _signal(power, rings, radius, noise)
    # Order 0 of A angles is summed, each with A times the noise of their mean.
    return NoiseToSignal(int(frames.shape[0]) * noise / level, exponent)


def _noise(
    power: NDArray[np.float32], rings: NDArray[np.int64], radius: FloatArray
) -> float:
    """Return the noise power just beyond the cut-off."""
    beyond = _between(radius, NOISE_RINGS)[rings]
    if np.count_nonzero(beyond) < 64:
        return noise_power(power, rings, len(radius))
    return float(np.median(power[beyond])) / math.log(2)


def _signal(
    power: NDArray[np.float32],
    rings: NDArray[np.int64],
    radius: FloatArray,
    noise: float,
) -> tuple[float, float]:
    """Return the object's power at the cut-off and the exponent of its fall."""
    counts = np.bincount(rings.ravel())
    ring_power = np.convolve(
        np.pad(ring_mean(power, rings), 2, mode="edge"), np.full(5, 0.2), mode="valid"
    )
    inside = _between(radius, SIGNAL_RINGS)
    # Three standard deviations of the mean of five rings of exponential variables.
    least = noise * (1 + 3 / np.sqrt(5 * counts))
    seen = inside & (ring_power > least)
    gaps = np.flatnonzero(inside & ~seen)
    if gaps.size:
        seen[gaps[0] :] = False
    if np.count_nonzero(seen) < 3:
        seen[:] = False
        seen[np.flatnonzero(inside)[:3]] = True
    signal = np.maximum(ring_power, least)[seen] - noise
    logs = np.log(signal / widefield_otf(radius[seen], 1.0) ** 2)
    log_radius, weights = np.log(radius[seen]), counts[seen].astype(np.float64)
    exponent = USUAL_EXPONENT
    if len(logs) >= 6 and np.ptp(log_radius) > math.log(2.5):
        slope = np.polyfit(log_radius, logs, 1, w=np.sqrt(weights))[0]
        exponent = float(np.clip(-slope, *EXPONENTS))
    level = np.average(logs + exponent * log_radius, weights=weights)
    return math.exp(level), exponent


def _between(radius: FloatArray, limits: tuple[float, float]) -> NDArray[np.bool_]:
    return (radius >= limits[0]) & (radius < limits[1])
