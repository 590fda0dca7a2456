"""One run at a time, beside the window; every end is told."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QThread

from napari_dps._qt.bridge.runner import Runner
from napari_dps._qt.bridge.wording import in_docks
from napari_dps.core import InputError, Progress
from napari_dps.core.errors import explain

Steps = Generator[Progress, None, Any]


@pytest.fixture
def runner(qapp: Any) -> Runner:
    parent = QObject()
    runner = Runner(parent)
    runner.keep = parent
    return runner


class Patient:
    """A run that waits at its first step until it is let go."""

    def __init__(self) -> None:
        self.go, self.reached, self.closed = (threading.Event() for _ in range(3))
        self.thread: int | None = None

    def steps(self) -> Steps:
        self.thread = threading.get_ident()
        try:
            yield Progress(0, 2, "first")
            self.reached.set()
            self.go.wait(10)
            yield Progress(1, 2, "second")
            return "result"
        finally:
            self.closed.set()


def test_run_returns_its_result_in_the_thread_of_the_window(
    qtbot: Any, runner: Runner
) -> None:
    patient = Patient()
    patient.go.set()
    seen: list[Any] = []
    runner.progressed.connect(lambda p: seen.append((p, QThread.currentThread())))
    with qtbot.waitSignals([runner.returned, runner.finished], order="strict"):
        assert runner.start(patient.steps)
    assert patient.thread != threading.get_ident()
    assert {thread for _, thread in seen} == {QCoreApplication.instance().thread()}
    assert seen[-1][0].total == 2
    assert not runner.is_running


def test_second_start_does_nothing_while_a_run_goes_on(
    qtbot: Any, runner: Runner
) -> None:
    first, second = Patient(), Patient()
    runner.start(first.steps)
    assert first.reached.wait(10)
    assert not runner.start(second.steps)
    with qtbot.waitSignal(runner.finished):
        first.go.set()
    assert second.thread is None


def test_cancel_stops_at_the_next_step_and_closes_the_generator(
    qtbot: Any, runner: Runner
) -> None:
    patient = Patient()
    runner.start(patient.steps)
    assert patient.reached.wait(10)
    returned: list[Any] = []
    runner.returned.connect(returned.append)
    with qtbot.waitSignals([runner.cancelled, runner.finished]):
        runner.cancel()
        patient.go.set()
    assert patient.closed.is_set()
    assert returned == []
    again = Patient()
    again.go.set()
    with qtbot.waitSignal(runner.returned):
        assert runner.start(again.steps)


@pytest.mark.parametrize(
    ("error", "words", "is_user_error"),
    [
        (InputError("NA", got=9), "NA: got 9", True),
        (RuntimeError("size mismatch of tensors"), "size mismatch", False),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "memory", True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory", True),
        (MemoryError(), "memory", True),
        (ZeroDivisionError("division by zero"), "division by zero", False),
        (KeyboardInterrupt(), "KeyboardInterrupt", False),
    ],
)
def test_error_is_told_in_words_and_the_runner_stays_usable(
    qtbot: Any,
    runner: Runner,
    error: BaseException,
    words: str,
    is_user_error: bool,
) -> None:
    def steps() -> Steps:
        yield Progress(0, 1)
        raise error

    failures: list[Any] = []
    runner.failed.connect(failures.append)
    with qtbot.waitSignals([runner.failed, runner.finished]):
        runner.start(steps)
    (failure,) = failures
    assert words in failure.text
    assert failure.is_user_error is is_user_error
    assert not runner.is_running


def test_error_before_the_first_step_is_told(qtbot: Any, runner: Runner) -> None:
    def make() -> Steps:
        raise RuntimeError("no generator at all")

    with qtbot.waitSignal(runner.failed) as caught:
        runner.start(make)
    assert "no generator at all" in caught.args[0].text


def test_destroyed_runner_stops_its_run_and_drops_the_result(qtbot: Any) -> None:
    parent = QObject()
    patient = Patient()
    results: list[Any] = []
    runner = Runner(parent)
    runner.returned.connect(results.append)
    runner.start(patient.steps)
    assert patient.reached.wait(10)
    parent.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    patient.go.set()
    assert patient.closed.wait(10)
    qtbot.wait(20)
    assert results == []


def test_runs_of_two_docks_wait_for_one_another(qtbot: Any) -> None:
    parent = QObject()
    one, two = Runner(parent), Runner(parent)
    first, second = Patient(), Patient()
    second.go.set()
    one.start(first.steps)
    assert first.reached.wait(10)
    with qtbot.waitSignal(two.progressed) as told:
        two.start(second.steps)
    assert told.args[0].message == "waiting for another run"
    assert second.thread is None
    with qtbot.waitSignals([one.returned, two.returned]):
        first.go.set()
    assert first.thread == second.thread


def test_waiting_run_that_is_cancelled_never_begins(qtbot: Any) -> None:
    parent = QObject()
    one, two = Runner(parent), Runner(parent)
    first, second = Patient(), Patient()
    one.start(first.steps)
    assert first.reached.wait(10)
    two.start(second.steps)
    two.cancel()
    with qtbot.waitSignals([one.returned, two.cancelled]):
        first.go.set()
    assert second.thread is None


def test_flood_of_reports_reaches_the_window_as_few(qtbot: Any, runner: Runner) -> None:
    def steps() -> Steps:
        for done in range(20_000):
            yield Progress(done, 20_000)
        return None

    seen: list[Progress] = []

    def slowly(report: Progress) -> None:
        seen.append(report)
        time.sleep(0.002)

    runner.progressed.connect(slowly)
    with qtbot.waitSignal(runner.finished, timeout=20_000):
        runner.start(steps)
    assert 0 < len(seen) < 5_000


ENDING = """
import time
from qtpy.QtCore import QCoreApplication, QObject, QTimer
from napari_dps._qt.bridge.runner import Runner
from napari_dps.core import Progress

def steps(name):
    try:
        while True:
            yield Progress(0, 1)
            time.sleep(0.05)
    finally:
        print(name, "closed", flush=True)

app = QCoreApplication([])
parent = QObject()
first, second = Runner(parent), Runner(parent)
first.start(lambda: steps("first"))
second.start(lambda: steps("second"))
if {with_loop}:
    QTimer.singleShot(200, app.quit)
    app.exec()
else:
    time.sleep(0.2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("with_loop", [True, False])
def test_program_that_ends_during_a_run_closes_it_and_begins_no_other(
    with_loop: bool,
) -> None:
    code = ENDING.replace("{with_loop}", str(with_loop))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "first closed\n"), done.stderr


def test_failure_of_unknown_kind_names_its_type() -> None:
    failure = explain(KeyError("x"))
    assert "unexpected KeyError: 'x'" in failure.text
    assert not failure.is_user_error
    assert in_docks(failure).endswith("with its traceback (in the log)")
