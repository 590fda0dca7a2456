"""Generalised Wiener reconstruction of SIM z-stacks in three dimensions.

The orders of all planes are separated and transformed along x and y as for one plane,
then along z; each axial frequency kz has its own two-dimensional Wiener filter, with
the row O_n(·, kz) of each order's transfer function (`napari_dps.physics.otf3d`). This
equals one three-dimensional transform, in a third of its time and memory.

Along z the first and the last plane are repeated and fade together over few planes: the
period has to close, or the jump rings through all planes. A mirrored stack closes as
well, but puts a twin of every object beside it, which costs the outer planes more.

Light of objects above and below the stack is the same in all planes and lies in the
plane kz = 0, where the attenuation is therefore wider and stronger.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Optics, Pattern, Progress
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.measured_otf import order_tables
from napari_dps.physics.otf3d import cap_height_per_nm
from napari_dps.physics.sim.separate import orders_by_angle
from napari_dps.physics.sim.wiener_grid import Padding
from napari_dps.physics.sim.wiener_transforms import OrderTransforms
from napari_dps.physics.sim.wiener_weights import (
    AxialFrequency,
    WienerSettings,
    wiener_weights,
)

if TYPE_CHECKING:
    import torch

PADDING_PLANES = 4
"""Planes by which each end is extended at least."""

HAZE_STRENGTH, HAZE_WIDENING = 0.999, 2.3
"""Least strength of the attenuation at kz = 0, and how much wider it is there."""


class VolumeSolver:
    """Reconstructs z-stacks of known patterns on a grid of half the pixel size.

    Planes stay as they are. The result is in counts per plane: what an emitter gives in
    the plane in which it is in focus, so that a thin layer keeps its counts when the
    planes are summed.

    Parameters
    ----------
    shape : (int, int, int)
        (Z, Y, X) of the frames of one angle and phase.
    patterns : sequence of Pattern
        As for `napari_dps.physics.sim.wiener.WienerSolver`.
    optics : Optics
        The detection, at the pixel size of the frames.
    z_step_nm : float
        Distance of the planes.
    settings : WienerSettings
        Wiener parameter, apodisation, attenuation, notch.
    otf : MeasuredOtf, optional
        In place of those of an ideal objective.
    padding_px, padding_planes : int
        By which each edge, and each end of the stack, is extended at least.
    device : str or torch.device
        Where to compute.

    Raises
    ------
    InputError
        If patterns do not fit together, phases cannot tell the orders apart, or stripes
        are too fine for the excitation.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        patterns: Sequence[Pattern],
        optics: Optics,
        z_step_nm: float,
        settings: WienerSettings,
        otf: MeasuredOtf | None = None,
        *,
        padding_px: int = 14,
        padding_planes: int = PADDING_PLANES,
        device: str | torch.device = "cpu",
    ) -> None:
        import torch

        self._shape, self._settings = shape, settings
        self._real = torch.zeros(0, device=device, dtype=torch.float32)
        self._complex = torch.complex(self._real, self._real)
        self._cutoff = optics.cutoff_per_pixel
        self._angles = orders_by_angle(patterns, optics.pixel_size_nm)
        self._transforms = OrderTransforms(
            shape[1:], self._angles, self._cutoff, padding_px, self._real
        )
        self._padding = Padding(shape[0], padding_planes, continued="edge")
        axial = [(0, 0.0), *_axial_per_nm(patterns)]
        # At mid frequency the power is that of a plane in focus, whatever the z step,
        # so that Wiener parameters mean the same for planes and volumes.
        self._unit, self._rows = order_tables(
            otf, optics, self._padding.size, z_step_nm, axial
        )
        kz = np.fft.fftfreq(self._padding.size, z_step_nm)
        highest = cap_height_per_nm(optics) + max(kz0 for _, kz0 in axial)
        self._heights = np.abs(kz) / min(highest, 0.5 / z_step_nm)
        self._frequencies = np.abs(kz) * optics.pixel_size_nm

    def solve_steps(
        self,
        frames: torch.Tensor,
        equalisation: NDArray[np.float64] | None = None,
        origin_px: tuple[int, int] = (0, 0),
    ) -> Generator[Progress, None, Any]:
        """Reconstruct a stack, or a part of one.

        Parameters
        ----------
        frames : tensor (Z, A, P, Y, X)
            Counts without the camera's offset.
        equalisation : array (Z, A, P), optional
            Factor of each frame that makes those of a plane equally bright.
        origin_px : (int, int)
            (y, x) of the first pixel in the frames that the patterns describe.

        Yields
        ------
        Progress

        Returns
        -------
        array (Z, 2 Y, 2 X), float32
            Counts per plane.
        """
        spectra = yield from self._separated(frames, equalisation)
        planes, period = self._shape[0], self._padding.size
        total = planes + period // 2 + 1
        spectra = [
            self._along_z(one * self._turn(number, origin_px))
            for number, one in enumerate(spectra)
        ]
        for kz in range(period // 2 + 1):
            yield Progress(planes + kz, 2 * planes + period // 2 + 1, "Wiener filter")
            self._filter(spectra, kz)
        for number in range(len(spectra)):
            # One after the other: the padded one is gone before the next is made.
            spectra[number] = self._back(spectra[number])
        height, width = self._shape[1:]
        image = np.empty((planes, 2 * height, 2 * width), np.float32)
        ones = [one.real.new_ones(1) for one in spectra]
        for z in range(planes):
            yield Progress(total + z, total + planes, "Image")
            columns = self._transforms.columns([one[z] for one in spectra], ones)
            image[z] = self._transforms.image(columns).cpu().numpy()
        return image

    def _separated(
        self, frames: torch.Tensor, equalisation: NDArray[np.float64] | None
    ) -> Generator[Progress, None, list[torch.Tensor]]:
        """Return the spectra of the orders, (Z, columns, rows) each."""
        import torch

        shape = tuple(frames.shape)
        counts = {angle.frames for angle in self._angles} - {None}
        if (
            (shape[0], *shape[3:]) != self._shape
            or shape[1] != len(self._angles)
            or not counts <= {shape[2]}
        ):
            size = [self._shape[0], len(self._angles), *counts, *self._shape[1:]]
            raise InputError(
                "shape of the frames",
                got=shape,
                allowed=f"({', '.join(map(str, size))})",
            )
        planes = []
        for z in range(shape[0]):
            yield Progress(z, 2 * shape[0], "Orders")
            rows = [angle.order_rows(shape[2]) for angle in self._angles]
            if equalisation is not None:
                rows = [r * f for r, f in zip(rows, equalisation[z], strict=True)]
            matrices = [torch.as_tensor(values).to(self._real) for values in rows]
            planes.append(
                self._transforms.separate(frames[z].to(self._real), matrices).spectra
            )
        return [torch.stack(one) for one in zip(*planes, strict=True)]

    def _turn(self, number: int, origin_px: tuple[int, int]) -> complex:
        """Return the factor that an order's phase at a place asks for."""
        wave = self._transforms.supports[number].wavevector
        turns = sum(k * o for k, o in zip(wave, origin_px, strict=True))
        return cmath.exp(-2j * math.pi * turns)

    def _along_z(self, spectra: torch.Tensor) -> torch.Tensor:
        """Extend an order's planes to the period and transform them along z."""
        import torch

        after, before = (
            spectra[torch.as_tensor(source, device=spectra.device)]
            * torch.as_tensor(factor.real, device=spectra.device).to(self._real)[
                :, None, None
            ]
            for source, factor in zip(
                self._padding.sources, self._padding.factors(0.0), strict=True
            )
        )
        closed: torch.Tensor = torch.fft.fft(
            torch.cat([spectra, after + before]), dim=0
        )
        return closed

    def _filter(self, spectra: list[torch.Tensor], kz: int) -> None:
        """Multiply the spectra at ±kz by their weights, in place."""
        import torch

        transfers = [
            partial(_at_radius, row=np.ascontiguousarray(rows[:, kz]))
            for rows in self._rows
        ]
        axial = AxialFrequency(
            transfers,
            height=float(self._heights[kz]),
            frequency=float(self._frequencies[kz]),
            scale=1 / self._unit,
        )
        settings = self._settings
        if kz == 0 and self._padding.size > 1:
            settings = _wider_attenuation(settings)
        weights = wiener_weights(
            self._transforms.supports, self._cutoff, settings, axial
        )
        for one, values in zip(spectra, weights, strict=True):
            factors = torch.as_tensor(np.ascontiguousarray(values.T)).to(self._complex)
            one[kz] *= factors
            if kz and 2 * kz != len(one):
                one[-kz] *= factors

    def _back(self, spectra: torch.Tensor) -> torch.Tensor:
        """Transform an order back to the planes of the stack."""
        import torch

        planes: torch.Tensor = torch.fft.ifft(spectra, dim=0)
        return planes[: self._shape[0]].clone()


def _wider_attenuation(settings: WienerSettings) -> WienerSettings:
    """Return the settings for kz = 0, where haze of no plane gathers."""
    if not settings.attenuation_strength:
        return settings
    return replace(
        settings,
        attenuation_strength=max(settings.attenuation_strength, HAZE_STRENGTH),
        attenuation_width=HAZE_WIDENING * settings.attenuation_width,
    )


def _axial_per_nm(patterns: Sequence[Pattern]) -> list[tuple[int, float]]:
    """Return number and kz0 of each usable order, as `order_supports` has them."""
    return [
        (order.order, 1 / (order.axial_period_nm or math.inf))
        for pattern in sorted(patterns, key=lambda pattern: pattern.angle_index)
        for order in pattern.orders
        if order.is_usable
    ]


def _at_radius(radius: NDArray[np.float64], row: NDArray[np.float64]) -> Any:
    """Return a table's values, evenly from 0 to the cut-off, at radii over it."""
    place = radius * (len(row) - 1)
    return np.interp(place, np.arange(len(row)), row, right=0.0)
