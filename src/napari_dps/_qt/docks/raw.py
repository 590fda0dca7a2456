"""The first page of the workbench: what the raw frames are, and all steps at once."""

from collections.abc import Callable

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtWidgets import QLabel, QWidget

from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.raw_layers import layers_of
from napari_dps._qt.bridge.run_input import RunInput, choose_stages, stages_done
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.docks.run_panel import Chosen, RunPanel
from napari_dps._qt.widgets.layout import fill, push_button
from napari_dps._qt.widgets.raw_strip import RawStrip
from napari_dps._qt.widgets.steps import StageBoxes
from napari_dps.core import InputError, StageParameters


class RawWidget(QWidget):
    """Asks what a layer holds, and runs the stages that are ticked.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are the input.
    microscope : Microscope
        Shared with the other docks.
    parameters : callable
        Returns the parameters of a stage, as set on its page.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        microscope: Microscope,
        parameters: Callable[[str], StageParameters],
    ) -> None:
        super().__init__()
        self._parameters = parameters
        self._undo: tuple[Image, list[Image]] | None = None
        self.strip = RawStrip()
        self.boxes = StageBoxes()
        self.undo_button = push_button(
            "Undo Apply", "Bring the layer back as it was opened.", self.undo
        )
        self.undo_button.hide()
        title = QLabel("Run all: the steps that are ticked")
        self.panel = RunPanel(
            viewer,
            microscope,
            title="Run all",
            run_texts=("Run all", "Cancel"),
            run_input=RunInput(("APYX", "YX"), needs_optics=True),
            choose=self._chosen,
            body=[self.undo_button, title, self.boxes],
            frames=self.strip,
            prepare=self.apply,
        )
        fill(self, self.panel)
        self.strip.applyClicked.connect(self.apply)
        self.boxes.valueChanged.connect(self.panel.check)
        self.panel.returned.connect(self.panel.show_outcome)

    def apply(self) -> None:
        """Replace a plain layer by one with named axes, as the strip reads it."""
        layer, viewer = self.panel.combo.value(), self.panel.viewer
        if layer is None or not self.strip.is_on:
            return
        reading = self.strip.reading
        other = None if reading is None else reading.other_frames
        size = self.panel.microscope.value().get("pixel_size_nm")
        size_nm = size if isinstance(size, float | int) else None
        try:
            made = layers_of(layer, self.strip.value(), other, size_nm)
        except InputError as error:
            self.panel.bar.messages.show_texts([in_docks(error)], "error")
            return
        # Before it is gone its values are handed on; while both are there napari warns
        # of units that differ.
        viewer.layers.remove(layer)
        for one in made:
            self.panel.shared.hand_on(layer, to=one)
            viewer.add_layer(one)
        self._choose(made[-1])
        self._undo = (layer, made)
        self.undo_button.show()

    def undo(self) -> None:
        """Bring the plain layer back."""
        if self._undo is None:
            return
        layer, made = self._undo
        self._undo = None
        self.undo_button.hide()
        viewer = self.panel.viewer
        for one in made:
            if one in viewer.layers:
                viewer.layers.remove(one)
        viewer.add_layer(layer)
        self._choose(layer)

    def _choose(self, layer: Image) -> None:
        """Take a new layer as the input, and look at all of it."""
        self.panel.viewer.layers.selection.active = layer
        self.panel.viewer.reset_view()
        self.panel.refresh_layers()
        self.panel.combo.setValue(layer)

    def _chosen(self, layer: Image | None, is_raw: bool) -> Chosen:
        done = stages_done(layer)
        ticked = self.boxes.value()
        return choose_stages(ticked, self._parameters, is_raw=is_raw, done=done)
