"""Watching: the newest wins, what is skipped is counted, nothing waits in a queue."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from napari_dps.core import InputError, finish
from napari_dps.io import Metadata, RawImage
from napari_dps.live import Arrived, Clock, LiveSession, watch
from napari_dps.live.watch import in_words
from napari_dps.pipeline import Settings

SETTINGS = Settings(stages=("background",))


class Recording:
    """A source of which so many sets have arrived as the test says."""

    def __init__(self, arrivals: Callable[[], int]) -> None:
        self.arrived = arrivals
        self.broken: set[int] = set()
        self.newest_written = time.time()

    def read(self, number: int) -> RawImage:
        if number in self.broken:
            raise InputError(f"set {number} is damaged")
        return RawImage(np.full((32, 32), number, np.float32), "YX", Metadata())

    def name(self, number: int) -> str:
        return str(number)


def run(source: Recording, **options: object) -> tuple[list[Arrived], Clock]:
    seen: list[Arrived] = []
    with LiveSession(SETTINGS) as session:
        clock = finish(watch(source, session, seen.append, **options))
    return seen, clock


def test_the_newest_set_wins_and_those_it_overtook_are_counted():
    counts = iter([3, 3, 4, 7, 8])
    seen, clock = run(Recording(lambda: next(counts)), count=4)
    assert [(one.number, one.skipped) for one in seen] == [
        (2, 0),
        (3, 0),
        (6, 2),
        (7, 0),
    ]
    assert (clock.done, clock.skipped, clock.failed) == (4, 2, 0)


def test_it_ends_when_nothing_comes_any_more():
    begin = time.monotonic()
    seen, clock = run(Recording(lambda: 1), until_idle_s=0.2)
    assert (len(seen), clock.done) == (1, 1)
    assert 0.2 < time.monotonic() - begin < 30


def test_a_set_that_cannot_be_read_is_told_and_the_next_is_computed():
    counts = iter([1, 2, 3])
    source = Recording(lambda: next(counts))
    source.broken = {0, 1}
    seen, clock = run(source, count=1)
    assert [one.failure is None for one in seen] == [False, False, True]
    assert "set 0 is damaged" in seen[0].failure.text
    assert (clock.done, clock.failed) == (1, 2)


def test_settings_that_no_set_fits_end_it_at_once():
    source = Recording(lambda: 1)
    settings = Settings(stages=("reconstruct",))
    with LiveSession(settings) as session, pytest.raises(InputError):
        finish(watch(source, session, lambda _: None))


def test_latency_counts_from_the_last_frame_to_what_was_put():
    source = Recording(lambda: 1)
    source.newest_written = time.time() - 5
    with LiveSession(SETTINGS) as session:
        clock = finish(watch(source, session, lambda _: time.sleep(0.1), count=1))
    assert 5.1 <= clock.latency_s(50) < 30


def test_it_says_in_a_line_how_fast_it_goes():
    clock = Clock(now=iter([0.0, 0.5]).__next__)
    clock.add(0.25, skipped=3)
    clock.add(0.25)
    clock.failed = 1
    expected = "2 sets · 2.0/s · latency 0.25 s · 3 skipped · 1 failed"
    assert in_words(clock) == expected
    clock.refreshes = 2
    assert in_words(clock) == f"{expected} · patterns looked at 2×"
