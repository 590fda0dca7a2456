"""Richardson–Lucy deconvolution on the 2× grid, accelerated by extrapolation."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Protocol

from napari_dps.core import InputError, Progress

if TYPE_CHECKING:
    import torch


class Deconvolvable(Protocol):
    """Imaging model of an object that reaches beyond what is recorded of it."""

    @property
    def sensitivity(self) -> torch.Tensor:
        """The share of each of its pixels' light that is recorded."""

    def forward(self, thing: torch.Tensor, /) -> torch.Tensor:
        """Return what is recorded of an object."""

    def adjoint(self, image: torch.Tensor, /) -> torch.Tensor:
        """Return the transpose of `forward`, of the scale of the sensitivity."""

    def extended(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object that was given without its margin."""

    def inside(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object without its margin."""


_LEAST_SENSITIVITY = 1e-3
_TINY = 1e-12


def richardson_lucy_steps(
    image: torch.Tensor,
    model: Deconvolvable,
    iterations: int,
    *,
    accelerate: bool = True,
) -> Generator[Progress, None, torch.Tensor]:
    """Deconvolve an image by maximum likelihood for Poisson noise, never negative.

    x ← x/s · Hᵀ[(y + b)/(H x + b)] with the imaging model H and the sensitivity s
    (Richardson 1972, Lucy 1974), stopped early: each iteration sharpens and brings up
    noise. Between iterations the estimate is extrapolated along its last step by the
    factor of Biggs and Andrews (first order), so that few do the work of many.

    Images may hold negative values (read noise, reconstructions): b = −min(y, 0) is
    added to the data and to the model alike, which keeps the mean of the noise, where
    cutting off would add light. It is the offset of the shifted Poisson model (Snyder
    et al. 1995).

    Parameters
    ----------
    image : tensor (Y, X), float32
        Finite, in counts above the camera's offset.
    model : Deconvolvable
        For the image's shape, as `ImagingModel` or `VolumeModel`.
    iterations : int
        At least 1.
    accelerate : bool
        Whether to extrapolate; without, it is the classic algorithm.

    Yields
    ------
    Progress
        After each iteration.

    Returns
    -------
    tensor (2 Y, 2 X), float32
        Same brightness. Where there is no light, an estimate that is never negative
        turns noise around zero into a mean above zero, so the total is a little above
        the image's.

    Raises
    ------
    InputError
        If ``iterations`` is below 1.

    References
    ----------
    .. [1] Richardson, J. Opt. Soc. Am. 62, 55 (1972), doi:10.1364/JOSA.62.000055.
    .. [2] Lucy, Astronomical Journal 79, 745 (1974), doi:10.1086/111605.
    .. [3] Biggs, Andrews, Applied Optics 36, 1766 (1997), doi:10.1364/AO.36.001766.
    .. [4] Snyder et al., J. Opt. Soc. Am. A 12, 272 (1995),
       doi:10.1364/JOSAA.12.000272.
    """
    (result,) = yield from richardson_lucy_depths_steps(
        image, model, (iterations,), accelerate=accelerate
    )
    return result


def richardson_lucy_depths_steps(
    image: torch.Tensor,
    model: Deconvolvable,
    depths: Sequence[int],
    *,
    accelerate: bool = True,
    start: torch.Tensor | None = None,
    share: torch.Tensor | None = None,
    beside: torch.Tensor | None = None,
) -> Generator[Progress, None, list[torch.Tensor]]:
    """Deconvolve as `richardson_lucy_steps`; keep what it has reached on its way.

    Parameters
    ----------
    image, model, accelerate
        As there.
    depths : sequence of int
        Numbers of iterations to return the estimate of; ascending, at least one.
    start : tensor (2 Y, 2 X), float32, optional
        What to begin with, in the unit of the image; else an even object.
    share : tensor (2 Y, 2 X), float32, optional
        How much of each correction is made, 0 to 1; else all of it.
    beside : tensor, float32, optional
        Light of the image that is not the object's, of a shape that broadcasts.

    Yields
    ------
    Progress
        After each iteration.

    Returns
    -------
    list of tensor (2 Y, 2 X), float32
        One for each depth.

    Raises
    ------
    InputError
        If the depths are not numbers above 0 in ascending order.
    """
    import torch

    _check(depths)
    offset = -min(float(image.min()), 0.0)
    # In units of the mean, so that no constant below depends on the unit of the image.
    unit = float(image.mean()) + offset
    if unit <= 0:
        return [0 * model.inside(model.sensitivity) for _ in depths]
    data = (image + offset) / unit
    even = offset / unit + (0.0 if beside is None else beside / unit)
    sensitivity = model.sensitivity.clamp(min=_LEAST_SENSITIVITY)
    point = estimate = _first_estimate(model, start, unit)
    share = None if share is None else model.extended(share)
    step = torch.zeros_like(estimate)
    reached = []
    for iteration in range(depths[-1]):
        # In place: memory that is new costs more than what is done with it.
        correction = _correction(model, point, data, even).div_(sensitivity)
        if share is not None:
            correction.sub_(1).mul_(share).add_(1)
        previous, before = estimate, step
        estimate = correction.mul_(point).clamp_(min=0)
        step = torch.sub(estimate, point)
        point = estimate
        if accelerate:
            reach = extrapolation(step, before)
            point = torch.sub(estimate, previous).mul_(reach).add_(estimate)
            point.clamp_(min=0)
        if iteration + 1 in depths:
            reached.append(unit * model.inside(estimate))
        yield Progress(iteration + 1, depths[-1], "Richardson–Lucy")
    return reached


def _check(depths: Sequence[int]) -> None:
    """Refuse numbers of iterations that are not above 0 and ascending."""
    if not depths or depths[0] < 1 or list(depths) != sorted(depths):
        raise InputError(
            "iterations", got=tuple(depths), allowed="at least 1, ascending"
        )


def _correction(
    model: Deconvolvable,
    point: torch.Tensor,
    data: torch.Tensor,
    even: torch.Tensor | float,
) -> torch.Tensor:
    """Return the transpose of data over what is expected, even light included."""
    import torch

    expected = model.forward(point).add_(even).clamp_(min=_TINY)
    return model.adjoint(torch.div(data, expected, out=expected))


def _first_estimate(
    model: Deconvolvable, start: torch.Tensor | None, unit: float
) -> torch.Tensor:
    """Return what to begin with, over the unit: an even object by default."""
    import torch

    if start is None:
        return torch.ones_like(model.sensitivity)
    return model.extended(start).clamp(min=0) / unit


def extrapolation(step: torch.Tensor, before: torch.Tensor) -> float:
    """Return how far to go on along the last change; see `reach_along`."""
    return reach_along(float((step * before).sum()), float((before * before).sum()))


def reach_along(product: float, square: float) -> float:
    """Return g·g' over g'·g', 0 to 1, of the last change g and the one before it."""
    return min(max(product / square, 0.0), 1.0) if square else 0.0
