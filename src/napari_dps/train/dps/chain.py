"""Fields as the whole chain gives them: raw SIM frames, denoised or not, reconstructed.

Their noise is as smooth as structure and lies along the stripes, which no noise added
to an image is. The pixels of the frames are such that the reconstruction needs no
resampling: it is at canonical sampling as it comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from napari_dps.core import ImageStack, NoiseToSignal, Optics, Pattern, PatternOrder
from napari_dps.core.context import Context
from napari_dps.core.progress import finish
from napari_dps.methods.denoise.steps import NOISE_LEFT, denoise_steps
from napari_dps.methods.denoise.weights import load_denoiser
from napari_dps.methods.dps.input import OUTPUT_WIDTH
from napari_dps.methods.dps.optics import RECONSTRUCTION_WIDTH
from napari_dps.methods.dps.target import RECONSTRUCTION_GAIN
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.otf import radial_frequency, widefield_otf
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.noise import noise_to_signal
from napari_dps.physics.sim.wiener import WienerSolver
from napari_dps.physics.sim.wiener_weights import WienerSettings
from napari_dps.train.dps.simulation import (
    MARGIN_PX,
    DataSettings,
    Image,
    SimulatedField,
    draw_object,
)

_ANGLES, _PHASES = 3, 3
_NA, _EMISSION_NM = 1.4, 525.0
_FINEST = (0.7, 1.1)
"""Frequency of the stripes over the cut-off: coarser ones alias at canonical pixels."""
_MODULATION = (0.4, 1.0)
_PHOTONS = (10.0, 3000.0)
"""At the 99.9th percentile of a frame."""
_VECTOR_ERROR = 3e-4
"""Standard deviation of the error of wave vectors as found, cycles per pixel."""
_PHASE_ERROR_DEG = 2.0
_MODULATION_ERROR = 0.1
DENOISED = 0.6
"""Share of the fields whose frames are denoised, as they are by default."""
_FINE = 4
"""Pixels of the fine grid along a pixel of the frames."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class _Stripes:
    """Wave vectors (A, 2) in cycles per pixel, phases (A, P) and modulation."""

    vectors: NDArray[np.float64]
    phases: NDArray[np.float64]
    modulation: float

    def light(self, side: int) -> NDArray[np.float64]:
        """Return the light (A, P, Y, X) on the fine grid, mean 1."""
        place = (np.arange(side) + 0.5) / _FINE - 0.5
        rows, columns = (self.vectors[:, axis, None] * place for axis in (0, 1))
        turn = 2 * np.pi * (rows[:, :, None] + columns[:, None, :])
        phases = self.phases[:, :, None, None]
        return 1 + self.modulation * np.cos(turn[:, None] + phases)

    def found(self, optics: Optics, rng: np.random.Generator) -> tuple[Pattern, ...]:
        """Return them as a search finds them."""
        vectors = self.vectors + _VECTOR_ERROR * rng.standard_normal(self.vectors.shape)
        errors = np.radians(_PHASE_ERROR_DEG) * rng.standard_normal(self.phases.shape)
        modulation = self.modulation * rng.lognormal(0, _MODULATION_ERROR)
        return tuple(
            Pattern(
                angle_index=index,
                phases_deg=tuple(np.degrees(phases).tolist()),
                orders=(
                    PatternOrder(
                        period_nm=optics.pixel_size_nm / float(np.hypot(*vector)),
                        angle_deg=math.degrees(math.atan2(*vector)),
                        modulation=min(modulation, 1.0),
                        status="found",
                    ),
                ),
            )
            for index, (vector, phases) in enumerate(
                zip(vectors, self.phases + errors, strict=True)
            )
        )


@dataclass(frozen=True, slots=True, eq=False)
class ChainScene:
    """What raw frames are recorded of, margin included.

    Attributes
    ----------
    expected : array (A, P, Y, X)
        Frames without noise, in photons.
    target : array (4 Y, 4 X), float32
        The object through a PSF of `OUTPUT_WIDTH` of the width, background included.
    patterns : tuple of Pattern
        As a search finds them.
    optics : Optics
        Detection, at the pixels of the frames.
    read_noise_e : float
        Electrons.
    """

    expected: NDArray[np.float64]
    target: Image
    patterns: tuple[Pattern, ...]
    optics: Optics
    read_noise_e: float

    def frames(self, rng: np.random.Generator) -> Image:
        """Return frames (A, P, Y, X) with noise."""
        frames = rng.poisson(self.expected).astype(np.float64)
        frames += self.read_noise_e * rng.standard_normal(frames.shape)
        return frames.astype(np.float32)

    def reconstructed(self, frames: Image, *, denoised: bool) -> Image:
        """Return the SIM image (2 Y, 2 X) of frames, as the stages make it."""
        return _reconstructed(frames, self.patterns, self.optics, denoised)


