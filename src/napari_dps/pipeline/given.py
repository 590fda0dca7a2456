"""Patterns that are known before the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from napari_dps.core import ImageStack, InputError, Pattern


def give_patterns(stack: ImageStack, patterns: Iterable[Pattern]) -> ImageStack:
    """Return raw frames with known wave vectors, of a file or a calibration stack.

    Only the wave vectors are taken: phases and modulation depth differ from stack to
    stack and are fitted anew. A pattern that the other run did not find is left out.

    Parameters
    ----------
    stack : ImageStack
        Raw SIM frames.
    patterns : iterable of Pattern
        As `napari_dps.io.load_patterns` returns them.

    Returns
    -------
    ImageStack
        With patterns of status "given".

    Raises
    ------
    InputError
        If the stack holds no raw frames, or none of the patterns is usable.

    Examples
    --------
    >>> import numpy as np
    >>> raw = ImageStack(np.ones((3, 3, 8, 8)), "APYX", pixel_size_nm=65)
    >>> found = Pattern(angle_deg=30, period_nm=200, status="found", phases_deg=(0, 9))
    >>> pattern = give_patterns(raw, [found]).patterns[0]
    >>> pattern.status, pattern.phases_deg
    ('given', ())
    """
    if not stack.is_raw:
        raise InputError(
            "known patterns are for raw SIM frames, of several angles and phases",
            field=("patterns", "input.angles", "input.phases"),
        )
    given = tuple(pattern.as_given() for pattern in patterns if pattern.is_usable)
    if not given:
        raise InputError(
            "none of the given patterns has a wave vector", field="patterns"
        )
    return replace(stack, patterns=given)
