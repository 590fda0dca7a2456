"""Sparse deconvolution: continuity and sparsity first, then Richardson–Lucy."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import Progress, within
from napari_dps.physics.deconvolution.model import FINER, ImagingModel, Transfer
from napari_dps.physics.deconvolution.richardson_lucy import richardson_lucy_steps
from napari_dps.physics.resampling import resample

if TYPE_CHECKING:
    import torch


_PAD_PX = 12
_PENALTY = 1.0
"""μ of split Bregman: changes how fast it converges, not where to."""
_MIXED, _ITSELF = 2, 3
"""Places of f_xy and f among the terms; f_xx and f_yy come first."""


@dataclass(frozen=True, slots=True)
class SparseSettings:
    """How much to denoise and how often to iterate.

    Attributes
    ----------
    continuity : float
        Weight of the Hessian, in the unit of the image (about its noise).
    sparsity : float
        Weight of the L1 norm over that of the Hessian.
    bregman_iterations, iterations : int
        Iterations of split Bregman, and of Richardson–Lucy after it.
    """

    continuity: float
    sparsity: float
    iterations: int
    bregman_iterations: int = 20


def sparse_hessian_steps(
    image: torch.Tensor,
    cutoff_per_pixel: float,
    settings: SparseSettings,
    transfer: Transfer | None = None,
) -> Generator[Progress, None, torch.Tensor]:
    """Deconvolve an image after a fit that is continuous and sparse.

    The image f, interpolated to the 2× grid, is replaced by

        argmin ½‖f − g‖² + w (‖g_xx‖₁ + ‖g_yy‖₁ + 2‖g_xy‖₁ + κ‖g‖₁)

    (eq. 1 and 2 of Zhao et al. 2022 without time), by split Bregman: each step is one
    division in Fourier space and a soft threshold. Accelerated Richardson–Lucy follows.

    Parameters
    ----------
    image : tensor (Y, X), float32
        Finite; any unit.
    cutoff_per_pixel : float
        Cut-off 2 mf NA/λ in cycles per pixel of the image.
    settings : SparseSettings
        Weights and iterations.
    transfer : callable, optional
        As of `ImagingModel`.

    Yields
    ------
    Progress

    Returns
    -------
    tensor (2 Y, 2 X), float32
        In the brightness of the image; the L1 norm takes about as much light from
        every pixel.

    References
    ----------
    .. [1] Zhao et al., Nature Biotechnology 40, 606 (2022),
       doi:10.1038/s41587-021-01092-2.
    .. [2] Goldstein, Osher, SIAM J. Imaging Sciences 2, 323 (2009),
       doi:10.1137/080725891 (split Bregman).
    """
    import torch

    total = settings.bregman_iterations + settings.iterations
    rows, columns = (FINER * side for side in image.shape)
    upsampled = resample(image.cpu().numpy(), (rows, columns))
    fine = torch.from_numpy(upsampled).to(image.device)
    smooth = yield from within(_fit_steps(fine, settings), 0, total)
    model = ImagingModel(
        (rows, columns),
        cutoff_per_pixel / FINER,
        image.device,
        binning=1,
        transfer=transfer,
    )
    steps = richardson_lucy_steps(smooth, model, settings.iterations)
    return (yield from within(steps, settings.bregman_iterations, total))


def _fit_steps(
    fine: torch.Tensor, settings: SparseSettings
) -> Generator[Progress, None, torch.Tensor]:
    """Fit a continuous and sparse image by split Bregman."""
    import torch

    rows, columns = fine.shape
    data = _padded(fine)
    shape = (data.shape[0], data.shape[1])
    constant = torch.from_numpy(_normal_spectrum(shape)).to(fine.device)
    weights = [w * settings.continuity for w in (1.0, 1.0, 2.0, settings.sparsity)]
    fit = data
    total = settings.bregman_iterations
    residuals = [torch.zeros_like(data) for _ in weights]
    for iteration in range(total):
        right = data.clone()
        for term, (weight, residual) in enumerate(zip(weights, residuals, strict=True)):
            residual += _derivative(fit, term)
            split = torch.nn.functional.softshrink(residual, weight / _PENALTY)
            residual -= split
            right += _PENALTY * _adjoint(split - residual, term)
        fit = torch.fft.irfft2(torch.fft.rfft2(right) / constant, s=shape)
        yield Progress(iteration + 1, total, "continuity and sparsity")
    return fit[:rows, :columns].contiguous()


def _derivative(image: torch.Tensor, term: int) -> torch.Tensor:
    """Return f_xx, f_yy, f_xy or f itself, on a periodic grid."""
    if term == _ITSELF:
        return image
    if term == _MIXED:
        step = image.roll(-1, 1) - image
        return step.roll(-1, 0) - step
    axis = 1 - term
    return image.roll(-1, axis) + image.roll(1, axis) - 2 * image


def _adjoint(image: torch.Tensor, term: int) -> torch.Tensor:
    """Return the transpose of `_derivative`."""
    if term == _MIXED:
        step = image.roll(1, 1) - image
        return step.roll(1, 0) - step
    return _derivative(image, term)


def _normal_spectrum(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return 1 + μ (1 + Σ |D|²) on the half plane: the left side of each step."""
    y, x = np.fft.fftfreq(shape[0])[:, np.newaxis], np.fft.rfftfreq(shape[1])
    power_y, power_x = (4 * np.sin(np.pi * f) ** 2 for f in (y, x))
    power = power_x**2 + power_y**2 + power_x * power_y + 1
    return np.asarray(1 + _PENALTY * power, dtype=np.float32)


def _padded(fine: torch.Tensor) -> torch.Tensor:
    """Mirror the image beyond its last rows and columns, up to a fast FFT size."""
    import torch

    pads = [scipy.fft.next_fast_len(n + 2 * _PAD_PX, real=True) - n for n in fine.shape]
    after = [min(pad // 2, n - 1) for pad, n in zip(pads, fine.shape, strict=True)]
    before = [
        min(p - a, n - 1) for p, a, n in zip(pads, after, fine.shape, strict=True)
    ]
    padded = torch.nn.functional.pad(
        fine[None], (before[1], after[1], before[0], after[0]), mode="reflect"
    )[0]
    return padded.roll((-before[0], -before[1]), (0, 1))