def draw_chain_scene(
    settings: DataSettings,
    rng: np.random.Generator,
    emitters: Image,
    photons: float | None = None,
    zoom: float = 1.0,
) -> ChainScene:
    """Draw stripes, light and camera for an object.

    Parameters
    ----------
    settings : DataSettings
        Background and read noise.
    rng : numpy.random.Generator
        Draws.
    emitters : array (Y, X)
        Object on the fine grid, margin included; periodic.
    photons : float, optional
        At the 99.9th percentile of a frame; drawn by default.
    zoom : float
        Canonical pixels along a pixel of the reconstruction.
    """
    half = _halved(emitters)
    finest = rng.uniform(*_FINEST)
    factor = RECONSTRUCTION_GAIN * RECONSTRUCTION_WIDTH * (1 + finest)
    cutoff = zoom * 2 * CANONICAL_CUTOFF_PER_PIXEL / factor
    optics = Optics(
        na=_NA,
        emission_nm=_EMISSION_NM,
        pixel_size_nm=cutoff * _EMISSION_NM / (2 * _NA),
    )
    stripes = _draw_stripes(finest * cutoff, rng)
    light = photons or float(np.exp(rng.uniform(*np.log(_PHOTONS))))
    pedestal = light * float(rng.uniform(*settings.background))
    clean, gain = _clean_frames(half, stripes, cutoff, light)
    read_noise_e = rng.uniform(*settings.read_noise_e)
    patterns = stripes.found(optics, rng)
    seen = _blurred(half, zoom * CANONICAL_CUTOFF_PER_PIXEL / 2 / OUTPUT_WIDTH)
    target = np.asarray(gain * seen + pedestal, dtype=np.float32)
    return ChainScene(clean + pedestal, target, patterns, optics, read_noise_e)


def draw_chain_field(
    settings: DataSettings, index: int, objects: Sequence[Image] = ()
) -> SimulatedField:
    """Draw the field of an index; parameters as for `simulation.draw_field`.

    Returns
    -------
    SimulatedField
        ``is_reconstructed``; the partner's frames are not denoised.
    """
    rng = np.random.default_rng([settings.seed, index])
    scene = draw_chain_scene(settings, rng, draw_object(settings, rng, objects))

    def record(denoised: bool) -> Image:
        image = scene.reconstructed(scene.frames(rng), denoised=denoised)
        return inside(image, MARGIN_PX)

    image = record(bool(rng.random() < DENOISED))
    target = inside(scene.target, 2 * MARGIN_PX)
    return SimulatedField(image, record(False), target, is_reconstructed=True)


def inside(image: Image, margin: int) -> Image:
    """Return an image without its margin."""
    return np.ascontiguousarray(image[..., margin:-margin, margin:-margin])


def _draw_stripes(length: float, rng: np.random.Generator) -> _Stripes:
    first = rng.uniform(0, np.pi)
    angles = first + np.pi / _ANGLES * np.arange(_ANGLES)
    steps = 2 * np.pi / _PHASES * np.arange(_PHASES)
    return _Stripes(
        length * np.stack([np.sin(angles), np.cos(angles)], axis=1),
        rng.uniform(0, 2 * np.pi, (_ANGLES, 1)) + steps,
        float(rng.uniform(*_MODULATION)),
    )


def _clean_frames(
    half: NDArray[np.float64], stripes: _Stripes, cutoff: float, photons: float
) -> tuple[NDArray[np.float64], float]:
    """Return frames (A, P, Y, X) in photons, and photons per emitter."""
    side = len(half) // _FINE
    blurred = _blurred(half * stripes.light(len(half)), cutoff / _FINE)
    cells = (*blurred.shape[:2], side, _FINE, side, _FINE)
    clean = blurred.reshape(cells).mean(axis=(3, 5))
    bright = max(float(np.percentile(clean, 99.9)), float(clean.max()) / 4)
    gain = photons / bright if bright > _TINY else 0.0
    return gain * clean, gain


def _reconstructed(
    frames: Image, patterns: tuple[Pattern, ...], optics: Optics, denoised: bool
) -> Image:
    """Reconstruct frames (A, P, Y, X) as the stages do by default."""
    counts = torch.from_numpy(frames)
    noise = noise_to_signal(counts, optics)
    left = 1.0
    if denoised:
        context = Context()
        stack = ImageStack(
            frames, "APYX", pixel_size_nm=optics.pixel_size_nm, optics=optics
        )
        network = load_denoiser(context, counts.device)
        steps = denoise_steps(counts, stack, patterns, network, context)
        frames, left = finish(steps).numpy(), NOISE_LEFT**2
    noise = NoiseToSignal(left * noise.at_cutoff, noise.exponent)
    settings = WienerSettings(
        noise_at_cutoff=noise.at_cutoff, noise_exponent=noise.exponent
    )
    shape = (frames.shape[-2], frames.shape[-1])
    solver = WienerSolver(shape, patterns, optics, settings)
    image: Image = solver.solve(frames, equalisation(torch.from_numpy(frames)))
    return image


def _blurred(half: NDArray[np.float64], cutoff: float) -> NDArray[np.float64]:
    """Return images (..., Y, X) through an ideal lens, never negative."""
    shape = (half.shape[-2], half.shape[-1])
    otf = widefield_otf(radial_frequency(shape, half_plane=True), cutoff)
    spectrum = scipy.fft.rfft2(half, workers=1) * otf
    blurred = scipy.fft.irfft2(spectrum, s=shape, workers=1)
    return np.asarray(np.maximum(blurred, 0), dtype=np.float64)


def _halved(emitters: Image) -> NDArray[np.float64]:
    """Return sums over 2 × 2 pixels."""
    height, width = (side // 2 for side in emitters.shape)
    blocks = emitters.reshape(height, 2, width, 2)
    return np.asarray(blocks.sum(axis=(1, 3), dtype=np.float64))
