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
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Optics, Pattern, Progress, within
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.measured_otf import order_tables
from napari_dps.physics.otf3d import cap_height_per_nm
from napari_dps.physics.sim.separate import orders_by_angle
from napari_dps.physics.sim.wiener_grid import Padding, plane_extent
from napari_dps.physics.sim.wiener_transforms import OrderTransforms, plain_ends
from napari_dps.physics.sim.wiener_weights import (
    AxialFrequency,
    OrderWeights,
    WienerSettings,
)

if TYPE_CHECKING:
    import torch

PADDING_PLANES = 4
"""Planes by which each end is extended at least."""
COLUMNS_AT_ONCE = 16
"""Columns of a spectrum that are transformed along z together: copies stay small."""

HAZE_STRENGTH, HAZE_WIDENING = 0.999, 2.3
"""Least strength of the attenuation at kz = 0, and how much wider it is there."""


class VolumeSolver:
    """Reconstructs z-stacks of known patterns on a grid of half the pixel size.

    The result is in counts per plane: what an emitter gives in
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
    refines_z : bool
        Give planes at half the distance as well, interpolated by the filter.
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
        refines_z: bool = False,
        device: str | torch.device = "cpu",
    ) -> None:
        import torch

        self._shape, self._settings = shape, settings
        self._finer = 2 if refines_z else 1
        self._real = torch.zeros(0, device=device, dtype=torch.float32)
        self._complex = torch.complex(self._real, self._real)
        self._cutoff = optics.cutoff_per_pixel
        self._angles = orders_by_angle(patterns, optics.pixel_size_nm)
        self._transforms = OrderTransforms(
            shape[1:], self._angles, self._cutoff, padding_px, self._real
        )
        self._order_weights = OrderWeights(self._transforms.supports, self._cutoff)
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
            Counts per plane; twice as many planes where they are to be finer, every
            other one that of the frames.
        """
        import torch

        planes, half = self._shape[0], self._padding.size // 2 + 1
        total = planes + half + self._finer * planes
        spectra = yield from within(self._separated(frames, equalisation), 0, total)
        turns = [self._turn(n, origin_px) for n in range(len(spectra))]
        rows, columns = plane_extent(self._transforms.supports)
        size = self._finer * self._padding.size, columns + 1, 2 * rows + 1
        volume = self._complex.new_zeros(*size)
        for kz in range(half):
            yield Progress(planes + kz, total, "Wiener filter")
            self._filter(spectra, turns, kz, volume)
        del spectra  # the largest arrays of all
        for part in _parts(volume):
            part.copy_(torch.fft.ifft(part, dim=0))
        height, width = self._shape[1:]
        image = np.empty((self._finer * planes, 2 * height, 2 * width), np.float32)
        for z in range(len(image)):
            yield Progress(planes + half + z, total, "Image")
            lines = self._transforms.columns_of(volume[z])
            image[z] = self._transforms.image(lines).cpu().numpy()
        return image

    def _separated(
        self, frames: torch.Tensor, equalisation: NDArray[np.float64] | None
    ) -> Generator[Progress, None, list[torch.Tensor]]:
        """Return the spectra of the orders, (kz, columns, rows) each."""
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
        spectra: list[torch.Tensor] = []
        for z in range(shape[0]):
            yield Progress(z, shape[0], "Orders")
            rows = [angle.order_rows(shape[2]) for angle in self._angles]
            if equalisation is not None:
                rows = [r * f for r, f in zip(rows, equalisation[z], strict=True)]
            matrices = [torch.as_tensor(values).to(self._real) for values in rows]
            orders = self._transforms.separate(frames[z].to(self._real), matrices)
            if not spectra:
                period = self._padding.size
                spectra = [one.new_empty(period, *one.shape) for one in orders.spectra]
            for whole, one in zip(spectra, orders.spectra, strict=True):
                whole[z] = one
        for one in spectra:
            for part in _parts(one):
                self._along_z(part)
        return spectra

    def _turn(self, number: int, origin_px: tuple[int, int]) -> complex:
        """Return the factor that an order's phase at a place asks for."""
        wave = self._transforms.supports[number].wavevector
        turns = sum(k * o for k, o in zip(wave, origin_px, strict=True))
        return cmath.exp(-2j * math.pi * turns)

    def _along_z(self, planes: torch.Tensor) -> None:
        """Extend planes to the period and transform them along z, in place."""
        import torch

        count = self._shape[0]
        planes[count:] = plain_ends(planes, self._padding, 0)
        planes.copy_(torch.fft.fft(planes, dim=0))

    def _filter(
        self,
        spectra: Sequence[torch.Tensor],
        turns: Sequence[complex],
        kz: int,
        volume: torch.Tensor,
    ) -> None:
        """Put the weighted sum of the spectra at ±kz into that of the volume."""
        import torch

        period = self._padding.size
        weights = [
            torch.as_tensor(np.ascontiguousarray(values.T) * turn).to(self._complex)
            for values, turn in zip(self._weights(kz), turns, strict=True)
        ]
        pairs = [
            (one[kz] * factors, one[-kz] * factors)
            for one, factors in zip(spectra, weights, strict=True)
        ]
        volume[kz] = self._transforms.half_plane(pairs)
        if kz and 2 * kz != period:
            volume[-kz] = self._transforms.half_plane((b, a) for a, b in pairs)
        elif kz and self._finer > 1:
            volume[kz] /= 2  # what coarse planes cannot tell is of either sign
            volume[-kz] = volume[kz]

    def _weights(self, kz: int) -> list[NDArray[np.complex128]]:
        """Return the factors of the orders' spectra at ±kz."""
        transfers = [
            partial(_at_radius, row=np.ascontiguousarray(rows[:, kz]))
            for rows in self._rows
        ]
        axial = AxialFrequency(
            transfers,
            height=float(self._heights[kz]),
            frequency=float(self._frequencies[kz]),
            scale=self._finer / self._unit,
        )
        settings = self._settings
        if kz == 0 and self._padding.size > 1:
            settings = _wider_attenuation(settings)
        return self._order_weights.of(settings, axial)


def _parts(volume: torch.Tensor) -> Iterator[torch.Tensor]:
    """Return views of a spectrum (kz, columns, rows), so small that copies are."""
    for start in range(0, volume.shape[1], COLUMNS_AT_ONCE):
        yield volume[:, start : start + COLUMNS_AT_ONCE]


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
