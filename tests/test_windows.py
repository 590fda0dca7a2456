"""Stages that look at several time points: which they get, and in what order."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import Field

from napari_dps.core import (
    ImageStack,
    InputError,
    Progress,
    StageParameters,
    finish,
)
from napari_dps.core.context import Context
from napari_dps.pipeline import Plan, choose_steps, run
from napari_dps.pipeline.stream import shared_by_blocks, stream
from napari_dps.stages.base import Stage


class Reach(StageParameters):
    reach: int = Field(2, ge=0, le=9, title="Reach", description="Time points.")


class Nothing(StageParameters):
    pass


def _sum(image, parameters, context):
    """Give the sum of the window, the farther the more it weighs."""
    around = context.neighbours
    total = image.data.astype(np.float64)
    for side in (around.before, around.after):
        for far, point in enumerate(side, 1):
            total = total + 10**far * point.image.data
            point.found["looks"] = point.found.get("looks", 0) + 1
    context.cache.setdefault("sums", []).append(float(image.data.mean()))
    yield Progress(1, 1, "Sum")
    return image.derive(total.astype(np.float32))


def _double(image, parameters, context):
    context.cache.setdefault("doubled", []).append(float(image.data.mean()))
    yield Progress(1, 1, "Twice")
    return image.derive((2 * image.data).astype(np.float32))


def _both(parameters):
    return parameters.reach, parameters.reach


def _past(parameters):
    return parameters.reach, 0


SUM = Stage("sum", "Sum", "YX", "YX", Reach, _sum, window=_both)
PAST = Stage("past", "Past", "YX", "YX", Reach, _sum, window=_past)
TWICE = Stage("twice", "Twice", "YX", "YX", Nothing, _double)
STAGES = (SUM, TWICE, PAST)


def _lapse(time_points=7, axes="TYX"):
    shape = [{"T": time_points, "Z": 3, "C": 2}.get(axis, 4) for axis in axes]
    data = np.random.default_rng(0).uniform(1, 9, shape).astype(np.float32)
    return ImageStack(data, axes, pixel_size_nm=60)


def _steps(stack, *names, **parameters):
    return choose_steps(stack, names, parameters, stages=STAGES)


def _expected(data, before, after):
    result = data.copy()
    for t in range(len(data)):
        for far in range(1, before + 1):
            if t - far >= 0:
                result[t] += 10**far * data[t - far]
        for far in range(1, after + 1):
            if t + far < len(data):
                result[t] += 10**far * data[t + far]
    return result


@pytest.mark.parametrize("axes", ["TYX", "TZYX", "TCYX"])
def test_window_holds_the_neighbours_in_time_of_the_same_plane(axes):
    stack = _lapse(axes=axes)
    result = finish(run(stack, _steps(stack, "sum"))).images[-1]
    np.testing.assert_allclose(result.data, _expected(stack.data, 2, 2), rtol=1e-6)


def test_windows_after_one_another_see_what_the_first_has_made():
    stack = _lapse()
    result = finish(run(stack, _steps(stack, "sum", "twice", "past"))).images[-1]
    expected = _expected(2 * _expected(stack.data, 2, 2), 2, 0)
    np.testing.assert_allclose(result.data, expected, rtol=1e-6)


def test_each_unit_is_run_once_by_each_step():
    stack, context = _lapse(axes="TZYX"), Context()
    reports = list(run(stack, _steps(stack, "twice", "past"), context))
    assert len(context.cache["doubled"]) == len(set(context.cache["doubled"])) == 21
    assert len(context.cache["sums"]) == 21
    assert reports[-1].done == reports[-1].total
    done = [report.done for report in reports]
    assert done == sorted(done)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_blocks_read_their_neighbours_edges(length):
    stack = _lapse(axes="TZYX")
    steps = _steps(stack, "sum", "twice", "past")
    plan = Plan.of(stack, steps)
    whole = finish(run(stack, steps)).images[-1].data
    parts = np.full_like(whole, np.nan)

    def keep(number, index, image):
        if number == 2:
            assert np.isnan(parts[index]).all()
            parts[index] = image.data

    shared, ahead = finish(shared_by_blocks(plan, Context()))
    for first in range(0, 7, length):
        span = (first, min(first + length, 7))
        finish(stream(plan, Context(), keep, span=span, shared=shared, ahead=ahead))
    np.testing.assert_array_equal(parts, whole)


def test_no_more_time_points_are_in_memory_than_a_window_needs(monkeypatch):
    import gc
    import weakref

    from napari_dps.pipeline.units import Channel

    read = Channel.image
    alive = weakref.WeakSet()
    most = []

    def counted(self, unit):
        image = read(self, unit)
        alive.add(image)
        gc.collect()
        most.append(len(alive))
        return image

    monkeypatch.setattr(Channel, "image", counted)
    stack = _lapse(time_points=20)
    plan = Plan.of(stack, _steps(stack, "sum"))
    finish(stream(plan, Context(), lambda number, index, image: None))
    # The window, and the time point before it, which the last one has needed.
    assert max(most[5:]) <= 6
    assert len(most) == 20


def test_stage_for_lapses_is_left_out_of_a_single_time_point():
    of_lapses = Stage(
        "sum",
        "Sum",
        "YX",
        "YX",
        Reach,
        _sum,
        window=_both,
        by_default=False,
        by_default_of_lapses=True,
    )
    stages = (of_lapses, TWICE)

    def ids(stack, names=None):
        return [s.stage.id for s in choose_steps(stack, names, stages=stages)]

    single = ImageStack(np.ones((4, 4)), "YX")
    assert ids(_lapse()) == ["sum", "twice"]
    assert ids(_lapse(2)) == ["twice"]
    assert ids(_lapse(2), ["sum", "twice"]) == ["sum", "twice"]
    assert ids(single, ["sum", "twice"]) == ids(single) == ["twice"]
    assert ids(single, ["sum"]) == ["sum"]


def test_error_names_the_time_point_that_it_is_about():
    def refuse(image, parameters, context):
        yield Progress(0, 1)
        if image.data[0, 0] > 100:
            raise InputError("too bright")
        return image

    stage = Stage("refuse", "Refuse", "YX", "YX", Nothing, refuse)
    stack = _lapse()
    stack.data[3] = 200
    steps = choose_steps(stack, ["refuse", "sum"], stages=(stage, SUM))
    with pytest.raises(InputError, match=r"too bright \(T 4/7\)$"):
        finish(run(stack, steps))
