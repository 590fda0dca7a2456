"""The workbench: from raw frames to a compared result, a page a step."""

from collections.abc import Mapping
from typing import Any

import napari.viewer
from napari.layers import Image
from qtpy.QtWidgets import QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from napari_dps._qt.bridge.dock_tabs import DockTabs
from napari_dps._qt.bridge.layers import why_not
from napari_dps._qt.bridge.microscope import Microscope, shared_microscope
from napari_dps._qt.docks.compare import CompareWidget
from napari_dps._qt.docks.raw import RawWidget
from napari_dps._qt.docks.stage import StageWidget
from napari_dps._qt.docks.stage_docks import STAGE_DOCKS
from napari_dps._qt.widgets.editors import BoolEdit
from napari_dps._qt.widgets.layout import (
    add_shortcut,
    hint_label,
    push_button,
    row_of,
)
from napari_dps._qt.widgets.steps import StepBar
from napari_dps.core import StageParameters
from napari_dps.pipeline import find_stage
from napari_dps.stages import STAGES

RAW, COMPARE = "raw", "compare"
_PURPOSES = {
    RAW: "What the layer holds, by which microscope it was taken, and all steps at "
    "once.",
    COMPARE: "Measures layers beside one another, alone or against a reference.",
}
_WIDTH_PX = 418


class WorkbenchWidget(QWidget):
    """All steps in one dock; what one gives is carried to the next.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari; a `ViewerModel` does as well.
    microscope : Microscope, optional
        By default the one that all docks share.
    """

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
    ) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self._shared = microscope or shared_microscope()
        self._results: dict[str, Image] = {}
        names = {stage.id: stage.name for stage in STAGES}
        self._titles = {RAW: "Raw", **names, COMPARE: "Compare"}
        self.steps = StepBar(self._titles)
        for stage in STAGES:
            self.steps.buttons[stage.id].setToolTip(stage.title)
        self.purpose = hint_label()
        self.advanced = BoolEdit("Advanced")
        self.advanced.setToolTip("Show all parameters, the device and the tables.")
        self.pages = QStackedWidget()
        self._page_of: dict[str, QWidget] = {}
        self.next_button = push_button("", slot=self.go_on)
        add_shortcut(self, "Ctrl+Alt+Right", self.next_button)
        self._lay_out()
        DockTabs(self)
        self.steps.valueChanged.connect(self._on_step)
        self.advanced.valueChanged.connect(self._show_basic)
        self._on_step()

    def page(self, step: str) -> Any:
        """Return the page of a step; it is made when it is first asked for."""
        if step not in self._page_of:
            page = self._make(step)
            self._page_of[step] = page
            self.pages.addWidget(page)
        return self._page_of[step]

    def go_on(self) -> None:
        """Show the next step, with what this one has given as its input."""
        step, layer = self._next()
        self.steps.setValue(step)
        page = self.page(step)
        if isinstance(page, StageWidget) and layer is not None:
            page.panel.combo.setValue(layer)
        elif isinstance(page, CompareWidget):
            page.compare_family(self._source(), list(self._results.values()))

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        column.addWidget(self.steps)
        head = row_of(self.purpose, self.advanced)
        head.layout().setStretch(0, 1)
        column.addWidget(head)
        # Without a content that wants the height napari adds empty space below.
        policy = QSizePolicy.Policy.Expanding
        self.pages.setSizePolicy(policy, policy)
        column.addWidget(self.pages, 1)
        column.addWidget(self.next_button)
        self.setMinimumWidth(_WIDTH_PX)

    def _make(self, step: str) -> QWidget:
        if step == COMPARE:
            return CompareWidget(self.viewer)
        if step == RAW:
            raw = RawWidget(self.viewer, self._shared, self._parameters)
            raw.panel.show_basic(not self.advanced.value())
            raw.panel.added.connect(self._on_added)
            raw.panel.layerChanged.connect(self._show_next)
            return raw
        page = STAGE_DOCKS[step](self.viewer, self._shared)
        page.show_basic(not self.advanced.value())
        page.panel.added.connect(self._on_added)
        return page

    def _parameters(self, stage_id: str) -> StageParameters:
        """Return the parameters of a stage: those of its page, where there is one."""
        page = self._page_of.get(stage_id)
        if isinstance(page, StageWidget):
            parameters: StageParameters = page.form.value()
            return parameters
        chosen = self._shared.weights.parameters(stage_id)
        return find_stage(stage_id).parameters(**chosen)

    def _on_step(self) -> None:
        step = self.steps.value()
        purposes = {
            stage.id: stage.purpose or stage.title for stage in STAGES
        } | _PURPOSES
        self.purpose.setText(purposes[step])
        self.pages.setCurrentWidget(self.page(step))
        self.advanced.setVisible(step != COMPARE)
        self._show_next()

    def _show_basic(self) -> None:
        is_basic = not self.advanced.value()
        for page in self._page_of.values():
            if isinstance(page, StageWidget):
                page.show_basic(is_basic)
            elif isinstance(page, RawWidget):
                page.panel.show_basic(is_basic)

    def _on_added(self, made: Mapping[str, Image]) -> None:
        """Remember the results, and offer what comes after them."""
        for step, layer in made.items():
            self._results[step] = layer
            self.steps.mark_done(step)
        self._show_next()

    def _source(self) -> Image | None:
        """Return the layer that all began with."""
        layer: Image | None = self.page(RAW).panel.combo.value()
        return layer

    def _next(self) -> tuple[str, Image | None]:
        """Return the step after this one, and the layer that it is to take."""
        steps, step = list(self._titles), self.steps.value()
        made = [s for s in self._results if self._results[s] in self.viewer.layers]
        if step == RAW and made and made[-1] != RAW:
            return COMPARE, None
        layer = self._source() if step == RAW else self._results.get(step)
        for following in steps[steps.index(step) + 1 : -1]:
            stage = find_stage(following)
            fits = layer is None or not why_not(layer, stage.takes)
            if fits and stage.by_default:
                return following, layer
        return COMPARE, None

    def _show_next(self) -> None:
        step = self.steps.value()
        self.next_button.setVisible(step != COMPARE)
        if step != COMPARE:
            following, layer = self._next()
            self.next_button.setText(f"Next: {self._titles[following]}")
            tip = "" if layer is None else f"with {layer.name}"
            self.next_button.setToolTip(tip)
