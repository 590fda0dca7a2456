"""One class a stage, for the manifest; a stage of `STAGES` without one fails a test."""

from napari_dps._qt.docks.reconstruct import ReconstructWidget
from napari_dps._qt.docks.stage import StageWidget

__all__ = [
    "ArtifactsWidget",
    "BackgroundWidget",
    "DenoiseWidget",
    "DpsWidget",
    "ReconstructWidget",
]


class DenoiseWidget(StageWidget):
    """Denoising of raw frames."""

    stage_id = "denoise"


class ArtifactsWidget(StageWidget):
    """Artefact removal."""

    stage_id = "artifacts"


class BackgroundWidget(StageWidget):
    """Background removal."""

    stage_id = "background"


class DpsWidget(StageWidget):
    """Super-resolution."""

    stage_id = "dps"
