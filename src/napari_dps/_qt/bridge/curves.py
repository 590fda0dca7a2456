"""Curves and marks of a plot, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_dps._qt.bridge.colours import COLOURS
from napari_dps.metrics.profile import LineProfile


@dataclass(frozen=True, eq=False)
class Curve:
    """A line of a plot."""

    x: NDArray[Any]
    y: NDArray[Any]
    label: str = ""
    colour: str = COLOURS[0]


@dataclass(frozen=True)
class Mark:
    """A position along x, with a word on it."""

    x: float
    label: str
    colour: str = COLOURS[1]
    is_dashed: bool = False


def profile_curves(
    profiles: Sequence[tuple[str, LineProfile, LineProfile | None]],
) -> list[Curve]:
    """Return a curve for each profile, with its widths in the label.

    Parameters
    ----------
    profiles : sequence of (str, LineProfile, LineProfile or None)
        Names of layers, the profiles along their lines, and those along z.
    """
    curves = []
    for number, (name, profile, depth) in enumerate(profiles):
        width = f"{profile.fwhm:.0f} {profile.unit}" if profile.fwhm else "–"
        what = "peaks not separated, together" if profile.is_merged else "FWHM"
        label = f"{name}   {what} {width}"
        if depth is not None:
            unit = "planes" if depth.unit == "px" else depth.unit
            label += f", in z {depth.fwhm:.0f} {unit}" if depth.fwhm else ", in z –"
        colour = COLOURS[number % len(COLOURS)]
        curves.append(Curve(profile.distance, profile.relative, label, colour))
    return curves
