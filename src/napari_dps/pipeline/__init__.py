"""Stages in order, over all leading axes: the one entry that GUI and CLI share."""

from napari_dps.pipeline.given import give_patterns
from napari_dps.pipeline.planes import first_plane, first_unit
from napari_dps.pipeline.run import PipelineResult, StageOutput, as_given, run
from napari_dps.pipeline.settings import (
    InputSettings,
    OutputSettings,
    Settings,
    merge_tables,
    read_tables,
    save_settings,
)
from napari_dps.pipeline.steps import Step, choose_steps, find_stage, left_out

__all__ = [
    "InputSettings",
    "OutputSettings",
    "PipelineResult",
    "Settings",
    "StageOutput",
    "Step",
    "as_given",
    "choose_steps",
    "find_stage",
    "first_plane",
    "first_unit",
    "give_patterns",
    "left_out",
    "merge_tables",
    "read_tables",
    "run",
    "save_settings",
]
