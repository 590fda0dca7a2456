"""One class a stage, for the manifest; a stage of `STAGES` without one fails a test."""

from napari_dps._qt.stage_widget import StageWidget


class ReconstructWidget(StageWidget):
    """SIM reconstruction."""

    stage_id = "reconstruct"


class BackgroundWidget(StageWidget):
    """Background removal."""

    stage_id = "background"


class DpsWidget(StageWidget):
    """Super-resolution."""

    stage_id = "dps"
