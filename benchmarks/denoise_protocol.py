"""Stacks, peers and scores of the benchmark of denoising."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from napari_dps.core import ImageStack, NoiseToSignal, Pattern, finish
from napari_dps.core.context import Context
from napari_dps.methods.sim.patterns import find_patterns
from napari_dps.metrics.reference import psnr_db, ssim
from napari_dps.physics.sim.estimate import EstimationSettings
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.stages import denoise, reconstruct
from napari_dps.stages.denoise import DenoiseParameters
from napari_dps.stages.reconstruct import ReconstructParameters

CLASSES = ("nuclear_pores", "mitochondria", "glyphs")
PHOTONS = (10, 50, 200, 1000, 5000)
PARAMETERS = (0.1, 0.03, 0.01, 0.003)
REFERENCE = 0.01
SIDE_PX = 160
LAYOUTS = {
    "3 × 3": {},
    "3 × 5, two orders": {"phases": 5},
    "1 × 7, hexagonal": {"pattern": "hexagonal", "angles": 1, "phases": 7},
    "1 × 3, single angle": {"angles": 1},
    "5 × 3": {"angles": 5},
}

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A simulated stack less the camera's offset, its expectation, and the emitters."""

    raw: ImageStack
    clean: Frames
    truth: ImageStack

    @property
    def solver(self) -> WienerSolver:
        """The Wiener filter with the exact patterns."""
        size = self.raw.size("Y"), self.raw.size("X")
        optics = self.raw.require_optics("the benchmark")
        return WienerSolver(size, self.raw.patterns, optics)


def scene(structure: str, photons: float, seed: int, **layout: object) -> Scene:
    """Simulate a stack that carries its exact patterns."""
    settings = SimulationSettings(
        structure=structure,
        photons=photons,
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        seed=seed,
        **layout,
    )
    made = simulate(settings)
    counts = made.raw.data.astype(np.float32) - settings.offset_counts
    raw = replace(made.raw.derive(counts), patterns=made.patterns)
    clean = made.clean * np.float32(settings.gain_counts_per_e)
    return Scene(raw, clean, made.truth)


def network(stack: ImageStack, **parameters: object) -> Frames:
    """Denoise by the stage."""
    steps = denoise.STAGE.run(stack, DenoiseParameters(**parameters), Context("cpu"))
    return finish(steps).data


def _each(
    function: Callable[[Frames, float], Frames],
) -> Callable[[ImageStack], Frames]:
    """Denoise frame by frame, told the exact noise of a background pixel and more."""

    def run(stack: ImageStack) -> Frames:
        result = np.empty_like(stack.data)
        for index in np.ndindex(stack.data.shape[:2]):
            frame = stack.data[index]
            high = frame - ndimage.gaussian_filter(frame, 1.0)
            sigma = float(np.std(high)) / 0.86
            result[index] = function(frame, sigma)
        return result

    return run


def _nlm(frame: Frames, sigma: float) -> Frames:
    return denoise_nl_means(
        frame, patch_size=5, patch_distance=7, h=0.8 * sigma, sigma=sigma
    )


def _tv(frame: Frames, sigma: float) -> Frames:
    span = float(np.ptp(frame))
    scaled = frame / span
    return span * denoise_tv_chambolle(scaled, weight=0.6 * sigma / span)


METHODS: dict[str, Callable[[ImageStack], Frames]] = {
    "none": lambda stack: stack.data,
    "Gaussian, σ 1 px": _each(lambda f, _: ndimage.gaussian_filter(f, 1.0)),
    "median 3 × 3": _each(lambda f, _: ndimage.median_filter(f, 3)),
    "NLM (scikit-image)": _each(_nlm),
    "TV (scikit-image)": _each(_tv),
    "**denoise**": network,
}


@dataclass(frozen=True)
class Score:
    """Of one denoised stack."""

    frames_db: float
    wiener_db: float
    wiener_ssim: float
    contrast: float
    phase_deg: float


