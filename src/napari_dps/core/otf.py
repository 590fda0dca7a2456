"""A measured OTF: radial tables of the orders of an objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_dps.core.optics import Optics


@dataclass(frozen=True, eq=False, slots=True)
class MeasuredOtf:
    """The transfer functions of the orders of a microscope, as beads showed them.

    Attributes
    ----------
    values : array (N, R, K), float32
        O_n(kr, kz) of order n, real; as a file holds it also complex, of any scale.
        kr from 0 on in steps of ``radial_step_per_nm``, kz in the order of ``fft`` in
        steps of ``axial_step_per_nm``. Order 0 has the
        sum 1 over kz at kr = 0; all orders are alike in the focal plane, as far as the
        modulation depth goes.
    radial_step_per_nm, axial_step_per_nm : float
        In cycles per nm.
    optics : Optics or None
        Of the measurement, where the file tells it.
    name : str
        Of the file, for messages.
    """

    values: NDArray[Any]
    radial_step_per_nm: float
    axial_step_per_nm: float
    optics: Optics | None = None
    name: str = ""

    @property
    def orders(self) -> int:
        """Number of orders, 0 included."""
        return len(self.values)
