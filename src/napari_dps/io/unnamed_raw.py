"""Looks for raw SIM frames that nobody has named among the frames of a plain stack."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from napari_dps.core import InputError
from napari_dps.io.instruments import recognised
from napari_dps.io.order import FrameOrder, sim_order
from napari_dps.io.order_check import plainest_stripes
from napari_dps.io.order_readings import Dims
from napari_dps.io.picking import unfolded
from napari_dps.io.raw import RawImage

_LAYOUTS = ((3, 3), (3, 5), (5, 3), (5, 5), (4, 3))
"""Angles and phases of usual raw stacks, the commonest first. Of fewer frames a sample
that moves may look like stripes."""

_ONE_ANGLE = (7, 5)
"""Phases of hexagonal and square lattices, which have one "angle": sets of frames are
compared with one another."""

_ASKED = {9: (3, 3), 15: (3, 5), 25: (5, 5)}
"""Frames that are asked about even where no stripes are seen, if nothing names them."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """That a plain stack holds raw SIM frames.

    Attributes
    ----------
    message : str
        A question to the user, with the settings to add by their paths in a file of
        settings, which front ends put into their words.
    is_plain_to_see : bool
        Whether stripes are seen; else the number of frames alone gives reason to ask.
    """

    message: str
    is_plain_to_see: bool


def suspect_raw(raw: RawImage) -> Suspicion | None:
    """Look whether frames that are to be taken for images show the stripes of SIM.

    The frames of one angle add up to the same widefield image: the test is that of the
    order of frames, `napari_dps.io.check_order`, tried with the usual counts.

    Parameters
    ----------
    raw : RawImage
        As its file holds it.

    Returns
    -------
    Suspicion or None
        None for images that a stage has made, and where the file names phases.
    """
    raw = unfolded(raw)
    if raw.metadata.history or "P" in raw.axes:
        return None
    dims = list(zip(raw.axes[:-2].lower(), raw.data.shape[:-2], strict=True))
    total = math.prod(size for _, size in dims)
    found = plainest_stripes(
        raw.data, _claims(dims, total, raw.z_holds), _repeated(total)
    )
    if found is not None:
        claim, best = found
        letters, counts = best.split()
        angles, phases = (int(n) for n in counts.split("×"))
        if claim in _repeated(total):
            angles, phases = 1, claim.size("p")
        order = f" input.order {letters}" if letters.startswith("p") else ""
        return Suspicion(
            f"{total} frames with stripes: raw SIM? Then add input.angles {angles} "
            f"input.phases {phases}{order}; input.order without a and p says that they "
            "are images",
            is_plain_to_see=True,
        )
    named = recognised(raw)
    if named is not None:
        return Suspicion(
            f"the file is of a {named.title}: if it holds raw SIM frames, add "
            f"input.instrument {named.key}",
            is_plain_to_see=False,
        )
    if total in _ASKED and all(letter == "q" for letter, _ in dims):
        angles, phases = _ASKED[total]
        return Suspicion(
            f"{total} frames are taken for {total} images; if they are raw SIM frames, "
            f"add input.angles {angles} input.phases {phases}",
            is_plain_to_see=False,
        )
    return None


def _claims(dims: Dims, total: int, z_holds: str) -> Iterator[FrameOrder]:
    """Orders to look at, of the counts that fit a number of frames."""
    for angles, phases in _LAYOUTS:
        if total % (angles * phases) == 0:
            try:
                yield sim_order(dims, angles, phases, None, z_holds)[0]
            except InputError:
                continue


def _repeated(total: int) -> list[FrameOrder]:
    """Return orders of one angle, with two or three sets of frames as the angles."""
    found = []
    for phases in _ONE_ANGLE:
        sets, rest = divmod(total, phases)
        compared = next((n for n in (3, 2) if sets % n == 0), 0)
        if compared and not rest:
            sizes = (sets // compared, compared, phases)
            found.append(FrameOrder("zap", sizes))
    return found
