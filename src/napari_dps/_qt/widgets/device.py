"""The choice of the device that all docks share."""

from qtpy.QtCore import Signal, Slot

from napari_dps._qt.bridge.devices import device_in_use, devices
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.widgets.editors import NarrowCombo


class DeviceEdit(NarrowCombo):
    """Edits where torch computes.

    Parameters
    ----------
    microscope : Microscope
        Holds the choice.
    """

    valueChanged = Signal()

    def __init__(self, microscope: Microscope) -> None:
        super().__init__()
        self._microscope = microscope
        self.setToolTip(
            "Where networks and reconstruction compute. auto: a CUDA card, else MPS of "
            "Apple, else the processor."
        )
        self.activated.connect(self._on_activated)
        microscope.changed.connect(self.refresh)
        self.refresh()

    def value(self) -> str:
        """Return the name of the device."""
        return self._microscope.device

    def setValue(self, name: str) -> None:
        """Choose a device, for all docks."""
        if name != self.value():
            self._microscope.set_device(name)
            self.valueChanged.emit()

    @Slot()  # a true slot: Qt forgets it with the widget
    def refresh(self) -> None:
        """Show the devices, and what "auto" means once torch can tell."""
        chosen, names = self.value(), devices()
        self.clear()
        for name in (*names, *([chosen] if chosen not in names else [])):
            meaning = device_in_use("auto") if name == "auto" else ""
            self.addItem(f"auto ({meaning})" if meaning else name, name)
        self.setCurrentIndex(self.findData(chosen))

    def _on_activated(self, _: int) -> None:
        self.setValue(self.currentData())
