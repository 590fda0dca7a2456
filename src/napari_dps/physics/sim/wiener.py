"""Generalised Wiener reconstruction of SIM with known patterns.

Everything that depends on patterns and settings alone is computed once, in double
precision (`napari_dps.physics.sim.wiener_weights`); the transforms are those of
`napari_dps.physics.sim.wiener_transforms`.
"""

from __future__ import annotations

import cmath
import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Optics, Pattern
from napari_dps.physics.sim.separate import orders_by_angle
from napari_dps.physics.sim.wiener_transforms import OrderTransforms, SeparatedOrders
from napari_dps.physics.sim.wiener_weights import (
    Transfer,
    WienerSettings,
    wiener_weights,
)

if TYPE_CHECKING:
    import torch

__all__ = ["WienerSettings", "WienerSolver"]


class WienerSolver:
    """Reconstructs frames of known patterns on a grid of half the pixel size.

    Build it once for a time-lapse: its tables depend on shape, patterns, optics and
    settings alone. Output pixel i lies at i/2 − 1/4 input pixels, so that 2 × 2 output
    pixels cover one input pixel. Total counts are kept. Linear, and differentiable
    with respect to the frames.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) of a frame.
    patterns : sequence of Pattern
        Patterns of one channel, at least one for every angle. Patterns of the same
        ``angle_index`` light the same frames together (hexagonal SIM). Order n
        has phase n·φ_p + offset_n in frame p. An angle without a usable order
        contributes its mean frame to order 0; an order that is not usable at an
        angle with one that is, is separated and dropped.
    optics : Optics
        The detection; the pixel size is that of the frames.
    settings : WienerSettings, optional
        Wiener parameter, apodisation, attenuation, notch.
    padding_px : int
        Pixels by which each edge is extended at least, 0 or more: the filter's reach.
    device : str or torch.device
        Where to compute.
    dtype : str
        ``"float32"``, or ``"float64"`` to check it.
    in_focus : callable, optional
        OTF of a plane in focus, from frequency over cut-off; the ideal one by default.

    Attributes
    ----------
    settings : WienerSettings
        Those in force; see `with_settings`.

    Raises
    ------
    InputError
        If patterns do not fit together, or phases cannot tell the orders apart.

    Examples
    --------
    >>> optics = Optics(na=1.3, emission_nm=600, pixel_size_nm=65)
    >>> pattern = Pattern(
    ...     angle_deg=30, period_nm=260, modulation=0.8, phases_deg=(0, 120, 240)
    ... )
    >>> solver = WienerSolver((48, 64), [pattern], optics)
    >>> image = solver.solve(np.full((1, 3, 48, 64), 7.0))
    >>> image.shape, round(float(image.mean()), 4)
    ((96, 128), 7.0)
    """

    def __init__(
        self,
        shape: tuple[int, int],
        patterns: Sequence[Pattern],
        optics: Optics,
        settings: WienerSettings | None = None,
        *,
        padding_px: int = 14,
        device: str | torch.device = "cpu",
        dtype: Literal["float32", "float64"] = "float32",
        in_focus: Transfer | None = None,
    ) -> None:
        import torch

        self._shape = shape
        self._dtype = dtype
        self._real = torch.zeros(0, device=device, dtype=getattr(torch, dtype))
        self._cutoff, self._in_focus = optics.cutoff_per_pixel, in_focus
        self._angles = orders_by_angle(patterns, optics.pixel_size_nm)
        self._transforms = OrderTransforms(
            shape, self._angles, self._cutoff, padding_px, self._real
        )
        self._use_settings(WienerSettings() if settings is None else settings)

    def with_settings(self, settings: WienerSettings) -> WienerSolver:
        """Return a solver with other settings that shares everything else.

        What `separate` of one returns, `combine` of the other takes.
        """
        clone = copy.copy(self)
        clone._use_settings(settings)
        return clone

    def solve(
        self,
        frames: NDArray[Any] | torch.Tensor,
        equalisation: NDArray[np.float64] | None = None,
    ) -> Any:
        """Reconstruct one stack or a batch of stacks.

        Parameters
        ----------
        frames : array or tensor (..., A, P, Y, X)
            Counts without the camera's offset.
        equalisation : array (A, P), optional
            Factor of each frame that makes all equally bright.

        Returns
        -------
        array or tensor (..., 2 Y, 2 X)
            What ``frames`` was, float32 (or the solver's ``dtype``), in counts.

        Raises
        ------
        InputError
            If shape, angles or phases are not those of the patterns.
        """
        import torch

        if isinstance(frames, torch.Tensor):
            return self.combine(self.separate(frames, equalisation))
        # Converted at once: torch lacks most operations on 16-bit unsigned counts.
        values = np.ascontiguousarray(frames, dtype=self._dtype)
        with torch.inference_mode():
            orders = self.separate(torch.from_numpy(values), equalisation)
            return self.combine(orders).cpu().numpy()

    def solve_part(
        self,
        frames: torch.Tensor,
        origin_px: tuple[int, int],
        equalisation: NDArray[np.float64] | None = None,
    ) -> torch.Tensor:
        """Reconstruct a part of larger frames.

        Far from the part's edges it is what the larger frames give there, but for a
        constant: the mean is left as the filter makes it. That of the whole is to be
        brought to `mean`.

        Parameters
        ----------
        frames : tensor (..., A, P, Y, X)
            The part, of the solver's shape.
        origin_px : (int, int)
            (y, x) of its first pixel in the larger frames: the phases of the patterns
            are those at the centre of the first pixel of these.
        equalisation : array (A, P), optional
            Factors of the larger frames.

        Returns
        -------
        tensor (..., 2 Y, 2 X)
            Counts.
        """
        orders = self.separate(frames, equalisation)
        turns = [
            sum(k * o for k, o in zip(order.wavevector, origin_px, strict=True))
            for order in self._transforms.supports
        ]
        turned = [
            spectrum * cmath.exp(-2j * math.pi * turn)
            for spectrum, turn in zip(orders.spectra, turns, strict=True)
        ]
        columns = self._transforms.columns(turned, self._weights)
        return self._transforms.image(columns)

    def mean(
        self, frames: torch.Tensor, equalisation: NDArray[np.float64] | None = None
    ) -> torch.Tensor:
        """Return the mean counts (...) of order 0 of frames of any size."""
        levels = frames.mean(dim=(-2, -1)).to(self._real)
        matrices = self._matrices(frames.shape[-3], equalisation)
        means = [
            levels[..., angle, :] @ matrix[0] for angle, matrix in enumerate(matrices)
        ]
        return sum(means[1:], means[0]) / len(means)

    def separate(
        self,
        frames: torch.Tensor,
        equalisation: NDArray[np.float64] | None = None,
    ) -> SeparatedOrders:
        """Return the separated orders, which do not depend on the settings.

        Parameters and errors are those of `solve`; ``frames`` must be a tensor.
        """
        self._check(frames)
        matrices = self._matrices(frames.shape[-3], equalisation)
        return self._transforms.separate(frames.to(self._real), matrices)

    def combine(self, orders: SeparatedOrders) -> torch.Tensor:
        """Return the image (..., 2 Y, 2 X) of separated orders."""
        columns = self._transforms.columns(orders.spectra, self._weights)
        # At zero frequency the orders ±n tell only of what the pattern lit: the mean
        # is that of order 0.
        self._transforms.set_mean(columns, orders.mean)
        return self._transforms.image(columns)

    def _use_settings(self, settings: WienerSettings) -> None:
        """Take over settings and compute what depends on them."""
        import torch

        self.settings = settings
        kind = torch.complex(self._real, self._real)
        weights = wiener_weights(
            self._transforms.supports,
            self._cutoff,
            settings,
            in_focus=self._in_focus,
        )
        self._weights = [
            torch.as_tensor(np.ascontiguousarray(values.T)).to(kind)
            for values in weights
        ]

    def _matrices(
        self, phases: int, equalisation: NDArray[np.float64] | None
    ) -> list[torch.Tensor]:
        """Return the matrix of each angle that turns frames into orders."""
        import torch

        rows = [angle.order_rows(phases) for angle in self._angles]
        if equalisation is not None:
            rows = [r * f for r, f in zip(rows, np.asarray(equalisation), strict=True)]
        return [torch.as_tensor(values).to(self._real) for values in rows]

    def _check(self, frames: torch.Tensor) -> None:
        """Refuse frames that the patterns do not describe."""
        counts = {angle.frames for angle in self._angles} - {None}
        shape = tuple(frames.shape)
        if (
            len(shape) < 4
            or shape[-2:] != self._shape
            or shape[-4] != len(self._angles)
            or not counts <= {shape[-3]}
        ):
            size = [len(self._angles), *(counts or "P"), *self._shape]
            raise InputError(
                "shape of the frames",
                got=shape,
                allowed=f"(..., {', '.join(map(str, size))})",
            )
