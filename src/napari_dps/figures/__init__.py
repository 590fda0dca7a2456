"""Pictures of results and of PSFs, drawn without a display."""

from napari_dps.figures.otf_plot import otf_figure
from napari_dps.figures.panels import Panel, display_limits, side_by_side
from napari_dps.figures.psf_plot import psf_figure
from napari_dps.figures.sections import Section
from napari_dps.figures.theme import save_figure

__all__ = [
    "Panel",
    "Section",
    "display_limits",
    "otf_figure",
    "psf_figure",
    "save_figure",
    "side_by_side",
]
