"""One set of raw frames after another, while they arrive: the newest always wins."""

from napari_dps.live.clock import Clock
from napari_dps.live.session import LiveSession
from napari_dps.live.watch import Arrived, watch

__all__ = ["Arrived", "Clock", "LiveSession", "watch"]
