"""Quality of raw SIM frames: modulation contrast, intensities, saturation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.metrics.saturation import full_scales, saturation
from napari_dps.metrics.snr import noise_std
from napari_dps.metrics.spectrum import Floats

_RAYLEIGH_STD = float(np.sqrt(1 - np.pi / 4))


@dataclass(frozen=True, slots=True, eq=False)
class ModulationContrast:
    """Modulation contrast-to-noise ratio of raw SIM frames.

    Attributes
    ----------
    mcnr_map : (A, Y, X) float32 array
        MCNR of every pixel and angle.
    per_angle : tuple of float
        Mean over the features (the pixels above Otsu's threshold of the mean frame).
    mean : float
        Mean of ``per_angle``.
    noise_std : float
        Noise of one Anscombe-transformed frame; 1 for photon counts.
    """

    mcnr_map: NDArray[np.float32]
    per_angle: tuple[float, ...]
    mean: float
    noise_std: float


def modulation_contrast(frames: NDArray[Any]) -> ModulationContrast:
    """Measure how far the stripes stand out of the noise, in every pixel.

    Frames are made equally noisy by the Anscombe transform 2√(x + 3/8), the frames of
    an angle brought to one mean, and each pixel's series over the phases Fourier
    transformed. MCNR = √(Σ V_n²)/N₀ over the harmonics n = 1 … (P−1)/2, where V_n is
    the modulus of the transform and N₀ the standard deviation that noise alone gives to
    the modulus, √(1 − π/4)·√P·σ. The stripes are absent from the mean of the phases:
    there the noise σ is measured (`napari_dps.metrics.snr.noise_std`).

    Parameters
    ----------
    frames : (A, P, Y, X) array
        Raw counts less the camera offset, at least three equally spaced phases over one
        period. Camera gain does not matter; resampled frames read too high.

    Returns
    -------
    ModulationContrast

    Raises
    ------
    InputError
        If it is not a finite (A, P, Y, X) array with three phases or more, or has no
        noise (constant frames).

    Notes
    -----
    As in SIMcheck: 3 or less is inadequate (noise alone gives 1.9 with one harmonic,
    2.9 with two), 6 acceptable, 12 good. SIMcheck pools three z planes by default,
    which multiplies its values by √3; here each plane stands alone. SIMcheck takes N₀
    from the highest frequency over the phases, which exists only with several planes or
    more phases than harmonics; and chooses its features on the MCNR map, which raises
    the mean. A sinusoid of amplitude b in the transformed frames gives √P·b/(0.926·σ).

    References
    ----------
    .. [1] Ball et al., Scientific Reports 5, 15915 (2015), doi:10.1038/srep15915.
    .. [2] Anscombe, Biometrika 35, 246 (1948), doi:10.1093/biomet/35.3-4.246.
    """
    import skimage.filters
    from scipy.fft import rfft

    frames = _as_frames(frames)
    phases = frames.shape[1]
    stable = 2 * np.sqrt(np.maximum(frames, -3 / 8) + np.float32(3 / 8))
    means = stable.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
    level = means.mean(axis=1, keepdims=True)
    stable *= np.divide(level, means, out=np.ones_like(means), where=means > 0)
    widefield = stable.mean(axis=1)
    sigma = float(np.mean([noise_std(plane) for plane in widefield]) * np.sqrt(phases))
    if sigma == 0:
        raise InputError("modulation contrast is not defined: the frames have no noise")
    harmonics = np.abs(rfft(stable, axis=1)[:, 1 : (phases - 1) // 2 + 1]) ** 2
    unit = _RAYLEIGH_STD * np.sqrt(phases) * sigma
    mcnr = (np.sqrt(harmonics.sum(axis=1)) / unit).astype(np.float32)
    mean_frame = widefield.mean(axis=0)
    threshold_otsu: Any = skimage.filters.threshold_otsu  # untyped
    features = mean_frame > threshold_otsu(mean_frame)
    per_angle = tuple(float(plane[features].mean(dtype=np.float64)) for plane in mcnr)
    return ModulationContrast(mcnr, per_angle, float(np.mean(per_angle)), sigma)


@dataclass(frozen=True, slots=True)
class RawChecks:
    """Intensities of raw SIM frames.

    Attributes
    ----------
    angle_variation_percent : float or None
        (max − min)/max of the mean intensities of the angles; above about 30 % expect
        artefacts (SIMcheck). None if no mean is above zero.
    phase_variation_percent : float or None
        The same over the phases, in the worst angle: bleaching and lamp flicker.
    saturated_percent : float or None
        Pixels at or above the saturation level; None when that is not known.
    """

    angle_variation_percent: float | None
    phase_variation_percent: float | None
    saturated_percent: float | None


def raw_checks(
    frames: NDArray[Any], saturation_counts: float | None = None
) -> RawChecks:
    """Check raw SIM frames for uneven intensity and saturation.

    Parameters
    ----------
    frames : (A, P, Y, X) array
        Raw counts less the camera offset.
    saturation_counts : float, optional
        Level at which the camera saturates, less the offset. By default known for
        integers alone: the greatest value in the frames, if that is the full scale of
        8, 10, 11, 12, 14 or 16 bits or pixels pile up at it, as for `saturation`.

    Returns
    -------
    RawChecks

    Raises
    ------
    InputError
        If it is not a finite (A, P, Y, X) array with three phases or more.

    References
    ----------
    .. [1] Ball et al., Scientific Reports 5, 15915 (2015), doi:10.1038/srep15915:
       channel intensity profiles.

    Examples
    --------
    >>> frames = np.full((3, 3, 8, 8), 100.0)
    >>> frames[0] = 80
    >>> raw_checks(frames).angle_variation_percent
    20.0
    """
    given = np.asarray(frames)
    frames = _as_frames(frames)
    means = frames.mean(axis=(2, 3), dtype=np.float64)
    by_phase = [_variation_percent(angle) for angle in means]
    found = [v for v in by_phase if v is not None]
    level = saturation_counts
    if level is None and given.dtype.kind in "iu":
        level = _end_of_range(given)
    return RawChecks(
        angle_variation_percent=_variation_percent(means.mean(axis=1)),
        phase_variation_percent=max(found) if len(found) == len(by_phase) else None,
        saturated_percent=None
        if level is None
        else float(100 * np.mean(frames >= level)),
    )


def _end_of_range(counts: NDArray[Any]) -> float:
    """Return the level at which counts are saturated; infinite where none are."""
    top = int(counts.max())
    if top in full_scales():
        return top
    found = saturation(counts)
    return np.inf if found is None else found.level


def _variation_percent(means: NDArray[np.float64]) -> float | None:
    """Return (max − min)/max in percent."""
    top = float(means.max())
    return None if top <= 0 else 100 * (top - float(means.min())) / top


def _as_frames(frames: NDArray[Any]) -> Floats:
    """Return frames in floating point, or say what is wrong with them."""
    frames = np.asarray(frames)
    if frames.ndim != 4 or 0 in frames.shape or frames.shape[1] < 3:
        raise InputError(
            "shape of the raw frames",
            got=frames.shape,
            allowed="(A, P, Y, X) with three phases or more",
        )
    result: Floats = frames.astype(np.result_type(frames.dtype, np.float32), copy=False)
    if not np.isfinite(result).all():
        raise InputError("the raw frames hold values that are not finite (NaN or inf)")
    return result
