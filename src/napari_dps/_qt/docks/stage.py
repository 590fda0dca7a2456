"""The dock of one stage, made from `STAGES`."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import napari.viewer
from napari.layers import Image
from qtpy.QtWidgets import QWidget

from napari_dps._qt.bridge.dock_tabs import DockTabs
from napari_dps._qt.bridge.microscope import Microscope, shared_microscope
from napari_dps._qt.bridge.run_input import RunInput
from napari_dps._qt.docks.run_panel import Chosen, RunPanel
from napari_dps._qt.widgets.form import ModelForm
from napari_dps._qt.widgets.layout import fill
from napari_dps._qt.widgets.stage_list import parameter_section
from napari_dps.core import Pattern
from napari_dps.pipeline import find_stage


class StageWidget(QWidget):
    """Runs one stage on a layer; a subclass names the stage.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari; a `ViewerModel` does as well.
    microscope : Microscope, optional
        By default the one that all docks share.
    above, below : sequence of QWidget
        What stands above and below the parameters.
    patterns : callable, optional
        Returns patterns that are set before the run.
    """

    stage_id: ClassVar[str]

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
        *,
        above: Sequence[QWidget] = (),
        below: Sequence[QWidget] = (),
        patterns: Callable[[], tuple[Pattern, ...]] = tuple,
    ) -> None:
        super().__init__()
        self.stage = find_stage(self.stage_id)
        self.form = ModelForm(self.stage.parameters)
        self.panel = RunPanel(
            napari_viewer,
            microscope or shared_microscope(),
            title=self.stage.title,
            run_input=RunInput(
                (self.stage.takes,), self.stage.needs_optics, self.stage.id
            ),
            choose=self._chosen,
            body=[*above, parameter_section("Parameters", self.form), *below],
            patterns=patterns,
        )
        fill(self, self.panel)
        DockTabs(self)
        self.form.valueChanged.connect(self.panel.check)
        self.panel.returned.connect(self.panel.show_outcome)

    def show_basic(self, is_basic: bool) -> None:
        """Show what matters first alone, or all there is."""
        self.form.show_basic(is_basic)
        self.panel.show_basic(is_basic)

    def _chosen(self, _layer: Image | None, _is_raw: bool) -> Chosen:
        return {self.stage.id: self.form.value()}
