"""What a run shares with its stages: device, warnings, cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from napari_dps.core.networks import NetworkSettings
from napari_dps.core.otf import MeasuredOtf
from napari_dps.core.types import ImageStack


@dataclass(frozen=True, eq=False)
class TimePoint:
    """What a stage gets of one time point, and what it has found of it.

    Attributes
    ----------
    image : ImageStack
        A unit, as the stage takes it.
    found : dict
        The stage's own: what it needs anew at every time point in whose window this
        one lies. It must follow from the image and the parameters alone.
    where : str
        Its place, as of `Context`.
    """

    image: ImageStack
    found: dict[Any, Any] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True)
class Neighbours:
    """The time points around the one that a stage works on, in its plane and channel.

    Attributes
    ----------
    here : TimePoint or None
        The time point itself; None where a unit is run by itself.
    before, after : tuple of TimePoint
        Nearest first; fewer at the ends of a time-lapse.
    """

    here: TimePoint | None = None
    before: tuple[TimePoint, ...] = ()
    after: tuple[TimePoint, ...] = ()


@dataclass
class Context:
    """What a run shares with its stages.

    Attributes
    ----------
    device : str
        As for `napari_dps.core.device.resolve_device`.
    warnings : list of str
        Filled by `warn`; they end in the report, the CLI's output and the dock.
    cache : dict
        Things that depend on parameters and shapes alone (weights of a filter, FFT
        plans), kept from plane to plane of a time-lapse.
    told : dict
        What was said of places of a stack, by what it is: of many not all are named.
    weights_sha256 : str or None
        Hash of the network that the stage has used; see `use_weights`.
    tile_px : int or None
        Longest edge of the tiles that large planes are worked on in, in pixels of the
        grid that is worked on, overlap not counted; 64 or more. None: as the free
        memory allows. Smaller tiles are used, with a warning, if the memory runs out.
    networks : NetworkSettings
        How networks compute.
    otf : MeasuredOtf or None
        Measured OTF of the detection, to be used in place of the ideal one.
    planes, time_points : int
        Number of focal planes, and of time points, that the frames are the mean of,
        while what the units of a stack share is found.
    units : int
        Number of planes, or sets of raw frames, that are run one after the other: what
        cannot be computed of an only one is refused, of one of several told.
    where : str
        Place of a unit among these, for a person: " (T 3/10)".
    series : callable or None
        While the same is found of a time-lapse whose wave vectors are known: returns
        some of its time points, evenly spaced and in order, each with the mean of its
        planes. They are read one by one.
    examines : bool
        Whether every stack of raw frames is examined for hot pixels, displacement
        between angles and stripes that are left. Else the hot pixels found last are
        replaced: a live view has no time for more.
    neighbours : Neighbours
        Of a stage that asks for them; see `Stage.window`.
    found : dict or None
        What the first step has found of time points (see `TimePoint`), by channel and
        place, where another run of the same time points is to follow.
    """

    device: str = "auto"
    warnings: list[str] = field(default_factory=list)
    cache: dict[Any, Any] = field(default_factory=dict)
    told: dict[Any, Any] = field(default_factory=dict)
    weights_sha256: str | None = None
    tile_px: int | None = None
    networks: NetworkSettings = field(default_factory=NetworkSettings)
    otf: MeasuredOtf | None = None
    planes: int = 1
    time_points: int = 1
    units: int = 1
    where: str = ""
    series: Callable[[], Iterable[tuple[int, ImageStack]]] | None = None
    examines: bool = True
    neighbours: Neighbours = field(default_factory=Neighbours)
    found: dict[Any, dict[Any, Any]] | None = None

    def warn(self, message: str) -> None:
        """Record a warning for the user, once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def forget(self) -> None:
        """Begin anew with the warnings: another run is to follow."""
        self.warnings.clear()
        self.told.clear()

    def part(self) -> Context:
        """Return a context with warnings of its own that shares all else."""
        return replace(self, warnings=[])

    def take_over(self, part: Context, label: str = "") -> list[str]:
        """Record the warnings of a part, with a label; return them."""
        labelled = [label + text for text in part.warnings]
        for text in labelled:
            self.warn(text)
        return labelled

    @property
    def precision(self) -> str | None:
        """Precision of the network that the stage has used, unless it is float32."""
        used = self.weights_sha256 and self.networks.precision
        return None if used == "float32" else used

    def use_weights(self, sha256: str) -> None:
        """Record which weights a stage uses, for its entry in the history."""
        self.weights_sha256 = sha256
