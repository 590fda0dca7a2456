"""From a stack of beads to the measured OTF of each order.

A bead at r₀ shows order n of the stripes as D_n(q) = c O_n(q) B(q − n k) e^{−2πi q·r₀},
with B the transform of a sphere. Beads that stand alone are cut out, their orders
separated, turned to r₀ = 0, and averaged radially for each axial frequency; noise
outside the support of the OTF is cut off, and the lowest frequencies, which hold the
background, are extrapolated from those above (Gustafsson et al. 2008,
doi:10.1529/biophysj.107.120345).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import InputError, Optics
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.measured_otf import normalised
from napari_dps.physics.otf3d import axial_frequency_per_nm, cap_height_per_nm
from napari_dps.physics.sim.separate import separation_matrix

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

LEAST_HALF_PX, MOST_HALF_PX = 12, 40
"""Half the side of the square that is cut out round a bead."""
LEAST_PLANES = 16
MOST_BEADS = 50
BRIGHT_SHARE = 0.3
"""Least brightness of a bead, over the 90th percentile of the bright spots."""
LEAST_CONTRAST = 8.0
"""Least brightness of a bead over the noise of the projection."""
EXTRAPOLATED = 3
"""Radial steps from 0 on whose values are extrapolated."""
FITTED = 4
"""Radial steps that they are extrapolated from."""
USUAL_SHARE = 0.9
"""Frequency of the finest stripes over the cut-off where their period is not known."""
THREE_BEAM_ORDERS = 3
CENTRING = 4
"""Rounds of finding a bead's centre."""


@dataclass(frozen=True)
class BeadSettings:
    """What the beads and the stripes on them are.

    Attributes
    ----------
    diameter_nm : float
        Of the beads; 0: points.
    period_nm : float
        Of the first order of the stripes; 0: their finest order lies at 0.9 of the
        cut-off. It matters for the size of the beads alone.
    is_three_beam : bool
        Whether the first order is modulated along z.
    """

    diameter_nm: float = 100.0
    period_nm: float = 0.0
    is_three_beam: bool = True

    def wave_per_nm(self, optics: Optics, orders: int) -> float:
        """Return the wave number of the first order, of so many with order 0."""
        usual_nm = optics.cutoff_period_nm / USUAL_SHARE * max(orders - 1, 1)
        return 1 / (self.period_nm or usual_nm)

    def axial_per_nm(self, optics: Optics, orders: int) -> float:
        """Return kz0 of the first order; 0 unless three beams make it."""
        if orders < THREE_BEAM_ORDERS or not self.is_three_beam:
            return 0.0
        return axial_frequency_per_nm(
            self.wave_per_nm(optics, orders),
            excitation_nm=optics.excitation_or_usual_nm,
            refractive_index=optics.refractive_index,
        )


@dataclass(frozen=True)
class Bead:
    """A bead that stands alone.

    Attributes
    ----------
    centre_px : (int, int, int)
        Brightest voxel (z, y, x).
    half_px : int
        Half the side of the square round it that holds no other.
    """

    centre_px: tuple[int, int, int]
    half_px: int


