"""OTFs of the 3-D PSFs that stacks are deconvolved with: radial tables (kr, kz)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import NDArray

from napari_dps.core import Optics, Pattern
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.measured_otf import measured_table
from napari_dps.physics.otf3d import RADII, cap_height_per_nm, defocus_table

Real = NDArray[np.float64]

REACH_NM, RADIAL_STEP_NM = 4000.0, 10.0
"""Radius up to which, and steps in which, the PSF of a confocal microscope is taken."""


@dataclass(frozen=True)
class RadialTransfer:
    """A transfer function of radius and kz, 1 for an even object.

    Attributes
    ----------
    values : array (R, kz), float64
        Rows: kr evenly from 0 to the cut-off. Columns in the order of ``fft``.
    cutoff_per_nm : float
        Of kr.
    depth : float
        What an even object has, in every plane, of an emitter's light in focus: by it
        brightness is divided to get counts of emitters in focus.
    """

    values: Real
    cutoff_per_nm: float
    depth: float


Transfer3d = Callable[[int], RadialTransfer]
"""From the planes of the period to the transfer function."""


def widefield_transfer(
    optics: Optics, z_step_nm: float, otf: MeasuredOtf | None = None
) -> Transfer3d:
    """Return the transfer function of a widefield stack, ideal or measured.

    A modulation factor other than 1 widens the PSF, or narrows it.
    """
    emission_nm = optics.emission_nm / optics.modulation_factor
    seen = optics.model_copy(update={"emission_nm": emission_nm})

    def of_period(planes: int) -> RadialTransfer:
        if otf is None:
            table = defocus_table(seen, planes, z_step_nm)
        else:
            table = measured_table(otf, 0, optics, planes, z_step_nm)
        return _normalised(table.transfer().real, 1 / seen.cutoff_period_nm)

    return of_period


def confocal_transfer(optics: Optics, z_step_nm: float) -> Transfer3d:
    """Return the transfer function of a confocal stack with a small pinhole.

    Its PSF is the product of those of excitation and detection (Sheppard and Choudhury
    1977, doi:10.1080/713819574).
    """
    emission = optics.model_copy(update={"modulation_factor": 1.0})
    excitation = emission.model_copy(
        update={"emission_nm": optics.excitation_or_usual_nm}
    )
    cutoff = 1 / emission.cutoff_period_nm + 1 / excitation.cutoff_period_nm

    def of_period(planes: int) -> RadialTransfer:
        radius = np.arange(RADIAL_STEP_NM / 2, REACH_NM, RADIAL_STEP_NM)
        psf = np.ones((len(radius), planes))
        for light in (emission, excitation):
            table = defocus_table(light, planes, z_step_nm).values
            kr = np.linspace(0, 1 / light.cutoff_period_nm, RADII)
            psf *= _hankel(radius, kr) @ table
        kr = np.linspace(0, cutoff, RADII)
        values = np.fft.fft(_hankel(kr, radius) @ psf, axis=1).real
        return _normalised(values, cutoff)

    return of_period


def sim_transfer(
    optics: Optics, z_step_nm: float, patterns: tuple[Pattern, ...]
) -> Transfer3d:
    """Return the transfer function that `reconstruct` aims at in three dimensions.

    A cosine that falls to 0 on the ellipsoid of the finest frequencies in reach.
    """
    orders = [o for p in patterns for o in p.orders if o.is_usable and o.period_nm]
    finest = max((1 / o.period_nm for o in orders if o.period_nm), default=0.0)
    axial = max((1 / (o.axial_period_nm or math.inf) for o in orders), default=0.0)
    # The grid of half the pixel size holds no more.
    cutoff = min(1 / optics.cutoff_period_nm + finest, 0.5 / optics.pixel_size_nm)
    highest = min(cap_height_per_nm(optics) + axial, 0.5 / z_step_nm)

    def of_period(planes: int) -> RadialTransfer:
        height = np.abs(np.fft.fftfreq(planes, z_step_nm)) / highest
        place = np.hypot(np.linspace(0, 1, RADII)[:, None], height)
        return RadialTransfer(np.cos(np.pi / 2 * np.minimum(place, 1)), cutoff, 1.0)

    return of_period


def _hankel(outer: Real, inner: Real) -> Real:
    """Return the matrix of 2π ∫ f(b) J₀(2π a b) b db, by the trapezoidal rule."""
    step = inner[1] - inner[0]
    kernel = scipy.special.j0(2 * np.pi * np.outer(outer, inner))
    return np.asarray(2 * np.pi * step * kernel * inner)


def _normalised(values: Real, cutoff: float) -> RadialTransfer:
    """Return a table of which emitters in focus keep their light, over an even one."""
    in_focus = float(values[0].sum()) / values.shape[1]
    even = float(values[0, 0])
    return RadialTransfer(values / even, cutoff, even / in_focus)
