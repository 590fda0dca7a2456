"""Optics of each layer and where they come from; the saved microscopes; the device."""

import json
import math
import weakref
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, QSettings, Signal

from napari_dps._qt.bridge.layer_optics import OFFSET, Value, channels_of, told_by
from napari_dps._qt.bridge.preferences import Preferences, user_store
from napari_dps._qt.bridge.weights_in_use import WeightsInUse
from napari_dps.core import InputError, Optics
from napari_dps.core.params import parse
from napari_dps.pipeline import InputSettings

_SAVED = ("na", "emission_nm", "refractive_index", "excitation_nm", OFFSET)
"""What a microscope is saved with. Pixel size and modulation factor are a layer's."""

OF_CAMERA = (
    "instrument",
    "otf",
    "camera_gain",
    "read_noise",
    "offset_map",
    "gain_map",
    "variance_map",
    "flat_field",
)
"""Fields of `InputSettings` that a microscope is saved with as well."""

YOU, FILE, MICROSCOPE, NOT_CONFIRMED, USUAL = (
    "you",
    "file",
    "microscope",
    "not confirmed",
    "usual",
)
"""Where a value comes from: typed for this layer; told by its file, or by the step that
made it; a microscope, confirmed for this layer, or only offered to it; the default."""

_USUAL = {"refractive_index": 1.518, "excitation_nm": 0.0, "modulation_factor": 1.0}


@dataclass(frozen=True)
class Stated:
    """A value and where it comes from.

    Attributes
    ----------
    value : float or tuple of float
        Of all channels, or one a channel.
    source : str
        One of `YOU`, `FILE`, `MICROSCOPE`, `NOT_CONFIRMED`, `USUAL`.
    """

    value: Value
    source: str


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
    """What all docks share: optics of each layer, saved microscopes, device, weights.

    What is set for a layer counts for that layer alone. Values of the microscope that
    is in use are offered to layers whose files tell nothing, and count once they are
    confirmed. A value that is not known is absent.
    """

    changed = Signal()

    def __init__(self, store: Preferences | QSettings | None = None) -> None:
        super().__init__()
        self._store = store
        self._values: dict[str, Value] = {}
        self.saved: dict[str, dict[str, Value]] = {}
        self._cameras: dict[str, dict[str, Any]] = {}
        self.device = "auto"
        self.weights = WeightsInUse()
        self._by_hand: _OfLayers = weakref.WeakKeyDictionary()
        self._confirmed: _OfLayers = weakref.WeakKeyDictionary()
        self._restore()
        if isinstance(store, Preferences):
            store.changed.connect(self._on_preferences)

    @property
    def values(self) -> dict[str, float]:
        """Optics of the microscope in use, those set; none that channels have each."""
        single = {n: v for n, v in self._values.items() if isinstance(v, float | int)}
        single.pop(OFFSET, None)
        return {"refractive_index": _USUAL["refractive_index"], **single}

    @property
    def camera_offset(self) -> float:
        """Counts that the camera of the microscope in use adds to every pixel."""
        offset = self._values.get(OFFSET, 0.0)
        return offset if isinstance(offset, float | int) else offset[0]

    def update(self, values: Mapping[str, Value | None]) -> None:
        """Change the microscope in use; None forgets a value."""
        kept = {n: v for n, v in values.items() if n in _SAVED}
        new = {n: v for n, v in {**self._values, **kept}.items() if v is not None}
        if new != self._values:
            self._values = new
            self._remember()
            self.changed.emit()

    def set_camera_offset(self, counts: float) -> None:
        """Set the counts that the camera of the microscope in use adds."""
        self.update({OFFSET: counts})

    def set_device(self, name: str) -> None:
        """Choose the device for torch."""
        if name and name != self.device:
            self.device = name
            self.changed.emit()

    def of(self, layer: Any) -> dict[str, Stated]:
        """Return what is known of a layer, and where it comes from.

        Parameters
        ----------
        layer : Image or None
            None stands for files that are not open yet: the microscope in use.
        """
        found = {name: Stated(value, USUAL) for name, value in _USUAL.items()}
        kinds: list[tuple[Mapping[str, Value], str]] = [(self._values, MICROSCOPE)]
        if layer is not None:
            kinds = [
                (_fitting(self._values, layer), NOT_CONFIRMED),
                (self._confirmed.get(layer, {}), MICROSCOPE),
                (told_by(layer), FILE),
                (self._by_hand.get(layer, {}), YOU),
            ]
        for values, source in kinds:
            found |= {name: Stated(value, source) for name, value in values.items()}
        return found

    def set_of(self, layer: Any, values: Mapping[str, Value | None]) -> None:
        """Set values of a layer by hand; None goes back to what else is known.

        Without a layer those of the microscope in use.
        """
        if layer is None:
            self.update(values)
            return
        before = self._by_hand.get(layer, {})
        new = {n: v for n, v in {**before, **values}.items() if v is not None}
        if new != before:
            self._by_hand[layer] = new
            self.changed.emit()

    def unconfirmed(self, layer: Any) -> dict[str, Value]:
        """Return values that the microscope in use offers to a layer."""
        return {
            name: stated.value
            for name, stated in self.of(layer).items()
            if stated.source == NOT_CONFIRMED
        }

    def confirm(self, layer: Any, names: Collection[str]) -> None:
        """Take values that the microscope in use offers as true of a layer."""
        offered = {n: v for n, v in self.unconfirmed(layer).items() if n in names}
        if layer is not None and offered:
            self._confirmed[layer] = {**self._confirmed.get(layer, {}), **offered}
            self.changed.emit()

    def hand_on(self, layer: Any, to: Any) -> None:
        """Let another layer of the same pixels have what was set for one."""
        for store in (self._by_hand, self._confirmed):
            if layer in store:
                store[to] = dict(store[layer])
        self.changed.emit()

    def save(
        self, name: str, values: Mapping[str, Value], camera: InputSettings
    ) -> None:
        """Save a microscope under a name, with camera, OTF and instrument; use it."""
        usual = InputSettings().model_dump(mode="json")
        stated = camera.model_dump(mode="json", include=set(OF_CAMERA))
        self._cameras[name] = {n: v for n, v in stated.items() if v != usual[n]}
        self.saved[name] = {n: v for n, v in values.items() if n in _SAVED}
        self._values = dict(self.saved[name])
        self._remember()
        self.changed.emit()

    def camera_of(self, name: str) -> InputSettings:
        """Return camera, OTF and instrument of a saved microscope."""
        return parse(InputSettings, self._cameras.get(name, {}), "input")

    def choose(self, name: str, layer: Any) -> None:
        """Use a saved microscope, for a layer and as what is offered to others.

        Wavelengths of its channels go to layers of as many channels.
        """
        self._values = dict(self.saved[name])
        if layer is not None:
            self._confirmed[layer] = _fitting(self._values, layer)
        self._remember()
        self.changed.emit()

    def _on_preferences(self) -> None:
        """Take what was changed in napari's Preferences."""
        self._restore()
        self.changed.emit()

    def _remember(self) -> None:
        if self._store is None:
            return
        for name in _SAVED:
            value = self._values.get(name, "")
            text = json.dumps(value) if isinstance(value, tuple) else value
            self._store.setValue(f"microscope/{name}", text)
        self._store.setValue("microscopes", json.dumps(self.saved))
        self._store.setValue("cameras", json.dumps(self._cameras))

    def _restore(self) -> None:
        """Read what was stored; what is not possible any more is left out."""
        if self._store is None:
            return
        self.device = str(self._store.value("device", self.device))
        stored = {n: self._store.value(f"microscope/{n}", "") for n in _SAVED}
        self._values = _possible(stored)
        try:
            saved = json.loads(str(self._store.value("microscopes", "{}")))
            self.saved = {str(n): _possible(values) for n, values in saved.items()}
        except (ValueError, AttributeError):
            self.saved = {}
        self._cameras = _possible_cameras(str(self._store.value("cameras", "{}")))


