"""Docks of this plugin that stand in one area become tabs, never a pile."""

import weakref

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


class DockTabs(QObject):
    """Puts a dock beside the others of this plugin as a tab when it is first shown.

    Parameters
    ----------
    widget : QWidget
        The content of the dock; owns this object.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = weakref.ref(widget)
        self._has_place = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._join)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Wait until the main window has placed the dock."""
        if event.type() == QEvent.Type.Show:
            watched.removeEventFilter(self)
            self._timer.start(0)
        return False

    def _join(self) -> None:
        widget = self._widget()
        dock = None if widget is None else _dock_of(widget)
        window = None if dock is None else dock.parent()
        if dock is not None:  # tabs have no room for the plugin's name
            dock.setWindowTitle(dock.windowTitle().removesuffix(" (napari-dps)"))
        self._has_place = True
        if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
            return
        area = window.dockWidgetArea(dock)
        for host in window.findChildren(QDockWidget):
            tabs = host.findChild(DockTabs)  # of several opened at once the first waits
            is_ours = host is not dock and tabs is not None and tabs._has_place
            is_beside = host.isVisible() and not host.isFloating()
            if is_ours and is_beside and window.dockWidgetArea(host) == area:
                # While docks move, the place that one leaves is not given to others.
                was_animated = window.isAnimated()
                window.setAnimated(False)
                window.removeDockWidget(dock)
                window.addDockWidget(area, dock)
                window.tabifyDockWidget(host, dock)
                dock.show()
                window.setAnimated(was_animated)
                dock.raise_()
                return


def _dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock around a widget."""
    parent = widget.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent
