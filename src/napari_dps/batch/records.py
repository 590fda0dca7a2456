"""What is recorded of an input and its blocks beside pixels, as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from napari_dps.core import StackInfo
from napari_dps.pipeline.channel_run import Tally
from napari_dps.pipeline.corrections import Corrections
from napari_dps.pipeline.shared import Shared


@dataclass(frozen=True)
class Description:
    """A step's result for the first unit of a channel, but its pixels.

    Attributes
    ----------
    axes : str
        As of `ImageStack`.
    info : StackInfo
        All that it carries.
    maps : tuple of str
        Names of its maps.
    """

    axes: str
    info: StackInfo
    maps: tuple[str, ...]


@dataclass(frozen=True)
class BlockRecord:
    """What is known of a block beside its pixels.

    Attributes
    ----------
    tallies : list of Tally
        One a step.
    firsts : list of list of Description
        For each step those of the channels; of the first block only.
    """

    tallies: list[Tally]
    firsts: list[list[Description]]


RECORD = TypeAdapter(BlockRecord)
SHARED_LIST = TypeAdapter(tuple[Shared, ...])
CORRECTIONS = TypeAdapter(Corrections)
