"""Changes that follow one another fast are acted upon once."""

from collections.abc import Callable

from qtpy.QtCore import QObject
from superqt.utils import QSignalDebouncer


def debouncer(
    parent: QObject, action: Callable[[], None], delay_ms: int
) -> QSignalDebouncer:
    """Return an object whose `throttle` acts once no other call has come for a while.

    Parameters
    ----------
    parent : QObject
        Owns it.
    action : callable
        What is done in the end.
    delay_ms : int
        How long it waits for another call.
    """
    waiting = QSignalDebouncer(parent=parent)
    waiting.setTimeout(delay_ms)
    waiting.triggered.connect(action)
    return waiting
