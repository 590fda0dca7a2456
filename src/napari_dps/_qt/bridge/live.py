"""Layers that grow or change, followed set by set, and the run that computes them."""

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image

from napari_dps._qt.bridge.layers import axes_of
from napari_dps._qt.bridge.result_layers import LayerData, result_layer
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.bridge.wording import in_docks
from napari_dps.core import InputError, Progress, relay
from napari_dps.core.context import Context
from napari_dps.live import Clock, LiveSession, Newest, in_words
from napari_dps.pipeline import Settings

_WAIT_S = 0.05
"""Between two looks whether the run is to stop, while nothing comes."""
_EVENTS = ("data", "set_data")
"""Of a layer whose pixels were replaced, or shown anew after a change in place."""


@dataclass(frozen=True, eq=False)
class LiveSet:
    """A set of frames, and when it came, in seconds of `time.monotonic`."""

    snapshot: LayerSnapshot
    came: float


@dataclass(frozen=True, eq=False)
class LiveResult:
    """What a set gave: the layer of the last stage, and what there is to say.

    The layer is None of a set that could not be computed.
    """

    layer: LayerData | None
    warnings: tuple[str, ...]
    came: float


class LiveFeed:
    """Hands the newest set of a layer to a worker, and the newest result back.

    Parameters
    ----------
    layer : Image
        Followed from now until `stop`.
    frames : int
        Raw frames of a set; 1 for plain images.
    """

    def __init__(self, layer: Image, frames: int) -> None:
        self.layer, self._frames = layer, frames
        self.sets: Newest[LiveSet] = Newest()
        self.results: Newest[LiveResult] = Newest()
        self.clock = Clock()
        self._last: LayerSnapshot | None = None
        self._number = 0
        for name in _EVENTS:
            getattr(layer.events, name).connect(self._look)
        self._look()

    def stop(self) -> None:
        """Follow the layer no more; a second time nothing happens."""
        for name in _EVENTS:
            getattr(self.layer.events, name).disconnect(self._look)

    def take(self) -> LiveResult | None:
        """Return the newest result, if there is one, and count it as shown."""
        found = self.results.take()
        if found is None:
            return None
        result, skipped = found
        if result.layer is None:
            self.clock.failed += 1
            self.clock.skipped += skipped
        else:
            self.clock.add(time.monotonic() - result.came, skipped=skipped)
        return result

    def steps(
        self, settings: Settings, context: Context
    ) -> Generator[Progress, None, None]:
        """Compute set after set until it is closed; in a worker's thread.

        Raises
        ------
        InputError
            If no set could be computed yet, and one cannot.
        """
        with LiveSession(settings, context) as session:
            yield from session.warm_up()
            while True:
                found = self.sets.take(_WAIT_S)
                if found is not None:
                    newest, skipped = found
                    self.clock.skipped += skipped
                    result = yield from self._computed(session, newest)
                    self.clock.refreshes = session.refreshes
                    self.results.put(result)
                yield Progress(0, 1, in_words(self.clock))

    def _computed(
        self, session: LiveSession, newest: LiveSet
    ) -> Generator[Progress, None, LiveResult]:
        text = in_words(self.clock)
        computing = session.process(newest.snapshot.raw())
        try:  # what the stages say changes too fast to be read
            result = yield from relay(computing, lambda _: Progress(0, 1, text))
        except InputError as error:
            if not self.clock.done:
                raise
            return LiveResult(None, (in_docks(error),), newest.came)
        layer = result_layer(result.images[-1], newest.snapshot, result.input, "Live")
        return LiveResult(layer, result.warnings, newest.came)

    def _look(self, _event: Any = None) -> None:
        """Put the newest set in the worker's hands, if it is another one."""
        whole = LayerSnapshot.of(self.layer)
        number = whole.sets(self._frames)
        newest = whole.newest(self._frames)
        has_grown = number > self._number
        if not has_grown and self._last is not None:
            same = self._last.data.shape == newest.data.shape
            if same and np.array_equal(self._last.data, newest.data):
                return  # shown anew for another reason: a slider was moved
        missed = number - self._number - 1 if has_grown and self._last else 0
        self._last, self._number = newest, number
        self.sets.put(LiveSet(newest, time.monotonic()), missed)


def frames_of_a_set(layer: Image, settings: Settings) -> int:
    """Return how many of the frames of a layer are one set.

    A layer that names angles and phases says so itself.
    """
    return 1 if "P" in axes_of(layer) else settings.input.frames_of_set
