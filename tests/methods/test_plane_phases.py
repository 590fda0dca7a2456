"""Planes that are reconstructed one by one have their phases, as time points have."""

from __future__ import annotations

import numpy as np

from napari_dps.core import ImageStack, finish
from napari_dps.physics.illumination import draw_patterns
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import simulate_object
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import PipelineResult, choose_steps, run

SIDE, MARGIN = 96, 8
SETTINGS = SimulationSettings(
    height_px=SIDE, width_px=SIDE, photons=200, haze_fraction=0.0
)


def reconstructed(seeds: tuple[int, ...]) -> tuple[PipelineResult, list[np.ndarray]]:
    """Reconstruct planes of one object whose phases follow seeds; each alone, too."""
    side = (SIDE + 2 * MARGIN) * SETTINGS.oversampling
    thing = phantom("er", (side, side), pixel_size_nm=65 / 4, seed=2)
    planes = [
        simulate_object(
            thing,
            SETTINGS.model_copy(update={"seed": number}),
            patterns=draw_patterns(SETTINGS, np.random.default_rng(seed)),
            margin_px=(MARGIN, MARGIN),
        ).raw
        for number, seed in enumerate(seeds)
    ]

    def result(stack: ImageStack) -> PipelineResult:
        steps = choose_steps(stack, ["reconstruct"])
        return finish(run(stack, steps, camera_offset=100))

    stack = planes[0].derive(np.stack([p.data for p in planes]), axes="ZAPYX")
    return result(stack), [result(plane).images[-1].data for plane in planes]


def phases_of(result: PipelineResult) -> set[str]:
    return {
        pattern.phases_of
        for patterns in result.outputs[-1].patterns.values()
        for pattern in patterns
    }


def test_planes_of_other_phases_are_as_good_as_alone() -> None:
    result, alone = reconstructed((1, 2, 3))
    for plane, expected in zip(result.images[-1].data, alone, strict=True):
        # .16 to .21 with the phases of their mean.
        error = np.std(plane - expected) / np.std(expected)
        assert error < 0.1
    assert any("change from plane to plane" in text for text in result.warnings)


def test_planes_of_the_same_phases_have_those_of_all() -> None:
    result, _ = reconstructed((1, 1, 1))
    assert phases_of(result) == {"planes"}
    assert not any("change" in text for text in result.warnings)


def test_a_single_plane_of_other_phases_is_seen() -> None:
    result, _ = reconstructed((1, 1, 2))
    last = result.outputs[-1].patterns[2,]
    assert {pattern.phases_of for pattern in last} == {"frames"}
