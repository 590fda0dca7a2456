"""What a click can mend of what a run has warned of."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_dps.pipeline import InputSettings

_ORDER = re.compile(r"the frames look like order (\w+) (\d+)×(\d+)")
_OFFSET = re.compile(r"every pixel holds about ([\d.]+) counts")
_PSF = re.compile(r"the PSF of the image is \d+ % (wider|narrower)")


@dataclass(frozen=True)
class Mend:
    """A change that answers a warning.

    Attributes
    ----------
    text : str
        Of the button that makes it and runs again.
    frames : InputSettings or None
        How the frames are to be read.
    parameters : mapping of str to mapping
        Values of parameters by stage.
    camera_offset : float or None
        Counts to subtract.
    """

    text: str
    frames: InputSettings | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    camera_offset: float | None = None


def mend_of(warning: str) -> Mend | None:
    """Return the change that answers a warning; None where only a person can tell.

    Examples
    --------
    >>> found = mend_of("the frames look like order payx 3×5, not apyx 3×5: check it")
    >>> found.text, found.frames.order
    ('Use payx 3×5 and run again', 'payx')
    """
    if (order := _ORDER.search(warning)) is not None:
        letters, angles, phases = order.groups()
        frames = InputSettings(angles=int(angles), phases=int(phases), order=letters)
        return Mend(f"Use {letters} {angles}×{phases} and run again", frames)
    if (offset := _OFFSET.search(warning)) is not None:
        counts = float(offset[1])
        text = f"Subtract {counts:g} counts and run again"
        return Mend(text, camera_offset=counts)
    if _PSF.search(warning):
        measured = {"dps": {"psf": "measured"}}
        return Mend("Use the measured PSF and run again", None, measured)
    return None
