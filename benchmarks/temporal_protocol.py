"""Runs and scores of the benchmark of averaging over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from temporal_scenes import Lapse

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context, Neighbours, TimePoint
from napari_dps.metrics.reference import fit_intensity, nrmse
from napari_dps.physics.resampling import resample
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import blur_truth
from napari_dps.stages import denoise, dps, reconstruct, temporal
from napari_dps.stages.denoise import DenoiseParameters
from napari_dps.stages.temporal import TemporalParameters

PARAMETERS = (0.1, 0.03, 0.01, 0.003)
REFERENCE = 0.01
"""Wiener parameters of the results, of which the best counts, and of the reference."""
MOVES = 0.1
"""Change of the reference within the window, of its span, from which on it moves."""
WINDOW = 3

Array = NDArray[np.float32]


def points_of(lapse: Lapse) -> list[TimePoint]:
    """Return the time points as the pipeline hands them on."""
    return [TimePoint(image) for image in lapse.raw]


def averaged(
    lapse: Lapse,
    t: int,
    points: list[TimePoint] | None = None,
    **parameters: object,
) -> ImageStack:
    """Return a time point averaged with its neighbours by the stage."""
    chosen = TemporalParameters(**parameters)
    before, after = temporal.window(chosen)
    points = points or points_of(lapse)
    first = max(0, t - before)
    around = Neighbours(
        points[t], tuple(points[first:t][::-1]), tuple(points[t + 1 : t + 1 + after])
    )
    context = Context("cpu", neighbours=around)
    return finish(temporal.STAGE.run(lapse.raw[t], chosen, context))


def denoised(stack: ImageStack) -> ImageStack:
    """Denoise by the stage."""
    return finish(denoise.STAGE.run(stack, DenoiseParameters(), Context("cpu")))


def reconstructed(stack: ImageStack) -> ImageStack:
    """Reconstruct by the stage."""
    stage = reconstruct.STAGE
    return finish(stage.run(stack, stage.parameters(), Context("cpu")))


def dps_error(stack: ImageStack, truth: ImageStack) -> float:
    """Return the NRMSE of DPS after denoising and reconstruction.

    Against the truth under a PSF of a third of the width, brightness fitted.
    """
    image = reconstructed(denoised(stack))
    image = finish(dps.STAGE.run(image, dps.DpsParameters(), Context("cpu")))
    target = blur_truth(truth, modulation_factor=3).data
    return nrmse(fit_intensity(image.data, target), target)


def sparse_errors(images: Sequence[ImageStack], truth: ImageStack) -> list[float]:
    """Return the NRMSE of `sparse` without and with continuity in time.

    Of the middle one of some images, against its truth under a PSF of half the width of
    the detection's, or of a third after `reconstruct`; brightness fitted.
    """
    middle = len(images) // 2
    points = [TimePoint(image) for image in images]
    around = Neighbours(
        points[middle], tuple(points[:middle][::-1]), tuple(points[middle + 1 :])
    )
    target = blur_truth(truth, modulation_factor=3 if images[0].history else 2).data
    errors = []
    for continuity in (0.0, 1.0):
        chosen = dps.DpsParameters(method="sparse", time_continuity=continuity)
        context = Context("cpu", neighbours=around if continuity else Neighbours())
        result = finish(dps.STAGE.run(images[middle], chosen, context)).data
        fine = resample(result, target.shape)
        errors.append(nrmse(fit_intensity(fine, target), target))
    return errors


class Judge:
    """The references of a lapse around one time point.

    Parameters
    ----------
    lapse : Lapse
        Simulated.
    t : int
        The time point.
    """

    def __init__(self, lapse: Lapse, t: int) -> None:
        self.lapse, self.t = lapse, t
        self.solver = self._solver(t)
        first = max(0, t - WINDOW)
        near = range(first, min(len(lapse.raw), t + WINDOW + 1))
        images = {
            s: _wiener(self._solver(s), lapse.clean[s], REFERENCE)
            * (lapse.clean[t].mean() / lapse.clean[s].mean())
            for s in near
        }
        self.wanted = images[t]
        low, high = np.quantile(self.wanted, (0.001, 0.999))
        self.span = float(high - low)
        others = [image for s, image in images.items() if s != t]
        change = np.abs(np.array(others) - self.wanted).max(axis=0)
        self.moves = change > MOVES * self.span
        # What is smoother than the reference is none: its blurred self is told apart.
        parts = [np.mean(others, axis=0) - self.wanted, np.ones_like(self.wanted)]
        parts += [ndimage.gaussian_filter(self.wanted, s) for s in (0, 1, 2, 4)]
        self.design = np.stack([part[self.moves] for part in parts], axis=1)

    def _solver(self, t: int) -> WienerSolver:
        raw = self.lapse.raw[t]
        optics = raw.require_optics("the benchmark")
        return WienerSolver(raw.shape[-2:], raw.patterns, optics)

    def image(self, frames: Array) -> Array:
        """Return the image of frames as the reference is made."""
        return _wiener(self.solver, frames, REFERENCE)

    def score(self, stack: ImageStack) -> Score:
        """Compare a time point's result with the reference."""
        tries = [_wiener(self.solver, stack.data, p) for p in PARAMETERS]
        best = max(tries, key=lambda one: self._psnr(one, np.ones_like(self.moves)))
        ghost = float("nan")
        if self.moves.any():
            error = (best - self.wanted)[self.moves]
            ghost = float(np.linalg.lstsq(self.design, error, rcond=None)[0][0])
        return Score(
            self._psnr(best, np.ones_like(self.moves)),
            self._psnr(best, self.moves) if self.moves.any() else float("nan"),
            ghost,
        )

    def _psnr(self, image: Array, where: NDArray[np.bool_]) -> float:
        power = float(np.mean((image - self.wanted)[where] ** 2))
        return float(10 * np.log10(self.span**2 / power))


@dataclass(frozen=True)
class Score:
    """Of one time point: dB everywhere and where it moves, and the ghost there."""

    everywhere: float
    moving: float
    ghost: float


def mean(scores: Sequence[Score]) -> Score:
    """Return the mean of scores, those that have no moving part left out of it."""
    values = np.array([(s.everywhere, s.moving, s.ghost) for s in scores])
    return Score(*np.nanmean(values, axis=0).tolist())


def _wiener(solver: WienerSolver, frames: Array, parameter: float) -> Array:
    settings = WienerSettings(wiener_parameter=parameter)
    return solver.with_settings(settings).solve(frames)
