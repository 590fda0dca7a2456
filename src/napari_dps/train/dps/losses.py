"""Losses of the super-resolution network: the slides' objective, and more terms.

The objective of Ye et al. 2024 (doi:10.34133/icomputing.0082) needs no truth:
(1 − SSIM(x ⊗ srPSF, y)) + β₁ R_Hessian(x) + β₂ ‖x‖₁. Sums are written as means here, so
that weights do not depend on the size of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from napari_dps.core import InputError
from napari_dps.core.params import FrozenModel
from napari_dps.methods.dps.input import change_width
from napari_dps.train.losses import ssim_loss

if TYPE_CHECKING:
    from napari_dps.train.dps.data import Batch

SCORED_WIDTH = 0.5
"""Results are compared with the truth under a PSF of half the width."""
_POISSON_FLOOR = 0.05
"""Least expected brightness (full scale is 1) that the Poisson term divides by."""


class LossWeights(FrozenModel):
    """Weight of each term; a term of weight 0 is not computed.

    Attributes
    ----------
    ssim, ssim_k1, ssim_k2
        (1 − SSIM) of the re-blurred output against the input, and its constants.
    hessian, hessian_time
        R_Hessian of the output, and σ, its weight of continuity in time.
    sparsity
        Mean of |x|.
    poisson
        Squared error of the re-blurred output over its expected brightness.
    noise2noise
        Whether SSIM and Poisson terms compare with a second recording of the same
        object (Lehtinen et al. 2018, arXiv:1803.04189) in place of the input.
    truth
        Mean of |x − truth|/√(truth + 0.05): as shot noise, so that faint structures
        count.
    truth_square, truth_ssim
        Mean of (x − truth)² and (1 − SSIM(x, truth)), both seen through a PSF of half
        the width.
    margin_px
        Rim, in px of the input, that no term but the supervised ones sees: light from
        outside the patch is missing in the re-blurred output there.
    """

    ssim: float = Field(default=0.0, ge=0)
    ssim_k1: float = Field(default=0.01, gt=0)
    ssim_k2: float = Field(default=0.03, gt=0)
    hessian: float = Field(default=0.0, ge=0)
    hessian_time: float = Field(default=0.0, ge=0)
    sparsity: float = Field(default=0.0, ge=0)
    poisson: float = Field(default=0.0, ge=0)
    noise2noise: bool = False
    truth: float = Field(default=0.0, ge=0)
    truth_square: float = Field(default=0.0, ge=0)
    truth_ssim: float = Field(default=0.0, ge=0)
    margin_px: int = Field(default=8, ge=0)


class ImageFormation(nn.Module):
    """y = mean over 2 × 2 of (x ⊗ PSF), for patches at canonical sampling.

    Parameters
    ----------
    output_width : float
        Width of the PSF that x is already seen through, of the image's PSF: 0 for an
        object of emitters (the slides).

    Examples
    --------
    >>> even = torch.full((1, 1, 64, 48), 3.0)
    >>> image = ImageFormation()(even)
    >>> image.shape, bool(torch.allclose(image, torch.tensor(3.0)))
    (torch.Size([1, 1, 32, 24]), True)
    """

    def __init__(self, output_width: float = 0.0) -> None:
        super().__init__()
        if not 0 <= output_width < 1:
            raise InputError("output width", got=output_width, allowed="0 to below 1")
        self.output_width = output_width

    def forward(self, fine: Tensor) -> Tensor:
        """Map (N, 1, 2Y, 2X) to the image (N, 1, Y, X)."""
        return F.avg_pool2d(change_width(fine, self.output_width, 1.0), 2)


def hessian_loss(x: Tensor, sigma: float = 0.0) -> Tensor:
    """Return R_Hessian, the mean over pixels of the absolute second derivatives.

    |f_xx| + |f_yy| + 2|f_xy| + σ|f_tt| + 2√σ|f_xt| + 2√σ|f_yt| (Huang et al. 2018,
    doi:10.1038/nbt.4115). Each derivative is averaged over where it is defined.

    Parameters
    ----------
    x : tensor (N, T, Y, X)
        Time along the second axis; one frame for an image.
    sigma : float
        Weight σ of continuity in time; 0 is the two-dimensional case.

    Returns
    -------
    tensor, scalar

    Examples
    --------
    >>> ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    >>> float(hessian_loss(ramp)), float(hessian_loss(ramp**2))
    (0.0, 2.0)
    """
    t, y, x_axis = 1, 2, 3
    total = _second(x, x_axis, x_axis) + _second(x, y, y) + 2 * _second(x, x_axis, y)
    if sigma and x.shape[t] > 1:
        root = sigma**0.5
        total = total + 2 * root * (_second(x, x_axis, t) + _second(x, y, t))
        if x.shape[t] > 2:
            total = total + sigma * _second(x, t, t)
    return total


def poisson_misfit(expected: Tensor, recorded: Tensor, base: Tensor) -> Tensor:
    """Return (y − ŷ)²/(ŷ + b): the Poisson likelihood to second order.

    Parameters
    ----------
    expected : tensor (N, 1, Y, X)
        ŷ, full scale 1; the divisor is at least 0.05 and carries no gradient.
    recorded : tensor (N, 1, Y, X)
        y.
    base : tensor (N,)
        b, the light that was taken away from both.

    Returns
    -------
    tensor (N, 1, Y, X)
    """
    light = expected.detach() + base.view(-1, 1, 1, 1)
    variance = light.clamp(min=_POISSON_FLOOR)
    return (recorded - expected) ** 2 / variance


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """The weighted sum of the terms of a recipe.

    Attributes
    ----------
    weights, formation
        Of the terms, and how an image comes about.
    time_points
        Images of a batch that are consecutive time points of one object.
    """

    weights: LossWeights
    formation: ImageFormation
    time_points: int = 1

    def __call__(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return each term times its weight, and their sum as ``"loss"``.

        Parameters
        ----------
        output : tensor (N, 1, 2Y, 2X)
            Of the network.
        batch : Batch
            What it took, and the truth.
        """
        terms = {**self._physics(output, batch), **self._supervised(output, batch)}
        return {**terms, "loss": torch.stack(list(terms.values())).sum()}

    def _physics(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        w, terms = self.weights, {}
        inside = _rim(output, 2 * w.margin_px)
        if w.ssim or w.poisson:
            data = batch.partner if w.noise2noise else batch.image
            data = _rim(data, w.margin_px)
            expected = _rim(self.formation(output), w.margin_px)
            known = ~_rim(batch.partner, w.margin_px).isnan()
            data = data.where(known, expected.detach())
            if w.ssim:
                loss = ssim_loss(expected, data, k1=w.ssim_k1, k2=w.ssim_k2)
                terms["ssim"] = w.ssim * loss
            if w.poisson:
                misfit = poisson_misfit(expected, data, batch.base).sum()
                terms["poisson"] = w.poisson * misfit / known.sum().clamp(min=1)
        if w.hessian:
            lapses = inside.view(-1, self.time_points, *inside.shape[-2:])
            terms["hessian"] = w.hessian * hessian_loss(lapses, w.hessian_time)
        if w.sparsity:
            terms["sparsity"] = w.sparsity * inside.abs().mean()
        return terms

    def _supervised(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        w, terms = self.weights, {}
        if w.truth:
            error = (output - batch.target).abs()
            brightness = batch.target.clamp(min=0) + _POISSON_FLOOR
            terms["truth"] = w.truth * (error / brightness.sqrt()).mean()
        if w.truth_square or w.truth_ssim:
            width = self.formation.output_width
            both = torch.cat([output, batch.target])
            seen, truth = change_width(both, width, SCORED_WIDTH).chunk(2)
            if w.truth_square:
                terms["truth_square"] = w.truth_square * F.mse_loss(seen, truth)
            if w.truth_ssim:
                terms["truth_ssim"] = w.truth_ssim * ssim_loss(seen, truth)
        return terms


def _second(x: Tensor, first: int, second: int) -> Tensor:
    return x.diff(dim=first).diff(dim=second).abs().mean()


def _rim(x: Tensor, width: int) -> Tensor:
    """Return the inside of (N, C, Y, X)."""
    return x[..., width : x.shape[-2] - width, width : x.shape[-1] - width]
