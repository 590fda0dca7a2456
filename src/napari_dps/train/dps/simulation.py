"""Simulated fields at canonical sampling: image, second noisy image, exact truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray
from pydantic import Field

from napari_dps.core.params import FrozenModel
from napari_dps.methods.dps.input import OUTPUT_WIDTH
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL, CANONICAL_OPTICS
from napari_dps.physics.otf import radial_frequency, widefield_otf
from napari_dps.physics.phantoms import StructureId, phantom
from napari_dps.train.dps.soft import soft_object
from napari_dps.train.objects import draw_class

Image = NDArray[np.float32]

MARGIN_PX = 12
"""Light comes from that far outside the field: three widths of the PSF."""
_TINY = 1e-9
_FINE = 4
"""Grid of the emitters, over that of the image."""
_SIM_SUPPORT = 0.872
"""Support of a cosine-apodised OTF over that of the Airy OTF of the same FWHM."""


class DataSettings(FrozenModel):
    """Ranges that simulated fields are drawn from, uniformly or log-uniformly.

    Attributes
    ----------
    fields, field_px, seed
        How many, their edge in px, and what they are drawn with.
    photons, background, read_noise_e, psf_jitter
        See `FieldConditions`; the jitter is the largest |ln| of the PSF's width.
    magnification, separation_nm
        Of the structures.
    mixed, real, uneven, haze, empty
        Share of fields with two structures, with a real image as one, with brightness
        that varies slowly over the field, with haze, and with nothing.
    reconstructed, other_psf
        Share with the coloured noise and the PSF of a SIM reconstruction, and with a
        Gaussian or apodised PSF.
    soft
        Share of the drawn structures that have neither edges nor lines: textures,
        filled bodies, thick membranes; see `soft.soft_object`.
    chain
        Share of fields that are reconstructed from simulated raw frames; see `chain`.
    time_points, motion_px
        Fields in a row that show one object over time, and how far it moves from one to
        the next, in px of the image, as a whole and at each place by itself.
    """

    fields: int = Field(default=2000, ge=1)
    field_px: int = Field(default=96, ge=16)
    seed: int = 1
    photons: tuple[float, float] = (15, 20000)
    background: tuple[float, float] = (0, 0.06)
    read_noise_e: tuple[float, float] = (0.5, 2.5)
    psf_jitter: float = Field(default=0.06, ge=0, lt=0.5)
    magnification: tuple[float, float] = (0.7, 1.5)
    separation_nm: tuple[float, float] = (40, 160)
    mixed: float = Field(default=0.35, ge=0, le=1)
    real: float = Field(default=0.3, ge=0, le=1)
    uneven: float = Field(default=0.4, ge=0, le=1)
    reconstructed: float = Field(default=0.2, ge=0, le=1)
    other_psf: float = Field(default=0.05, ge=0, le=1)
    haze: float = Field(default=0.2, ge=0, le=1)
    empty: float = Field(default=0.04, ge=0, le=1)
    soft: float = Field(default=0.0, ge=0, le=1)
    chain: float = Field(default=0.0, ge=0, le=1)
    time_points: int = Field(default=1, ge=1, le=9)
    motion_px: tuple[float, float] = (0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedField:
    """One field; brightness in photons per pixel of the image.

    Attributes
    ----------
    image, partner : array (Y, X)
        Two recordings of the same object, of independent noise.
    target : array (2Y, 2X)
        The object seen through a PSF of `OUTPUT_WIDTH` of the width, background
        included.
    is_reconstructed : bool
        Whether it was made from raw frames, as `reconstruct` makes images.
    """

    image: Image
    partner: Image
    target: Image
    is_reconstructed: bool = False


@dataclass(frozen=True, slots=True)
class FieldConditions:
    """How a field is recorded.

    Attributes
    ----------
    photons : float
        At the 99.9th percentile of the image.
    background : float
        Even light, of ``photons``.
    read_noise_e : float
        Electrons.
    psf_width : float
        Width of the true PSF over that of canonical sampling.
    psf : {"airy", "gaussian", "apodised"}
        Its shape; all of the same full width at half maximum.
    colour : float or None
        None is white noise; else a measure of how the noise of a reconstruction
        rises with frequency.
    """

    photons: float = 200.0
    background: float = 0.02
    read_noise_e: float = 1.6
    psf_width: float = 1.0
    psf: str = "airy"
    colour: float | None = None


def draw_field(
    settings: DataSettings, index: int, objects: Sequence[Image] = ()
) -> SimulatedField:
    """Draw the field of an index: the same settings and index, the same field.

    Fields of one object at several time points have the same light and PSF.

    Parameters
    ----------
    settings : DataSettings
        Ranges.
    index : int
        Number of the field.
    objects : sequence of array (Y, X)
        Real images to use as objects, one pixel for a fine pixel; as from
        `objects.load_objects`. Without any, all structures are drawn.

    Returns
    -------
    SimulatedField
    """
    number, time_point = divmod(index, settings.time_points)
    rng = np.random.default_rng([settings.seed, number])
    emitters = draw_object(settings, rng, objects)
    low, high = np.log(settings.photons)
    shape = ("gaussian", "apodised")[rng.integers(2)]
    other_psf = rng.random() < settings.other_psf
    reconstructed = rng.random() < settings.reconstructed
    conditions = FieldConditions(
        photons=float(np.exp(rng.uniform(low, high))),
        background=float(rng.uniform(*settings.background)),
        read_noise_e=float(rng.uniform(*settings.read_noise_e)),
        psf_width=float(np.exp(rng.uniform(-1, 1) * settings.psf_jitter)),
        psf="apodised" if reconstructed else shape if other_psf else "airy",
        colour=float(rng.uniform(0, 6)) if reconstructed else None,
    )
    if settings.time_points > 1:
        moving = np.random.default_rng([settings.seed, number, 2])
        emitters = _moved(emitters, time_point, settings.motion_px, moving)
        rng = np.random.default_rng([settings.seed, index, 3])
    return record_field(emitters, conditions, rng)


def record_field(
    emitters: Image, conditions: FieldConditions, rng: np.random.Generator
) -> SimulatedField:
    """Record an object on the fine grid, margin included.

    Parameters
    ----------
    emitters : array (4 (Y + 24), 4 (X + 24))
        Brightness ≥ 0, periodic; the margin of 12 px on each side is not recorded.
    conditions : FieldConditions
        Light, noise and PSF.
    rng : numpy.random.Generator
        Draws the noise.

    Returns
    -------
    SimulatedField
    """
    half = _bin(emitters)  # the grid of the output
    spectrum = scipy.fft.rfft2(half, workers=1)
    cutoff = CANONICAL_CUTOFF_PER_PIXEL / 2
    radius = radial_frequency((half.shape[0], half.shape[1]), half_plane=True)

    def seen(transfer: NDArray[np.float64]) -> Image:
        blurred = scipy.fft.irfft2(spectrum * transfer, s=half.shape, workers=1)
        return np.asarray(np.maximum(blurred, 0), dtype=np.float32)

    clean = _bin(seen(_transfer(radius, cutoff / conditions.psf_width, conditions.psf)))
    clean /= 4  # a mean: an even object of 1 gives an even image of 1
    bright = max(float(np.percentile(clean, 99.9)), float(clean.max()) / 4)
    gain = conditions.photons / bright if bright > 0 else 0.0
    pedestal = conditions.background * conditions.photons
    expected = np.asarray(gain * clean + pedestal, dtype=np.float32)
    target = gain * seen(widefield_otf(radius, cutoff / OUTPUT_WIDTH)) + pedestal
    return SimulatedField(
        _crop(_noisy(expected, conditions, rng), MARGIN_PX),
        _crop(_noisy(expected, conditions, rng), MARGIN_PX),
        _crop(np.asarray(target, dtype=np.float32), 2 * MARGIN_PX),
    )


def draw_emitters(
    structure: StructureId,
    field_px: int,
    *,
    seed: int | np.random.Generator,
    magnification: float = 1.0,
    separation_nm: float = 80.0,
) -> Image:
    """Draw a structure on the fine grid, with the margin that `record_field` wants."""
    side = _FINE * (field_px + 2 * MARGIN_PX)
    return phantom(
        structure,
        (side, side),
        pixel_size_nm=CANONICAL_OPTICS.pixel_size_nm / _FINE / magnification,
        seed=seed,
        separation_nm=separation_nm / magnification,
    )


def draw_object(
    settings: DataSettings, rng: np.random.Generator, objects: Sequence[Image]
) -> Image:
    """Draw one structure, or two on top of one another, with haze or nothing."""
    total: Image | None = None
    for part_number in range(1 + int(rng.random() < settings.mixed)):
        if objects and part_number == 0 and rng.random() < settings.real:
            part = _cut_object(objects[int(rng.integers(len(objects)))], settings, rng)
        elif settings.soft and rng.random() < settings.soft:
            part = _soft_object(settings, rng)
        else:
            part = draw_emitters(
                draw_class(rng),
                settings.field_px,
                seed=rng,
                magnification=rng.uniform(*settings.magnification),
                separation_nm=rng.uniform(*settings.separation_nm),
            )
        part *= rng.lognormal(0, 0.8) / max(float(part.sum()), _TINY)
        total = part if total is None else total + part
    emitters = np.asarray(total)
    if rng.random() < settings.uneven:
        emitters = emitters * _slow_variation(emitters.shape, rng)
    if rng.random() < settings.haze:
        emitters = emitters + _haze(emitters, rng)
    if rng.random() < settings.empty:
        emitters = np.zeros_like(emitters)
    return np.asarray(emitters, dtype=np.float32)


def _soft_object(settings: DataSettings, rng: np.random.Generator) -> Image:
    """Draw an object without edges or lines on the fine grid."""
    side = _FINE * (settings.field_px + 2 * MARGIN_PX)
    pixel_nm = CANONICAL_OPTICS.pixel_size_nm / _FINE
    return soft_object(side, pixel_nm / rng.uniform(*settings.magnification), rng)


def _cut_object(
    image: Image, settings: DataSettings, rng: np.random.Generator
) -> Image:
    """Cut a random part of a real image, turned, mirrored, magnified or not."""
    side = _FINE * (settings.field_px + 2 * MARGIN_PX)
    smaller = min(image.shape)
    cut = min(round(side / rng.uniform(1, settings.magnification[1])), smaller)
    y, x = (int(rng.integers(0, length - cut + 1)) for length in image.shape)
    part = np.rot90(image[y : y + cut, x : x + cut], int(rng.integers(4)))
    part = part[:, ::-1] if rng.integers(2) else part
    grown = scipy.ndimage.zoom(
        part, side / cut, order=1, mode="grid-mirror", grid_mode=True
    )
    return np.asarray(grown, dtype=np.float32)


def _moved(
    emitters: Image,
    time_point: int,
    motion_px: tuple[float, float],
    rng: np.random.Generator,
) -> Image:
    """Return an object as it is after some steps of even motion.

    Half of the displacement is that of the whole, half differs from place to place.
    """
    length = _FINE * rng.uniform(*motion_px) / 2
    heading = rng.uniform(0, 2 * np.pi)
    coarse = rng.standard_normal((2, 4, 4))
    zoom = [side / 4 for side in emitters.shape]
    local = [
        scipy.ndimage.zoom(part, zoom, order=3, mode="grid-wrap", grid_mode=True)
        for part in coarse
    ]
    whole = np.array([np.sin(heading), np.cos(heading)])[:, None, None]
    step = length * (whole + np.array(local) / np.sqrt(np.square(local).mean()))
    places = np.indices(emitters.shape) - time_point * step
    moved = scipy.ndimage.map_coordinates(emitters, places, order=1, mode="grid-wrap")
    return np.asarray(moved, dtype=np.float32)


def _slow_variation(
    shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return factors that vary over some micrometres, by up to a factor of about 50."""
    coarse = rng.standard_normal((4, 4)) * rng.uniform(0.3, 1.5)
    zoom = [side / 4 for side in shape]
    smooth = scipy.ndimage.zoom(coarse, zoom, order=3, mode="mirror", grid_mode=True)
    return np.asarray(np.exp(smooth), dtype=np.float32)


