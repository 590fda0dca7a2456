"""Tasks at a time: results in order, on threads that are given back."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest
import torch

from napari_dps.core import Progress, finish
from napari_dps.core.at_once import TASKS, at_once, in_tasks, on_all_threads

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def steps_of(tasks) -> Generator[Progress, None, list[object]]:
    found = []
    for result in at_once(tasks):
        found.append(result)
        yield Progress(len(found), 10)
    return found


def test_tasks_meet_on_two_threads_and_keep_their_order(two_threads):
    meeting = threading.Barrier(TASKS, timeout=20)

    def task(number: int) -> tuple[int, int]:
        meeting.wait()  # breaks where they are done one by one
        return number, torch.get_num_threads()

    steps = steps_of([lambda n=n: task(n) for n in range(2 * TASKS)])
    assert finish(in_tasks(steps, CPU)) == [(n, 1) for n in range(2 * TASKS)]


def test_the_caller_has_its_threads_between_the_steps_and_after(two_threads):
    steps = in_tasks(steps_of([torch.get_num_threads] * 3), CPU)
    for _ in steps:
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2


def test_what_takes_long_has_all_threads(two_threads):
    def task() -> int:
        with on_all_threads():
            return torch.get_num_threads()

    def steps() -> Generator[Progress, None, tuple[int, int]]:
        yield Progress(0, 1)
        return torch.get_num_threads(), task()

    assert finish(in_tasks(steps(), CPU)) == (1, 2)


def test_a_task_that_fails_waits_for_the_other_and_leaves_the_threads(two_threads):
    done = threading.Event()

    def fail() -> None:
        raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        finish(in_tasks(steps_of([fail, done.set]), CPU))
    assert done.is_set()
    assert torch.get_num_threads() == 2


def test_tasks_in_tasks_are_done_one_by_one(two_threads):
    def outer() -> list[str]:
        return list(at_once([lambda: threading.current_thread().name] * 2))

    one, other = finish(in_tasks(steps_of([outer, outer]), CPU))
    assert len(set(one)) == len(set(other)) == 1
    assert one != other


def test_outside_of_steps_tasks_are_done_one_by_one(two_threads):
    names = list(at_once([lambda: threading.current_thread().name] * 3))
    assert set(names) == {threading.current_thread().name}
