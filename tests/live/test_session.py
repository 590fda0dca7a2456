"""Sets that follow one another: right, fast, and with what is known kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_dps.core import ImageStack, InputError, finish
from napari_dps.core.context import Context
from napari_dps.io import Metadata, RawImage
from napari_dps.live import LiveSession
from napari_dps.live import session as module
from napari_dps.methods.temporal import frames
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import (
    InputSettings,
    Settings,
    find_stage,
    open_input,
    run_plan,
)

SETTINGS = SimulationSettings(height_px=96, width_px=96, photons=1000, offset_counts=0)
OPTICS = {"na": 1.4, "emission_nm": 525.0, "pixel_size_nm": 65.0}
LIVE = Settings(
    stages=("reconstruct",), optics=OPTICS, input=InputSettings(angles=3, phases=3)
)


LIVE_PAST = replace(
    LIVE,
    stages=("temporal", "reconstruct"),
    parameters={
        "temporal": find_stage("temporal").parameters(
            window=2, direction="past", flow=False
        )
    },
)


def raw_set(seed: int, **changes: object) -> RawImage:
    """Return a recording of the same cell, with noise of its own."""
    settings = SETTINGS.model_copy(update={"seed": seed, **changes})
    data = np.asarray(simulate(settings).raw.data)
    return RawImage(data.reshape(9, *data.shape[-2:]), "QYX", Metadata())


@pytest.fixture(scope="module")
def sets() -> list[RawImage]:
    return [raw_set(seed) for seed in (1, 2, 3)]


def test_results_are_those_of_a_run_with_the_patterns_of_the_first_set(sets):
    with LiveSession(LIVE, refresh_every=0) as session:
        results = [finish(session.process(raw)) for raw in sets]
        patterns = session.patterns
    assert len(patterns) == 3
    assert all(pattern.is_usable for pattern in patterns)
    for raw, result in zip(sets, results, strict=True):
        plan = open_input(raw, LIVE)
        plan = replace(plan, stack=replace(plan.stack, patterns=patterns))
        expected = finish(run_plan(plan)).images[0]
        image = result.images[0]
        assert image.axes == "YX"
        assert image.pixel_size_nm == 32.5
        # But for the noise over signal, which is that of the first set.
        difference = np.abs(image.data - expected.data).max()
        assert difference < 0.02 * np.ptp(expected.data)


def test_what_was_found_in_the_first_set_is_not_sought_again(sets, monkeypatch):
    with LiveSession(LIVE, refresh_every=0) as session:
        finish(session.process(sets[0]))

        def sought(*_: object) -> None:
            raise AssertionError("patterns are sought")

        for name in ("lapse.find_patterns", "raw.motion_between_angles"):
            monkeypatch.setattr(f"napari_dps.methods.sim.{name}", sought)
        finish(session.process(sets[1]))


def test_hot_pixels_of_the_first_set_are_replaced_in_those_that_follow(sets):
    def hot(raw: RawImage) -> RawImage:
        data = np.array(raw.data)
        data[:, 40, 50] = 60_000
        return replace(raw, data=data)

    with LiveSession(LIVE, refresh_every=0) as session:
        first, second = (finish(session.process(hot(raw))) for raw in sets[:2])
    assert any("hot pixels" in text for text in first.warnings)
    assert second.images[0].data.max() < 2 * first.images[0].data.max() < 60_000


def test_patterns_that_have_moved_replace_those_before(monkeypatch):
    monkeypatch.setattr(module, "FIRST_FRAMES", 1)
    with LiveSession(LIVE, refresh_every=1) as session:
        finish(session.process(raw_set(1)))
        before = session.patterns
        session.wait()
        finish(session.process(raw_set(2)))
        assert session.patterns == before
        session.wait()
        finish(session.process(raw_set(3, first_angle_deg=40.0)))
        session.wait()
        finish(session.process(raw_set(4, first_angle_deg=40.0)))
        after = session.patterns
    turned = np.subtract(after[0].angle_deg, before[0].angle_deg)
    assert abs(turned) > 5


def test_a_field_without_cells_does_not_forget_the_patterns(monkeypatch):
    monkeypatch.setattr(module, "FIRST_FRAMES", 1)
    rng = np.random.default_rng(0)
    empty = RawImage(rng.poisson(50.0, (9, 96, 96)).astype(np.uint16), "QYX",
                     Metadata())  # fmt: skip
    with LiveSession(LIVE, refresh_every=1) as session:
        finish(session.process(raw_set(1)))
        before = session.patterns
        finish(session.process(empty))
        session.wait()
        finish(session.process(empty))
        assert session.patterns == before


def test_a_failure_in_the_background_is_told_and_stops_nothing(sets, monkeypatch):
    monkeypatch.setattr(module, "FIRST_FRAMES", 1)
    with LiveSession(LIVE, refresh_every=1) as session:
        finish(session.process(sets[0]))
        session.wait()
        monkeypatch.setattr(module, "learned", lambda *_: iter(()).send(1))
        finish(session.process(sets[1]))
        session.wait()
        result = finish(session.process(sets[2]))
    assert any("could not be looked at anew" in text for text in result.warnings)
    assert result.images


def test_nothing_grows_with_the_number_of_sets(sets):
    context = Context()
    sizes = []
    with LiveSession(LIVE, context, refresh_every=4) as session:
        for number in range(24):
            finish(session.process(sets[number % 3]))
            session.wait()
            sizes.append((len(context.cache), len(context.warnings)))
    assert sizes[8:] == [sizes[8]] * len(sizes[8:])


@pytest.mark.slow
def test_past_sets_are_averaged_as_in_a_lapse(sets):
    with LiveSession(LIVE_PAST, refresh_every=0) as session:
        results = [finish(session.process(raw)) for raw in sets]
        patterns = session.patterns
    frames = np.stack([np.asarray(raw.data) for raw in sets])
    plan = open_input(replace(sets[0], data=frames, axes="TQYX"), LIVE_PAST)
    plan = replace(plan, stack=replace(plan.stack, patterns=patterns))
    expected = finish(run_plan(plan)).images[-1].data
    span = np.ptp(expected)
    for number, result in enumerate(results):
        found = result.images[-1].data
        assert np.abs(found - expected[number]).max() < 0.05 * span
    alone = finish(run_plan(open_input(sets[2], LIVE))).images[-1].data
    assert np.abs(alone - expected[2]).max() > 0.05 * span


def test_sets_before_are_averaged_in_ahead_of_other_stages(sets):
    with LiveSession(LIVE_PAST, refresh_every=0) as session:
        results = [finish(session.process(raw)) for raw in sets[:2]]
    names = tuple(output.step.stage.id for output in results[1].outputs)
    assert names == LIVE_PAST.stages
    averaged = results[1].outputs[0].image
    assert averaged.maps["time_points"].mean() > 1.5


def test_sets_before_are_looked_at_once(sets, monkeypatch):
    looked, seen_steps = [], frames.seen_steps

    def counted(image, *rest):
        looked.append(float(image.data.sum()))
        return seen_steps(image, *rest)

    monkeypatch.setattr(frames, "seen_steps", counted)
    with LiveSession(LIVE_PAST, refresh_every=0) as session:
        for raw in (*sets, sets[0]):
            finish(session.process(raw))
    # The first set is looked at when it has become a neighbour.
    sums = [float(np.sum(sets[n].data)) for n in (1, 0, 2, 0)]
    assert looked == pytest.approx(sums, rel=1e-5)


def test_sets_of_another_shape_are_refused(sets):
    with LiveSession(LIVE) as session:
        finish(session.process(sets[0]))
        cut = replace(sets[1], data=np.asarray(sets[1].data)[:, :90])
        with pytest.raises(InputError, match="as those before"):
            finish(session.process(cut))


def test_several_time_points_are_no_set(sets):
    twice = np.concatenate([sets[0].data, sets[1].data])
    with (
        LiveSession(LIVE) as session,
        pytest.raises(InputError, match="one time point"),
    ):
        finish(session.process(replace(sets[0], data=twice)))


def test_without_stages_raw_frames_are_reconstructed_and_images_freed_of_haze(sets):
    for raw, stage in (
        (sets[0], "reconstruct"),
        (RawImage(np.ones((32, 32), np.float32), "YX", Metadata()), "background"),
    ):
        asked = replace(LIVE, stages=None)
        if raw is not sets[0]:
            asked = replace(asked, input=InputSettings())
        with LiveSession(asked) as session:
            result = finish(session.process(raw))
        assert [o.step.stage.id for o in result.outputs] == [stage]
        assert isinstance(result.images[0], ImageStack)
