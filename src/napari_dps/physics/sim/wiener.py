"""Generalised Wiener reconstruction of SIM with known patterns.

One complex FFT an order at the size of the input, one real FFT for the order 0 of all
angles together, one inverse real FFT at the size of the output: images are real, so
half a plane and one of each pair of orders ±n do. A wave vector is split into whole
bins, which shift an index, and a remainder, which is a phase ramp in space. Everything
that depends on patterns and settings alone is computed once, in double precision
(`napari_dps.physics.sim.wiener_weights`).
"""

from __future__ import annotations

import cmath
import copy
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Optics, Pattern
from napari_dps.physics.sim.separate import orders_by_angle
from napari_dps.physics.sim.wiener_grid import Band, Padding, plane_extent
from napari_dps.physics.sim.wiener_weights import WienerSettings, wiener_weights

if TYPE_CHECKING:
    import torch

__all__ = ["SeparatedOrders", "WienerSettings", "WienerSolver"]

TILE_BYTES = 2**20
"""What is worked on at a time, to fit the second-level cache of a core."""


class SeparatedOrders(NamedTuple):
    """The orders of a stack, before any filter.

    Attributes
    ----------
    spectra : list of tensors (..., 2 J_x + 1, 2 J_y + 1), complex
        Order 0 summed over the angles (half plane: J_x + 1), then each used order,
        within the support of the OTF; columns first, as the transforms leave them.
    mean : tensor (...)
        Mean counts of order 0, averaged over the angles.
    """

    spectra: list[torch.Tensor]
    mean: torch.Tensor


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
        ``angle_index`` light the same frames together (hexagonal SIM). The band of
        order n has phase n·φ_p + offset_n in frame p. An angle without a usable order
        contributes its mean frame to order 0; an order that is not usable beside one
        that is, is separated and dropped.
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
    ) -> None:
        import torch

        self._shape = shape
        self._dtype = dtype
        self._real = torch.zeros(0, device=device, dtype=getattr(torch, dtype))
        self._complex = torch.complex(self._real, self._real)
        self._cutoff = optics.cutoff_per_pixel
        self._angles = orders_by_angle(patterns, optics.pixel_size_nm)
        self._paddings = [Padding(n, padding_px) for n in shape]
        size = self._paddings[0].size, self._paddings[1].size
        self._bands = [Band.of_order_zero(size, self._cutoff, copies=len(self._angles))]
        self._bands += [
            Band.of_wave(
                size,
                self._cutoff,
                wavevector=wave.wavevector,
                modulation=wave.modulation,
            )
            for angle in self._angles
            for wave in angle.used
        ]
        self._tables = [
            [
                _AxisTables(band, axis, self._paddings[axis], self._real)
                for axis in (0, 1)
            ]
            for band in self._bands
        ]
        columns = plane_extent(self._bands)[1] + 1
        self._line_mean = torch.as_tensor(
            self._paddings[1].mean_of_lines(2 * shape[1], columns)
        ).to(self._complex)
        self._use_settings(WienerSettings() if settings is None else settings)

    def with_settings(self, settings: WienerSettings) -> WienerSolver:
        """Return a solver with other settings that shares everything else.

        What `separate` of one returns may be given to `combine` of the other.
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
            sum(k * o for k, o in zip(band.wavevector, origin_px, strict=True))
            for band in self._bands
        ]
        turned = [
            spectrum * cmath.exp(-2j * math.pi * turn)
            for spectrum, turn in zip(orders.spectra, turns, strict=True)
        ]
        return self._image(self._columns(turned))

    def mean(
        self, frames: torch.Tensor, equalisation: NDArray[np.float64] | None = None
    ) -> torch.Tensor:
        """Return the mean counts (...) of order 0 of frames of any size."""
        levels = frames.mean(dim=(-2, -1)).to(self._real)
        matrices = self._matrices(frames.shape[-3], equalisation)
        parts = [
            levels[..., angle, :] @ matrix[0] for angle, matrix in enumerate(matrices)
        ]
        return sum(parts[1:], parts[0]) / len(parts)

    def separate(
        self,
        frames: torch.Tensor,
        equalisation: NDArray[np.float64] | None = None,
    ) -> SeparatedOrders:
        """Return the separated orders, which do not depend on the settings.

        Parameters and errors are those of `solve`; ``frames`` must be a tensor.
        """
        self._check(frames)
        frames = frames.to(self._real)
        matrices = self._matrices(frames.shape[-3], equalisation)
        batch = frames.shape[:-4]
        lines = [
            self._complex.new_empty(*batch, band.size[0], len(band.bins(1)))
            for band in self._bands
        ]
        total = self._real.new_zeros(batch)
        for rows in _tiles(frames[..., 0, :, :, :]):
            for index, image in _separated(frames[..., rows, :], matrices):
                lines[index][..., rows, :] = self._along_x(index, image)
                if index == 0:
                    total = total + image.sum(dim=(-2, -1))
        return SeparatedOrders(
            [self._along_y(index, part) for index, part in enumerate(lines)],
            total / (len(matrices) * math.prod(self._shape)),
        )

    def combine(self, orders: SeparatedOrders) -> torch.Tensor:
        """Return the image (..., 2 Y, 2 X) of separated orders."""
        columns = self._columns(orders.spectra)
        # At zero frequency the orders ±n tell only of what the pattern lit: the mean
        # is that of order 0.
        mean = (columns.mean(dim=-1) * self._line_mean).real.sum(dim=-1)
        columns[..., 0, :] += (
            2 * self._paddings[1].size * (orders.mean - mean)[..., None]
        )
        return self._image(columns)

    def _columns(self, spectra: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the half spectra along x of the image's lines, (..., q_x, 2 Y)."""
        import torch

        columns: torch.Tensor = torch.fft.ifft(self._half_plane(spectra))
        return columns[..., : 2 * self._shape[0]]

    def _image(self, columns: torch.Tensor) -> torch.Tensor:
        """Transform the lines back."""
        import torch

        height, width = (2 * length for length in self._shape)
        image = self._real.new_empty(*columns.shape[:-2], height, width)
        for rows in _tiles(image):
            lines = torch.fft.irfft(columns[..., rows].mT, n=2 * self._paddings[1].size)
            image[..., rows, :] = lines[..., :width]
        return image

    def _half_plane(self, spectra: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the weighted sum of all orders, (..., q_x ≥ 0, 2 padded Y)."""
        import torch

        extent_y, extent_x = extent = plane_extent(self._bands)
        batch = spectra[0].shape[:-2]
        plane = self._complex.new_zeros(*batch, extent_x + 1, 2 * extent_y + 1)
        for band, weights, spectrum in zip(
            self._bands, self._weights, spectra, strict=True
        ):
            block = spectrum * weights
            for part in band.overlaps(extent):
                piece = block[..., *reversed(part.block)]
                if part.is_mirrored:
                    piece = piece.flip((-2, -1)).conj()
                plane[..., *reversed(part.plane)] += piece
        gap = 2 * self._paddings[0].size - plane.shape[-1]
        zeros = plane.new_zeros(*plane.shape[:-1], gap)
        return torch.cat([plane[..., extent_y:], zeros, plane[..., :extent_y]], dim=-1)

    def _use_settings(self, settings: WienerSettings) -> None:
        """Take over settings and compute what depends on them."""
        import torch

        self.settings = settings
        weights = wiener_weights(self._bands, self._cutoff, settings)
        self._weights = [
            torch.as_tensor(np.ascontiguousarray(values.T)).to(self._complex)
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

    def _along_x(self, index: int, image: torch.Tensor) -> torch.Tensor:
        """Transform lines of an order's image; the ramp brings its support to bin 0."""
        import torch

        band, table = self._bands[index], self._tables[index][1]
        image = torch.cat([image, table.ends(image, -1)], dim=-1)
        lines: torch.Tensor = (
            torch.fft.rfft(image)
            if band.is_order_zero
            else torch.fft.fft(image * table.ramp)
        )
        return lines.narrow(-1, 0, len(band.bins(1)))

    def _along_y(self, index: int, lines: torch.Tensor) -> torch.Tensor:
        """Transform columns of lines (..., padded Y, 2 J_x + 1); overwrites them."""
        import torch

        band, table, height = self._bands[index], self._tables[index][0], self._shape[0]
        lines[..., height:, :] = table.ends(lines[..., :height, :], -2)
        lines *= table.ramp[:, None]
        columns: torch.Tensor = torch.fft.fft(lines.mT)
        return columns.narrow(-1, 0, len(band.bins(0)))

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


class _AxisTables:
    """What a band needs along one axis: its phase ramp and how to pad."""

    def __init__(
        self, band: Band, axis: int, padding: Padding, like: torch.Tensor
    ) -> None:
        import torch

        kind = torch.complex(like, like)
        self.ramp = torch.as_tensor(band.ramp(axis, padding.positions)).to(kind)
        self._sources = [
            torch.as_tensor(source, device=like.device) for source in padding.sources
        ]
        factors = [
            torch.as_tensor(values).to(kind)
            for values in padding.factors(band.wavevector[axis])
        ]
        self._factors = [f.real for f in factors] if band.is_order_zero else factors

    def ends(self, image: torch.Tensor, axis: int) -> torch.Tensor:
        """Return what follows an image along axis −1 or −2 to make it periodic."""
        after, before = (
            image.index_select(axis, source)
            * (factor if axis == -1 else factor[:, None])
            for source, factor in zip(self._sources, self._factors, strict=True)
        )
        return after.add_(before)


def _separated(
    frames: torch.Tensor, matrices: Sequence[torch.Tensor]
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the number and the image of each order, order 0 of all angles last."""
    import torch

    index, zeros = 0, []
    for angle, matrix in enumerate(matrices):
        lines = matrix @ frames[..., angle, :, :, :].movedim(-3, -2)
        zero, *parts = lines.unbind(-2)
        zeros.append(zero)
        for real, imaginary in zip(parts[::2], parts[1::2], strict=True):
            index += 1
            yield index, torch.complex(real, imaginary)
    yield 0, sum(zeros[1:], zeros[0])


def _tiles(images: torch.Tensor) -> Iterator[slice]:
    """Yield slices of rows, so few that a CPU keeps them in its cache."""
    height = images.shape[-2]
    size = images.element_size() * images.numel()
    wanted = math.ceil(size / TILE_BYTES) if images.device.type == "cpu" else 1
    count = max(1, min(height, wanted))
    edges = [height * tile // count for tile in range(count + 1)]
    yield from map(slice, edges[:-1], edges[1:])
