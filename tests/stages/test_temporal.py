"""Averaging over time: as much less noise as it says, and no trace of what changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context, Neighbours, TimePoint
from napari_dps.methods.temporal import frames
from napari_dps.methods.temporal.match import light_ratio
from napari_dps.methods.temporal.sight import sight_steps
from napari_dps.physics.illumination import draw_patterns
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import SimulationSettings, simulate_object
from napari_dps.pipeline import choose_steps, run
from napari_dps.stages.temporal import STAGE, TemporalParameters, window

SIDE, FINE, MIDDLE = 96, 4, 3
SETTINGS = SimulationSettings(photons=40, oversampling=FINE)


def _object(seed=1):
    return phantom("er", (SIDE * FINE, SIDE * FINE), pixel_size_nm=65 / FINE, seed=seed)


def _lapse(objects, **settings):
    """Simulate time points of other phases; return raw stacks and clean frames."""
    rng = np.random.default_rng(5)
    raw, clean = [], []
    for t, emitters in enumerate(objects):
        now = SETTINGS.model_copy(update={"seed": 70 + t, **settings})
        made = simulate_object(emitters, now, patterns=draw_patterns(SETTINGS, rng))
        counts = made.raw.data.astype(np.float32) - now.offset_counts
        raw.append(replace(made.raw.derive(counts), patterns=made.patterns))
        clean.append((made.clean * now.gain_counts_per_e).astype(np.float32))
    return raw, clean


def _averaged(raw, t=MIDDLE, **parameters):
    chosen = TemporalParameters(**parameters)
    before, after = window(chosen)
    points = [TimePoint(image) for image in raw]
    around = Neighbours(
        points[t],
        tuple(points[max(0, t - before) : t][::-1]),
        tuple(points[t + 1 : t + 1 + after]),
    )
    return finish(STAGE.run(raw[t], chosen, Context("cpu", neighbours=around)))


@pytest.fixture(scope="module")
def still():
    return _lapse([_object()] * 7)


@pytest.mark.parametrize(
    ("parameters", "least"), [({}, 6.3), ({"direction": "past"}, 3.6)]
)
def test_noise_of_a_still_object_is_that_of_as_many_time_points(
    still, parameters, least
):
    raw, clean = still
    result = _averaged(raw, **parameters)
    worth = result.maps["time_points"][0, 0]
    assert worth.mean() > least
    assert worth.min() >= 1
    before, after = (
        np.mean((frames - clean[MIDDLE]) ** 2)
        for frames in (raw[MIDDLE].data, result.data)
    )
    assert after / before == pytest.approx((1 / worth).mean(), rel=0.15)
    assert result.patterns == raw[MIDDLE].patterns
    assert result.noise.of_frame == pytest.approx(np.sqrt(before), rel=0.1)


def test_event_of_one_time_point_stays_in_it():
    dark = _object()
    lit = dark.copy()
    lit[180:204, 180:204] += 1.0
    objects = [lit if t == MIDDLE else dark for t in range(7)]
    raw, clean = _lapse(objects)
    here = (..., slice(44, 52), slice(44, 52))
    light = (clean[MIDDLE] - clean[MIDDLE - 1])[here].sum()
    # Where nothing is alike the frames stay as they are, their noise included.
    kept = (_averaged(raw).data - raw[MIDDLE].data)[here].sum()
    assert abs(kept) < 0.02 * light
    other = (_averaged(raw, t=MIDDLE - 1).data - clean[MIDDLE - 1])[here].sum()
    assert abs(other) < 0.02 * light


def test_what_drifts_is_followed():
    moved = [np.roll(_object(), 4 * t, axis=1) for t in range(7)]
    raw, clean = _lapse(moved, photons=100)
    errors = [
        np.mean((_averaged(raw, flow=flow).data - clean[MIDDLE]) ** 2)
        for flow in (True, False)
    ]
    alone = np.mean((raw[MIDDLE].data - clean[MIDDLE]) ** 2)
    assert errors[0] < 0.5 * errors[1]
    assert errors[0] < 0.35 * alone


def test_two_threads_give_the_same_pixels():
    raw, _ = _lapse([np.roll(_object(), 4 * t, axis=0) for t in range(7)])
    alone = _averaged(raw).data
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = _averaged(raw).data
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(together, alone)


def test_bleaching_is_made_good_for():
    raw, _ = _lapse([_object()] * 2)
    dimmer = raw[1].derive(0.8 * raw[1].data)
    sights = [
        finish(sight_steps(torch.from_numpy(i.data), i.optics, i.patterns))
        for i in (raw[0], dimmer)
    ]
    assert light_ratio(*(sight.light for sight in sights)) == pytest.approx(
        1 / 0.8, rel=0.03
    )


def test_without_a_window_nothing_changes():
    raw, _ = _lapse([_object()] * 3)
    lapse = raw[0].derive(np.stack([r.data for r in raw]), axes="TAPYX", patterns=())
    none = {"temporal": TemporalParameters(window=0)}
    names = ["temporal", "denoise", "reconstruct"]
    with_it = finish(run(lapse, choose_steps(lapse, names, none)))
    without = finish(run(lapse, choose_steps(lapse, names[1:])))
    for one, other in zip(with_it.images[1:], without.images, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
    assert with_it.patterns == without.patterns


def test_raw_time_lapses_are_averaged_by_default_and_others_are_not():
    shape = (3, 3, 3, 8, 8)
    ids = {}
    for axes in ("TAPYX", "APYX", "TYX"):
        data = np.ones(shape[: len(axes) - 2] + shape[-2:], np.float32)
        optics = SETTINGS.optics
        stack = ImageStack(data, axes, pixel_size_nm=65, optics=optics)
        ids[axes] = [step.stage.id for step in choose_steps(stack)]
    assert ids["TAPYX"][0] == "temporal"
    assert "temporal" not in ids["APYX"] + ids["TYX"]


def test_tiles_hold_what_the_whole_plane_holds(monkeypatch):
    side = 192
    shape = (side * FINE, side * FINE)
    emitters = phantom("er", shape, pixel_size_nm=65 / FINE, seed=4)
    size = {"height_px": side, "width_px": side}
    raw, clean = _lapse([np.roll(emitters, 2 * t, axis=1) for t in range(3)], **size)
    whole = _averaged(raw, t=1, window=1)
    monkeypatch.setattr(frames, "available_bytes", lambda _: 1000)
    point = TimePoint(raw[1])
    around = Neighbours(point, (TimePoint(raw[0]),), (TimePoint(raw[2]),))
    context = Context("cpu", neighbours=around, tile_px=64)
    tiled = finish(STAGE.run(raw[1], TemporalParameters(window=1), context))
    noise = np.std(whole.data - clean[1])
    assert np.std(tiled.data - whole.data) < 0.15 * noise
    assert tiled.patterns == whole.patterns
    assert tiled.noise.of_frame == pytest.approx(whole.noise.of_frame, rel=0.05)
    worths = [one.maps["time_points"].mean() for one in (tiled, whole)]
    assert worths[0] == pytest.approx(worths[1], rel=0.05)
    assert not context.warnings


def test_plain_images_are_averaged_alike():
    rng = np.random.default_rng(0)
    clean = _lapse([_object()])[1][0].mean(axis=(0, 1))
    movie = rng.poisson(np.broadcast_to(clean, (5, *clean.shape))).astype(np.float32)
    stack = ImageStack(movie, "TYX", pixel_size_nm=65, optics=SETTINGS.optics)
    result = finish(run(stack, choose_steps(stack, ["temporal"]))).outputs[0]
    assert result.image.axes == "TYX"
    worth = result.image.maps["time_points"][2]
    after = np.mean((result.image.data[2] - clean) ** 2)
    before = np.mean((movie[2] - clean) ** 2)
    assert worth.mean() > 4
    assert after / before == pytest.approx((1 / worth).mean(), rel=0.15)
