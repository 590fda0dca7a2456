"""Simulated images with a known effective PSF, to train and to test its estimator.

A scene is drawn once on a fine grid and seen through many microscopes: its spectrum is
cropped to the camera's grid, so that every zoom costs one small FFT.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.special import j0, j1

from napari_dps.methods.effective_psf.estimate import AIRY_FWHM
from napari_dps.physics.otf import radial_frequency, widefield_otf
from napari_dps.physics.phantoms import STRUCTURES, phantom

NEVER_SEEN = ("nuclear_pores", "glyphs")
"""Structures that are kept out of the training."""

NEVER_SEEN_PSF = "confocal"
"""PSF that is kept out of the training."""

EXTRA = ("thick", "texture", "patches")
"""Structures made here: thick filaments, cloudy textures, patches with sharp edges."""

TRAINING_STRUCTURES = (*(s for s in STRUCTURES if s not in NEVER_SEEN), *EXTRA)
TRAINING_PSFS = ("airy", "gaussian", "sim", "airy+gaussian")

FINE_NM = 20.0
FINE_PX = 896

_TABLE = np.linspace(0, 1.2, 601)
_RADII = np.linspace(0, 9, 451)


Floats = NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """An image and the truth about it."""

    image: Floats
    cutoff: float
    structure: str
    psf: str
    photons: float
    flaw: str
    """What was done to it: "", "resampled", "noise only", "under-sampled" …"""


def scene_spectrum(structure: str, rng: np.random.Generator) -> Floats:
    """Draw a scene; its half spectrum on the fine grid, freed of the splat's blur."""
    shape = (FINE_PX, FINE_PX)
    if structure in ("texture", "patches"):
        radius = radial_frequency(shape, half_plane=True) + 1 / FINE_PX
        white = scipy.fft.rfft2(rng.standard_normal(shape).astype(np.float32))
        field = scipy.fft.irfft2(white * radius ** -rng.uniform(1.0, 2.0), s=shape)
        field = (field - field.mean()) / field.std()
        if structure == "patches":
            field = (field > rng.uniform(0, 1.5)).astype(np.float32)
        else:
            field = np.exp(rng.uniform(0.5, 1.5) * field)
        return np.asarray(scipy.fft.rfft2(field))
    drawn = structure
    if structure == "thick":
        drawn = str(rng.choice(["microtubules", "actin", "er"]))
    separation_nm = rng.uniform(80, 300)
    objects = phantom(
        drawn,  # type: ignore[arg-type]
        shape,
        pixel_size_nm=FINE_NM,
        seed=rng,
        separation_nm=separation_nm,
    )
    fy, fx = np.fft.fftfreq(FINE_PX)[:, np.newaxis], np.fft.rfftfreq(FINE_PX)
    spectrum = scipy.fft.rfft2(objects) / (np.sinc(fy) * np.sinc(fx)) ** 2
    if structure == "thick":
        x = np.pi * np.hypot(fy, fx) * rng.uniform(100, 500) / FINE_NM + 1e-9
        spectrum *= 2 * j1(x) / x
    return np.asarray(spectrum, dtype=np.complex64)