def score(frames: Frames, truth: Scene) -> Score:
    """Compare denoised frames with their expectation."""
    solver = truth.solver
    wanted = _wiener(solver, truth.clean, REFERENCE)
    span = float(np.quantile(wanted, 0.999) - np.quantile(wanted, 0.001))
    tries = [_wiener(solver, frames, parameter) for parameter in PARAMETERS]
    clean = truth.clean
    tall = float(np.quantile(clean, 0.999) - np.quantile(clean, 0.001))
    pairs = [
        stripes(frames[p.angle_index], clean[p.angle_index], p, truth.raw)
        for p in truth.raw.patterns
    ]
    contrast, phase = np.mean(pairs, axis=0)
    return Score(
        psnr_db(_flat(frames), _flat(clean), data_range=tall),
        max(psnr_db(t, wanted, data_range=span) for t in tries),
        max(ssim(t, wanted, data_range=span) for t in tries),
        float(contrast),
        float(phase),
    )


def period_errors_nm(frames: Frames, one: Scene) -> NDArray[np.float64]:
    """Return the error of the period that is found in each angle, NaN if none is."""
    stack = replace(one.raw, data=frames, patterns=())
    search = find_patterns(
        torch.from_numpy(frames), stack, EstimationSettings(), Context("cpu")
    )
    found = {p.angle_index: p.orders[0] for p in finish(search) if p.is_usable}
    errors = []
    for pattern in one.raw.patterns:
        order = found.get(pattern.angle_index)
        true = pattern.orders[0].period_nm
        errors.append(float("nan") if order is None else abs(order.period_nm - true))
    return np.array(errors)


def _flat(frames: Frames) -> Frames:
    return frames.reshape(-1, frames.shape[-1])


def stripes(
    frames: Frames, clean: Frames, pattern: Pattern, raw: ImageStack
) -> tuple[float, float]:
    """Return the contrast kept, and the RMS error of the phases in degrees."""
    found, true = (_phasors(f, clean, pattern, raw) for f in (frames, clean))
    product = found * true.conj()
    contrast = float(product.sum().real / np.sum(np.abs(true) ** 2))
    return contrast, float(np.degrees(np.sqrt(np.mean(np.angle(product) ** 2))))


def imprinted(
    frames: Frames, clean: Frames, pattern: Pattern, raw: ImageStack
) -> float:
    """Return the modulation depth of a pattern that frames of one angle show."""
    phasors = _phasors(frames, clean, pattern, raw)
    phases = np.radians(pattern.phases_deg)
    return float(abs(np.mean(phasors * np.exp(-1j * phases))))


def _phasors(
    frames: Frames, clean: Frames, pattern: Pattern, raw: ImageStack
) -> NDArray[np.complex128]:
    """Return the amplitude of the stripes in each frame, 1 for full modulation."""
    pixel_nm = raw.pixel_size_nm
    k_y, k_x = (k * pixel_nm for k in pattern.orders[0].wavevector_per_nm)
    y, x = np.mgrid[: frames.shape[-2], : frames.shape[-1]]
    mean = clean.mean(axis=0)
    cutoff = raw.require_optics("the benchmark").cutoff_per_pixel
    wave = np.exp(2j * np.pi * (k_y * y + k_x * x))
    view = _within(wave * (mean - np.quantile(mean, 0.02)), cutoff)
    rest = frames - frames.mean(axis=0)
    return 2 * np.tensordot(rest, view.conj(), axes=2) / np.sum(np.abs(view) ** 2)


def _within(image: NDArray[np.complex128], cutoff: float) -> NDArray[np.complex128]:
    """See an image through the lens."""
    from napari_dps.physics.otf import otf_2d

    return np.fft.ifft2(np.fft.fft2(image) * otf_2d(image.shape, cutoff))


def _wiener(solver: WienerSolver, frames: Frames, parameter: float) -> Frames:
    settings = WienerSettings(wiener_parameter=parameter)
    return solver.with_settings(settings).solve(frames)


def wrong(patterns: tuple[Pattern, ...]) -> tuple[Pattern, ...]:
    """Return patterns 17° and 10 % off, phases as they are."""
    changed = []
    for pattern in patterns:
        order = pattern.orders[0]
        beside = order.model_copy(
            update={
                "angle_deg": (order.angle_deg + 17) % 180,
                "period_nm": 1.1 * order.period_nm,
            }
        )
        changed.append(pattern.model_copy(update={"orders": (beside,)}))
    return tuple(changed)


def reconstructed(
    stack: ImageStack, noise: NoiseToSignal | None = None, **parameters: object
) -> NDArray[np.float32]:
    """Reconstruct by the stage, with the patterns that the stack carries."""
    stack = replace(stack, noise=noise or stack.noise)
    steps = reconstruct.STAGE.run(
        stack, ReconstructParameters(**parameters), Context("cpu")
    )
    return finish(steps).data
