"""From a result back to the raw frames that it was made of, while they are open."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari.layers import Image

from napari_dps._qt.bridge.layers import METADATA, entry_of
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.core import ImageStack, Pattern
from napari_dps.core.context import Context
from napari_dps.pipeline import Plan, Settings, StageOutput, open_input

RAW = "raw_frames"
"""Key in the metadata of a layer of the `RawLink` to the frames behind it."""
_GONE = (
    "the raw frames behind this layer are gone or were changed: its result is fitted "
    "to the layer alone"
)

Patterns = Mapping[tuple[int, ...], tuple[Pattern, ...]]
"""By place along the leading axes of an image."""


@dataclass(frozen=True, eq=False)
class RawLink:
    """Where the raw frames behind a layer are, and how they were read.

    It keeps neither a layer nor pixels in memory.

    Attributes
    ----------
    layer : weak reference to Image
        The layer of raw frames.
    data : callable
        Returns the pixels that it had, or None once they are gone.
    places : tuple of (int, int)
        Dimensions of that layer of which one place alone was run, and which.
    settings : Settings
        Of the run that the frames began.
    leading : str
        Leading axes of the results.
    patterns : mapping
        That the results were reconstructed with.
    at : tuple of (str, int)
        Leading axes of which later runs have kept one place alone, and which.
    """

    layer: weakref.ref[Image]
    data: Callable[[], Any]
    places: tuple[tuple[int, int], ...]
    settings: Settings
    leading: str
    patterns: Patterns
    at: tuple[tuple[str, int], ...] = ()

    def frames(self) -> LayerSnapshot | None:
        """Return the frames, if they are still what they were."""
        layer = self.layer()
        if layer is None or _pixels(layer) is not self.data():
            return None
        return LayerSnapshot.of(layer).at_places(dict(self.places))

    def of_part(self, places: Sequence[tuple[str, int]]) -> "RawLink":
        """Return the link of a result for one place of some leading axes."""
        link = self
        for axis, place in places:
            number = link.leading.index(axis)
            patterns = {
                (*index[:number], *index[number + 1 :]): found
                for index, found in link.patterns.items()
                if index[number] == place
            }
            leading = link.leading.replace(axis, "")
            at = (*link.at, (axis, place))
            link = replace(link, leading=leading, patterns=patterns, at=at)
        return link


def link_behind(snapshot: LayerSnapshot) -> RawLink | None:
    """Return what leads from a layer to its raw frames; None from other layers."""
    layer = snapshot.layer and snapshot.layer()
    link = entry_of(layer, RAW) if layer is not None else None
    if not isinstance(link, RawLink):
        return None
    places = [(_axis(layer, n), place) for n, place in snapshot.places]
    known = [(axis, place) for axis, place in places if axis in link.leading]
    return link.of_part(known)


def _axis(layer: Any, number: int) -> str:
    """Return the letter of a dimension of a result."""
    axes = entry_of(layer, "axes")
    return str(axes)[number] if isinstance(axes, str) else ""


def with_raw_frames(plan: Plan, link: RawLink | None, context: Context) -> Plan:
    """Return a plan with the raw frames behind its images, where a step uses them.

    Call it in a worker's thread.
    """
    wanted = any(step.stage.uses_raw_frames for step in plan.steps)
    if link is None or not wanted or plan.stack.is_raw:
        return plan
    frames = link.frames()
    if frames is None:
        context.warn(_GONE)
        return plan
    raw = open_input(frames.unread(), link.settings, check_order=False)
    raw = replace(raw, stack=_part(raw.stack, link.at))
    return plan.with_frames_of(raw, link.patterns)


def link_to_raw(
    snapshot: LayerSnapshot, settings: Settings, plan: Plan, output: StageOutput
) -> RawLink | None:
    """Return what is to lead from a result to its raw frames.

    None where there are none, or they are not those of the same time and place: of
    finer planes, of results after every angle, and of corrected lapses.
    """
    corrected = plan.output.drift_correct or plan.output.bleach_correct
    rolling = any(getattr(s.parameters, "rolling", False) for s in plan.steps)
    has_finer_z = any(step.finer_z(plan.stack) > 1 for step in plan.steps)
    if corrected or rolling or has_finer_z:
        return None
    link = link_behind(snapshot)
    if not plan.stack.is_raw:
        return link
    if link is not None:  # frames that were processed before
        return replace(link, leading=plan.leading, patterns=output.patterns)
    layer = snapshot.layer and snapshot.layer()
    if layer is None or plan.stack.is_processed:
        return None
    remembered = _remember(_pixels(layer))
    return RawLink(
        weakref.ref(layer),
        remembered,
        snapshot.places,
        settings,
        plan.leading,
        output.patterns,
    )


def attach(kwargs: dict[str, Any], link: RawLink | None) -> None:
    """Let the layer that keyword arguments make lead to its raw frames."""
    if link is not None:
        kwargs["metadata"][METADATA][RAW] = link


def _pixels(layer: Image) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def _remember(data: Any) -> Callable[[], Any]:
    """Return what gives pixels back while they are in memory for another reason."""
    try:
        return weakref.ref(data)
    except TypeError:  # an array of another library
        return lambda: data


def _part(stack: ImageStack, at: Sequence[tuple[str, int]]) -> ImageStack:
    """Return one place of some leading axes of a stack; nothing is read."""
    for axis, place in at:
        number = stack.axes.index(axis)
        data = stack.data[(slice(None),) * number + (place,)]
        optics = stack.optics
        if axis == "C":
            optics = stack.optics_of(place)
            stack = replace(stack, channel_optics=(), channel_names=())
        stack = stack.derive(data, axes=stack.axes.replace(axis, ""), optics=optics)
    return stack
