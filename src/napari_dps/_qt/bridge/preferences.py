"""The microscope in use among napari's Preferences; named ones in the user's settings.

Preferences hold numbers, not tables: saved microscopes, and wavelengths of several
channels, stay in the settings that Qt keeps for the user.
"""

from typing import Any

from napari.settings import get_plugin_settings
from qtpy.QtCore import QObject, QSettings, Signal

PLUGIN = "napari-dps"
_GROUP, _DEVICE = "microscope/", "device"


class Preferences(QObject):
    """Reads and writes as `QSettings` does.

    Signals
    -------
    changed
        Somebody has changed the Preferences.

    Parameters
    ----------
    settings : PluginSettings
        Of this plugin, as its manifest lists them.
    rest : QSettings
        Of what they do not hold.
    """

    changed = Signal()

    def __init__(self, settings: Any, rest: QSettings) -> None:
        super().__init__()
        self._microscope, self._computing = settings.microscope, settings.computing
        self._rest = rest
        self._is_writing = False
        for group in (self._microscope, self._computing):
            group.events.connect(self._on_event)

    def value(self, key: str, default: Any = None) -> Any:
        """Return what is stored; numbers as they are by default count as not set."""
        if key == _DEVICE:
            return self._computing.device
        name = key.removeprefix(_GROUP)
        if key != name and name in _defaults(self._microscope):
            number = getattr(self._microscope, name)
            if number != _defaults(self._microscope)[name]:
                return number
        return self._rest.value(key, default)

    def setValue(self, key: str, value: Any) -> None:
        """Store a value; a text in place of a number stays out of the Preferences."""
        name = key.removeprefix(_GROUP)
        numbers = _defaults(self._microscope) if key != name else {}
        if name in numbers:
            is_number = isinstance(value, float | int)
            self._is_writing = True
            setattr(self._microscope, name, value if is_number else numbers[name])
            self._is_writing = False
            value = "" if is_number else value
        self._rest.setValue(key, value)

    def _on_event(self, _event: Any) -> None:
        if not self._is_writing:
            self.changed.emit()


def user_store() -> Preferences | QSettings:
    """Return where settings of the user are kept.

    Without the plugin among those that napari has found, in those of Qt alone.
    """
    rest = QSettings(PLUGIN, PLUGIN)
    settings = get_plugin_settings().get(PLUGIN)
    return rest if settings is None else Preferences(settings, rest)


def _defaults(group: Any) -> dict[str, Any]:
    """Return the properties of a group with their defaults."""
    fields = type(group).model_fields
    return {name: info.default for name, info in fields.items()}
