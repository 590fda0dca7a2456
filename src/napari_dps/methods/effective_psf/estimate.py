"""The effective PSF from one image: how wide it is, how surely, or "cannot tell"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from napari_dps.core import InputError, NapariDpsError, Optics
from napari_dps.methods.effective_psf.features import (
    BANDS,
    FREQUENCIES,
    LOG_FREQUENCIES,
    log_channels,
    psf_features,
    without_spikes,
)
from napari_dps.metrics.spectrum import Floats, as_plane, is_flat
from napari_dps.nets.checkpoint import read_checked, shipped_weights

AIRY_FWHM = 1.0289939697
"""FWHM of the Airy pattern times the cut-off of its OTF: 2·1.616340/π."""

WEIGHTS = shipped_weights("effective-psf")

LARGEST_RELATIVE_SD = 0.12
"""Estimates with a larger standard deviation are not accepted."""

LARGEST_RELATIVE_SD_COLOURED = 0.10
"""The same where the noise is not white: reconstructions, resampled images."""

CONTRADICTION = 0.10
"""Relative difference from the stated optics that is worth a warning."""

_SHORTEST_SIDE_PX = 64
_SD_CALIBRATION = 1.4
_SATURATED_SHARE = 1e-3
_FEWEST_SATURATED = 20
_FLAT = 0.5
_NORMAL = 2 * float(np.log((35 / 128) / (3 / 8) ** 2))
_SPARSE = 0.3
_WHITE = -0.3
_NYQUIST = 0.5


@dataclass(frozen=True, slots=True)
class EffectivePsf:
    """Width of the effective PSF of an image.

    Attributes
    ----------
    cutoff_per_pixel : float or None
        Airy-equivalent cut-off k in cycles per pixel: an Airy pattern with this OTF
        cut-off has the FWHM of the image's PSF. The best guess even where it is not
        accepted; None where there is nothing to estimate it from.
    relative_sd : float or None
        Standard deviation of k over k, calibrated on simulations.
    accepted : bool
        Whether the image can tell its PSF.
    reason : str
        Why not ("cannot tell: …"); empty when accepted.
    pixel_size_nm : float or None
        Its pixel size is used.
    """

    cutoff_per_pixel: float | None
    relative_sd: float | None
    accepted: bool
    reason: str = ""
    pixel_size_nm: float | None = None

    @property
    def fwhm_px(self) -> float | None:
        """Full width at half maximum of the PSF, in pixels."""
        k = self.cutoff_per_pixel
        return None if k is None else AIRY_FWHM / k

    @property
    def fwhm_nm(self) -> float | None:
        """Full width at half maximum of the PSF, in nm; None without a pixel size."""
        px, size = self.fwhm_px, self.pixel_size_nm
        return None if px is None or size is None else px * size


@dataclass(frozen=True, slots=True)
class AutoModulationFactor:
    """The modulation factor that an image itself shows.

    Attributes
    ----------
    modulation_factor : float or None
        Measured effective NA over the stated NA; below 1 where the PSF is wider than
        that of the stated optics. None when the image cannot tell.
    psf : EffectivePsf
        What it comes from.
    warning : str
        What the user must know: that the image cannot tell, or that the stated optics
        contradict it; else empty.
    """

    modulation_factor: float | None
    psf: EffectivePsf
    warning: str = ""

    @property
    def contradiction(self) -> str:
        """The warning, unless it is that the image cannot tell."""
        return "" if self.modulation_factor is None else self.warning


def effective_psf(
    image: NDArray[Any], pixel_size_nm: float | None = None
) -> EffectivePsf:
    """Measure the width of the effective PSF of one image.

    Five small networks, trained on simulated images, read the radial power spectrum
    and the kurtosis of ten bands (`psf_features`) and vote; what they cannot tell they
    were trained to give a large standard deviation. Further checks refuse what
    misleads them.

    Parameters
    ----------
    image : (Y, X) array
        Finite, in units proportional to intensity, with any offset. Any modality:
        widefield, confocal, SIM; as raw as possible.
    pixel_size_nm : float, optional
        For the FWHM in nm.

    Returns
    -------
    EffectivePsf

    Raises
    ------
    InputError
        If it is not a finite plane, or the pixel size is not above 0.
    NapariDpsError
        If the file of weights is not the one of its model card.

    Notes
    -----
    The width is that of the whole path: lens, aberrations, defocus, camera pixel and
    reconstruction. What is matched is the FWHM, not the extent of the spectrum, because
    that is what a deconvolution with an Airy pattern needs.

    Structures without any detail finer than the PSF (thick filaments, blobs) look like
    a wider PSF: the estimate is then an upper limit of the width. A gamma other than 1
    reads as a narrower PSF and is not noticed.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(100, 10, (128, 128))
    >>> found = effective_psf(noise)
    >>> found.accepted, found.reason
    (False, 'cannot tell: no structure above the noise')
    """
    plane = as_plane(image)
    if pixel_size_nm is not None and not 0 < pixel_size_nm < np.inf:
        raise InputError("pixel size in nm", got=pixel_size_nm, allowed="above 0")
    if min(plane.shape) < _SHORTEST_SIDE_PX:
        return _refused(f"the image is smaller than {_SHORTEST_SIDE_PX} px")
    if is_flat(plane):
        return _refused("the image is constant")
    features = psf_features(without_spikes(plane))
    log_cutoff, relative_sd = _estimate(features)
    cutoff = float(np.exp(log_cutoff))
    reason = _why_not(plane, features, cutoff, relative_sd)
    return EffectivePsf(
        cutoff_per_pixel=cutoff,
        relative_sd=relative_sd,
        accepted=not reason,
        reason=f"cannot tell: {reason}" if reason else "",
        pixel_size_nm=pixel_size_nm,
    )


def modulation_factor_auto(image: NDArray[Any], optics: Optics) -> AutoModulationFactor:
    """Measure the modulation factor: effective NA of an image over that of its optics.

    Parameters
    ----------
    image : (Y, X) array
        As for `effective_psf`.
    optics : Optics
        NA, emission wavelength, pixel size of the image, and the modulation factor
        stated (1: widefield), which the image may contradict.

    Returns
    -------
    AutoModulationFactor
        mf = k/(2 NA/λ · pixel size).

    Raises
    ------
    InputError, NapariDpsError
        As for `effective_psf`.

    Examples
    --------
    >>> optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
    >>> noise = np.random.default_rng(0).normal(100, 10, (128, 128))
    >>> modulation_factor_auto(noise, optics).warning
    'PSF not measured (no structure above the noise): the stated optics are used'
    """
    psf = effective_psf(image, optics.pixel_size_nm)
    if not psf.accepted or psf.cutoff_per_pixel is None:
        why = psf.reason.removeprefix("cannot tell: ")
        return AutoModulationFactor(
            None, psf, f"PSF not measured ({why}): the stated optics are used"
        )
    factor = psf.cutoff_per_pixel / optics.cutoff_per_pixel
    return AutoModulationFactor(factor, psf, _contradiction(factor, psf, optics))


def _contradiction(factor: float, psf: EffectivePsf, optics: Optics) -> str:
    """Return a warning where the stated optics contradict the image."""
    stated = optics.modulation_factor
    if abs(np.log(factor / stated)) <= np.log1p(CONTRADICTION):
        return ""
    stated_nm = AIRY_FWHM * optics.cutoff_period_nm / stated
    ratio = max(factor / stated, stated / factor)
    if factor < stated:
        side, cause = "wider", "aberrations, depth, or wrong NA, wavelength, pixel size"
    else:
        side, cause = (
            "narrower",
            "right after SIM, else wrong NA, wavelength, pixel size",
        )
    return (
        f"the PSF of the image is {100 * (ratio - 1):.0f} % "
        f"{side} than NA {optics.na:g}, "
        f"{optics.emission_nm:g} nm and modulation factor {stated:.3g} say: "
        f"FWHM {psf.fwhm_nm:.0f} nm (± {100 * (psf.relative_sd or 0):.0f} %), "
        f"not {stated_nm:.0f} nm ({cause})"
    )


def _refused(reason: str) -> EffectivePsf:
    """Return the answer where there is nothing to estimate from."""
    return EffectivePsf(None, None, accepted=False, reason=f"cannot tell: {reason}")


def _why_not(
    plane: Floats, features: NDArray[np.float64], cutoff: float, relative_sd: float
) -> str:
    """Return why an estimate is not to be trusted; empty when it is."""
    if _is_saturated(plane):
        return "the image is saturated"
    if _is_noise(features):
        return "no structure above the noise"
    if cutoff > _NYQUIST:
        return "under-sampled, or finer than two pixels"
    if _is_coloured(features):
        if relative_sd > LARGEST_RELATIVE_SD_COLOURED:
            return "noise shared between pixels (resampled or filtered image)"
    elif relative_sd > LARGEST_RELATIVE_SD:
        return "too little detail finer than the PSF, or too few photons"
    return ""


def _is_saturated(plane: Floats) -> bool:
    """Whether more pixels than chance allows share the highest value."""
    at_top = int(np.count_nonzero(plane == plane.max()))
    return at_top >= max(_FEWEST_SATURATED, _SATURATED_SHARE * plane.size)


def _is_noise(features: NDArray[np.float64]) -> bool:
    """Whether the image is as good as normal noise, white or coloured.

    Its spectrum is flat where any structure's falls, and its bands are normal (the
    kurtosis is that of the window). Structure fails one: points are flat but sparse,
    dense textures are normal but steep.
    """
    power, kurtosis = features[: len(FREQUENCIES)], features[-len(BANDS) :]
    coarse = power[(FREQUENCIES > 0.05) & (FREQUENCIES < 0.08)].mean()
    finer = power[(FREQUENCIES > 0.12) & (FREQUENCIES < 0.16)].mean()
    is_normal = kurtosis[BANDS > 0.06].max() < _NORMAL + _SPARSE
    return bool(is_normal and coarse - finer < _FLAT)


def _is_coloured(features: NDArray[np.float64]) -> bool:
    """Whether the spectrum still falls in its corner, where white noise is flat."""
    power = features[: len(FREQUENCIES)]
    corner = power[FREQUENCIES > _NYQUIST].mean()
    middle = np.median(power[(FREQUENCIES > 0.4) & (FREQUENCIES < 0.48)])
    return bool(corner - middle < _WHITE)


def _estimate(features: NDArray[np.float64]) -> tuple[float, float]:
    """Return ln k and its standard deviation: the mean of the networks.

    The variance is that of the networks' likelihood plus their disagreement.
    """
    weights, dilations = _weights()
    networks = len(weights["0.bias"])
    values = np.broadcast_to(
        log_channels(features), (networks, 5, len(LOG_FREQUENCIES))
    )
    for layer, dilation in enumerate(dilations):
        values = _convolved(values, weights, layer, dilation)
        values = values * expit(values)
    score, offset, spread = np.moveaxis(
        _convolved(values, weights, len(dilations), 1), 1, 0
    )
    share = np.exp(score - score.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    log_cutoff = np.sum(share * (np.log(LOG_FREQUENCIES) + 0.3 * offset), axis=1)
    log_sd = np.clip(np.sum(share * spread, axis=1) - 2.5, -6, 2)
    variance = np.mean(np.exp(2 * log_sd)) + np.var(log_cutoff)
    return float(log_cutoff.mean()), float(_SD_CALIBRATION * np.sqrt(variance))


def _convolved(
    values: NDArray[np.float32],
    weights: dict[str, NDArray[np.float32]],
    layer: int,
    dilation: int,
) -> NDArray[np.float32]:
    """Apply one convolution of each network: (N, channels, F) to (N, channels, F).

    Outside the axis there are zeros.
    """
    kernel, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
    taps = kernel.shape[-1]
    reach = dilation * (taps // 2)
    padded = np.pad(values, ((0, 0), (0, 0), (reach, reach)))
    length = values.shape[-1]
    result = np.repeat(bias[:, :, np.newaxis], length, axis=2)
    for tap in range(taps):
        start = tap * dilation
        result += kernel[..., tap] @ padded[..., start : start + length]
    return result


@lru_cache(maxsize=1)
def _weights() -> tuple[dict[str, NDArray[np.float32]], tuple[int, ...]]:
    """Read the weights and the dilation of each hidden layer.

    Raises
    ------
    NapariDpsError
        If the file is not the one of its model card.
    """
    import safetensors.numpy

    try:
        card, data = read_checked(WEIGHTS)
    except InputError as problem:
        raise NapariDpsError(
            f"{WEIGHTS.name} is damaged: {problem}; install napari-dps again"
        ) from problem
    weights: dict[str, NDArray[np.float32]] = safetensors.numpy.load(data)
    return weights, tuple(card.network["dilations"])
