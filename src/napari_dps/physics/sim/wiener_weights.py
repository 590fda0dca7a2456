"""Weights of the generalised Wiener filter on the 2× grid, in double precision.

With S the spectrum of the object and D_n that of the separated order n, in the
notation of `napari_dps.physics.sim.separate`,

    D_n(q + k_n) = m_n S(q) O(q + k_n)

so that with attenuation A, which says how far the centre of an order is trusted, the
weighted least-squares estimate over all orders ±n of all angles is

    E(q) = Σ c_n O(q + k_n) A(q + k_n) D_n(q + k_n) 2^-[n≠0]
           / Σ c_n² O²(q + k_n) A(q + k_n)

with c_0 = 1 and c_±n = m_n / 2, which gives all orders of an angle the same noise
(Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x; attenuation: O'Holleran and
Shaw 2014, doi:10.1364/BOE.5.002580), and the Wiener estimate with apodisation a is

    S(q) = a(q) E(q) P(q) / (P(q) + w(q)),    P(q) = Σ c_n² O²(q + k_n).

Without attenuation this is the usual Σ c O D / (Σ c² O² + w). Attenuation alone
decides which order speaks where several do: it does not, as in the usual form
Σ c O A D / (Σ c² O² A + w), make a high-pass filter where order 0 is alone, which
amplifies noise when the stripes are faint.

w is noise over signal. White noise over the falling spectrum of an object grows with
frequency: w(q) = max(Wiener parameter, noise_at_cutoff · (|q|/k_c)^noise_exponent), in
volumes with the length of (q, kz); benchmarks/wiener_parameter.py compares it with
fixed parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.sim.wiener_grid import OrderSupport, plane_extent

Real = NDArray[np.float64]
Transfer = Callable[[Real], NDArray[np.float64] | NDArray[np.complex128]]
"""Transfer function of an order: from frequency over cut-off to its value."""
PEAK_RADIUS = 0.3
"""Over the cut-off: the peak of a 3-D transfer function at kz = 0 lies within."""
APODISATIONS = ("cosine", "triangle", "none")


@dataclass(frozen=True)
class WienerSettings:
    """What one may choose in a generalised Wiener reconstruction.

    Attributes
    ----------
    wiener_parameter : float
        Least noise over signal power; larger is smoother. Above 0.
    apodisation : str
        How the spectrum falls to zero at the finest frequency that the patterns
        bring into reach: ``"cosine"`` (quarter period), ``"triangle"`` or ``"none"``.
    attenuation_strength, attenuation_width : float
        A(r) = 1 − strength·exp(−(r / (width·k_c))²/2) weakens the centre of every
        order, where out-of-focus light gathers; k_c is the cut-off of the detection.
        Strength 0 to 0.999.
    notch_strength, notch_width : float
        The same form, for orders ±1 and above alone: removes what is left of the
        stripes when phases or intensities are not exact. Off by default.
    noise_at_cutoff, noise_exponent : float
        Noise over signal that grows with frequency, as
        `napari_dps.physics.sim.noise.noise_to_signal` measures it; 0: none.

    Raises
    ------
    InputError
        If a value is outside its range.

    Examples
    --------
    >>> WienerSettings(wiener_parameter=0.01).apodisation
    'cosine'
    """

    wiener_parameter: float = 0.03
    apodisation: str = "cosine"
    attenuation_strength: float = 0.9
    attenuation_width: float = 0.35
    notch_strength: float = 0.0
    notch_width: float = 0.05
    noise_at_cutoff: float = 0.0
    noise_exponent: float = 3.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 < self.wiener_parameter < math.inf:
            raise InputError(
                "Wiener parameter", got=self.wiener_parameter, allowed="above 0"
            )
        if self.apodisation not in APODISATIONS:
            raise InputError(
                "apodisation", got=self.apodisation, allowed=", ".join(APODISATIONS)
            )
        for name in ("attenuation", "notch"):
            strength = getattr(self, f"{name}_strength")
            width = getattr(self, f"{name}_width")
            if not 0 <= strength <= 0.999:
                raise InputError(f"{name} strength", got=strength, allowed="0 to 0.999")
            if not 0 < width < math.inf:
                raise InputError(f"{name} width", got=width, allowed="above 0")


@dataclass(frozen=True)
class AxialFrequency:
    """The plane of one axial frequency kz in the spectrum of a volume.

    Attributes
    ----------
    transfers : sequence of callable
        Transfer function of each order there.
    height : float
        |kz| over the highest axial frequency that the result holds.
    frequency : float
        |kz| in cycles per input pixel: noise over signal grows with |q| and |kz| alike.
    scale : float
        What the estimate is multiplied by.
    """

    transfers: Sequence[Transfer]
    height: float
    frequency: float = 0.0
    scale: float = 1.0


def wiener_weights(
    orders: Sequence[OrderSupport],
    cutoff: float,
    settings: WienerSettings,
    axial: AxialFrequency | None = None,
    in_focus: Transfer | None = None,
) -> list[NDArray[np.complex128]]:
    """Return the factors of each order's spectrum, scaled for a 2× inverse transform.

    They sample the result a quarter of an input pixel before each input pixel's
    centre, so that four output pixels cover one input pixel. They are normalised so
    that an evenly bright object keeps its counts.

    Parameters
    ----------
    orders : sequence of OrderSupport
        Order 0 first.
    cutoff : float
        2 NA/λ in cycles per pixel.
    settings : WienerSettings
        As chosen by the user.
    axial : AxialFrequency, optional
        Of a volume's spectrum, the part that is wanted; else these are the weights of
        a plane in focus.
    in_focus : callable, optional
        OTF of a plane in focus; `widefield_otf` by default.

    Returns
    -------
    list of arrays, complex128
        Shape of each order's block.
    """
    return OrderWeights(orders, cutoff).of(settings, axial, in_focus)


class OrderWeights:
    """Gives the weights of `wiener_weights` for one axial frequency after another.

    Parameters
    ----------
    orders : sequence of OrderSupport
        Order 0 first.
    cutoff : float
        2 NA/λ in cycles per pixel.
    """

    def __init__(self, orders: Sequence[OrderSupport], cutoff: float) -> None:
        self._orders, self._cutoff = orders, cutoff
        self._extent = plane_extent(orders)
        self._radii = [order.radius() / cutoff for order in orders]
        self._plane_radius = _radius(orders)

    def of(
        self,
        settings: WienerSettings,
        axial: AxialFrequency | None = None,
        in_focus: Transfer | None = None,
    ) -> list[NDArray[np.complex128]]:
        """Return the factors of each order's spectrum; see `wiener_weights`."""
        orders, extent = self._orders, self._extent
        transfers = axial.transfers if axial else [in_focus or _in_focus] * len(orders)
        otfs = [one(r) for one, r in zip(transfers, self._radii, strict=True)]
        trust = [
            _attenuation(order, radius, settings)
            for order, radius in zip(orders, self._radii, strict=True)
        ]
        squares = [np.abs(o) ** 2 for o in otfs]
        trusted = [a * square for a, square in zip(trust, squares, strict=True)]
        if axial:
            squares = [
                _without_peak(*one)
                for one in zip(squares, orders, transfers, self._radii, strict=True)
            ]
        gain = self._gain(
            settings,
            axial,
            _summed(orders, squares, extent),
            _summed(orders, trusted, extent),
        )
        weights = []
        for order, otf, attenuation in zip(orders, otfs, trust, strict=True):
            share = 1 if order.is_order_zero else 0.5
            matched = share * order.coefficient * np.conj(otf) * attenuation
            placed = matched * _on_block(order, gain, extent)
            y, x = _resampling(order)
            weights.append((placed * y[:, None]) * x)
        return weights

    def _gain(
        self,
        settings: WienerSettings,
        axial: AxialFrequency | None,
        power: Real,
        trusted: Real,
    ) -> Real:
        """Return a P/(P + w) over Σ c² O² A, over the half plane."""
        radius, cutoff = self._plane_radius, self._cutoff
        noise = _noise(radius / cutoff, cutoff, settings, axial)
        scale = _apodisation(self._orders, radius, cutoff, settings, axial)
        middle = self._extent[0], 0
        if axial is None:
            scale = (1 + noise[middle] / power[middle]) * scale
        else:
            scale = axial.scale * scale
        seen = trusted > 0
        gain = np.zeros(power.shape)
        gain[seen] = (scale * power / (power + noise))[seen] / trusted[seen]
        return gain


