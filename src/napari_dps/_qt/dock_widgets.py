"""The docks that the manifest names; ``DpsWidget`` is that of the stage ``dps``."""

from napari_dps._qt.docks.compare import CompareWidget
from napari_dps._qt.docks.live import LiveWidget
from napari_dps._qt.docks.pipeline import PipelineWidget
from napari_dps._qt.docks.psf import PsfWidget
from napari_dps._qt.docks.stage_docks import STAGE_DOCKS, dock_name
from napari_dps._qt.docks.training import TrainingWidget
from napari_dps._qt.docks.workbench import WorkbenchWidget

__all__ = [
    "CompareWidget",
    "LiveWidget",
    "PipelineWidget",
    "PsfWidget",
    "TrainingWidget",
    "WorkbenchWidget",
]

_STAGE_DOCKS = {dock_name(stage_id): dock for stage_id, dock in STAGE_DOCKS.items()}
globals().update(_STAGE_DOCKS)
__all__ += list(_STAGE_DOCKS)
