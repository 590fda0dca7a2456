"""What neighbouring time points show alike, for methods with continuity in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core.context import Context
from napari_dps.methods.dps.noise import cleaned

if TYPE_CHECKING:
    import torch

REACH = 1
"""Time points before and after that count: two gain a third more where nothing moves,
and hardly anything where it does, at twice the cost."""
FALSE_ALARM = 0.001
"""Share of a still object that is left out by chance, as by default of `temporal`."""
COLOURED_SPREAD = 4.0
"""Spread of the test after `reconstruct`, over that for white noise: four pixels of
such an image have the noise of one."""
DARKEST = 0.05
"""Least light of a pixel, over the mean, that its shot noise is taken for."""


@dataclass(frozen=True, slots=True, eq=False)
class Lapse:
    """The neighbours in time of an image, and how much continuity with them counts.

    Attributes
    ----------
    before, after : tuple of array (Y, X), float32
        Counts above the camera's offset, nearest first; one or more in all.
    continuity : float
        Weight σ of the Hessian along time over that in the plane; above 0.
    """

    before: tuple[NDArray[np.float32], ...]
    after: tuple[NDArray[np.float32], ...]
    continuity: float

    @property
    def period(self) -> int:
        """Time points of the lapse and its mirror image."""
        return 2 * (len(self.before) + len(self.after))

    def around(
        self, image: torch.Tensor, noise: float, cutoff_per_pixel: float, *, white: bool
    ) -> torch.Tensor:
        """Return the image among its neighbours, these where they show the same.

        Where a neighbour differs by more than noise explains it is replaced by the
        image: continuity cannot take light from one time point to another there. The
        test is that of `napari_dps.methods.temporal.gate` on the images themselves.

        Parameters
        ----------
        image : tensor (Y, X), float32
            Of this time point.
        noise : float
            Its standard deviation in counts, above 0; that of photons if it is white.
        cutoff_per_pixel : float
            Of the image's effective OTF.
        white : bool
            Whether the noise is white, as in an image that comes from a camera.

        Returns
        -------
        tensor (T, Y, X), float32
            In the order of time.
        """
        import torch

        from napari_dps.methods.temporal.gate import (
            WINDOWS,
            counted,
            likeness_of,
            limits_of,
        )
        from napari_dps.methods.temporal.match import light_ratio
        from napari_dps.physics.windows import blurred

        sigmas = [width / cutoff_per_pixel for width in WINDOWS]
        variance = torch.full_like(image, noise**2)
        if white:
            light = blurred(image, sigmas[0])
            mean = light.mean().clamp(min=1e-30)
            variance *= (light / mean).clamp(min=DARKEST)
        expected = [2 * blurred(variance, sigma) for sigma in sigmas]
        colour = 1.0 if white else COLOURED_SPREAD
        limits = [limits_of(colour * _spread(s), FALSE_ALARM) for s in sigmas]

        def alike(other: NDArray[np.float32]) -> torch.Tensor:
            there = torch.from_numpy(other).to(image)
            change = light_ratio(image, there) * there - image
            likeness = likeness_of(change.square(), expected, sigmas, limits)
            return image + change * counted(likeness)

        before = [alike(other) for other in self.before[::-1]]
        return torch.stack([*before, image, *map(alike, self.after)])


def lapse_around(continuity: float, cutoff: float, context: Context) -> Lapse | None:
    """Return the time points beside the one at work, if there are any that count.

    ``continuity`` is that of `Lapse`, ``cutoff`` that of the effective OTF in cycles
    per pixel.
    """
    sides = context.neighbours.before, context.neighbours.after
    if not any(sides):
        return None
    before, after = (
        tuple(cleaned(point.image, cutoff, context.part())[0] for point in side)
        for side in sides
    )
    return Lapse(before, after, continuity)


def _spread(sigma_px: float) -> float:
    """Return the variance of the mean square of white noise in a Gaussian window."""
    return 2 / max(4 * math.pi * sigma_px**2, 1.0)