def _without_peak(
    square: Real, order: OrderSupport, transfer: Transfer, radius: Real
) -> Real:
    """Return O² of an order of a volume as the Wiener filter is to see it.

    At kz = 0 the transfer function has a peak of a few bins in its centre, which lies
    at the wave vector: passed there while all around it is held back as noise, light is
    a stripe through all planes.
    """
    if order.is_order_zero:
        return square
    most = np.abs(transfer(np.array([PEAK_RADIUS])))[0] ** 2
    return np.where(radius < PEAK_RADIUS, np.minimum(square, most), square)


def _summed(
    orders: Sequence[OrderSupport], squares: Sequence[Real], extent: tuple[int, int]
) -> Real:
    """Return Σ c² O² …, both orders ±n, over the half plane."""
    total = np.zeros((2 * extent[0] + 1, extent[1] + 1))
    for order, square in zip(orders, squares, strict=True):
        block = order.copies * order.coefficient**2 * square
        for part in order.overlaps(extent):
            added = block[part.block]
            total[part.plane] += added[::-1, ::-1] if part.is_mirrored else added
    return total


def _noise(
    radius: Real, cutoff: float, settings: WienerSettings, axial: AxialFrequency | None
) -> Real:
    """Return w at radii over the cut-off."""
    if axial is not None and axial.frequency:
        radius = np.hypot(radius, axial.frequency / cutoff)
    growing = radius**settings.noise_exponent
    return np.maximum(settings.wiener_parameter, settings.noise_at_cutoff * growing)


