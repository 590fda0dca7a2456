"""Simulation of raw SIM z-stacks: every plane sees all others out of focus.

Order n of the plane z_j is the sum over the planes z of the object, of
H_n(·, z_j − z) times the spectrum of s_z e^{2πi k_n·r}, with the OTF of defocused light
H of `napari_dps.physics.otf3d`. Stripes of three beams focus with the objective: their
axial factor cos(2π kz0 (z_j − z)) is a factor of H_1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Pattern, refined_grid
from napari_dps.physics.illumination import (
    IlluminationOrder,
    draw_patterns,
    illumination_orders,
)
from napari_dps.physics.image_formation import Microscope
from napari_dps.physics.otf3d import defocus_table
from napari_dps.physics.phantoms.volumes import VolumeId, volume
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulated import (
    Image,
    Simulation,
    binned,
    bright_level,
    cropped,
    margin_of,
)

MARGIN_PLANES = 8
"""Planes of the object beyond either end of the stack: light comes from there too."""

Spectra = NDArray[np.complex64]


def simulate_volume(settings: SimulationSettings, density: float = 1.0) -> Simulation:
    """Simulate a raw SIM z-stack of a phantom.

    Parameters
    ----------
    settings : SimulationSettings
        Of two planes or more.
    density : float
        How many objects there are, over what is usual for the structure.

    Returns
    -------
    Simulation
        ``raw`` has the axes "ZAPYX", ``truth`` "ZYX".
    """
    fine = settings.oversampling
    sides = settings.height_px, settings.width_px
    margin_y, margin_x = (margin_of(side) for side in sides)
    fine_nm = settings.pixel_size_nm / fine
    emitters = volume(
        cast(VolumeId, settings.structure),
        (
            settings.planes + 2 * MARGIN_PLANES,
            (sides[0] + 2 * margin_y) * fine,
            (sides[1] + 2 * margin_x) * fine,
        ),
        spacing_nm=(settings.z_step_nm, fine_nm, fine_nm),
        seed=settings.seed,
        density=density,
    )
    return simulate_emitters(
        emitters, settings, margin=(MARGIN_PLANES, margin_y, margin_x)
    )


def simulate_emitters(
    emitters: NDArray[np.floating],
    settings: SimulationSettings,
    *,
    margin: tuple[int, int, int] = (0, 0, 0),
    patterns: Sequence[Pattern] | None = None,
) -> Simulation:
    """Simulate a raw SIM z-stack of an object.

    Parameters
    ----------
    emitters : array (Z, Y, X)
        Brightness ≥ 0 of the emitter at the centre of each fine pixel of each plane,
        periodic; sides a multiple of ``settings.oversampling``.
    settings : SimulationSettings
        Optics, light and camera.
    margin : tuple of int
        Planes, and camera pixels (y, x), on each side that are not recorded.
    patterns : sequence of Pattern, optional
        Exact patterns with the phases of every frame; else those of the settings.

    Returns
    -------
    Simulation

    Raises
    ------
    InputError
        If the object is dark or negative.
    """
    if emitters.min() < 0 or not emitters.any():
        raise InputError("brightness of the object", allowed=">= 0, not all 0")
    emitters = emitters.astype(np.float32, copy=False)
    rng = np.random.default_rng([settings.seed, 1])
    patterns = tuple(draw_patterns(settings, rng) if patterns is None else patterns)
    scope = _Scope(emitters, settings, margin)
    bright = bright_level(scope.images(scope.even))
    to_photons = settings.photons / bright
    frames = _lit_frames(scope, illumination_orders(patterns), settings, rng)
    clean = np.maximum(to_photons * frames, 0) + np.float32(settings.background_photons)
    raw = ImageStack(
        settings.camera.record(clean, rng),
        "ZAPYX",
        pixel_size_nm=settings.pixel_size_nm,
        optics=settings.optics,
        z_step_nm=settings.z_step_nm,
    )
    truth = _truth(emitters, settings, margin, to_photons)
    return Simulation(raw, patterns, clean, truth, settings)


class _Scope:
    """Turns an object into spectra of orders over kz, and these into images."""

    def __init__(
        self,
        emitters: Image,
        settings: SimulationSettings,
        margin: tuple[int, int, int],
    ) -> None:
        self._emitters, self._settings, self._margin = emitters, settings, margin
        self._microscope = Microscope(
            settings.optics,
            emitters.shape[1:],
            settings.oversampling,
            margin[1:],
            otf=lambda radius: (radius < 1).astype(np.float64),
        )
        self._table = defocus_table(settings.optics, len(emitters), settings.z_step_nm)
        plain = self.order((0.0, 0.0), 0.0)
        self.even = plain * np.float32(1 - settings.haze_fraction)
        if settings.haze_fraction:
            self.even = self.even + self._haze()

    def order(self, wavevector_per_nm: tuple[float, float], axial: float) -> Spectra:
        """Return the spectra (kz, …) of an order of unit modulation."""
        planes = [
            self._microscope.order(plane, wavevector_per_nm) for plane in self._emitters
        ]
        spectra = scipy.fft.fft(np.stack(planes), axis=0, workers=1)
        for kz, column in enumerate(self._table.transfer(axial).T):
            spectra[kz] *= _radial(column, self._microscope.radius)
        return np.asarray(spectra, dtype=np.complex64)

    def _haze(self) -> Spectra:
        """Return the light of all planes, blurred, the same in every plane."""
        sigma_nm = self._settings.haze_blur_nm
        least, most = (self._microscope.gaussian(w * sigma_nm) for w in (1, 3))
        flat = self._microscope.order(self._emitters.sum(axis=0), (0.0, 0.0))
        spectra = np.zeros((len(self._emitters), *flat.shape), np.complex64)
        # A plane gets light of all others, whose sum is that at kz = 0.
        spectra[0] = (
            len(spectra) * self._settings.haze_fraction / 2 * flat * (least + most)
        )
        return spectra

    def moved(self, spectra: Spectra, z_nm: float) -> Spectra:
        """Return spectra of an object that has moved along z."""
        kz = np.fft.fftfreq(len(spectra), self._settings.z_step_nm)
        ramp = np.exp(-2j * np.pi * kz * z_nm).astype(np.complex64)
        return np.asarray(spectra * ramp[:, None, None])

    def shifted(self, spectra: Spectra, moved_nm: NDArray[np.float64]) -> Spectra:
        """Return spectra of an object that has moved by (y, x)."""
        return np.asarray(spectra * self._microscope.shift(moved_nm))

    def images(self, spectra: Spectra) -> Image:
        """Return the images (Z, Y, X) that are recorded."""
        planes = scipy.fft.ifft(spectra, axis=0, workers=1)
        planes = planes[self._margin[0] : len(planes) - self._margin[0]]
        images = np.stack([self._microscope.image(plane) for plane in planes])
        return cropped(images, self._margin[1:])


def _lit_frames(
    scope: _Scope,
    angles: list[list[IlluminationOrder]],
    settings: SimulationSettings,
    rng: np.random.Generator,
) -> Image:
    """Return all frames (Z, A, P, Y, X); every frame is a sweep through the planes."""
    count = len(angles) * settings.phases
    intensity = (1 - settings.bleaching) ** np.arange(count)
    intensity *= np.maximum(
        1 + settings.intensity_jitter * rng.standard_normal(count), 0
    )
    heading = rng.uniform(0, 2 * math.pi)
    step_nm = settings.motion_nm * np.array([math.sin(heading), math.cos(heading)])
    frames: list[Image] = []
    for orders in angles:
        spectra = [
            np.float32((1 - settings.haze_fraction) * order.modulation)
            * scope.order(
                order.wavevector_per_nm, 0.0 if number else settings.axial_per_nm
            )
            for number, order in enumerate(orders)
        ]
        for phase in range(settings.phases):
            late = len(frames) - (count - 1) / 2
            lit = scope.even.copy()
            for order, spectrum in zip(orders, spectra, strict=True):
                # Stripes that stay while the sample moves have another phase.
                stay = (
                    2 * math.pi * float(np.dot(order.wavevector_per_nm, late * step_nm))
                )
                turn = np.exp(1j * (order.phases_rad[phase] + stay))
                lit += np.complex64(turn) * spectrum
            if settings.z_drift_nm:
                lit = scope.moved(lit, late * settings.z_drift_nm)
            if settings.motion_nm:
                lit = scope.shifted(lit, late * step_nm)
            frames.append(np.float32(intensity[len(frames)]) * scope.images(lit))
    stack = np.stack(frames, axis=1)
    return stack.reshape(len(stack), len(angles), settings.phases, *stack.shape[-2:])


def _radial(column: NDArray[np.complex128], radius: NDArray[np.float64]) -> Spectra:
    """Return the values of a row of the table at radii over the cut-off."""
    grid = np.linspace(0, 1, len(column))
    return np.interp(radius, grid, column, right=0.0).astype(np.complex64)


def _truth(
    emitters: Image,
    settings: SimulationSettings,
    margin: tuple[int, int, int],
    to_photons: float,
) -> ImageStack:
    """Return the emitters on the grid of half the pixel size, in photons."""
    planes = emitters[margin[0] : len(emitters) - margin[0]]
    fine = binned(planes, settings.oversampling // 2)
    half_nm, origin_nm = refined_grid(settings.pixel_size_nm, (0.0, 0.0))
    in_focus = np.float32(to_photons * (1 - settings.haze_fraction))
    return ImageStack(
        in_focus * cropped(fine, [2 * side for side in margin[1:]]),
        "ZYX",
        pixel_size_nm=half_nm,
        origin_nm=origin_nm,
        optics=settings.optics.at_pixel_size(half_nm),
        z_step_nm=settings.z_step_nm,
    )
