"""Images of many makes that say of themselves nothing but their lens and pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace as changed
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.special
from artifacts_low_light import filter_of
from skimage.restoration import denoise_nl_means, richardson_lucy

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.optics import RECONSTRUCTION_WIDTH
from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.phantoms import StructureId, phantom
from napari_dps.physics.psf import sr_psf
from napari_dps.physics.resampling import resample
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import simulate_object
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.stages.reconstruct import STAGE, ReconstructParameters
from napari_dps.train.artifacts.faults import Faults, draw_ratio
from napari_dps.train.artifacts.pairs import counts_of
from napari_dps.train.artifacts.scenes import PairSettings, draw_scene

Image = np.ndarray
STRUCTURES: tuple[StructureId, ...] = (
    "microtubules", "actin", "er", "vesicles", "clathrin", "mitochondria",
    "nuclear_pores", "glyphs", "beads",
)  # fmt: skip
FILTERS = range(3)
NA, EMISSION_NM = 1.4, 525.0
LENS_NM = EMISSION_NM / 2 / NA
CUTOFFS = (0.16, 0.2, 0.25, 0.3, 0.35, 0.42)
"""Of the lens, cycles per pixel."""
MARGIN_PX = 12
READ_NOISE_E = {"widefield": 1.5, "confocal": 0.3}
SIM_FIELD_PX = 176


class Seen(NamedTuple):
    """An image, and what it says of itself."""

    data: Image
    optics: Optics
    read_noise: float = READ_NOISE_E["widefield"]

    def with_noise(self, photons: float, rng: np.random.Generator) -> Seen:
        """Return it as a camera records it, so many photons at its brightest."""
        counts = rng.poisson(self.data * photons).astype(np.float32)
        counts += rng.normal(0, self.read_noise, counts.shape).astype(np.float32)
        return self._replace(data=counts)

    def enlarged(self, data: Image, factor: float) -> Seen:
        """Return an image of it with as much smaller pixels."""
        optics = self.optics.at_pixel_size(self.optics.pixel_size_nm / factor)
        return self._replace(data=data, optics=optics)

    def stack(self) -> ImageStack:
        """Return it as a stage takes it."""
        size_nm = self.optics.pixel_size_nm
        data = self.data.astype(np.float32)
        return ImageStack(data, "YX", pixel_size_nm=size_nm, optics=self.optics)


def optics_of(cutoff: float) -> Optics:
    """Return the lens with pixels in which its cut-off is that."""
    return Optics(na=NA, emission_nm=EMISSION_NM, pixel_size_nm=cutoff * LENS_NM)


def widefield(kind: StructureId, seed: int, cutoff: float, side: int = 176) -> Seen:
    """Return a widefield image without noise; the 99.9th percentile is 1."""
    return _lens_image(kind, seed, cutoff, side, pinhole=None)


def confocal(
    kind: StructureId, seed: int, cutoff: float, side: int = 176, pinhole: float = 0.5
) -> Seen:
    """Return a confocal one; the pinhole in Airy units, 0: a point."""
    seen = _lens_image(kind, seed, cutoff, side, pinhole=pinhole)
    return seen._replace(read_noise=READ_NOISE_E["confocal"])


def _lens_image(
    kind: StructureId, seed: int, cutoff: float, side: int, *, pinhole: float | None
) -> Seen:
    pixel_nm = cutoff * LENS_NM
    fine = max(2, math.ceil(pixel_nm / 22))
    shape = (fine * (side + 2 * MARGIN_PX),) * 2
    emitters = phantom(kind, shape, pixel_size_nm=pixel_nm / fine, seed=seed)
    rows = scipy.fft.fftfreq(shape[0])[:, None]
    radius = np.hypot(rows, scipy.fft.rfftfreq(shape[1]))
    transfer = widefield_otf(radius, cutoff / fine)
    if pinhole is not None:
        transfer = _confocal_otf(radius, cutoff / fine, pinhole, shape)
    image = scipy.fft.irfft2(scipy.fft.rfft2(emitters) * transfer, s=shape)
    whole = image.reshape(side + 2 * MARGIN_PX, fine, -1, fine).mean(axis=(1, 3))
    inside = slice(MARGIN_PX, -MARGIN_PX)
    part = np.maximum(whole[inside, inside], 0)
    part = part / max(np.percentile(part, 99.9), part.max() / 4) + 0.03
    return Seen(part, optics_of(cutoff))


def _confocal_otf(
    radius: Image, cutoff: float, pinhole: float, shape: tuple[int, int]
) -> Image:
    """Return the OTF of excitation, 1.08 times finer, and detection by a pinhole."""
    detection = widefield_otf(radius, cutoff)
    if pinhole:
        phase = 2 * math.pi * 1.22 / cutoff * pinhole * np.maximum(radius, 1e-9)
        detection = detection * 2 * scipy.special.j1(phase) / phase
    psf = scipy.fft.irfft2(detection, s=shape)
    psf = psf * scipy.fft.irfft2(widefield_otf(radius, 1.08 * cutoff), s=shape)
    transfer = scipy.fft.rfft2(psf).real
    return np.asarray(transfer / transfer[0, 0])


def reconstruction(kind: StructureId, seed: int, photons: float, number: int) -> Seen:
    """Return a reconstruction by one of the filters."""
    rng = np.random.default_rng([78, STRUCTURES.index(kind), seed, number])
    settings = PairSettings(field_px=SIM_FIELD_PX, planted=0.0)
    scene = draw_scene(settings, rng, structure=kind)
    faults = Faults(
        photons=photons,
        wiener_ratio=draw_ratio(rng, 0.01, 1),
        haze=0.4 * (number % 2),
    )
    image, _ = counts_of(scene, changed(faults, **filter_of(number)), rng)
    optics = scene.settings.optics
    return Seen(image, optics.at_pixel_size(optics.pixel_size_nm / 2))


def _integers(seen: Seen, most: int, *, cut: bool) -> Seen:
    """Return it as integers, negative values cut off or not."""
    image = np.maximum(seen.data, 0) if cut else seen.data - seen.data.min()
    return seen._replace(data=np.round(image * (most / image.max())))


STORED: dict[str, Callable[[Seen], Seen]] = {
    "floating point": lambda seen: seen,
    "16 bits": partial(_integers, most=65535, cut=False),
    "8 bits": partial(_integers, most=255, cut=False),
    "16 bits, cut off at 0": partial(_integers, most=65535, cut=True),
    "8 bits, cut off at 0": partial(_integers, most=255, cut=True),
}

_PLAIN = {"attenuation_strength": 0.0}
WIENER: dict[str, WienerSettings] = {
    "this project's, 0.05": WienerSettings(wiener_parameter=0.05),
    "this project's, 0.3": WienerSettings(wiener_parameter=0.3),
    "no apodisation, 0.05": WienerSettings(0.05, apodisation="none", **_PLAIN),
    "no apodisation, 0.005": WienerSettings(0.005, apodisation="none", **_PLAIN),
    "triangle, 0.05": WienerSettings(0.05, apodisation="triangle", **_PLAIN),
    "triangle, 0.3": WienerSettings(0.3, apodisation="triangle", **_PLAIN),
}
"""Filters of other programs, with their Wiener parameters."""

Rng = np.random.Generator
Make = Callable[[StructureId, int, Rng], Iterator[Seen]]
LIGHTS = (5.0, 20.0, 100.0, 500.0, 2000.0)


def _camera(kind: StructureId, seed: int, rng: Rng) -> Iterator[Seen]:
    clean = widefield(kind, seed, float(rng.choice(CUTOFFS)))
    yield from (clean.with_noise(light, rng) for light in LIGHTS)


def _confocal(kind: StructureId, seed: int, rng: Rng) -> Iterator[Seen]:
    for pinhole in (0.0, 0.5, 1.0):
        cutoff = float(rng.choice(CUTOFFS))
        clean = confocal(kind, seed, cutoff, pinhole=pinhole)
        yield from (clean.with_noise(light, rng) for light in LIGHTS)


def _clean(make: Callable[..., Seen]) -> Make:
    def images(kind: StructureId, seed: int, rng: Rng) -> Iterator[Seen]:
        seen: Seen = make(kind, seed, float(rng.choice(CUTOFFS)))
        yield seen
        yield _integers(seen, 65535, cut=True)
        yield _integers(seen, 255, cut=True)

    return images


def _coarse(kind: StructureId, seed: int, rng: Rng) -> Iterator[Seen]:
    """Pixels that are too large: cut-off beyond the Nyquist frequency."""
    for cutoff in (0.55, 0.7, 0.9):
        seen = widefield(kind, seed, cutoff).with_noise(300, rng)
        yield seen
        yield seen.enlarged(scipy.ndimage.zoom(seen.data, 2, order=3), 2)


def _noise(kind: StructureId, seed: int, rng: Rng) -> Iterator[Seen]:
    """White, smoothed and enlarged noise."""
    white = Seen(rng.normal(100, 10, (176, 160)), optics_of(float(rng.choice(CUTOFFS))))
    yield white
    for sigma_px in (0.6, 1.0, 1.6):
        yield white._replace(data=scipy.ndimage.gaussian_filter(white.data, sigma_px))
    yield white.enlarged(scipy.ndimage.zoom(white.data, 2, order=3), 2)


def _changed(*ways: Callable[[Seen, Rng], Seen]) -> Make:
    """Return what changes camera images after they were recorded."""

    def images(kind: StructureId, seed: int, rng: Rng) -> Iterator[Seen]:
        for make in (widefield, confocal):
            cutoff = float(rng.choice(CUTOFFS))
            light = float(rng.choice((20, 100, 500, 2000)))
            recorded = make(kind, seed, cutoff).with_noise(light, rng)
            yield from (way(recorded, rng) for way in ways)

    return images


def _pixels(way: Callable[[Image], Image]) -> Callable[[Seen, Rng], Seen]:
    return lambda seen, _: seen._replace(data=way(seen.data))


def _hot(seen: Seen, rng: Rng) -> Seen:
    data = seen.data.copy()
    data[rng.random(data.shape) < 1e-3] = 3 * data.max()
    return seen._replace(data=data)


def _enlarged(factor: float, order: int) -> Callable[[Seen, Rng], Seen]:
    def way(seen: Seen, _: Rng) -> Seen:
        data = scipy.ndimage.zoom(seen.data, factor, order=order)
        return seen.enlarged(data, factor)

    return way


def _by_fourier(seen: Seen, _: Rng) -> Seen:
    height, width = (round(1.4 * side) for side in seen.data.shape)
    return seen.enlarged(resample(seen.data, (height, width)), 1.4)


def _deconvolved(iterations: int) -> Callable[[Seen, Rng], Seen]:
    def way(seen: Seen, _: Rng) -> Seen:
        psf = sr_psf(seen.optics, (31, 31))
        light = np.maximum(seen.data, 0) / seen.data.max() + 1e-3
        data = richardson_lucy(light, psf / psf.sum(), iterations, clip=False)
        return seen._replace(data=data)

    return way


def _nlm(image: Image) -> Image:
    span = float(np.ptp(image))
    return np.asarray(denoise_nl_means(image, 5, 7, h=0.1 * span))


def _gaussian(sigma_px: float) -> Callable[[Seen, Rng], Seen]:
    return _pixels(lambda image: scipy.ndimage.gaussian_filter(image, sigma_px))


OTHERS: dict[str, Make] = {
    "widefield, 5 to 2000 photons": _camera,
    "confocal, 0 to 1 Airy unit, 5 to 2000 photons": _confocal,
    "widefield without noise": _clean(widefield),
    "confocal (0.5 Airy units) without noise": _clean(confocal),
    "noise: white, smoothed, enlarged": _noise,
    "hot pixels": _changed(_hot),
    "pixels too large, also enlarged": _coarse,
    "pixels not square": _changed(
        _pixels(lambda image: scipy.ndimage.zoom(image, (1, 1.5), order=3)),
        _pixels(lambda image: image[:, : image.shape[1] // 2 * 2 : 2]),
    ),
    "enlarged by splines": _changed(
        *(_enlarged(f, order) for f in (1.3, 1.7, 2.0) for order in (1, 3))
    ),
    "enlarged by Fourier transform": _changed(_by_fourier),
    "turned, moved": _changed(
        _pixels(lambda image: scipy.ndimage.rotate(image, 17, reshape=False)),
        _pixels(lambda image: scipy.ndimage.shift(image, (0.4, 0.3), order=1)),
    ),
    "Gaussian and median filters": _changed(
        *map(_gaussian, (0.5, 0.8, 1.2, 2.0)),
        _pixels(lambda image: scipy.ndimage.median_filter(image, 3)),
    ),
    "non-local means": _changed(_pixels(_nlm)),
    "gamma 0.5 and 2": _changed(
        _pixels(lambda image: np.sqrt(np.maximum(image, 0))),
        _pixels(lambda image: image**2),
    ),
    "saturated": _changed(
        _pixels(lambda image: np.minimum(image, np.percentile(image, 97)))
    ),
    "deconvolved, 10 iterations": _changed(_deconvolved(10)),
}


def sim_truth(
    kind: StructureId,
    seed: int,
    photons: float,
    wiener: WienerSettings | None = None,
    side: int = 96,
) -> tuple[ImageStack, Image, float]:
    """Return a reconstruction without a history, its truth, and its true factor.

    The truth is on the grid of half its pixels, under a PSF of half the width. By
    default everything is found as the stage does; a filter knows the patterns.
    """
    rng = np.random.default_rng([9, STRUCTURES.index(kind), seed])
    pixel_nm, fine = float(rng.uniform(0.3, 0.46)) * LENS_NM, 4
    period_nm = LENS_NM / float(rng.uniform(0.75, 1.0))
    shape = (fine * (side + 2 * MARGIN_PX),) * 2
    emitters = phantom(kind, shape, pixel_size_nm=pixel_nm / fine, seed=seed)
    settings = SimulationSettings(
        height_px=side, width_px=side, na=NA, emission_nm=EMISSION_NM,
        pixel_size_nm=pixel_nm, period_nm=period_nm, photons=photons,
        background_photons=0.02 * photons, oversampling=fine, seed=seed,
        first_angle_deg=float(rng.uniform(0, 180)),
    )  # fmt: skip
    margin = (MARGIN_PX, MARGIN_PX)
    simulated = simulate_object(emitters, settings, margin_px=margin)
    raw = simulated.raw
    counts = raw.derive(raw.data.astype(np.float32) - settings.offset_counts)
    if wiener is None:
        running = STAGE.run(counts, ReconstructParameters(), Context("cpu"))
        data = finish(running).data
    else:
        solver = WienerSolver((side, side), simulated.patterns, settings.optics, wiener)
        data = solver.solve(counts.data)
    optics = settings.optics.at_pixel_size(pixel_nm / 2)
    factor = RECONSTRUCTION_WIDTH * (1 + LENS_NM / period_nm)
    rows = scipy.fft.fftfreq(shape[0])[:, None]
    radius = np.hypot(rows, scipy.fft.rfftfreq(shape[1]))
    transfer = widefield_otf(radius, 2 * factor * pixel_nm / fine / LENS_NM)
    target = scipy.fft.irfft2(scipy.fft.rfft2(emitters) * transfer, s=shape)
    inside = slice(fine * MARGIN_PX, -fine * MARGIN_PX)
    image = ImageStack(data, "YX", pixel_size_nm=pixel_nm / 2, optics=optics)
    return image, target[inside, inside], factor