_OfLayers = weakref.WeakKeyDictionary[Any, dict[str, Value]]


def _possible_cameras(text: str) -> dict[str, dict[str, Any]]:
    """Return the cameras of a stored text whose values are possible."""
    found: dict[str, dict[str, Any]] = {}
    with suppress(ValueError, AttributeError):
        for name, table in json.loads(text).items():
            with suppress(InputError):
                parse(InputSettings, table, "input")
                found[str(name)] = {n: table[n] for n in OF_CAMERA if n in table}
    return found


def _fitting(values: Mapping[str, Value], layer: Any) -> dict[str, Value]:
    """Return the values without those of another number of channels."""
    count = len(channels_of(layer))
    return {
        name: value
        for name, value in values.items()
        if not isinstance(value, tuple) or len(value) == count
    }


def _possible(stored: Mapping[str, Any]) -> dict[str, Value]:
    """Return the values that are numbers within their limits."""
    found: dict[str, Value] = {}
    for name in _SAVED:
        numbers = [_number(one) for one in _listed(stored.get(name, ""))]
        low, high = (-1e6, 1e6) if name == OFFSET else _limits(name)
        values = tuple(n for n in numbers if n is not None and low <= n <= high)
        if values and len(values) == len(numbers):
            found[name] = values if len(values) > 1 else values[0]
    return found


def _listed(stored: Any) -> list[Any]:
    """Return what is stored, of all channels or of each, as a list."""
    if isinstance(stored, str) and stored.startswith("["):
        with suppress(ValueError):
            stored = json.loads(stored)
    return stored if isinstance(stored, list) else [stored]


def _limits(name: str) -> tuple[float, float]:
    rules = Optics.model_fields[name].metadata
    low = next(rule.ge for rule in rules if hasattr(rule, "ge"))
    return low, next(rule.le for rule in rules if hasattr(rule, "le"))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


_microscope: Microscope | None = None


def shared_microscope() -> Microscope:
    """Return the one microscope of the program."""
    global _microscope
    if _microscope is None:
        _microscope = Microscope(user_store())
    return _microscope
