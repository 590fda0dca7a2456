"""Known wave vectors of dim time-lapses and z-stacks, through the whole pipeline."""

import numpy as np
import pytest

from napari_dps.core import ImageStack, Pattern, finish
from napari_dps.core.context import Context
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import simulate_object
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import Plan, choose_steps
from napari_dps.pipeline.camera import Camera
from napari_dps.pipeline.run import run_plan
from napari_dps.pipeline.wave_vectors import with_wave_vectors

DRIFT_DEG = np.array([12.0, 16.0, -9.0])
"""Of the three angles, a time point."""


def lapse(count: int, photons: float, **changes):
    """Return a drifting time-lapse with known wave vectors, and its patterns."""
    settings = SimulationSettings(photons=photons, background_photons=0, **changes)
    emitters = phantom("er", (512, 512), pixel_size_nm=65 / 4, seed=3)
    start = simulate_object(emitters, settings).patterns
    patterns, frames = [], []
    for time_point in range(count):
        lit = tuple(
            p.model_copy(
                update={"phases_deg": tuple(np.add(p.phases_deg, time_point * drift))}
            )
            for p, drift in zip(start, DRIFT_DEG, strict=True)
        )
        seeded = settings.model_copy(update={"seed": time_point})
        frames.append(simulate_object(emitters, seeded, patterns=lit).raw.data)
        patterns.append(lit)
    raw = ImageStack(
        np.stack(frames), "TAPYX", pixel_size_nm=65, optics=settings.optics
    )
    return with_wave_vectors(raw, start), patterns, settings


def ran(stack: ImageStack, offset: float):
    context = Context("cpu")
    plan = Plan.of(stack, choose_steps(stack, ["reconstruct"]), camera=Camera(offset))
    return finish(run_plan(plan, context)).outputs[0], context.warnings


def phase_error_deg(found: Pattern, truth: Pattern) -> float:
    """Root mean square error at the centre of the field."""
    k, k_true = (np.array(p.orders[0].wavevector_per_nm) for p in (found, truth))
    at_centre = np.degrees(2 * np.pi * 63.5 * 65 * np.array([k.sum(), k_true.sum()]))
    sign = 1 if k @ k_true > 0 else -1
    phases = sign * (np.array(found.phases_deg) + at_centre[0])
    error = (phases - np.array(truth.phases_deg) - at_centre[1] + 180) % 360 - 180
    return float(np.sqrt((error**2).mean()))


def test_phases_that_drift_are_followed_in_light_that_no_time_point_shows_them_in():
    stack, patterns, settings = lapse(16, 2.5)
    output, warnings = ran(stack, settings.offset_counts)
    errors = []
    for (time_point,), found in output.patterns.items():
        for pattern, truth in zip(found, patterns[time_point], strict=True):
            assert pattern.status == "given"
            assert pattern.phases_of == "followed"
            assert pattern.drift_deg == ()
            errors.append(phase_error_deg(pattern, truth))
    assert np.sqrt(np.mean(np.square(errors))) < 10
    assert max(errors) < 25
    assert (
        "the phases of angle 3 change over time: they are followed over 16 time points "
        "together"
    ) in warnings


@pytest.mark.parametrize("modulation", [0.0, 0.6], ids=["no stripes", "other stripes"])
def test_wave_vectors_that_a_time_lapse_does_not_show_are_refused(modulation):
    stack, _, settings = lapse(6, 2.5, modulation=modulation)
    wrong = [
        Pattern(angle_index=a, angle_deg=40 + 60 * a, period_nm=310) for a in range(3)
    ]
    output, warnings = ran(with_wave_vectors(stack, wrong), settings.offset_counts)
    assert not any(
        pattern.status == "given"
        for found in output.patterns.values()
        for pattern in found
    )
    refused = [text for text in warnings if "do not show the stripes given" in text]
    assert len(refused) == 3
    assert "order 1: not used (confidence of 6 time points together" in refused[0]