def _haze(emitters: Image, rng: np.random.Generator) -> Image:
    """Return light of the same structures far out of focus."""
    sigma = rng.uniform(250, 900) / CANONICAL_OPTICS.pixel_size_nm * _FINE
    shape = (emitters.shape[0], emitters.shape[1])
    blur = np.exp(-2 * (np.pi * sigma * radial_frequency(shape, half_plane=True)) ** 2)
    spectrum = scipy.fft.rfft2(emitters, workers=1) * blur
    haze = scipy.fft.irfft2(spectrum, s=shape, workers=1)
    return np.asarray(rng.uniform(0.3, 3) * np.maximum(haze, 0), dtype=np.float32)


def _transfer(
    radius: NDArray[np.float64], cutoff: float, shape: str
) -> NDArray[np.float64]:
    """Return an OTF whose PSF is as wide as that of the Airy OTF of the cut-off."""
    if shape == "gaussian":
        sigma = 1.029 / cutoff / 2.3548
        return np.exp(-2 * (np.pi * sigma * radius) ** 2)
    if shape == "apodised":
        ratio = np.minimum(radius / (_SIM_SUPPORT * cutoff), 1)
        return np.cos(np.pi / 2 * ratio)
    return widefield_otf(radius, cutoff)


def _noisy(
    expected: Image, conditions: FieldConditions, rng: np.random.Generator
) -> Image:
    """Add shot and read noise, white or coloured as in a Wiener reconstruction."""
    if conditions.colour is None:
        photons = rng.poisson(expected).astype(np.float32)
        read = rng.standard_normal(expected.shape, dtype=np.float32)
        return photons + np.float32(conditions.read_noise_e) * read
    radius = radial_frequency((expected.shape[0], expected.shape[1]), half_plane=True)
    ratio = np.minimum(radius / CANONICAL_CUTOFF_PER_PIXEL, 1)
    colour = (1 + conditions.colour * ratio**2) * np.cos(np.pi / 2 * ratio)
    colour /= np.sqrt(np.mean(colour**2))
    white = rng.standard_normal(expected.shape, dtype=np.float32)
    noise = scipy.fft.irfft2(
        scipy.fft.rfft2(white, workers=1) * colour, s=expected.shape, workers=1
    )
    variance = expected + conditions.read_noise_e**2
    return np.asarray(expected + np.sqrt(variance) * noise, dtype=np.float32)


def _bin(image: Image) -> Image:
    """Return sums over 2 × 2 pixels."""
    height, width = (side // 2 for side in image.shape)
    return np.asarray(image.reshape(height, 2, width, 2).sum(axis=(1, 3)))


def _crop(image: Image, margin: int) -> Image:
    return np.ascontiguousarray(image[margin:-margin, margin:-margin])
