"""How instruments write raw SIM frames: one row an instrument."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_dps.core import InputError
from napari_dps.io.raw import RawImage


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is known of the files of an instrument; None where it is not fixed.

    Attributes
    ----------
    key : str
        As the user names it.
    title : str
        As its maker names it.
    angles, phases : int or None
        Of a raw stack.
    order : str or None
        Of the frames, as for `napari_dps.io.load`; a file that names angles and phases
        itself is believed.
    note : str
        What there is to know.
    source : str
        Where it is said.
    """

    key: str
    title: str
    angles: int | None = None
    phases: int | None = None
    order: str | None = None
    note: str = ""
    source: str = ""


_SIMCHECK = "SIMcheck manual, SI microscopy systems (github.com/MicronOxford)"

# Camera offset and immersion belong to the camera and the objective, of which each of
# these instruments has had several: no row can tell them.
INSTRUMENTS: tuple[Instrument, ...] = (
    Instrument(
        "omx",
        "DeltaVision OMX",
        angles=3,
        phases=5,
        order="azpyx",
        note="DeltaVision files are read in this order by themselves. 2-D SIM of later "
        "models has 3 phases: say so.",
        source=_SIMCHECK,  # "CPZAT", fastest first: time, angle, z, phase
    ),
    Instrument(
        "n-sim",
        "Nikon N-SIM, 2-D and TIRF-SIM",
        angles=3,
        phases=3,
        order="montage",
        note="Each plane is tiled, phases along x, angles along y.",
        source=_SIMCHECK,
    ),
    Instrument(
        "n-sim-3d",
        "Nikon N-SIM, 3-D SIM",
        angles=3,
        phases=5,
        order="montage",
        note="Each plane is tiled, phases along x, angles along y.",
        source=_SIMCHECK,
    ),
    Instrument(
        "elyra",
        "Zeiss Elyra (PS.1)",
        phases=5,
        order="patyx",
        note="3 or 5 angles: say which. The order is that of Bio-Formats with the "
        "series concatenated; a CZI file that names rotations and phases is read as it "
        "says.",
        source=_SIMCHECK,
    ),
    Instrument(
        "elyra-lattice",
        "Zeiss Elyra 7, Lattice SIM",
        angles=1,
        note="One grid of spots; the number of phases depends on the mode: say it. A "
        "CZI file holds them along its axis H.",
        source="axes of CZI: zeiss.github.io/libczi (phases H)",
    ),
    Instrument(
        "3i",
        "Intelligent Imaging Innovations",
        note="Layout and order depend on the modulator's settings: say angles, phases "
        "and order.",
    ),
    Instrument("custom", "Any other", note="Nothing is taken for granted."),
)
"""Instruments in the order of the documentation's table, which is made from it."""


def recognised(raw: RawImage) -> Instrument | None:
    """Return the instrument that a file mentions; None if it mentions none.

    Which mode it was in, only the shape of tiled frames tells: N-SIM tiles five phases
    by three angles in 3-D SIM, three by three else.

    Parameters
    ----------
    raw : RawImage
        As its file holds it.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_dps.io.raw import Metadata
    >>> raw = RawImage(np.zeros((9, 96, 160)), "ZYX", Metadata(microscope="N-SIM"))
    >>> recognised(raw).key
    'n-sim-3d'
    """
    name = raw.metadata.microscope.lower()
    key = ""
    if name == "n-sim":
        height, width = raw.data.shape[-2:]
        key = "n-sim-3d" if 3 * width == 5 * height else "n-sim"
    elif name.startswith("elyra"):
        key = "elyra-lattice" if name.endswith("7") else "elyra"
    return next((one for one in INSTRUMENTS if one.key == key), None)


def layout_of(
    key: str,
    raw: RawImage,
    angles: int | None,
    phases: int | None,
    order: str | None,
) -> tuple[int | None, int | None, str | None]:
    """Return angles, phases and order: what is said, then what the instrument has.

    Parameters
    ----------
    key : str
        Of an instrument; ``auto`` takes what the file itself tells. Frames of one that
        it mentions are taken for tiled if there are too few of them for the counts.
    raw : RawImage
        One that names angles and phases needs nothing.
    angles, phases : int or None
        As the user says.
    order : str or None
        As the user says.

    Raises
    ------
    InputError
        If the instrument leaves counts open that nobody has said.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_dps.io.raw import Metadata
    >>> raw = RawImage(np.zeros((9, 4, 4)), "QYX", Metadata())
    >>> layout_of("n-sim", raw, None, None, "apyx")
    (3, 3, 'apyx')
    """
    found = next((i for i in INSTRUMENTS if i.key == key), None)
    axes = raw.metadata.stored_axes or raw.axes
    if key == "auto" and order is None and _are_tiled(raw, angles, phases):
        return angles, phases, "montage"
    if found is None or key == "custom" or {"A", "P"} <= set(axes):
        return angles, phases, order
    angles, phases = angles or found.angles, phases or found.phases
    for name, count in (("angles", angles), ("phases", phases)):
        if count is None:
            raise InputError(
                f"the number of {name} is not the same in all files of {found.title}",
                allowed="the number that was used",
                field=f"input.{name}",
            )
    return angles, phases, order or found.order


def _are_tiled(raw: RawImage, angles: int | None, phases: int | None) -> bool:
    """Whether a file of an instrument that tiles frames has too few planes for them."""
    found = recognised(raw)
    if found is None or found.order != "montage" or not angles or not phases:
        return False
    return math.prod(raw.data.shape[:-2]) % (angles * phases) != 0
