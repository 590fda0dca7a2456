"""Stages in order, over all leading axes: the one entry that GUI and CLI share.

To read in this order: `open` (a file and settings), `plan` (stack, steps, units), `run`
(in memory) or `stream` (unit by unit, with what `shared` finds first), `result`.
"""

from napari_dps.pipeline.input_settings import InputSettings
from napari_dps.pipeline.open import open_input, open_stack, reopened
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.planes import first_plane, first_unit, first_volume
from napari_dps.pipeline.result import PipelineResult, StageOutput
from napari_dps.pipeline.run import run, run_plan
from napari_dps.pipeline.settings import (
    OutputSettings,
    Settings,
    merge_tables,
    read_tables,
    save_settings,
)
from napari_dps.pipeline.steps import Step, choose_steps, find_stage, suited_stages
from napari_dps.pipeline.wave_vectors import read_patterns

__all__ = [
    "InputSettings",
    "OutputSettings",
    "PipelineResult",
    "Plan",
    "Settings",
    "StageOutput",
    "Step",
    "choose_steps",
    "find_stage",
    "first_plane",
    "first_unit",
    "first_volume",
    "merge_tables",
    "open_input",
    "open_stack",
    "read_patterns",
    "read_tables",
    "reopened",
    "run",
    "run_plan",
    "save_settings",
    "suited_stages",
]