def psf_table(psf: str, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """OTF and gain of white noise at u = 0 … 1.2 of a unit, for a PSF of the kind."""
    u, white = 3 * _TABLE, np.ones_like(_TABLE)
    if psf == "gaussian":
        return np.exp(-3.5 * u**2), white
    if psf == "airy":
        return widefield_otf(u, 1.0), white
    if psf == "airy+gaussian":
        return widefield_otf(u, 1.0) * np.exp(-rng.uniform(0, 3) * u**2), white
    if psf == "confocal":
        return _confocal(u, rng), white
    return _sim_wiener(u, rng)


def _confocal(u: Floats, rng: np.random.Generator) -> Floats:
    """OTF of a closed pinhole: the product of two Airy patterns, Hankel-transformed."""
    radius = np.linspace(1e-6, 12, 1500)
    stokes = rng.uniform(0.85, 0.97)  # excitation over emission wavelength

    def airy(r: Floats) -> Floats:
        return np.asarray((2 * j1(np.pi * r) / (np.pi * r)) ** 2)

    psf = airy(radius) * airy(radius / stokes)
    otf = j0(2 * np.pi * u[:, np.newaxis] * radius) @ (psf * radius)
    return np.where(u < 2.2, np.maximum(otf / otf[0], 0), 0)


def _sim_wiener(u: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """OTF and noise gain of a generalised Wiener reconstruction, mean over angles."""
    shift = rng.uniform(0.6, 1.0)
    wiener = 10 ** rng.uniform(-2.5, -0.7)
    power, support = rng.uniform(0.5, 1.5), 1 + shift
    strength = rng.uniform(0.1, 0.5) ** 2
    total = np.zeros((len(u), 24))
    direction = np.arange(24) * np.pi / 72  # sixty degrees: three angles repeat it
    y, x = u[:, np.newaxis] * np.sin(direction), u[:, np.newaxis] * np.cos(direction)
    for angle in np.arange(3) * np.pi / 3:
        total += widefield_otf(np.hypot(y, x), 1.0) ** 2 / 3
        for side in (-shift, shift):
            moved = np.hypot(y - side * np.sin(angle), x - side * np.cos(angle))
            total += strength * widefield_otf(moved, 1.0) ** 2 / 3
    apodisation = np.cos(np.pi / 2 * np.minimum(u / support, 1)) ** power
    apodisation = apodisation[:, np.newaxis] * (1 + wiener)
    otf = (total / (total + wiener) * apodisation).mean(axis=1)
    noise = ((np.sqrt(total) / (total + wiener) * apodisation) ** 2).mean(axis=1)
    return otf / otf[0], np.sqrt(noise / noise.max())


@lru_cache(maxsize=1)
def _hankel() -> Floats:
    return np.asarray(j0(2 * np.pi * np.outer(_RADII, _TABLE)) * _TABLE)


def fwhm_px(otf: Floats) -> float:
    """Full width at half maximum of the PSF with this OTF at ``_TABLE`` per pixel."""
    psf = _hankel() @ otf
    last = int(np.argmax(psf < psf[0] / 2))
    above, below = psf[last - 1] - psf[0] / 2, psf[0] / 2 - psf[last]
    return float(2 * (_RADII[last - 1] + _RADII[1] * above / (above + below)))


def scaled_otf(shape: Floats, target_fwhm_px: float) -> Floats:
    """Stretch an OTF (in units of u) so that its PSF has the FWHM, at ``_TABLE``."""
    unit = fwhm_px(np.interp(_TABLE * 2, 3 * _TABLE, shape, right=0)) / 2
    return np.interp(_TABLE * target_fwhm_px / unit, 3 * _TABLE, shape, right=0)


def _pixel_box() -> Floats:
    """Transfer function of integration over a pixel, mean over directions."""
    angle = np.arange(12) * np.pi / 24 + np.pi / 48
    y, x = np.outer(_TABLE, np.sin(angle)), np.outer(_TABLE, np.cos(angle))
    return np.asarray((np.sinc(y) * np.sinc(x)).mean(axis=1))


def view(
    spectrum: Floats,
    structure: str,
    psf: str,
    rng: np.random.Generator,
    flaw: str = "",
) -> Sample:
    """See a scene through a microscope drawn at random."""
    cutoff = rng.uniform(0.15, 0.5) if rng.random() < 0.85 else rng.uniform(0.09, 0.15)
    if flaw == "under-sampled":
        cutoff = rng.uniform(0.55, 0.8)
    fwhm_nm = np.exp(rng.uniform(np.log(90), np.log(350)))
    fwhm_nm = max(fwhm_nm, 30 * AIRY_FWHM / cutoff)
    pixel_nm = fwhm_nm * cutoff / AIRY_FWHM
    size = int(FINE_PX * FINE_NM / pixel_nm)
    shape_table, noise_table = psf_table(psf, rng)
    otf = scaled_otf(shape_table, AIRY_FWHM / cutoff)
    stretch = fwhm_px(np.interp(_TABLE * 2, 3 * _TABLE, shape_table, right=0)) / 2
    noise_gain = np.interp(
        _TABLE * (AIRY_FWHM / cutoff) / stretch, 3 * _TABLE, noise_table, right=0
    )
    if psf != "sim" and rng.random() < 0.5:
        otf = otf * _pixel_box()
    photons = float(np.exp(rng.uniform(np.log(15), np.log(8000))))
    clean = _blurred(spectrum, size, otf, AIRY_FWHM / cutoff, rng)
    if flaw == "noise only":
        ramp = np.linspace(0, rng.uniform(0, 0.3), clean.shape[1], dtype=np.float32)
        clean = np.ones_like(clean) * rng.uniform(0.01, 1) * (1 + ramp)
    noisy = _recorded(clean, photons, noise_gain if psf == "sim" else None, rng)
    cutoff = AIRY_FWHM / fwhm_px(otf)
    if flaw == "resampled" or (flaw == "noise only" and rng.random() < 0.25):
        factor = rng.uniform(1.2, 2.2)
        noisy = zoom(noisy[:160, :160], factor, order=int(rng.choice([2, 3])))
        cutoff /= factor
    if rng.random() < 0.1:
        low, high = noisy.min(), noisy.max()
        noisy = np.rint(255 * (noisy - low) / (high - low + 1e-9))
    if flaw == "noise only":  # nothing to learn from, not even from coloured noise
        cutoff = rng.uniform(0.09, 0.5)
    image = np.ascontiguousarray(noisy, dtype=np.float32)
    return Sample(image, cutoff, structure, psf, photons, flaw)


def _blurred(
    spectrum: Floats,
    size: int,
    otf: Floats,
    fwhm: float,
    rng: np.random.Generator,
) -> Floats:
    """Crop the spectrum to the camera's grid, blur, add haze, cut out a field."""
    step = 2 if fwhm < 2 else 1  # sampled twice as fine, then thinned: aliases
    half = (step * size - 1) // 2
    rows = np.r_[0 : half + 1, -half:0]
    side = 2 * half + 1
    frequency = step / side * np.hypot(rows[:, np.newaxis], np.arange(half + 1))
    transfer = np.interp(frequency, _TABLE, otf, right=0).astype(np.float32)
    haze = rng.uniform(0, 0.6) * (rng.random() < 0.7)
    sigma = rng.uniform(1.5, 5) * fwhm
    blur = [np.exp(-2 * (np.pi * s * frequency) ** 2) for s in (sigma, 3 * sigma)]
    transfer = (1 - haze) * transfer + haze * (blur[0] + blur[1]) / 2
    if rng.random() < 0.1:  # an object of some thickness everywhere
        sigma_object = rng.uniform(0, 0.35) * fwhm
        transfer *= np.exp(-2 * (np.pi * sigma_object * frequency) ** 2)
    block = spectrum[rows, : half + 1] * transfer.astype(np.float32)
    image = scipy.fft.irfft2(block, s=(side, side))
    image = image[::step, ::step]
    height, width = (int(rng.integers(96, 321)) for _ in "yx")
    y, x = (int(rng.integers(0, max(len(image) - n, 0) + 1)) for n in (height, width))
    image = image[y : y + height, x : x + width]
    bright = max(float(np.percentile(image, 99.9)), float(image.max()) / 4, 1e-12)
    return np.asarray(image / bright, dtype=np.float32)


def _recorded(
    clean: Floats,
    photons: float,
    noise_gain: Floats | None,
    rng: np.random.Generator,
) -> Floats:
    """Shot and read noise; after a Wiener filter where ``noise_gain`` is given."""
    background = rng.uniform(0, 0.2) * photons
    expected = np.maximum(photons * clean, 0) + background
    read = rng.uniform(0.7, 2.5)
    if noise_gain is None:
        noise = read * rng.standard_normal(clean.shape, dtype=np.float32)
        return np.asarray(rng.poisson(expected).astype(np.float32) + noise)
    noise = rng.standard_normal(clean.shape, dtype=np.float32)
    noise *= np.sqrt(expected + 9 * read**2).astype(np.float32)
    frequency = radial_frequency(clean.shape, half_plane=True)
    gain = np.interp(frequency, _TABLE, noise_gain, right=0).astype(np.float32)
    noise = scipy.fft.irfft2(scipy.fft.rfft2(noise) * gain, s=clean.shape)
    image = photons * clean + noise
    if rng.random() < 0.5:  # many programs cut negative values
        image = np.maximum(image, 0)
    return np.asarray(image)


def draw(
    count: int,
    seed: int | Sequence[int],
    structures: Sequence[str] = TRAINING_STRUCTURES,
    psfs: Sequence[str] = TRAINING_PSFS,
    *,
    flaws: Sequence[tuple[str, float]] = (),
    views: int = 6,
) -> Iterator[Sample]:
    """Draw samples; structures take turns, each scene is seen ``views`` times.

    ``flaws`` are names with their probability. In one view of six a second scene is
    added to the first.
    """
    rng = np.random.default_rng(seed)
    previous = None
    names, shares = [f for f, _ in flaws], [p for _, p in flaws]
    names, shares = ["", *names], [1 - sum(shares), *shares]
    for index in range(count):
        if index % views == 0:
            structure = structures[index // views % len(structures)]
            spectrum = scene_spectrum(structure, rng)
        seen = spectrum
        if previous is not None and rng.random() < 1 / 6 and len(structures) > 3:
            seen = spectrum / abs(spectrum[0, 0])
            seen = seen + rng.uniform(0, 0.7) * previous
        if index % views == views - 1:
            previous = spectrum / abs(spectrum[0, 0])
        flaw = str(rng.choice(names, p=shares))
        yield view(seen, structure, str(rng.choice(psfs)), rng, flaw)
