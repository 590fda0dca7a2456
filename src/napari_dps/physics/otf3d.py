"""Three-dimensional OTF of an ideal objective: the autocorrelation of a spherical cap.

The light that an objective of half-angle α takes from an emitter lies, in frequency
space, on a cap of the sphere of radius K = n/λ. The 3-D OTF is the autocorrelation of
that cap, weighted by √cos θ for the sine condition (scalar theory: Frieden 1967,
doi:10.1364/JOSA.57.000056; Sheppard et al. 1994, doi:10.1364/JOSAA.11.000593). Two
spheres whose centres lie q = √(kr² + kz²) apart meet in a circle, of which an arc is
common to both caps, and an integral along this arc remains:

    O(kr, kz) = (2/q) ∫₀^arccos(c) √(cos θ₁ cos θ₂) dφ,
    K cos θ₁,₂ = ρ cos φ kr/q ± kz/2,   ρ = √(K² − q²/4),
    c = (K cos α + |kz|/2) q/(ρ kr)

Its transform along kz, H(kr, z), is the OTF of the plane at a distance z from focus.
It is smooth and serves every z step and every number of planes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_dps.core import InputError, Optics

Real = NDArray[np.float64]

RADII = 384
"""Rows of the table along kr, evenly from 0 to the cut-off."""
_ARC_NODES = 32
_LEAST_AXIAL_NODES = 192


@dataclass(frozen=True)
class DefocusTable:
    """H(kr, z) of an objective at the planes of a period.

    Attributes
    ----------
    values : array (R, Z), float64
        Rows: kr evenly from 0 to the cut-off, both included. Columns: distances from
        focus in the order of ``fft``, z = 0 first. H(0, z) = 1.
    z_step_nm : float
        Distance of the planes.
    """

    values: Real
    z_step_nm: float

    @property
    def z_nm(self) -> Real:
        """Distance of each plane from focus in nm."""
        planes = self.values.shape[1]
        return np.asarray(np.fft.fftfreq(planes, 1 / planes) * self.z_step_nm)

    @property
    def unit(self) -> float:
        """The plain transfer function at half the cut-off and kz = 0.

        Over it the OTF of a volume is about that of a plane, whatever the z step.
        """
        return float(np.abs(self.transfer()[len(self.values) // 2, 0]))

    def transfer(
        self, axial_per_nm: float = 0.0, axial_phase_rad: float = 0.0
    ) -> NDArray[np.complex128]:
        """Return the transfer function of an order of the stripes, (R, kz).

        Stripes that focus with the objective do not move along z with the object: their
        axial factor cos(2π kz0 z + phase) multiplies the PSF, and the OTF of the order
        is the mean of two copies of the plain one, moved by ±kz0 (Gustafsson et al.
        2008, doi:10.1529/biophysj.107.120345).

        Parameters
        ----------
        axial_per_nm : float
            kz0 in cycles per nm; 0: the plain OTF.
        axial_phase_rad : float
            Phase of the stripes in the focal plane of the detection.

        Returns
        -------
        array (R, Z), complex128
            Columns in the order of ``fft``; a sum over planes, not an integral.
        """
        phase = 2 * np.pi * axial_per_nm * self.z_nm + axial_phase_rad
        return np.asarray(np.fft.fft(self.values * np.cos(phase), axis=1))


def defocus_table(optics: Optics, planes: int, z_step_nm: float) -> DefocusTable:
    """Return H(kr, z) of an objective over a period of planes.

    Parameters
    ----------
    optics : Optics
        NA, emission wavelength and refractive index; the pixel size is not used.
    planes : int
        Of the period, padding included.
    z_step_nm : float
        Distance of the planes, above 0.

    Returns
    -------
    DefocusTable

    Raises
    ------
    InputError
        If the z step is not positive.

    Examples
    --------
    >>> optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=80)
    >>> table = defocus_table(optics, 24, 125)
    >>> table.values.shape, bool(np.allclose(table.values[0], 1, atol=1e-3))
    ((384, 24), True)
    """
    if not 0 < z_step_nm < math.inf:
        raise InputError(
            "z step in nm", got=z_step_nm, allowed="above 0", field="input.z_step_nm"
        )
    return _table(
        optics.na, optics.emission_nm, optics.refractive_index, planes, z_step_nm
    )


@lru_cache(maxsize=8)
def _table(
    na: float, emission_nm: float, index: float, planes: int, z_step_nm: float
) -> DefocusTable:
    radius = np.linspace(0, 2 * na / emission_nm, RADII)
    half = np.arange(planes // 2 + 1) * z_step_nm
    values = np.empty((RADII, planes))
    values[:, : len(half)] = defocused_otf(
        radius, half, na=na, emission_nm=emission_nm, refractive_index=index
    )
    mirrored = np.arange(len(half), planes)
    values[:, mirrored] = values[:, planes - mirrored]
    values.flags.writeable = False  # shared by all callers
    return DefocusTable(values, z_step_nm)


def defocused_otf(
    radius_per_nm: ArrayLike,
    z_nm: ArrayLike,
    *,
    na: float,
    emission_nm: float,
    refractive_index: float,
) -> Real:
    """Return H(kr, z), the OTF of a plane at a distance from focus.

    Parameters
    ----------
    radius_per_nm : array_like (R,)
        Lateral frequencies kr ≥ 0 in cycles per nm.
    z_nm : array_like (Z,)
        Distances from focus; H is even in z.
    na, emission_nm, refractive_index : float
        The objective; NA below the index.

    Returns
    -------
    array (R, Z), float64
        1 at kr = 0 for every z, 0 from the cut-off 2 NA/λ on.
    """
    sphere = refractive_index / emission_nm
    aperture, cos_alpha = na / emission_nm, math.sqrt(1 - (na / refractive_index) ** 2)
    z = np.asarray(z_nm, dtype=np.float64)
    # At kr = 0 the OTF is a spike in kz: the limit is taken just beside.
    least = 1e-6 * aperture
    radius = np.maximum(np.asarray(radius_per_nm, dtype=np.float64), least)
    inside = radius < 2 * aperture
    kr = np.append(radius[inside], least)
    reach = np.sqrt(sphere**2 - (kr - aperture) ** 2) - sphere * cos_alpha
    turns = 2 * reach.max() * np.abs(z).max(initial=0)
    count = max(_LEAST_AXIAL_NODES, math.ceil(6 * turns))
    nodes, weights = np.polynomial.legendre.leggauss(count)
    # Nodes crowd towards kz = 0 and the edge, where O has a cusp and a root.
    share = np.sin(np.pi / 4 * (nodes + 1)) ** 2
    steps = weights * np.pi / 4 * np.sin(np.pi / 2 * (nodes + 1))
    kz = reach[:, None] * share
    cap = _cap_overlap(kr[:, None], kz, sphere, cos_alpha) * steps * reach[:, None]
    norm = cap[-1].sum()
    values = np.zeros((len(radius), len(z)))
    for row, place in enumerate(np.flatnonzero(inside)):
        waves = np.cos(2 * np.pi * np.outer(kz[row], z))
        values[place] = cap[row] @ waves / norm
    return values


def _cap_overlap(kr: Real, kz: Real, sphere: float, cos_alpha: float) -> Real:
    """Return O(kr, kz) of the caps of a sphere, for kr and kz above 0."""
    q = np.hypot(kr, kz)
    rho = np.sqrt(np.maximum(sphere**2 - q**2 / 4, 1e-300))
    arc = np.arccos(np.clip((sphere * cos_alpha + kz / 2) * q / (rho * kr), -1, 1))
    nodes, weights = np.polynomial.legendre.leggauss(_ARC_NODES)
    total = np.zeros(np.broadcast_shapes(kr.shape, kz.shape))
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        middle = rho * np.cos(node * arc) * kr / q
        product = np.maximum((middle + kz / 2) * (middle - kz / 2), 0)
        total += weight * np.sqrt(product)
    return np.asarray(2 / q * arc * total / sphere)


def cap_height_per_nm(optics: Optics) -> float:
    """Return the highest axial frequency of the OTF: K − K cos α, in cycles per nm."""
    sphere = optics.refractive_index / optics.emission_nm
    return sphere - math.sqrt(sphere**2 - (optics.na / optics.emission_nm) ** 2)


def axial_frequency_per_nm(
    wavenumber_per_nm: float, *, excitation_nm: float, refractive_index: float
) -> float:
    """Return kz0, at which the first order of three-beam stripes beats along z.

    The central beam runs along the axis, the outer ones are tilted so that they beat
    with it at the lateral frequency k: kz0 = n/λ − √((n/λ)² − k²).

    Parameters
    ----------
    wavenumber_per_nm : float
        k of the first order in cycles per nm.
    excitation_nm : float
        Wavelength of the excitation in vacuum.
    refractive_index : float
        Of the immersion.

    Returns
    -------
    float
        In cycles per nm.

    Raises
    ------
    InputError
        If no beam in this medium makes stripes so fine.

    Examples
    --------
    >>> kz0 = axial_frequency_per_nm(
    ...     1 / 416, excitation_nm=472.5, refractive_index=1.518
    ... )
    >>> round(1 / kz0)
    925
    """
    wave = refractive_index / excitation_nm
    if wavenumber_per_nm >= wave:
        raise InputError(
            "period of the first order of three-beam stripes, nm",
            got=f"{1 / wavenumber_per_nm:.0f}",
            allowed=f"above {1 / wave:.0f}, the wavelength of the excitation in the "
            "immersion",
            field=("optics.excitation_nm", "optics.refractive_index"),
        )
    return wave - math.sqrt(wave**2 - wavenumber_per_nm**2)
