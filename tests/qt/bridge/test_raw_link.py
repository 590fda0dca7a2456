"""Stages run one by one find the raw frames that a whole run has at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_dps._qt.bridge.raw_link import link_behind
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.bridge.run_request import Outcome, RunRequest, work
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulate_volume import simulate_volume
from napari_dps.pipeline import InputSettings, Settings, find_stage

OFFSET = InputSettings(camera_offset=100)


@pytest.fixture
def lapse(raw_stack: ImageStack) -> Image:
    """Two time points, the second with other phases: the stripes have moved on."""
    frames = raw_stack.data.astype(np.float32)
    data = np.stack([frames, np.roll(frames, 1, axis=1)])
    stack = replace(raw_stack, data=data, axes="TAPYX", frame_interval_s=1.0)
    pixels, kwargs, _ = stack_layer(stack, "cell")
    return Image(pixels, **kwargs)


def _run(
    layer: Image, *stages: str, point: Any = None, method: str = "joint"
) -> Outcome:
    sharpen = {"dps": find_stage("dps").parameters(method=method, strength=0.0)}
    settings = Settings(
        stages=stages,
        parameters=sharpen if "dps" in stages else {},
        input=OFFSET if "reconstruct" in stages else InputSettings(),
    )
    request = RunRequest(LayerSnapshot.of(layer, point), settings, Context())
    outcome: Outcome = finish(work(request))
    return outcome


def _last(outcome: Outcome) -> Image:
    data, kwargs, _ = outcome.layers[-1]
    return Image(data, **kwargs)


def test_stages_run_one_by_one_give_the_pixels_of_a_whole_run(lapse: Image) -> None:
    whole = _last(_run(lapse, "reconstruct", "background", "dps")).data
    sim = _last(_run(lapse, "reconstruct"))
    flat = _last(_run(sim, "background"))
    assert np.array_equal(_last(_run(flat, "dps")).data, whole)
    second = _last(_run(flat, "dps", point=(1.0, 0.0, 0.0))).data
    assert np.array_equal(second, whole[1])
    alone = _last(_run(flat, "background", point=(1.0, 0.0, 0.0)))
    link = link_behind(LayerSnapshot.of(alone))
    assert link is not None
    assert link.at == (("T", 1),)


def test_a_volume_finds_its_frames() -> None:
    settings = SimulationSettings(
        structure="filaments",
        planes=7,
        height_px=48,
        width_px=48,
        pixel_size_nm=80,
        phases=5,
        beams="three",
        modulation=1.3,
        second_modulation=0.65,
        period_nm=395,
        haze_fraction=0,
        photons=300,
        seed=4,
    )
    pixels, kwargs, _ = stack_layer(simulate_volume(settings).raw, "cell")
    raw = Image(pixels, **kwargs)
    whole = _last(_run(raw, "reconstruct", "background", "dps"))
    assert whole.data.shape == (7, 192, 192)
    sim = _last(_run(raw, "reconstruct"))
    flat = _last(_run(sim, "background"))
    assert np.array_equal(_last(_run(flat, "dps")).data, whole.data)
    # A plane alone has no frames that suit it.
    outcome = _run(flat, "dps", point=(2.0, 0.0, 0.0), method="network")
    assert _last(outcome).data.shape == (192, 192)
    raw.data = raw.data + 1
    outcome = _run(sim, "dps", method="network")
    assert any("gone or were changed" in text for text in outcome.warnings)


def test_one_time_point_finds_its_frames(lapse: Image) -> None:
    axes = LayerSnapshot.of(lapse).axes
    point = tuple(1.0 if axis == "T" else 0.0 for axis in axes)
    whole = _last(_run(lapse, "reconstruct", "dps", point=point)).data
    sim = _last(_run(lapse, "reconstruct", point=point))
    assert np.array_equal(_last(_run(sim, "dps")).data, whole)


def test_frames_that_were_changed_are_not_used(lapse: Image) -> None:
    sim = _last(_run(lapse, "reconstruct"))
    lapse.data = lapse.data + 1
    assert not _run(sim, "background").warnings  # it uses none
    outcome = _run(sim, "dps", method="network")
    assert any("gone or were changed" in text for text in outcome.warnings)
