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


def profile_curves(profiles: Sequence[tuple[str, LineProfile]]) -> list[Curve]:
    """Return a curve for each profile, with its width in the label.

    Parameters
    ----------
    profiles : sequence of (str, LineProfile)
        Names of layers and the profiles along their lines.
    """
    curves = []
    for number, (name, profile) in enumerate(profiles):
        width = f"{profile.fwhm:.0f} {profile.unit}" if profile.fwhm else "–"
        what = "peaks not separated, together" if profile.is_merged else "FWHM"
        label = f"{name}   {what} {width}"
        colour = COLOURS[number % len(COLOURS)]
        curves.append(Curve(profile.distance, profile.relative, label, colour))
    return curves
