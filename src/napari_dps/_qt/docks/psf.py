"""The dock that shows the PSF of a microscope while its values are changed."""

import napari.viewer
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_dps._qt.bridge.colours import COLOURS
from napari_dps._qt.bridge.curves import Curve, Mark
from napari_dps._qt.bridge.dock_tabs import DockTabs
from napari_dps._qt.bridge.microscope import Microscope, shared_microscope
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.layout import dock_columns, push_button, row_of
from napari_dps._qt.widgets.messages import Messages
from napari_dps._qt.widgets.optics_sliders import OpticsSliders
from napari_dps._qt.widgets.plots import Picture, Plot
from napari_dps.core import InputError, Optics
from napari_dps.figures.psf_curves import (
    PsfCurves,
    psf_curves,
    psf_picture,
    psf_stack,
)
from napari_dps.physics.psf import whole_psf_px

_LARGEST_PICTURE_PX = 129
_START = {
    "na": 1.4,
    "emission_nm": 525.0,
    "pixel_size_nm": 32.5,
    "modulation_factor": 1.0,
}


class PsfWidget(QWidget):
    """Shows PSF, profile and OTF; hands its values to the other docks.

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
        self.form = OpticsSliders()
        self.picture = Picture()
        self.numbers = QLabel()
        self.profile = Plot("radius (nm)", "intensity")
        self.otf = Plot("frequency (cycles/µm)", "OTF")
        self.messages = Messages()
        self._lay_out()
        DockTabs(self)
        self.form.valueChanged.connect(self._show)
        self.take_over()

    def take_over(self) -> None:
        """Show the values of the shared microscope, as far as they are set."""
        self.form.setValue({**_START, **self._shared.values})

    def use(self) -> None:
        """Hand the values to the docks; each layer keeps its own pixel size."""
        optics = self._optics()
        if optics is None:
            return
        self._shared.update(optics.model_dump(exclude={"pixel_size_nm"}))
        self.messages.show_texts(
            ["offered for layers whose files tell nothing"], "info"
        )

    def add_layer(self) -> None:
        """Add the PSF, with its pixel size, as a layer."""
        optics = self._optics()
        if optics is None:
            return
        name = f"srPSF NA {optics.na:g}, {optics.emission_nm:g} nm"
        if optics.modulation_factor != 1:
            name += f", ×{optics.modulation_factor:g}"
        data, kwargs, _ = stack_layer(psf_stack(optics), name, colormap="inferno")
        self.viewer.add_layer(Image(data, **kwargs))

    def _optics(self) -> Optics | None:
        """Return the optics that are set; None, and say why, if they do not fit."""
        try:
            return self.form.value()
        except InputError as error:
            self.messages.show_texts([in_docks(error)], "error")
            return None

    def _lay_out(self) -> None:
        column, whole = dock_columns(self)
        column.addWidget(self.form)
        column.addWidget(self.messages)
        top = QHBoxLayout()
        top.addWidget(self.picture, 1)
        self.numbers.setTextFormat(Qt.TextFormat.RichText)
        self.numbers.setAlignment(
            Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft
        )
        self.numbers.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        top.addWidget(self.numbers, 1)
        column.addLayout(top)
        column.addWidget(self.profile, 1)
        column.addWidget(self.otf, 1)
        actions = (
            ("From the docks", "Take over NA, wavelength and so on.", self.take_over),
            (
                "Use in all docks",
                "As the microscope in use.",
                self.use,
            ),
            ("Add as layer", "The PSF with its pixel size.", self.add_layer),
        )
        whole.addWidget(row_of(*(push_button(*action) for action in actions)))
        self.setMinimumWidth(380)

    def _show(self) -> None:
        """Show everything anew; a few milliseconds."""
        optics = self._optics()
        if optics is None:
            return
        warning = optics.nyquist_warning()
        self.messages.show_texts([warning] if warning else [], "warning")
        curves = psf_curves(optics)
        side = min(whole_psf_px(optics), _LARGEST_PICTURE_PX)
        self.picture.show_pixels(psf_picture(optics, side), optics.pixel_size_nm)
        self._show_curves(curves)
        self.numbers.setText(_in_numbers(curves))

    def _show_curves(self, curves: PsfCurves) -> None:
        half, zero = curves.fwhm_nm / 2, curves.first_zero_nm
        self.profile.show_curves(
            [Curve(curves.radius_nm, curves.intensity)],
            [
                Mark(half, f"FWHM/2  {half:.1f} nm"),
                Mark(zero, f"first zero  {zero:.1f} nm", COLOURS[2], is_dashed=True),
            ],
        )
        cutoff, nyquist = curves.cutoff_per_um, curves.nyquist_per_um
        self.otf.show_curves(
            [Curve(curves.frequency_per_um, curves.transfer)],
            [
                Mark(cutoff, f"cut-off  {cutoff:.2f}/µm"),
                Mark(nyquist, f"Nyquist  {nyquist:.2f}/µm", COLOURS[2], is_dashed=True),
            ],
        )


def _in_numbers(curves: PsfCurves) -> str:
    rows = (
        ("FWHM", f"{curves.fwhm_nm:.1f} nm"),
        ("First zero", f"{curves.first_zero_nm:.1f} nm"),
        ("Finest period", f"{1e3 / curves.cutoff_per_um:.1f} nm"),
        ("Cut-off", f"{curves.cutoff_per_um:.2f} /µm"),
        ("Nyquist", f"{curves.nyquist_per_um:.2f} /µm"),
    )
    cells = "".join(
        f"<tr><td>{name}&nbsp;&nbsp;</td><td align='right'><b>{value}</b></td></tr>"
        for name, value in rows
    )
    return f"<table>{cells}</table>"
