"""The docks that the manifest names; ``DpsWidget`` is that of the stage ``dps``.

Those of the stages are made from `STAGES`; only a dock that shows more than its
parameters is written by hand.
"""

from typing import Any

from napari_dps._qt.docks.compare import CompareWidget
from napari_dps._qt.docks.live import LiveWidget
from napari_dps._qt.docks.pipeline import PipelineWidget
from napari_dps._qt.docks.psf import PsfWidget
from napari_dps._qt.docks.reconstruct import ReconstructWidget
from napari_dps._qt.docks.stage import StageWidget
from napari_dps.stages import STAGES, Stage

__all__ = ["CompareWidget", "LiveWidget", "PipelineWidget", "PsfWidget"]


def _name(stage_id: str) -> str:
    return f"{stage_id.title().replace('_', '')}Widget"


def _dock(stage: Stage[Any]) -> type[StageWidget]:
    """Make the class of the dock of a stage."""
    members = {
        "__doc__": f"{stage.title}.",
        "__module__": __name__,
        "stage_id": stage.id,
    }
    return type(_name(stage.id), (StageWidget,), members)


_BY_HAND = {"reconstruct": ReconstructWidget}
_STAGE_DOCKS = {
    _name(stage.id): _BY_HAND.get(stage.id) or _dock(stage) for stage in STAGES
}
globals().update(_STAGE_DOCKS)
__all__ += list(_STAGE_DOCKS)
