"""The raw frames behind images that an earlier run has made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from napari_dps.core import ImageStack, Pattern
from napari_dps.core.context import Context
from napari_dps.pipeline.units import Channel, Index, Unit


@dataclass(frozen=True, eq=False)
class RawBehind:
    """Raw frames that the images of one channel were made of, unit by unit.

    Attributes
    ----------
    channel : Channel
        Of the frames as they were recorded; T and Z as of the images.
    patterns : mapping of tuple of int to tuple of Pattern
        Those that each image was reconstructed with, by its place along the leading
        axes; where there is none, those that the images carry.
    """

    channel: Channel
    patterns: Mapping[Index, tuple[Pattern, ...]] = field(default_factory=dict)

    def attached_to(self, image: ImageStack, unit: Unit) -> ImageStack:
        """Return an image with its frames, as in the run that reconstructed it."""
        from napari_dps.methods.sim.raw import corrected_frames
        from napari_dps.methods.sim.volume_finding import (
            volume_frames,
            with_frames_kept,
        )

        # What there is to warn of was told when they were reconstructed.
        told = Context(units=self.channel.unit_count)
        raw, index = self.channel.image(unit), unit.index
        if raw.axes == "ZAPYX":
            raw = with_frames_kept(raw, volume_frames(raw, told))
            index = (*index, 0)  # all planes have the patterns of the first
        else:
            raw = corrected_frames(raw, told)
        patterns = self.patterns.get(index, image.patterns)
        return replace(image, frames=raw.frames, patterns=patterns)
