"""The microscope and the device: set once, shared by all docks, remembered."""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, QSettings, Signal

from napari_dps._qt.bridge.layers import camera_offset_of, optics_of
from napari_dps.core import Optics

_SHARED = ("na", "emission_nm", "refractive_index", "modulation_factor")


@dataclass(frozen=True)
class Objective:
    """NA and immersion of a common objective."""

    name: str
    na: float
    refractive_index: float


OBJECTIVES = (
    Objective("100× 1.49 oil (TIRF)", 1.49, 1.518),
    Objective("100× 1.45 oil", 1.45, 1.518),
    Objective("100× 1.40 oil", 1.40, 1.518),
    Objective("63× 1.40 oil", 1.40, 1.518),
    Objective("60× 1.42 oil", 1.42, 1.518),
    Objective("100× 1.35 silicone", 1.35, 1.406),
    Objective("60× 1.30 silicone", 1.30, 1.406),
    Objective("60× 1.27 water", 1.27, 1.333),
    Objective("63× 1.20 water", 1.20, 1.333),
    Objective("40× 0.95 air", 0.95, 1.0),
    Objective("20× 0.80 air", 0.80, 1.0),
)
"""Nominal values, as engraved; refractive index of the immersion at 23 °C."""

EMISSIONS = (
    ("DAPI", 461.0),
    ("GFP", 507.0),
    ("Alexa 488", 520.0),
    ("Alexa 568", 603.0),
    ("mCherry", 610.0),
    ("Alexa 647", 671.0),
)
"""Emission maxima in nm, of the makers' data sheets and FPbase."""


class Microscope(QObject):
    """What all docks share: optics without the pixel size, camera, device.

    A value that is not set is absent.
    """

    changed = Signal()

    def __init__(self, store: QSettings | None = None) -> None:
        super().__init__()
        self._store = store
        self._values: dict[str, float] = {"refractive_index": 1.518}
        self._values["modulation_factor"] = 1.0
        self.camera_offset = 0.0
        self.device = "auto"
        self._pixel_sizes: weakref.WeakKeyDictionary[Any, float] = (
            weakref.WeakKeyDictionary()
        )
        self._read: weakref.WeakSet[Any] = weakref.WeakSet()
        self._restore()

    @property
    def values(self) -> dict[str, float]:
        """NA, emission, refractive index and modulation factor, those set."""
        return dict(self._values)

    def update(self, values: Mapping[str, float | None]) -> None:
        """Take over values; None forgets one."""
        new = {k: v for k, v in {**self._values, **values}.items() if v is not None}
        if new != self._values:
            self._values = new
            self._remember()
            self.changed.emit()

    def set_camera_offset(self, counts: float) -> None:
        """Set the counts that the camera adds to every pixel."""
        if counts != self.camera_offset:
            self.camera_offset = counts
            self._remember()
            self.changed.emit()

    def set_device(self, name: str) -> None:
        """Choose the device for torch."""
        if name and name != self.device:
            self.device = name
            self.changed.emit()

    def set_pixel_size(self, layer: Any, pixel_nm: float | None) -> None:
        """Set the pixel size of a layer by hand; None goes back to the layer's own."""
        if pixel_nm == self._pixel_sizes.get(layer):
            return
        if pixel_nm is None:
            self._pixel_sizes.pop(layer, None)
        else:
            self._pixel_sizes[layer] = pixel_nm
        self.changed.emit()

    def pixel_size_by_hand(self, layer: Any) -> float | None:
        """Return the pixel size that was set for a layer."""
        return self._pixel_sizes.get(layer)

    def read(self, layer: Image) -> bool:
        """Take over the optics of a layer, the first time that it is chosen."""
        optics = optics_of(layer)
        if optics is None or layer in self._read:
            return False
        self._read.add(layer)
        self.update({name: getattr(optics, name) for name in _SHARED})
        self.set_camera_offset(camera_offset_of(layer, self.camera_offset))
        return True

    def _remember(self) -> None:
        if self._store is None:
            return
        for name in _SHARED:
            self._store.setValue(f"microscope/{name}", self._values.get(name, ""))
        self._store.setValue("microscope/camera_offset", self.camera_offset)

    def _restore(self) -> None:
        """Read what was stored; what is not possible any more is left out."""
        if self._store is None:
            return
        limits = {n: _limits(n) for n in _SHARED}
        for name, (low, high) in limits.items():
            value = _number(self._store.value(f"microscope/{name}", ""))
            if value is not None and low <= value <= high:
                self._values[name] = value
        offset = _number(self._store.value("microscope/camera_offset", ""))
        if offset is not None and abs(offset) <= 1e6:
            self.camera_offset = offset


def _limits(name: str) -> tuple[float, float]:
    rules = Optics.model_fields[name].metadata
    low = next(rule.ge for rule in rules if hasattr(rule, "ge"))
    return low, next(rule.le for rule in rules if hasattr(rule, "le"))


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


_microscope: Microscope | None = None


def shared_microscope() -> Microscope:
    """Return the one microscope of the program."""
    global _microscope
    if _microscope is None:
        _microscope = Microscope(QSettings("napari-dps", "napari-dps"))
    return _microscope
