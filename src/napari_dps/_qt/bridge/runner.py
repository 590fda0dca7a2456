"""Computations in a thread of their own: one lasting thread, one run a widget, Cancel.

The thread is a plain one that lasts as long as the program: torch keeps a pool of
threads and FFT plans for each thread that calls it, and a new one for every run would
pay for them anew. All signals are emitted in the thread of the GUI.
"""

import atexit
import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, ClassVar

from qtpy.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal

from napari_dps.core import Progress
from napari_dps.core.errors import explain

_log = logging.getLogger(__name__)

Steps = Generator[Progress, None, Any]

_PATIENCE_S = 60.0
"""How long a program whose windows are closed waits for the step at work, which takes
about a second: a thread that is inside torch when Python ends aborts the program."""
_TICK_MS = 1000  # each tick paints the window anew, canvas included


class _Job:
    """One run: its generator, and what the GUI has yet to hear of it."""

    def __init__(self, make_steps: Callable[[], Steps], link: "_Link") -> None:
        self.make_steps: Callable[[], Steps] | None = make_steps
        self.link = link
        self.stop = threading.Event()
        self.latest: Progress | None = None
        self.is_up_to_date = True

    def run(self, send: Callable[["_Job", str, Any], None]) -> None:
        """Run to the end, or to the next step after a stop; in the worker's thread."""
        make_steps, self.make_steps = self.make_steps, None
        if self.stop.is_set() or make_steps is None:
            send(self, "cancelled", None)
            return
        try:
            with closing(make_steps()) as steps:
                while not self.stop.is_set():
                    try:
                        self.latest = next(steps)
                    except StopIteration as end:
                        send(self, "returned", end.value)
                        return
                    if (
                        self.is_up_to_date
                    ):  # else the GUI has not caught up: it will see
                        self.is_up_to_date = False
                        send(self, "progressed", None)
        except BaseException as error:  # noqa: BLE001 - shown to the user, and logged
            failure = explain(error)
            level = logging.INFO if failure.is_user_error else logging.ERROR
            _log.log(level, "a run failed", exc_info=error)
            send(self, "failed", failure)
        else:
            send(self, "cancelled", None)


class _Link:
    """From a job to the runner that waits for it, until one of them is gone.

    Held here for as long as the runner lives: what a collected cycle holds is emptied
    before Qt says that the runner is destroyed.
    """

    _all: ClassVar[set["_Link"]] = set()

    def __init__(self, runner: "Runner") -> None:
        self.job: _Job | None = None
        self.runner = weakref.ref(runner)
        self._all.add(self)
        runner.destroyed.connect(self.cut)

    def cut(self) -> None:
        """Stop the run of a widget that is gone."""
        self._all.discard(self)
        if self.job is not None:
            self.job.stop.set()
            self.job = None


class _Mailbox(QObject):
    """Brings news from a worker's thread into that of the GUI; never destroyed."""

    news = Signal(object, str, object)

    def __init__(self) -> None:
        super().__init__()
        self.news.connect(self._hand_over, Qt.ConnectionType.QueuedConnection)

    def _hand_over(self, job: _Job, kind: str, value: object) -> None:
        job.is_up_to_date = True
        runner = job.link.runner() if job.link.job is job else None
        if runner is not None:
            runner._receive(job, kind, value)


class _Worker:
    """A thread that runs jobs one after the other, for as long as the program runs."""

    def __init__(self, name: str) -> None:
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.current: _Job | None = None
        self.mailbox = _Mailbox()
        self.is_closed = False
        # A daemon, so that a step that never ends does not keep the program alive.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)
        atexit.register(self.close)  # where no event loop was ever run

    def _serve(self) -> None:
        while (job := self.jobs.get()) is not None:
            self.current = job
            if not self.is_closed:
                job.run(self._send)
            self.current = job = None

    def _send(self, job: _Job, kind: str, value: object) -> None:
        if not self.is_closed:
            self.mailbox.news.emit(job, kind, value)

    def close(self) -> None:
        """Stop what runs and wait for it a while; the program is about to end."""
        self.is_closed = True
        atexit.unregister(self.close)
        if self.current is not None:
            self.current.stop.set()
        self.jobs.put(None)
        self._thread.join(_PATIENCE_S)


_workers: dict[str, _Worker] = {}


def _worker(lane: str) -> _Worker:
    """Return the worker of a lane; lanes run at the same time."""
    if lane not in _workers or _workers[lane].is_closed:
        _workers[lane] = _Worker(f"napari-dps {lane}")
    return _workers[lane]


class Runner(QObject):
    """Runs one generator of `Progress` at a time for a widget.

    Signals
    -------
    started, finished
        Around every run, whatever its end.
    progressed : Progress
    returned : object
        What the generator returned.
    failed : Failure
    cancelled
    ticked : float
        Seconds since the start, a few times a second.

    Parameters
    ----------
    parent : QObject
        The widget; when it is destroyed, the run is stopped and its result dropped.
    lane : str
        Runs of one lane wait for one another.
    """

    started = Signal()
    progressed = Signal(object)
    returned = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    finished = Signal()
    ticked = Signal(float)

    def __init__(self, parent: QObject, lane: str = "stages") -> None:
        super().__init__(parent)
        self._lane = lane
        self._started_at = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._link = _Link(self)

    @property
    def is_running(self) -> bool:
        """Whether a run is going on or waiting."""
        return self._link.job is not None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run was started."""
        return time.perf_counter() - self._started_at

    def start(self, make_steps: Callable[[], Steps]) -> bool:
        """Start a run; return False, and do nothing, while another one is going on.

        Parameters
        ----------
        make_steps : callable
            Called in the worker's thread; returns the generator.
        """
        if self.is_running:
            return False
        job = self._link.job = _Job(make_steps, self._link)
        self._started_at = time.perf_counter()
        self._timer.start()
        self.started.emit()
        worker = _worker(self._lane)
        if worker.current is not None:
            self.progressed.emit(Progress(0, 1, "waiting for another run"))
        worker.jobs.put(job)
        return True

    def cancel(self) -> None:
        """Stop the run after the step that is at work."""
        if self._link.job is not None:
            self._link.job.stop.set()

    def _tick(self) -> None:
        self.ticked.emit(self.elapsed_s)

    def _receive(self, job: _Job, kind: str, value: object) -> None:
        if kind == "progressed":
            self.progressed.emit(job.latest)
            return
        self._timer.stop()
        self._link.job = None
        try:
            if kind == "cancelled":
                self.cancelled.emit()
            else:
                getattr(self, kind).emit(value)
        finally:
            self.finished.emit()
