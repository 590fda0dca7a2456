"""Simulation of raw SIM stacks with exact truth and patterns.

The expected photons of frame q are I_q · [(1 − h) · (illumination_q · s) ⊗ PSF
+ h · s ⊗ haze] + background, integrated over pixels. All of it is linear in the object
s and computed order by order: with illumination 1 + Σ m_n cos(2π k_n·r + ψ_n) the first
term is D_0 + Σ Re[D_n e^{iψ_n}], D_n = (m_n s e^{2πi k_n·r}) ⊗ PSF.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Optics, Pattern, refined_grid
from napari_dps.core.params import parse
from napari_dps.physics.illumination import draw_patterns, illumination_orders
from napari_dps.physics.image_formation import Microscope
from napari_dps.physics.lit_frames import evenly_lit, lit_frames
from napari_dps.physics.otf import otf_2d
from napari_dps.physics.phantoms import StructureId, phantom
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulate_volume import simulate_volume
from napari_dps.physics.simulated import (
    Image,
    Simulation,
    binned,
    bright_level,
    cropped,
    margin_of,
)

__all__ = [
    "Simulation",
    "SimulationSettings",
    "blur_truth",
    "simulate",
    "simulate_object",
]


def simulate(settings: SimulationSettings) -> Simulation:
    """Simulate a raw SIM stack of a phantom: of one plane, or a z-stack.

    Parameters
    ----------
    settings : SimulationSettings
        Structure, optics, patterns, light and camera.

    Returns
    -------
    Simulation

    Examples
    --------
    >>> result = simulate(SimulationSettings(height_px=48, width_px=40))
    >>> result.raw.shape, result.truth.shape, result.truth.origin_nm
    ((3, 3, 48, 40), (96, 80), (-16.25, -16.25))
    """
    if settings.planes > 1:
        return simulate_volume(settings)
    fine = settings.oversampling
    margin_y, margin_x = (
        margin_of(size) for size in (settings.height_px, settings.width_px)
    )
    emitters = phantom(
        cast(StructureId, settings.structure),
        (
            (settings.height_px + 2 * margin_y) * fine,
            (settings.width_px + 2 * margin_x) * fine,
        ),
        pixel_size_nm=settings.pixel_size_nm / fine,
        seed=settings.seed,
        separation_nm=settings.separation_nm,
    )
    return simulate_object(emitters, settings, margin_px=(margin_y, margin_x))


def simulate_object(
    emitters: NDArray[np.floating],
    settings: SimulationSettings,
    *,
    patterns: Sequence[Pattern] | None = None,
    margin_px: tuple[int, int] = (0, 0),
) -> Simulation:
    """Simulate a raw SIM stack of an object.

    Parameters
    ----------
    emitters : array (Y, X)
        Brightness ≥ 0 of the emitter at the centre of each fine pixel, periodic; both
        sides a multiple of ``settings.oversampling``. The frames are as large as it is,
        less the margin: height, width and structure of the settings are not used.
    settings : SimulationSettings
        Optics, light and camera; the patterns too, unless ``patterns`` has them.
    patterns : sequence of Pattern, optional
        Exact patterns with the phases of every frame. Patterns of the same
        ``angle_index`` light the same frames together, as in hexagonal SIM.
    margin_px : tuple of int
        Camera pixels (y, x) of the object on each side that are not recorded.

    Returns
    -------
    Simulation

    Raises
    ------
    InputError
        If the object is dark, negative, not finite or does not fit the grid, or the
        patterns do not fit together.
    """
    size = _check_object(emitters, settings.oversampling, margin_px)
    settings = settings.model_copy(update={"height_px": size[0], "width_px": size[1]})
    emitters = emitters.astype(np.float32, copy=False)
    rng = np.random.default_rng([settings.seed, 1])
    patterns = tuple(draw_patterns(settings, rng) if patterns is None else patterns)
    microscope = Microscope(
        settings.optics, emitters.shape, settings.oversampling, margin_px
    )
    even = evenly_lit(emitters, microscope, settings)
    to_photons = settings.photons / bright_level(
        cropped(microscope.image(even), margin_px)
    )
    orders = illumination_orders(patterns)
    frames = lit_frames(emitters, even, microscope, orders, settings, rng)
    # Rounding leaves values as small as −1e-5 of the peak where there is no light.
    clean = np.maximum(to_photons * cropped(frames, margin_px), 0)
    clean += np.float32(settings.background_photons)
    optics = settings.optics
    raw = ImageStack(
        settings.camera.record(clean, rng),
        "APYX",
        pixel_size_nm=optics.pixel_size_nm,
        optics=optics,
    )
    truth = _truth(emitters, settings, margin_px, to_photons)
    return Simulation(raw, patterns, clean, truth, settings)


def blur_truth(truth: ImageStack, *, modulation_factor: float) -> ImageStack:
    """Return the truth as an ideal microscope would show it.

    Parameters
    ----------
    truth : ImageStack
        Axes "YX", with optics.
    modulation_factor : float
        The PSF's NA over the NA of the optics, 1 to 4: 1 is widefield, 2 is ideal
        linear SIM.

    Returns
    -------
    ImageStack
        float32, same grid, blurred by `psf.sr_psf` of infinite extent; mirrored edges.

    Raises
    ------
    InputError
        If the stack has no optics or the factor is out of range.
    """
    values = truth.require_optics("blurring the truth").model_dump()
    values["modulation_factor"] = modulation_factor
    optics = parse(Optics, values, "blurring the truth")
    pad = min(64, *(side - 1 for side in truth.shape))
    padded = np.pad(truth.data, pad, mode="reflect")
    otf = otf_2d(
        padded.shape, optics.cutoff_per_pixel * modulation_factor, half_plane=True
    ).astype(np.float32)
    spectrum = scipy.fft.rfft2(padded, workers=1) * otf
    blurred = scipy.fft.irfft2(spectrum, s=padded.shape, workers=1)
    inside = slice(pad, -pad or None)
    return truth.derive(blurred[inside, inside], optics=optics)


def _truth(
    emitters: Image,
    settings: SimulationSettings,
    margin_px: tuple[int, int],
    to_photons: float,
) -> ImageStack:
    """Return the emitters in focus on the grid of half the pixel size, in photons."""
    doubled = binned(emitters, settings.oversampling // 2)
    in_focus = np.float32(to_photons * (1 - settings.haze_fraction))
    half_nm, origin_nm = refined_grid(settings.pixel_size_nm, (0.0, 0.0))
    return ImageStack(
        in_focus * cropped(doubled, [2 * margin for margin in margin_px]),
        "YX",
        pixel_size_nm=half_nm,
        origin_nm=origin_nm,
        optics=settings.optics.at_pixel_size(half_nm),
    )


def _check_object(
    emitters: NDArray[np.floating], fine: int, margin_px: tuple[int, int]
) -> tuple[int, int]:
    """Check the object; return the size (Y, X) of the frames."""
    if emitters.ndim != 2 or any(side % fine for side in emitters.shape):
        raise InputError(
            "shape of the object",
            got=emitters.shape,
            allowed=f"(Y, X), multiples of the oversampling {fine}",
        )
    height, width = (
        side // fine - 2 * margin
        for side, margin in zip(emitters.shape, margin_px, strict=True)
    )
    if min(height, width, *margin_px) < 0 or 0 in (height, width):
        raise InputError("margin", got=margin_px, allowed="less than half the object")
    lowest, highest = float(emitters.min()), float(emitters.max())
    if not (lowest >= 0 and 0 < highest < math.inf):
        raise InputError(
            "brightness of the object",
            got=f"{lowest:g} to {highest:g}",
            allowed="finite, >= 0, not all 0",
        )
    return height, width
