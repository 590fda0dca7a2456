"""What docks that run stages share: input, microscope, Run, and what becomes of it."""

from functools import partial

import napari.viewer
from napari.layers import Image
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dps._qt.bridge.layers import Source, describe_layer, has_frames, shown_point
from napari_dps._qt.bridge.microscope import Microscope, shared_microscope
from napari_dps._qt.bridge.task import Outcome, Task, work
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.docks.viewer_widget import ViewerWidget
from napari_dps._qt.widgets.frames import FramesWidget
from napari_dps._qt.widgets.layer_combo import LayerCombo
from napari_dps._qt.widgets.layout import hint_label, scrolled
from napari_dps._qt.widgets.microscope import MicroscopeWidget
from napari_dps._qt.widgets.run_bar import RunBar
from napari_dps._qt.widgets.section import Section
from napari_dps.core import InputError, Pattern
from napari_dps.core.context import Context
from napari_dps.pipeline import InputSettings, Settings

_WIDTH_PX = 380


class RunWidget(ViewerWidget):
    """A dock that runs stages on a layer.

    A subclass gives ``title``, ``takes_raw``, ``needs_optics``, `reason_against`,
    `body` and `settings`; ``may_be_plain`` where both kinds of image are welcome.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari; a `ViewerModel` does as well.
    microscope : Microscope, optional
        By default the one that all docks share.
    """

    title: str
    takes_raw: bool
    needs_optics: bool
    may_be_plain = False

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
    ) -> None:
        super().__init__(napari_viewer)
        self.setMinimumWidth(_WIDTH_PX)
        self.shared = microscope or shared_microscope()
        self.context = Context()
        self.microscope = MicroscopeWidget(self.shared)
        self.combo = LayerCombo(self.reason_against)
        self.info = hint_label()
        self.frames = FramesWidget(is_optional=self.may_be_plain)
        self.bar = RunBar(self.shared, self.title)
        self._lay_out()
        self.combo.layerChanged.connect(self._on_layer)
        self.microscope.valueChanged.connect(self.check)
        self.frames.valueChanged.connect(self.check)
        self.bar.runClicked.connect(self.run)
        self.bar.runner.returned.connect(self.on_outcome)
        self._on_layer(None)

    def reason_against(self, layer: Image) -> str:
        """Say why a layer cannot be the input; empty if it can."""
        raise NotImplementedError

    def body(self) -> list[QWidget]:
        """Return what stands between microscope and Run."""
        raise NotImplementedError

    def settings(self) -> Settings:
        """Return what is set, as a file of settings would say it.

        Raises
        ------
        InputError
            If values do not fit together.
        """
        raise NotImplementedError

    def patterns(self) -> tuple[Pattern, ...]:
        """Return patterns that are known before the run."""
        return ()

    def optics(self) -> dict[str, float]:
        """Return the optics for the settings: all that is needed, or nothing."""
        return {} if self.microscope.missing else self.microscope.optics

    def input_settings(self) -> InputSettings:
        """Return how the layer is to be read."""
        given = self.frames.values() if self.takes_raw else {}
        return InputSettings(camera_offset=self.microscope.camera_offset, **given)

    def refresh_layers(self) -> None:
        """Look at the layers of the viewer anew."""
        active = self.viewer.layers.selection.active
        self.combo.refresh(self.viewer.layers, prefer=active)
        self.check()

    def run(self) -> None:
        """Start a run on the chosen layer; nothing happens while one is going on."""
        layer = self.combo.layer()
        if layer is None or self.bar.runner.is_running:
            return
        try:
            task = self.task(layer)
        except InputError as error:
            self.bar.messages.show_texts([in_docks(error)], "error")
            return
        self.bar.start(partial(work, task))

    def task(self, layer: Image) -> Task:
        """Return what a click on Run asks for.

        Raises
        ------
        InputError
            If something that is set cannot be used.
        """
        self.context.device = self.shared.device
        shown = shown_point(self.viewer, layer)
        source = Source.of(layer, shown if self.bar.frame_only.isChecked() else None)
        return Task(source, self.settings(), self.context, self.patterns())

    def on_outcome(self, outcome: Outcome) -> None:
        """Add the layers of a result and show what the stages had to say."""
        for data, kwargs, _ in outcome.layers:
            self.viewer.add_layer(Image(data, **kwargs))
        self.bar.done(outcome.warnings, outcome.seconds)

    def check(self) -> None:
        """Say at once what keeps Run from being clicked."""
        self.bar.refuse(self._reason())

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 4, 8, 4)
        column.setSpacing(6)
        column.addWidget(self.combo)
        column.addWidget(self.info)
        column.addWidget(self.frames)
        column.addWidget(self._microscope_section())
        for widget in self.body():
            column.addWidget(widget)
        column.addStretch(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(6, 6, 6, 6)
        whole.addWidget(scrolled(inside), 1)
        whole.addWidget(self.bar)

    def _microscope_section(self) -> Section:
        tip = "Shared by all docks and remembered."
        self.optics_section = Section(
            "Microscope", self.microscope, is_open=False, tip=tip
        )
        self.microscope.valueChanged.connect(self._show_summary)
        return self.optics_section

    def _show_summary(self) -> None:
        """Say in the heading what is set, so that it can stay folded."""
        known = self.microscope.optics
        texts = [f"NA {known['na']:g}"] if "na" in known else []
        for name in ("emission_nm", "pixel_size_nm"):
            texts += [f"{known[name]:g} nm"] if name in known else []
        self.optics_section.setTitle(", ".join(["Microscope", *texts]))

    def _on_layer(self, layer: Image | None) -> None:
        self.microscope.set_layer(layer)
        if layer is not None:
            is_asked = self.needs_optics and bool(self.microscope.missing)
            self.optics_section.setOpen(is_asked)
        self.frames.set_layer(layer if self.takes_raw else None)
        self.info.setText(describe_layer(layer) if layer is not None else "")
        self.bar.frame_only.setVisible(layer is not None and has_frames(layer))
        self.check()

    def _reason(self) -> str:
        if self.combo.layer() is None:
            wanted = "raw SIM frames" if self.takes_raw else "an image"
            return f"Open {wanted}, or File ▸ Open Sample ▸ Denoise-DPS."
        if self.needs_optics and self.microscope.missing:
            names = ", ".join(self.microscope.missing)
            return f"Set the microscope: {names}."
        try:
            self.settings()
        except InputError as error:
            return in_docks(error)
        return ""
