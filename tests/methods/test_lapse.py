"""Time-lapses whose stripes start at another phase at every time point."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.sim import fit
from napari_dps.pipeline import choose_steps, run
from napari_dps.stages.reconstruct import ReconstructParameters

OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
SIZE, ANGLES_DEG, PERIOD_NM, MODULATION = 96, (10, 70, 130), 220.0, 0.7
TIMES = 5


def lapse(starts_deg: np.ndarray, photons: float) -> ImageStack:
    """Points under stripes; ``starts_deg`` (T, A) is the phase of the first frame."""
    rng = np.random.default_rng(3)
    fine = 2 * SIZE
    objects = np.zeros((fine, fine))
    objects[tuple(rng.integers(0, fine, (2, 400)))] = rng.uniform(0.3, 1, 400)
    y, x = np.mgrid[:fine, :fine] * OPTICS.pixel_size_nm / 2
    frequency = np.fft.fftfreq(fine)
    radius = np.hypot(frequency[:, None], frequency)
    otf = widefield_otf(radius, OPTICS.cutoff_per_pixel / 2)
    frames = np.empty((len(starts_deg), 3, 3, SIZE, SIZE))
    for t, a, p in np.ndindex(frames.shape[:3]):
        angle = np.radians(ANGLES_DEG[a])
        phase = np.radians(starts_deg[t, a] + 120 * p)
        wave = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / PERIOD_NM
        lit = objects * (1 + MODULATION * np.cos(wave + phase))
        seen = np.fft.ifft2(np.fft.fft2(lit) * otf).real
        frames[t, a, p] = seen.reshape(SIZE, 2, SIZE, 2).sum(axis=(1, 3))
    frames = np.maximum(frames, 0) * photons / np.percentile(frames, 99.9)
    counts = rng.poisson(frames).astype(np.float32)
    return ImageStack(counts, "TAPYX", pixel_size_nm=65, optics=OPTICS)


def reconstructed(stack: ImageStack, stages=("reconstruct",), every: int = 0):
    parameters = {"reconstruct": ReconstructParameters(patterns_every=every)}
    result = finish(run(stack, choose_steps(stack, list(stages), parameters)))
    return np.asarray(result.images[-1].data), result


def differences(a: np.ndarray, b: np.ndarray) -> list[float]:
    return [
        float(np.linalg.norm(x - y) / np.linalg.norm(y))
        for x, y in zip(a, b, strict=True)
    ]


@pytest.mark.parametrize("drift_deg", [10, 30, None])
def test_phases_that_change_are_fitted_at_each_time_point(
    drift_deg: float | None,
) -> None:
    rng = np.random.default_rng(2)
    starts = (
        rng.uniform(0, 360, (TIMES, 3))
        if drift_deg is None
        else np.arange(TIMES)[:, None] * drift_deg + np.zeros(3)
    )
    stack = lapse(starts, photons=300)
    shared, result = reconstructed(stack)
    each, _ = reconstructed(stack, every=1)
    assert max(differences(shared, each)) < 0.06
    assert any("change over time" in text for text in result.warnings)


def test_phases_that_stay_are_those_of_the_mean_at_every_time_point() -> None:
    stack = lapse(np.full((TIMES, 3), 40.0), photons=100)
    _, result = reconstructed(stack)
    assert not any("change over time" in text for text in result.warnings)
    assert {p.phases_of for p in result.patterns} == {"first frames"}


def test_denoised_frames_are_not_asked_for_their_phases() -> None:
    stack = lapse(np.arange(TIMES)[:, None] * 30.0 + np.zeros(3), photons=200)
    _, result = reconstructed(stack, ("denoise", "reconstruct"))
    denoised, image = (output.first.patterns for output in result.outputs)
    assert denoised == image
    assert "frames" in {p.phases_of for p in image}


@pytest.mark.parametrize("photons", [4, 6, 10])
def test_dim_time_points_take_the_phases_of_the_mean(photons: float) -> None:
    stack = lapse(np.full((TIMES, 3), 40.0), photons=photons)
    _, result = reconstructed(stack)
    assert [p.phases_of for p in result.patterns] == ["first frames"] * 3
    assert not any("change over time" in text for text in result.warnings)


@pytest.mark.parametrize("status", ["given", "doubtful"])
def test_weak_stripes_are_doubted_unless_they_are_given(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = lapse(np.full((1, 3), 40.0), photons=200)
    _, found = reconstructed(stack)
    monkeypatch.setattr(fit, "WEAK_STRIPES", ((2.0, np.inf),))
    if status == "given":
        vectors = tuple(p.only_wave_vectors() for p in found.patterns)
        stack = stack.derive(stack.data, patterns=vectors)
    _, result = reconstructed(stack)
    assert [p.status for p in result.patterns] == [status] * 3
    assert [len(p.phases_deg) for p in result.patterns if p.is_usable] == (
        [3, 3, 3] if status == "given" else []
    )
