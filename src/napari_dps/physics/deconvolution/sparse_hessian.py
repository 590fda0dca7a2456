"""Sparse deconvolution: continuity and sparsity first, then Richardson–Lucy."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import Progress, within
from napari_dps.physics.deconvolution.model import FINER, ImagingModel
from napari_dps.physics.deconvolution.richardson_lucy import richardson_lucy_steps
from napari_dps.physics.otf import Transfer
from napari_dps.physics.resampling import resample

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.deconvolution.volume_model import VolumeModel


_PAD_PX = 12
_PENALTY = 1.0
"""μ of split Bregman: changes how fast it converges, not where to."""


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
    `sparse_lapse_steps` does it with time.

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
    total = settings.bregman_iterations + settings.iterations
    fitting = _fit_steps(_finer(image), settings)
    smooth = yield from within(fitting, 0, total)
    steps = _deconvolution(smooth, cutoff_per_pixel, settings, transfer)
    return (yield from within(steps, settings.bregman_iterations, total))


def sparse_lapse_steps(
    lapse: torch.Tensor,
    time_point: int,
    along_t: float,
    cutoff_per_pixel: float,
    settings: SparseSettings,
    transfer: Transfer | None = None,
) -> Generator[Progress, None, torch.Tensor]:
    """Deconvolve a time point after a fit that is continuous in x, y, t, and sparse.

    As `sparse_hessian_steps`, with w (σ ‖g_tt‖₁ + 2√σ ‖g_xt‖₁ + 2√σ ‖g_yt‖₁) beside the
    other terms of all time points, which are fitted together (eq. 2 of Zhao et al.
    2022). Beyond the first and the last the lapse is mirrored.

    Parameters
    ----------
    lapse : tensor (T, Y, X), float32
        Three time points or more; finite, any unit.
    time_point : int
        The one that is wanted.
    along_t : float
        σ, the weight of the Hessian along time over that in the plane; above 0.
    cutoff_per_pixel, settings, transfer
        As of `sparse_hessian_steps`.

    Yields
    ------
    Progress

    Returns
    -------
    tensor (2 Y, 2 X), float32
    """
    import torch

    total = settings.bregman_iterations + settings.iterations
    fine = torch.stack([_finer(image) for image in lapse])
    fitting = _fit_steps(fine, settings, along_t**0.5, is_lapse=True)
    smooth = (yield from within(fitting, 0, total))[time_point]
    steps = _deconvolution(smooth, cutoff_per_pixel, settings, transfer)
    return (yield from within(steps, settings.bregman_iterations, total))


def sparse_volume_steps(
    stack: torch.Tensor,
    model: VolumeModel,
    settings: SparseSettings,
    z_step_px: float,
) -> Generator[Progress, None, torch.Tensor]:
    """Deconvolve a z-stack after a fit that is continuous in x, y, z, and sparse.

    As `sparse_hessian_steps`, with √σ for each derivative along z, where σ is the area
    of a fine pixel over the square of the z step: curvature counts alike along all
    axes.

    Parameters
    ----------
    stack : tensor (Z, Y, X), float32
        Finite; any unit.
    model : VolumeModel
        Of the stack interpolated to the 2× grid; its binning is 1.
    settings : SparseSettings
        Weights and iterations.
    z_step_px : float
        Distance of the planes over the pixel size of the stack.

    Yields
    ------
    Progress

    Returns
    -------
    tensor (Z, 2 Y, 2 X), float32
    """
    import torch

    total = settings.bregman_iterations + settings.iterations
    fine = torch.stack([_finer(plane) for plane in stack])
    along_z = 1 / (FINER * z_step_px)
    smooth = yield from within(_fit_steps(fine, settings, along_z), 0, total)
    steps = richardson_lucy_steps(smooth, model, settings.iterations)
    return (yield from within(steps, settings.bregman_iterations, total))


def _finer(image: torch.Tensor) -> torch.Tensor:
    """Interpolate an image (Y, X) to the 2× grid."""
    import torch

    rows, columns = (FINER * side for side in image.shape)
    return torch.from_numpy(resample(image.cpu().numpy(), (rows, columns))).to(
        image.device
    )


def _deconvolution(
    smooth: torch.Tensor,
    cutoff_per_pixel: float,
    settings: SparseSettings,
    transfer: Transfer | None,
) -> Generator[Progress, None, torch.Tensor]:
    """Deconvolve what was fitted, on its grid."""
    model = ImagingModel(
        (smooth.shape[0], smooth.shape[1]),
        cutoff_per_pixel / FINER,
        smooth.device,
        binning=1,
        transfer=transfer,
    )
    return richardson_lucy_steps(smooth, model, settings.iterations)


@dataclass(frozen=True, slots=True)
class _Term:
    """A derivative along two axes that may be one, or the image itself, and its weight.

    Axes are counted from the last.
    """

    axes: tuple[int, int] | None
    weight: float

    def of(self, image: torch.Tensor) -> torch.Tensor:
        """Return it, on a periodic grid."""
        if self.axes is None:
            return image
        one, other = self.axes
        if one == other:
            return image.roll(-1, one) + image.roll(1, one) - 2 * image
        step = image.roll(-1, one) - image
        return step.roll(-1, other) - step

    def adjoint(self, image: torch.Tensor) -> torch.Tensor:
        """Return the transpose of `of`."""
        if self.axes is None or self.axes[0] == self.axes[1]:
            return self.of(image)
        one, other = self.axes
        step = image.roll(1, one) - image
        return step.roll(1, other) - step

    def power(self, powers: dict[int, NDArray[np.float64]]) -> Any:
        """Return |D|² in Fourier space, of that of a first difference along axes."""
        if self.axes is None:
            return 1.0
        return powers[self.axes[0]] * powers[self.axes[1]]


def _terms(dimensions: int, sparsity: float, across: float) -> list[_Term]:
    """Return the terms of the penalty in two or three dimensions."""
    terms = [_Term((-1, -1), 1.0), _Term((-2, -2), 1.0), _Term((-1, -2), 2.0)]
    if dimensions == 3:
        terms.append(_Term((-3, -3), across**2))
        terms += [_Term((axis, -3), 2 * across) for axis in (-1, -2)]
    return [*terms, _Term(None, sparsity)]


def _fit_steps(
    fine: torch.Tensor,
    settings: SparseSettings,
    across: float = 1.0,
    *,
    is_lapse: bool = False,
) -> Generator[Progress, None, torch.Tensor]:
    """Fit a continuous and sparse image, or a stack of them, by split Bregman.

    ``across`` weighs each derivative from one image of the stack to the next.
    """
    import torch

    data = _padded(fine, is_lapse=is_lapse)
    shape = tuple(data.shape)
    terms = _terms(data.ndim, settings.sparsity, across)
    constant = torch.from_numpy(_normal_spectrum(shape, terms)).to(fine.device)
    fit = data
    total = settings.bregman_iterations
    residuals = [torch.zeros_like(data) for _ in terms]
    for iteration in range(total):
        right = data.clone()
        for term, residual in zip(terms, residuals, strict=True):
            weight = term.weight * settings.continuity
            residual += term.of(fit)
            split = torch.nn.functional.softshrink(residual, weight / _PENALTY)
            residual -= split
            right += _PENALTY * term.adjoint(split - residual)
        fit = torch.fft.irfftn(torch.fft.rfftn(right) / constant, s=shape)
        yield Progress(iteration + 1, total, "continuity and sparsity")
    return fit[tuple(slice(n) for n in fine.shape)].contiguous()


def _normal_spectrum(
    shape: tuple[int, ...], terms: Sequence[_Term]
) -> NDArray[np.float32]:
    """Return 1 + μ Σ |D|² on the half plane: the left side of each step."""
    powers = {}
    for axis in range(-len(shape), 0):
        count = shape[axis]
        f = np.fft.rfftfreq(count) if axis == -1 else np.fft.fftfreq(count)
        powers[axis] = (4 * np.sin(np.pi * f) ** 2).reshape(-1, *[1] * (-1 - axis))
    power = sum(term.power(powers) for term in terms)
    return np.asarray(1 + _PENALTY * power, dtype=np.float32)


def _padded(fine: torch.Tensor, *, is_lapse: bool) -> torch.Tensor:
    """Mirror the image beyond its last pixels along all axes, up to fast FFT sizes.

    A lapse is mirrored once along time, so that its period is as short as it can be.
    """
    import torch

    pads = [scipy.fft.next_fast_len(n + 2 * _PAD_PX, real=True) - n for n in fine.shape]
    if is_lapse:
        pads[0] = fine.shape[0] - 2
    after = [min(pad // 2, n - 1) for pad, n in zip(pads, fine.shape, strict=True)]
    before = [
        min(p - a, n - 1) for p, a, n in zip(pads, after, fine.shape, strict=True)
    ]
    sides = [n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]
    padded = torch.nn.functional.pad(fine[None], sides, mode="reflect")[0]
    return padded.roll([-n for n in before], list(range(fine.ndim)))
