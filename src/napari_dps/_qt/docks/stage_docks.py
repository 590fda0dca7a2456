"""The class of the dock of each stage, made from `STAGES`.

Only a dock that shows more than its parameters is written by hand.
"""

from typing import Any

from napari_dps._qt.docks.reconstruct import ReconstructWidget
from napari_dps._qt.docks.stage import StageWidget
from napari_dps.stages import STAGES, Stage

_BY_HAND: dict[str, type[StageWidget]] = {"reconstruct": ReconstructWidget}


def dock_name(stage_id: str) -> str:
    """Return the name of the class of a stage's dock.

    Examples
    --------
    >>> dock_name("dps")
    'DpsWidget'
    """
    return f"{stage_id.title().replace('_', '')}Widget"


def _dock(stage: Stage[Any]) -> type[StageWidget]:
    """Make the class of the dock of a stage."""
    members = {
        "__doc__": f"{stage.title}.",
        "__module__": __name__,
        "stage_id": stage.id,
    }
    return type(dock_name(stage.id), (StageWidget,), members)


STAGE_DOCKS = {stage.id: _BY_HAND.get(stage.id) or _dock(stage) for stage in STAGES}
"""Classes of docks by the ids of their stages, in the order of `STAGES`."""