def find_beads(volume: NDArray[np.floating]) -> list[Bead]:
    """Find beads that stand alone, the brightest first.

    Parameters
    ----------
    volume : array (Z, Y, X)
        Evenly lit.

    Raises
    ------
    InputError
        If there is none, or the stack is too small.
    """
    planes, height, width = volume.shape
    if planes < LEAST_PLANES or min(height, width) < 2 * LEAST_HALF_PX:
        raise InputError(
            "stack of beads",
            got=f"{planes} planes of {height} × {width} px",
            allowed=f"at least {LEAST_PLANES} planes of {2 * LEAST_HALF_PX} px",
        )
    smooth = scipy.ndimage.gaussian_filter(np.asarray(volume, np.float32), 1.0)
    flat = smooth.max(axis=0)
    level = float(np.median(flat))
    noise = 1.4826 * float(np.median(np.abs(flat - level)))
    peaks = flat == scipy.ndimage.maximum_filter(flat, 5)
    peaks &= flat > level + LEAST_CONTRAST * max(noise, 1e-6 * float(np.ptp(flat)))
    places = np.argwhere(peaks)
    if len(places) == 0:
        raise InputError("no beads were found: no spot is bright enough")
    light = flat[peaks] - level
    bright = light >= BRIGHT_SHARE * float(np.percentile(light, 90))
    found = []
    for place, _ in sorted(
        zip(places[bright].tolist(), light[bright].tolist(), strict=True),
        key=lambda pair: -pair[1],
    ):
        apart = np.abs(places - place).max(axis=1)
        nearest = int(apart[apart > 0].min(initial=4 * MOST_HALF_PX))
        edges = (*place, height - place[0], width - place[1])
        half = min(*edges, nearest // 2, MOST_HALF_PX)
        if half >= LEAST_HALF_PX:
            z = int(smooth[:, place[0], place[1]].argmax())
            found.append(Bead((z, place[0], place[1]), half))
    if not found:
        raise InputError(
            f"{len(places)} bright spots, but no bead that stands alone",
            allowed=f"one with no other, and no edge, within {LEAST_HALF_PX} px",
        )
    return found[:MOST_BEADS]


def measure_otf(
    frames: NDArray[np.floating],
    optics: Optics,
    z_step_nm: float,
    settings: BeadSettings,
    name: str = "",
) -> tuple[MeasuredOtf, list[Bead]]:
    """Measure the OTF of each order on a stack of beads.

    Parameters
    ----------
    frames : array (Z, A, P, Y, X)
        Counts; one phase: plain images, whose order 0 is measured alone.
    optics : Optics
        Of the microscope, at the pixel size of the frames.
    z_step_nm : float
        Distance of the planes.
    settings : BeadSettings
        Beads and stripes.
    name : str
        Of the file.

    Returns
    -------
    otf : MeasuredOtf
    beads : list of Bead
        That were averaged.

    Raises
    ------
    InputError
        If there are no beads, phases are 2 or 4, or planes are too few.
    """
    phases = frames.shape[2]
    if phases in (2, 4):
        raise InputError("phases", got=phases, allowed="1, 3, 5 or more")
    beads = find_beads(frames.mean(axis=(1, 2)))
    half = min(bead.half_px for bead in beads)
    if half < MOST_HALF_PX // 2 <= beads[0].half_px:
        # A wide square round the brightest tells more than a narrow one round all.
        beads = [bead for bead in beads if bead.half_px >= MOST_HALF_PX // 2]
        half = min(bead.half_px for bead in beads)
    orders = 1 if phases == 1 else 2 if phases == 3 else 3
    grid = _Grid((len(frames), 2 * half, 2 * half), optics, z_step_nm)
    steps = 2 * np.pi * np.arange(phases) / phases
    harmonics = [n * steps for n in range(1, orders)]
    rows = separation_matrix(harmonics) if harmonics else np.ones((1, 1))
    tables = np.zeros((orders, grid.rings, len(frames)), dtype=np.complex128)
    for bead in beads:
        y, x = (slice(c - half, c + half) for c in bead.centre_px[1:])
        part = frames[..., y, x].astype(np.float64)
        tables += _orders_of(part, rows, grid)
    wave = settings.wave_per_nm(optics, orders)
    for number in range(orders):
        blur = grid.sphere(number * wave, settings.diameter_nm)
        axial = settings.axial_per_nm(optics, orders) if number == 1 else 0.0
        tables[number] = _cleaned(tables[number] / blur, grid, axial)
    values = normalised(tables)
    step, axial_step = grid.radial_step_per_nm, 1 / (len(frames) * z_step_nm)
    return MeasuredOtf(values, step, axial_step, optics, name), beads


class _Grid:
    """The frequencies of a cut-out, and their rings."""

    def __init__(
        self, shape: tuple[int, int, int], optics: Optics, z_step_nm: float
    ) -> None:
        self.optics, self.z_step_nm = optics, z_step_nm
        self.pixel_size_nm = optics.pixel_size_nm
        self.kz, self.ky, self.kx = (
            np.fft.fftfreq(n, d)
            for n, d in zip(
                shape,
                (z_step_nm, optics.pixel_size_nm, optics.pixel_size_nm),
                strict=True,
            )
        )
        self.radius = np.hypot(self.ky[:, None], self.kx)
        self.radial_step_per_nm = float(self.kx[1])
        last = 1 / optics.cutoff_period_nm
        self.rings = math.ceil(last / self.radial_step_per_nm) + 2
        ring = np.rint(self.radius / self.radial_step_per_nm).astype(int)
        self._inside = ring < self.rings
        self._ring = ring[self._inside]
        self._count = np.bincount(self._ring, minlength=self.rings)
        middle = np.bincount(
            self._ring, self.radius[self._inside], minlength=self.rings
        )
        self._middle = middle / np.maximum(self._count, 1)

    def radial(self, spectrum: Complex) -> Complex:
        """Return the mean of each ring at its radius, (rings, kz)."""
        wanted = np.arange(self.rings) * self.radial_step_per_nm
        table = np.zeros((self.rings, len(self.kz)), dtype=np.complex128)
        known = self._count > 0
        for column, plane in enumerate(spectrum):
            values = plane[self._inside]
            real, imaginary = (
                np.bincount(self._ring, part, minlength=self.rings)
                / np.maximum(self._count, 1)
                for part in (values.real, values.imag)
            )
            table[:, column] = np.interp(
                wanted, self._middle[known], (real + 1j * imaginary)[known]
            )
        return table

    def sphere(self, wave_per_nm: float, diameter_nm: float) -> Real:
        """Return the transform of a bead seen at q − n k, mean over all directions.

        3 (sin x − x cos x)/x³ with x = π d |q − n k|; (rings, kz).
        """
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        radius = np.arange(self.rings)[:, None] * self.radial_step_per_nm
        square = radius**2 + wave_per_nm**2 - 2 * radius * wave_per_nm * np.cos(turn)
        q = np.sqrt(square[:, None] + (self.kz**2)[:, None])
        x = np.maximum(np.pi * diameter_nm * q, 1e-3)
        seen = 3 * (np.sin(x) - x * np.cos(x)) / x**3
        # What a large bead hides cannot be brought back.
        return np.asarray(np.maximum(seen.mean(axis=2), 0.1))


def _orders_of(part: Real, rows: Real, grid: _Grid) -> Complex:
    """Return the orders of one bead, turned real about its centre, (N, rings, kz)."""
    background = float(np.median(_border(part.mean(axis=(1, 2)))))
    zero = (part - background).mean(axis=(1, 2))
    spectrum = scipy.fft.fftn(zero)
    turn = _centring(spectrum, zero, grid)
    tables = [grid.radial(spectrum * turn)]
    for number in range(1, (len(rows) + 1) // 2):
        total = np.zeros_like(tables[0])
        for angle in range(part.shape[1]):
            real, imaginary = (
                np.tensordot(part[:, angle], row, (1, 0))
                for row in rows[2 * number - 1 : 2 * number + 1]
            )
            table = grid.radial(scipy.fft.fftn(real + 1j * imaginary) * turn)
            phase = np.angle(np.sum(table * np.conj(tables[0]).sum(1)[:, None]))
            total += table * np.exp(-1j * phase)
        tables.append(total / part.shape[1])
    return np.stack(tables)


def _border(volume: Real) -> Real:
    """Return the pixels at the edges of all planes."""
    edge = np.ones(volume.shape[1:], dtype=bool)
    edge[2:-2, 2:-2] = False
    return np.asarray(volume[:, edge])


def _centring(spectrum: Complex, zero: Real, grid: _Grid) -> Complex:
    """Return the factor that brings a bead's centre to the origin.

    The phase of its spectrum is a plane, fitted by least squares where power is.
    """
    axes = (grid.kz[:, None, None], grid.ky[:, None], grid.kx)
    steps = (grid.z_step_nm, grid.pixel_size_nm, grid.pixel_size_nm)
    peak = np.unravel_index(int(zero.argmax()), zero.shape)
    centre = [float(place) * step for place, step in zip(peak, steps, strict=True)]
    cutoff = 1 / grid.optics.cutoff_period_nm
    used = (grid.radius > 3 * grid.radial_step_per_nm) & (grid.radius < 0.6 * cutoff)
    used = (np.abs(grid.kz) <= cap_height_per_nm(grid.optics))[:, None, None] & used
    basis = np.stack([np.broadcast_to(f, used.shape)[used] for f in axes])
    scale = np.abs(basis).max(axis=1)
    basis /= scale[:, None]
    for _ in range(CENTRING):
        seen = (spectrum * _turn(axes, centre))[used]
        weighted = basis * np.abs(seen) ** 2
        slope = np.linalg.solve(weighted @ basis.T, weighted @ np.angle(seen))
        centre = [
            place - float(moved)
            for place, moved in zip(centre, slope / (2 * np.pi * scale), strict=True)
        ]
    return _turn(axes, centre)


def _turn(axes: Sequence[NDArray[np.floating]], centre_nm: Sequence[float]) -> Complex:
    """Return e^{2πi q·r₀}."""
    z, y, x = (np.exp(2j * np.pi * f * c) for f, c in zip(axes, centre_nm, strict=True))
    return np.asarray(z * y * x)


def _cleaned(table: Complex, grid: _Grid, axial_per_nm: float) -> Complex:
    """Return a table without noise beyond its support, its lowest rings extrapolated.

    The OTF is even along kz as far as it is real.
    """
    optics = grid.optics
    sphere = optics.refractive_index / optics.emission_nm
    aperture = optics.na / optics.emission_nm
    radius = np.arange(grid.rings) * grid.radial_step_per_nm
    inside = np.minimum(np.abs(radius - aperture), sphere)
    height = np.sqrt(sphere**2 - inside**2) - math.sqrt(sphere**2 - aperture**2)
    step = float(np.abs(grid.kz[1]))
    height = np.where(radius < 2 * aperture, np.maximum(height, 0) + step, -1)
    near = np.minimum(
        np.abs(np.abs(grid.kz) - axial_per_nm), np.abs(grid.kz) + axial_per_nm
    )
    kept = np.where(near[None, :] <= height[:, None], table, 0)
    phase = np.angle(np.sum(kept**2)) / 2
    real = (kept * np.exp(-1j * phase)).real
    real = (real + real[:, (-np.arange(len(grid.kz))) % len(grid.kz)]) / 2
    if real.sum() < 0:
        real = -real
    return np.asarray(_extrapolated(real, grid), dtype=np.complex128)


def _extrapolated(real: Real, grid: _Grid) -> Real:
    """Replace the lowest rings by a line through those above, at each kz."""
    above = np.arange(EXTRAPOLATED, EXTRAPOLATED + FITTED)
    slope, level = np.polyfit(above, real[above], 1)
    rings = np.arange(EXTRAPOLATED)[:, None]
    filled = real.copy()
    filled[:EXTRAPOLATED] = level + slope * rings
    return filled
