"""What docks that run stages are built of: input, microscope, Run and its results."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_dps._qt.bridge.layer_events import LayerEvents
from napari_dps._qt.bridge.layers import (
    MAP,
    describe_layer,
    has_frames,
    maps_among,
    role_of,
    shown_point,
)
from napari_dps._qt.bridge.mends import Mend, mend_of
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.run_input import RunInput
from napari_dps._qt.bridge.run_request import Outcome, RunRequest, work
from napari_dps._qt.bridge.runner import Steps
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.copy_as import CopyAs
from napari_dps._qt.widgets.device import DeviceEdit
from napari_dps._qt.widgets.editors import BoolEdit
from napari_dps._qt.widgets.frames import FramesWidget
from napari_dps._qt.widgets.input_options import InputOptions
from napari_dps._qt.widgets.layer_combo import LayerCombo
from napari_dps._qt.widgets.layout import (
    add_shortcut,
    dock_columns,
    hint_label,
    row_of,
)
from napari_dps._qt.widgets.map_views import MapViews
from napari_dps._qt.widgets.microscope import MicroscopeWidget, missing_of
from napari_dps._qt.widgets.raw_strip import RawStrip
from napari_dps._qt.widgets.run_bar import RunBar
from napari_dps._qt.widgets.save_result import SaveResult, saved_text
from napari_dps._qt.widgets.section import Section
from napari_dps.core import InputError, Pattern, StageParameters
from napari_dps.core.context import Context
from napari_dps.io import ResultFiles
from napari_dps.pipeline import InputSettings, Settings

_WIDTH_PX = 416
_OPTIONS_TIP = "Parts of the input, and maps of cameras with unequal pixels."

Chosen = Mapping[str, StageParameters]
"""Parameters of the stages to run, by their ids, in order."""
Begin = Callable[[Image, Settings, Context], Callable[[], Steps]]
"""Returns what makes the steps of a run on a layer; raises `InputError`."""


class RunPanel(QWidget):
    """Runs stages on a layer of a viewer and adds their results.

    Signals
    -------
    returned : Outcome
        Of a run that came to its end; nothing was added to the viewer yet.
    added : dict of str to Image
        The layers of a result are in the viewer: the image of each stage, by its id.
    layerChanged
        Another layer is the input.
    mended : mapping of str to mapping
        Parameters by stage that a click on the mend of a warning asks for, before the
        stages run again.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are the input.
    microscope : Microscope
        Shared with the other docks.
    title : str
        What a run is called.
    run_input : RunInput
        Which layers are welcome.
    choose : callable
        Takes the layer, or None, and whether it is seen as raw frames; returns the
        stages to run; raises `InputError` if they do not fit it.
    body : sequence of QWidget
        What stands between microscope and Run.
    begin : callable, optional
        Takes the layer, the settings and the context; returns what makes the steps of a
        run. By default the stages run once, on the layer as it is.
    run_texts : (str, str)
        Of the buttons that start and stop a run.
    lane : str
        As of `Runner`.
    patterns : callable, optional
        Returns patterns that are known before the run, or the name of a file of them;
        empty to find them. Asked for raw frames alone.
    frames : FramesWidget or RawStrip, optional
        Asks how the frames of unnamed layers are to be read.
    prepare : callable, optional
        Called when Run is clicked, before the layer is looked at.
    """

    returned = Signal(object)
    added = Signal(object)
    layerChanged = Signal()
    mended = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        microscope: Microscope,
        *,
        title: str,
        run_input: RunInput,
        choose: Callable[[Image | None, bool], Chosen],
        body: Sequence[QWidget],
        patterns: Callable[[], str | tuple[Pattern, ...]] = tuple,
        begin: Begin | None = None,
        run_texts: tuple[str, str] = ("Run", "Cancel"),
        lane: str = "stages",
        frames: FramesWidget | RawStrip | None = None,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._begin = begin or self._begin_once
        self.viewer, self.shared, self.context = viewer, microscope, Context()
        self._input, self._choose, self._patterns = run_input, choose, patterns
        self._prepare = prepare
        self.setMinimumWidth(_WIDTH_PX)
        self.combo = LayerCombo(run_input.why_not, rank=run_input.rank)
        self.info = hint_label()
        is_optional = run_input.may_be_raw_or_not
        self.frames = frames or FramesWidget(is_optional=is_optional)
        self._make_sections()
        self.device = DeviceEdit(microscope)
        self.bar = RunBar(title, *run_texts, lane=lane)
        self.maps, self.save, self.copy_as = MapViews(), SaveResult(), CopyAs()
        self._ran = Settings()
        self._lay_out(body)
        self.layer_events = LayerEvents(viewer, self)
        self._connect()
        self._on_layer()

    def settings(self) -> Settings:
        """Return what is set, as a file of settings would say it.

        Raises
        ------
        InputError
            If values do not fit together.
        """
        return self._settings_with(self._asked())

    def _asked(self) -> InputSettings:
        """Return how the frames are to be read, camera, OTF and instrument."""
        frames = self.frames.value() if self._input.takes_raw else InputSettings()
        return self.options.added_to(frames)

    def _settings_with(self, asked: InputSettings) -> Settings:
        """Return what is set, with this input."""
        layer = self.combo.value()
        sees_raw = self._input.sees_raw(layer, as_frames=self.frames.is_on)
        chosen = self._choose(layer, sees_raw)
        needs = self._input.needs_optics
        known = self.microscope.value() if needs else self.microscope.confirmed()
        optics = {} if missing_of(known) else known
        changes = {
            "camera_offset": self.microscope.camera_offset,
            "patterns": (self._patterns() if sees_raw else ()) or None,
        }
        return Settings(
            stages=tuple(chosen),
            parameters=dict(chosen),
            optics=optics,
            input=asked.model_copy(update=changes),
        )

    def run(self) -> None:
        """Start a run on the chosen layer; nothing happens while one is going on."""
        if self.bar.runner.is_running:
            return
        self._prepare()
        layer = self.combo.value()
        if layer is None:
            return
        self.context.device = self.shared.device
        self.microscope.confirm(needs_optics=self._input.needs_optics)
        try:
            settings = self.settings()
            make_steps = self._begin(layer, settings, self.context)
        except InputError as error:
            self.bar.messages.show_texts([in_docks(error)], "error")
            return
        self._ran = settings
        self.bar.start(make_steps)

    def show_outcome(self, outcome: Outcome) -> None:
        """Add the layers of a result and show what the stages had to say."""
        layers = [Image(data, **kwargs) for data, kwargs, _ in outcome.layers]
        for layer in layers:
            layer.colorbar.visible = role_of(layer) == MAP
            self.viewer.add_layer(layer)
        made: dict[str, Image] = {}
        for stage, layer in zip(outcome.stages, layers, strict=True):
            made.setdefault(stage, layer)  # maps follow the image
        self.added.emit(made)
        self.maps.offer(maps_among(layers), outcome.unsupported)
        self.save.offer(outcome.record)
        self.copy_as.offer(self._ran, str(outcome.record.source))
        self.bar.done(f"done in {outcome.seconds:.1f} s", outcome.warnings)
        for mend in filter(None, map(mend_of, outcome.warnings)):
            if not {*mend.parameters} <= {*outcome.stages}:
                continue  # of a stage that another dock runs
            self.bar.messages.offer(mend.text, partial(self._mend, mend))

    def _mend(self, mend: Mend) -> None:
        """Change what a warning asks for, and run again."""
        if mend.frames is not None:
            self.frames.setValue(mend.frames)
        if mend.camera_offset is not None:
            self.microscope.set_camera_offset(mend.camera_offset)
        self.mended.emit(mend.parameters)
        self.run()

    def check(self) -> None:
        """Say at once what keeps Run from being clicked."""
        reason = self._input.why_not_run(self.combo.value(), self.microscope.missing)
        asked = InputSettings()
        try:
            asked = self._asked()
            reason or self._settings_with(asked)
        except InputError as error:
            reason = reason or in_docks(error)
        self.microscope.camera = asked
        self.bar.refuse(reason)
        self.bar.messages.forget_errors()
        values = self.microscope.unconfirmed(needs_optics=self._input.needs_optics)
        self.bar.ask_to_confirm("" if reason else values)

    def show_basic(self, is_basic: bool) -> None:
        """Hide what few people need, or show it."""
        self.options_section.setVisible(not is_basic)
        self.microscope.show_basic(is_basic)
        self.device_row.setVisible(not is_basic)

    def refresh_layers(self) -> None:
        """Look at the layers of the viewer anew."""
        active = self.viewer.layers.selection.active
        self.combo.refresh(self.viewer.layers, active)
        self.maps.check(self.viewer.layers)
        self.save.check(self.viewer.layers)
        self.check()

    def _make_sections(self) -> None:
        self.options = InputOptions()
        self.options_section = Section(
            "Frames and camera", self.options, is_open=False, tip=_OPTIONS_TIP
        )
        self.microscope = MicroscopeWidget(self.shared)
        self.microscope_section = Section(
            "Microscope",
            self.microscope,
            is_open=False,
            tip="Of the chosen layer, the same in all docks.",
        )
        self.frame_only = BoolEdit("Current frame only")
        self.frame_only.setToolTip(
            "Only the time point, channel and z that the sliders show: a quick try."
        )

    def _begin_once(
        self, layer: Image, settings: Settings, context: Context
    ) -> Callable[[], Steps]:
        shown = shown_point(self.viewer, layer) if self.frame_only.value() else None
        snapshot = LayerSnapshot.of(layer, shown)
        return partial(work, RunRequest(snapshot, settings, context))

    def _lay_out(self, body: Sequence[QWidget]) -> None:
        column, whole = dock_columns(self)
        sections = (self.options_section, self.microscope_section)
        for widget in (self.combo, self.info, self.frames, *sections, *body):
            column.addWidget(widget)
        column.addStretch(1)
        foot = QVBoxLayout()
        foot.setContentsMargins(0, 4, 0, 0)
        foot.setSpacing(4)
        self.device_row = row_of(QLabel("Device"), self.device)
        after = row_of(self.save, self.copy_as)
        for widget in (self.device_row, self.frame_only, self.maps, after, self.bar):
            foot.addWidget(widget)
        whole.addLayout(foot)

    def _connect(self) -> None:
        self.layer_events.changed.connect(self.refresh_layers)
        self.layer_events.hidden.connect(self.maps.let_go)
        self.combo.valueChanged.connect(self._on_layer)
        self.microscope.valueChanged.connect(self._on_microscope)
        self.frames.valueChanged.connect(self.check)
        self.options.valueChanged.connect(self.check)
        self.microscope.chosen.connect(self._use_camera)
        self.bar.runClicked.connect(self.run)
        add_shortcut(self, "Ctrl+Return", self.bar.run_button)
        self.bar.runner.returned.connect(self._on_returned)
        self.save.chosen.connect(self._write)
        self.bar.runner.finished.connect(self.device.refresh)

    def _on_returned(self, value: Any) -> None:
        if isinstance(value, list):  # of files: a result was saved
            self.bar.done("saved")
            self.bar.messages.show_texts([saved_text(value)], "info")
        else:
            self.returned.emit(value)

    def _write(self, files: ResultFiles) -> None:
        """Save the result of the last run, beside the GUI."""
        if self.save.record is not None:
            self.bar.start(partial(self.save.record.steps, files))

    def _use_camera(self, camera: InputSettings) -> None:
        """Show camera, OTF and instrument of a microscope that was chosen."""
        self.options.show_camera(camera)
        if camera.instrument != InputSettings().instrument:
            self.frames.setValue(InputSettings(instrument=camera.instrument))

    def _on_microscope(self) -> None:
        """Say in the heading what is set, so that it can stay folded."""
        self.microscope_section.setTitle(f"Microscope{self.microscope.summary()}")
        self.check()

    def _on_layer(self) -> None:
        if not self.bar.runner.is_running:
            self.bar.messages.clear()  # they were of another layer
        layer = self.combo.value()
        self.microscope.set_layer(layer)
        if layer is not None:
            is_asked = self._input.needs_optics and bool(self.microscope.missing)
            self.microscope_section.setOpen(is_asked)
        self.frames.set_layer(layer if self._input.takes_raw else None)
        self.info.setText(describe_layer(layer) if layer is not None else "")
        runs_once = self._begin == self._begin_once
        self.frame_only.setVisible(
            runs_once and layer is not None and has_frames(layer)
        )
        self.check()
        self.layerChanged.emit()
