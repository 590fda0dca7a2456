"""Noise-free frames of a lit object, order by order."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_dps.physics.illumination import IlluminationOrder
from napari_dps.physics.image_formation import Microscope, Spectrum
from napari_dps.physics.simulate_settings import SimulationSettings

Image = NDArray[np.float32]


def evenly_lit(
    emitters: Image, microscope: Microscope, settings: SimulationSettings
) -> Spectrum:
    """Return the spectrum of the image in focus and of the haze, evenly lit.

    The haze is the object seen out of focus: half of it blurred by a Gaussian of the
    width ``haze_blur_nm``, half by one three times as wide. It is taken as not
    modulated, since the OTF of defocused light passes no fine stripes.
    """
    sharp = microscope.order(emitters, (0.0, 0.0))
    sigma_nm = settings.haze_blur_nm
    blur = (microscope.gaussian(sigma_nm) + microscope.gaussian(3 * sigma_nm)) / 2
    haze = np.float32(settings.haze_fraction)
    return sharp * (1 - haze + haze * blur)


def lit_frames(
    emitters: Image,
    even: Spectrum,
    microscope: Microscope,
    angles: list[list[IlluminationOrder]],
    settings: SimulationSettings,
    rng: np.random.Generator,
) -> Image:
    """Return all frames (A, P, Y, X) with the margin, in units of the emitters.

    ``even`` is the spectrum from `evenly_lit`; bleaching, jitter of the intensity and
    motion of the sample are those of the settings.
    """
    phases = len(angles[0][0].phases_rad)
    frame = np.arange(len(angles) * phases)
    intensity = (1 - settings.bleaching) ** frame
    intensity *= np.maximum(
        1 + settings.intensity_jitter * rng.standard_normal(len(frame)), 0
    )
    heading = rng.uniform(0, 2 * math.pi)
    step_nm = settings.motion_nm * np.array([math.sin(heading), math.cos(heading)])
    images: list[Image] = []
    for orders in angles:
        spectra = [
            np.float32((1 - settings.haze_fraction) * order.modulation)
            * microscope.order(emitters, order.wavevector_per_nm)
            for order in orders
        ]
        for phase in range(phases):
            moved_nm = step_nm * (len(images) - frame.mean())
            lit = _lit(even, spectra, orders, phase, moved_nm)
            if settings.motion_nm:
                lit *= microscope.shift(moved_nm)
            images.append(intensity[len(images)] * microscope.image(lit))
    return np.stack(images).reshape(len(angles), phases, *images[0].shape)


def _lit(
    even: Spectrum,
    spectra: list[Spectrum],
    orders: list[IlluminationOrder],
    phase: int,
    moved_nm: NDArray[np.float64],
) -> Spectrum:
    """Return the spectrum of one frame, for a sample that is to move by ``moved_nm``.

    Stripes that stay while the sample moves have another phase where it was.
    """
    lit = even.copy()
    for order, spectrum in zip(orders, spectra, strict=True):
        moved_rad = 2 * math.pi * float(np.dot(order.wavevector_per_nm, moved_nm))
        turn = np.exp(1j * (order.phases_rad[phase] + moved_rad))
        lit += np.complex64(turn) * spectrum
    return lit