def _radius(orders: Sequence[OrderSupport]) -> Real:
    """Return |q| over the half plane, in cycles per input pixel."""
    size = orders[0].size
    rows, columns = plane_extent(orders)
    return np.hypot(
        np.arange(-rows, rows + 1)[:, None] / size[0],
        np.arange(columns + 1)[None, :] / size[1],
    )


def _in_focus(radius: Real) -> Real:
    """Return the OTF of a plane in focus."""
    return widefield_otf(radius, 1.0)


def _attenuation(order: OrderSupport, radius: Real, settings: WienerSettings) -> Real:
    """Return the attenuation of an order at radii over the cut-off, notch included."""
    attenuation = _dip(
        radius, settings.attenuation_strength, settings.attenuation_width
    )
    if settings.notch_strength and not order.is_order_zero:
        attenuation *= _dip(radius, settings.notch_strength, settings.notch_width)
    return attenuation


def _dip(radius: Real, strength: float, width: float) -> Real:
    """Return 1 less a Gaussian around radius 0."""
    dip: Real = 1 - strength * np.exp(-((radius / width) ** 2) / 2)
    return dip


def _apodisation(
    orders: Sequence[OrderSupport],
    radius: Real,
    cutoff: float,
    settings: WienerSettings,
    axial: AxialFrequency | None,
) -> Real:
    """Return the apodisation over the half plane, at a height of the ellipsoid."""
    height = axial.height if axial else 0.0
    finest = max(math.hypot(*order.wavevector) for order in orders)
    # One cycle per pixel is what the 2× grid can hold.
    relative = radius / min(cutoff + finest, 1.0)
    relative = np.minimum(np.hypot(relative, height) if height else relative, 1.0)
    if settings.apodisation == "none":
        return np.ones_like(relative)
    if settings.apodisation == "triangle":
        return np.asarray(1 - relative)
    return np.asarray(np.cos(np.pi / 2 * relative))


def _on_block(order: OrderSupport, plane: Real, extent: tuple[int, int]) -> Real:
    """Return the values that an even function of the half plane has on a block."""
    y = (order.bins(0) + order.shift[0])[:, None]
    x = (order.bins(1) + order.shift[1])[None, :]
    inside = (np.abs(y) <= extent[0]) & (np.abs(x) <= extent[1])
    rows = np.clip(np.where(x < 0, -y, y) + extent[0], 0, 2 * extent[0])
    columns = np.minimum(np.abs(x), extent[1])
    return np.where(inside, plane[rows, columns], 0.0)


def _resampling(
    order: OrderSupport,
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return the factors along y and x of the 2× transform and its quarter pixel."""
    y, x = (
        2
        * np.exp(
            -0.5j * np.pi * (order.bins(axis) + order.shift[axis]) / order.size[axis]
        )
        for axis in (0, 1)
    )
    return y, x
