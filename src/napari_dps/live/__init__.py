"""One set of raw frames after another, while they arrive: the newest always wins."""

from napari_dps.live.clock import Clock
from napari_dps.live.newest import Newest
from napari_dps.live.session import LiveSession
from napari_dps.live.watch import Arrived, in_words, watch

__all__ = ["Arrived", "Clock", "LiveSession", "Newest", "in_words", "watch"]
