"""Noise over signal of a raw stack, against frequency: what a Wiener filter needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from napari_dps.core import CameraNoise, NoiseToSignal, Optics
from napari_dps.physics.otf import Transfer, widefield_otf
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.spectrum import (
    FloatArray,
    edge_window,
    noise_cells,
    noise_power,
    ring_index,
    ring_mean,
)

if TYPE_CHECKING:
    import torch

NOISE_RINGS = (1.1, 1.5)
"""Fractions of the cut-off between which noise alone is left. Not farther out, since
frames that were interpolated to finer pixels have lost their noise there."""
DIFFERENCE_RINGS = (0.75, 0.95)
"""Fractions of the cut-off between which two angles differ by noise, not motion."""
SIGNAL_RINGS = (0.05, 0.9)
"""Fractions of the cut-off between which the power of the object is read."""
EXPONENTS = (2.0, 8.0)
"""Range of the fall of an object's power with frequency; simulated and real stacks
gave 2.6 (ER), 3.5 (mitochondria) and 3.9 (microtubules)."""
USUAL_EXPONENT = 3.0
"""Taken where too few rings rise above the noise to measure it."""


def noise_to_signal(
    frames: torch.Tensor,
    optics: Optics,
    camera: CameraNoise | None = None,
    otf: Transfer | None = None,
) -> NoiseToSignal:
    """Measure noise over signal on the mean of all frames of a raw stack.

    White noise is read beyond the OTF's cut-off and, since frames that were
    interpolated to finer pixels have less of it there, where the means of the angles
    differ just within it: the larger counts. The power of the object is what its rings
    hold above that, over the squared OTF; a straight line is fitted to its logarithm.

    Parameters
    ----------
    frames : tensor (A, P, Y, X), float32
        Raw frames, camera offset subtracted.
    optics : Optics
        The detection, at the pixel size of the frames.
    camera : CameraNoise, optional
        Noise of the frames where it is stated: it is not measured then.
    otf : callable, optional
        Of the detection, from frequency over cut-off; the ideal one by default.

    Returns
    -------
    NoiseToSignal
        An upper bound where nothing rises above the noise, 0 without noise.
    """
    import torch

    shape = (int(frames.shape[-2]), int(frames.shape[-1]))
    angles = int(frames.shape[0])
    factors = torch.from_numpy(equalisation(frames).mean(axis=1)).to(frames)
    means = frames.mean(dim=1) * factors[:, None, None]
    window = torch.from_numpy(edge_window(shape)).to(frames.device)
    spectra = torch.fft.fft2((means - means.mean()) * window)
    power = spectra.mean(dim=0).abs().square().cpu().numpy()
    rings = ring_index(shape, min(shape), shape)
    radius = np.arange(rings.max() + 1) / min(shape) / optics.cutoff_per_pixel
    noise = _noise(power, rings, radius)
    if camera is not None:
        variance = camera.variance(float(frames.mean()))
        noise = variance * float(window.square().sum()) / math.prod(frames.shape[:2])
    elif angles > 1:
        # The variance of A angles is that of their mean times a Gamma(A − 1) number.
        spread = spectra.abs().square().mean(dim=0).cpu().numpy() - power
        within = _between(radius, DIFFERENCE_RINGS)[rings]
        median = float(np.median(spread[within])) if within.any() else 0.0
        noise = max(noise, median / float(gammaincinv(angles - 1, 0.5)))
    if noise <= 0:
        return NoiseToSignal(0.0, USUAL_EXPONENT)
    level, exponent = _signal(power, rings, radius, noise, otf)
    # Order 0 of A angles is summed, each with A times the noise of their mean.
    return NoiseToSignal(angles * noise / level, exponent)


def _noise(
    power: NDArray[np.float32], rings: NDArray[np.int32], radius: FloatArray
) -> float:
    """Return the noise power just beyond the cut-off."""
    beyond = _between(radius, NOISE_RINGS)[rings]
    if np.count_nonzero(beyond) < 64:
        return noise_power(power, noise_cells(rings, len(radius)))
    return float(np.median(power[beyond])) / math.log(2)


def _signal(
    power: NDArray[np.float32],
    rings: NDArray[np.int32],
    radius: FloatArray,
    noise: float,
    otf: Transfer | None,
) -> tuple[float, float]:
    """Return the object's power at the cut-off and the exponent of its fall."""
    counts = np.bincount(rings.ravel())
    ring_power = np.convolve(
        np.pad(ring_mean(power, rings), 2, mode="edge"), np.full(5, 0.2), mode="valid"
    )
    inside = np.flatnonzero(_between(radius, SIGNAL_RINGS))
    counts, ring_power, radius = counts[inside], ring_power[inside], radius[inside]
    # Three standard deviations of the mean of five rings of exponential variables.
    least = noise * (1 + 3 / np.sqrt(5 * counts))
    seen = np.logical_and.accumulate(ring_power > least)
    seen[:3] = True
    signal = np.maximum(ring_power, least) - noise
    passed = widefield_otf(radius, 1.0) if otf is None else otf(radius)
    logs = np.log(signal / passed**2)
    return _power_law(radius, logs, counts.astype(np.float64), seen)


def _power_law(
    radius: FloatArray, logs: FloatArray, weights: FloatArray, seen: NDArray[np.bool_]
) -> tuple[float, float]:
    """Fit a falling power law to the rings that are seen.

    A ring that is not seen is an upper limit: it joins the fit where the law would
    exceed it.
    """
    log_radius, used = np.log(radius), seen
    level, exponent = 0.0, USUAL_EXPONENT
    for _ in range(4):
        x, y, w = log_radius[used], logs[used], weights[used]
        if len(x) >= 6 and np.ptp(x) > math.log(2.5):
            slope = np.polyfit(x, y, 1, w=np.sqrt(w))[0]
            exponent = float(np.clip(-slope, *EXPONENTS))
        level = float(np.average(y + exponent * x, weights=w))
        exceeded = level - exponent * log_radius > logs
        if not (exceeded & ~used).any():
            break
        used = used | exceeded
    return math.exp(level), exponent


def _between(radius: FloatArray, limits: tuple[float, float]) -> NDArray[np.bool_]:
    return (radius >= limits[0]) & (radius < limits[1])
