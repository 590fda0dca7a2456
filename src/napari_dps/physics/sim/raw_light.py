"""The illumination of raw SIM frames: brightness and stripes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Pattern


@dataclass(frozen=True, slots=True, eq=False)
class Stripes:
    """One order of the stripes of one angle, as the model needs it.

    Attributes
    ----------
    angle : int
        Index of the angle whose frames they light.
    wavevector : array (2,)
        k (y, x) in cycles per pixel of the frames.
    phases_rad : array (P,)
        ψ of each frame at the centre of the field.
    modulation : float
        m.
    """

    angle: int
    wavevector: NDArray[np.float64]
    phases_rad: NDArray[np.float64]
    modulation: float

    def phases_at(self, offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ψ (P,) at a place (y, x) from the centre, in pixels of the frames."""
        turned: NDArray[np.float64] = self.wavevector @ offset
        return self.phases_rad + 2 * np.pi * turned


class Light(NamedTuple):
    """The illumination of all frames.

    Attributes
    ----------
    intensities : array (A, P)
        Brightness of each frame over that of their mean.
    stripes : tuple of Stripes
        All orders.
    """

    intensities: NDArray[np.float64]
    stripes: tuple[Stripes, ...]


def mixing(light: Light, offset: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the share of each view of an object in each frame that is lit so.

    Parameters
    ----------
    light : Light
        Illumination.
    offset : array (2,)
        Where the centre of the frames lies (y, x) from the point that the phases are
        those of, in pixels of the frames.

    Returns
    -------
    array (A·P, 1 + 2 W)
        Of the view under even light, and of the real and imaginary parts of those
        through each of the W waves.
    """
    intensities, stripes = light
    phases = intensities.shape[1]
    columns = [intensities.ravel()]
    for one in stripes:
        first = one.angle * phases
        phases_rad = one.phases_at(offset)
        for part in (np.cos(phases_rad), -np.sin(phases_rad)):
            column = np.zeros_like(columns[0])
            column[first : first + phases] = one.modulation * part
            columns.append(column * columns[0])
    return np.stack(columns, axis=1).astype(np.float32)


def stripes_of(
    patterns: Sequence[Pattern], shape: tuple[int, int], pixel_size_nm: float
) -> tuple[Stripes, ...]:
    """Return all usable orders of patterns that have phases.

    Parameters
    ----------
    patterns : sequence of Pattern
        Phases at the centre of the first pixel.
    shape : tuple of int
        (Y, X) of the frames.
    pixel_size_nm : float
        Of the frames.
    """
    centre = (np.array(shape) - 1) / 2
    found = []
    for pattern in patterns:
        for order in pattern.orders:
            if not (order.is_usable and pattern.phases_deg):
                continue
            wavevector = np.array(order.wavevector_per_nm) * pixel_size_nm
            phases = order.order * np.radians(pattern.phases_deg)
            phases += math.radians(order.offset_deg)
            phases += 2 * math.pi * float(wavevector @ centre)
            found.append(
                Stripes(pattern.angle_index, wavevector, phases, order.modulation)
            )
    return tuple(found)
