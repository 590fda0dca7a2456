"""The stage ``dps``: counts, geometry, strength, noise, optics that it assumes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, InputError, Optics, Pattern, finish
from napari_dps.core.context import Context
from napari_dps.core.params import parse
from napari_dps.methods.dps.methods import METHODS
from napari_dps.methods.dps.noise import COLOURED_NOISE, is_raw, measured_noise
from napari_dps.methods.dps.optics import (
    RECONSTRUCTION_WIDTH,
    contradiction,
    effective_optics,
)
from napari_dps.methods.dps.target import iterations_for
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import SimulationSettings, blur_truth, simulate
from napari_dps.stages import background, reconstruct
from napari_dps.stages.dps import STAGE, DpsParameters, inspect

OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
# joint works on raw frames alone: test_dps_joint.py
every_method = pytest.mark.parametrize("method", sorted(METHODS.keys() - {"joint"}))


def image_of(data: np.ndarray, optics: Optics | None = OPTICS) -> ImageStack:
    return ImageStack(data, "YX", pixel_size_nm=65, origin_nm=(10, 20), optics=optics)


def run(image: ImageStack, **parameters: object) -> tuple[ImageStack, list[str]]:
    context = Context("cpu")
    wanted = DpsParameters(**parameters)  # type: ignore[arg-type]
    prepared = finish(inspect(image, wanted, context))
    result = finish(STAGE.run(prepared, wanted, context))
    return result, context.warnings


def scene(
    photons: float, seed: int = 1, *, right: float = 1.0
) -> tuple[ImageStack, ImageStack]:
    """A noisy widefield image of nuclear pores, and its truth on the 2× grid.

    The right half shines with that share of its light.
    """
    side = 96
    emitters = phantom(
        "nuclear_pores", (4 * side, 4 * side), pixel_size_nm=65 / 4, seed=seed
    )
    emitters[:, 2 * side :] *= right
    truth = emitters.reshape(2 * side, 2, 2 * side, 2).sum(axis=(1, 3))
    stack = ImageStack(
        truth, "YX", pixel_size_nm=32.5, optics=OPTICS.at_pixel_size(32.5)
    )
    clean = blur_truth(stack, modulation_factor=1).data
    clean = np.maximum(clean.reshape(side, 2, side, 2).mean(axis=(1, 3)), 0)
    clean *= photons / np.percentile(clean, 99.9)
    noisy = np.random.default_rng(seed).poisson(clean + 0.02 * photons)
    return image_of(noisy.astype(np.float32)), stack


def likeness(result: np.ndarray, truth: ImageStack) -> float:
    target = blur_truth(truth, modulation_factor=2).data
    return float(np.corrcoef(result.ravel(), target.ravel())[0, 1])


@pytest.mark.slow
@every_method
@pytest.mark.parametrize("photons", [40, 2000])
def test_result_is_more_like_the_truth_than_the_input(
    method: str, photons: float
) -> None:
    image, truth = scene(photons)
    enlarged = image.data.repeat(2, 0).repeat(2, 1)
    before, after = (
        likeness(data, truth) for data in (enlarged, run(image, method=method)[0].data)
    )
    assert (1 - after) < 0.5 * (1 - before)


@every_method
def test_constant_image_stays_as_it_is(method: str) -> None:
    result, warnings = run(image_of(np.full((33, 40), 70.0)), method=method)
    np.testing.assert_allclose(result.data, 70, rtol=1e-4)
    assert warnings == []


@every_method
@pytest.mark.parametrize("level", [0.0, 30.0])
def test_mean_is_kept_for_noise_and_negative_counts(method: str, level: float) -> None:
    rng = np.random.default_rng(2)
    data = scene(100)[0].data + rng.normal(level - 2, 3, (96, 96))
    result, _ = run(image_of(data), method=method)
    assert result.data.mean() == pytest.approx(data.mean(), rel=1e-4)


def test_intensity_ratio_of_far_objects_is_kept_by_richardson_lucy() -> None:
    (dim, _), (even, _) = scene(4000, right=0.05), scene(4000)
    far = np.s_[16:-16, 120:-16]
    light = [
        float((run(image, method="rl")[0].data[far] - 80).sum())
        for image in (dim, even)
    ]
    assert 20 * light[0] / light[1] == pytest.approx(1, abs=0.05)


@pytest.mark.slow
@every_method
def test_brightness_of_a_bleaching_series_is_followed(method: str) -> None:
    clean = scene(1000)[0].data.astype(float)
    rng = np.random.default_rng(4)
    for share in (1.0, 0.7, 0.5):
        frame = rng.poisson(share * clean)
        result, _ = run(image_of(frame.astype(np.uint16)), method=method)
        assert result.data.mean() == pytest.approx(share * clean.mean(), rel=0.02)


@pytest.mark.slow
@every_method
def test_strength_goes_from_cautious_to_sharp(method: str) -> None:
    image, _ = scene(200)
    peaks = [
        float(np.percentile(run(image, method=method, strength=s)[0].data, 99.9))
        for s in (0.0, 0.5, 1.0)
    ]
    assert peaks[0] < 0.95 * peaks[1] < 0.9 * peaks[2]


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 3), (7, 64)])
@every_method
def test_tiny_images_are_sharpened_too(method: str, shape: tuple[int, int]) -> None:
    data = np.random.default_rng(1).poisson(50, shape).astype(np.float32)
    result, _ = run(image_of(data), method=method)
    assert result.shape == (2 * shape[0], 2 * shape[1])
    assert np.isfinite(result.data).all()


def test_iterations_rise_with_signal_and_strength() -> None:
    by_signal = [iterations_for(s, 0.5, 2.9, 0.35) for s in (3, 20, 50, 150)]
    assert by_signal == [4, 8, 11, 17]
    by_strength = [iterations_for(50, s, 2.9, 0.35) for s in (0, 0.5, 1)]
    assert by_strength == [3, 11, 46]


def test_noise_is_measured_white_and_coloured() -> None:
    rng = np.random.default_rng(0)
    white = rng.normal(100, 4, (128, 128)).astype(np.float32)
    assert is_raw(white)
    assert measured_noise(white, 0.3, white=True) == pytest.approx(4, rel=0.05)
    coarse = rng.normal(100, 4, (64, 64)).astype(np.float32)
    coloured = coarse.repeat(2, 0).repeat(2, 1)
    assert not is_raw(coloured)
    expected = COLOURED_NOISE * 4
    assert measured_noise(coloured, 0.3, white=False) == pytest.approx(
        expected, rel=0.1
    )


def test_modulation_factor_of_the_optics_is_taken() -> None:
    optics = OPTICS.model_copy(update={"modulation_factor": 1.5})
    pattern = Pattern(angle_deg=0, period_nm=300)
    image = ImageStack(
        np.ones((4, 4)), "YX", pixel_size_nm=65, optics=optics, patterns=(pattern,)
    )
    assert effective_optics(image).modulation_factor == 1.5
    assert effective_optics(image_of(np.ones((4, 4)))).modulation_factor == 1


def test_modulation_factor_after_sim_follows_from_the_patterns() -> None:
    period = OPTICS.cutoff_period_nm / 0.9
    patterns = [Pattern(angle_index=a, angle_deg=60 * a, period_nm=period)
                for a in range(3)]  # fmt: skip
    lost = Pattern(angle_index=2, orders=[{"status": "not found"}])
    image = image_of(np.ones((4, 4)))
    whole = image.derive(image.data, patterns=tuple(patterns))
    assert effective_optics(whole).modulation_factor == pytest.approx(
        1.9 * RECONSTRUCTION_WIDTH
    )
    partly = image.derive(image.data, patterns=(*patterns[:2], lost))
    assert effective_optics(partly).modulation_factor == pytest.approx(
        1.6 * RECONSTRUCTION_WIDTH
    )
    nothing = image.derive(image.data, patterns=(lost,))
    assert effective_optics(nothing).modulation_factor == 1


def test_psf_is_measured_when_asked_for_and_the_optics_are_wrong() -> None:
    image, truth = scene(2000)
    wrong = image.derive(
        image.data, optics=OPTICS.model_copy(update={"emission_nm": 700})
    )
    stated, quiet = run(wrong)
    measured, warnings = run(wrong, psf="measured")
    assert quiet == []
    assert warnings == [contradiction(wrong)]
    assert "narrower than" in warnings[0]
    assert likeness(measured.data, truth) > likeness(stated.data, truth)


def test_psf_stays_as_stated_where_the_image_cannot_tell() -> None:
    noise = np.random.default_rng(0).poisson(50, (96, 96)).astype(np.float32)
    image = image_of(noise)
    measured, warnings = run(image, psf="measured")
    np.testing.assert_array_equal(measured.data, run(image)[0].data)
    assert len(warnings) == 1
    assert "not measured" in warnings[0]


def test_under_sampled_optics_are_warned_of() -> None:
    coarse = Optics(na=1.4, emission_nm=525, pixel_size_nm=120)
    data = np.random.default_rng(0).poisson(20, (32, 32)).astype(np.float32)
    context = Context("cpu")
    stack = ImageStack(data, "YX", pixel_size_nm=120, optics=coarse)
    finish(STAGE.run(stack, DpsParameters(), context))
    assert len(context.warnings) == 1
    assert "under-sampled" in context.warnings[0]


def test_image_without_optics_is_refused() -> None:
    with pytest.raises(InputError, match="NA, emission") as caught:
        run(image_of(np.ones((16, 16)), optics=None))
    assert "optics.na" in caught.value.fields


@pytest.mark.parametrize(
    "values", [{"strength": 1.1}, {"strength": -0.1}, {"method": "magic"}]
)
def test_parameters_out_of_limits_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"dps\."):
        parse(DpsParameters, values, "dps")


@every_method
def test_reconstruction_becomes_more_like_the_truth(method: str) -> None:
    settings = SimulationSettings(
        height_px=96, width_px=96, structure="microtubules", photons=2000, seed=3
    )
    simulation = simulate(settings)
    counts = simulation.raw.data.astype(np.float32) - settings.offset_counts
    image = simulation.raw.derive(counts)
    context = Context("cpu")
    parameters = reconstruct.ReconstructParameters()
    image = finish(reconstruct.STAGE.run(image, parameters, context))
    image = finish(
        background.STAGE.run(image, background.BackgroundParameters(), context)
    )
    result, _ = run(image, method=method)
    assert result.pixel_size_nm == pytest.approx(settings.pixel_size_nm / 4)
    target = blur_truth(simulation.truth, modulation_factor=4).data
    binned = result.data.reshape(192, 2, 192, 2).mean(axis=(1, 3))
    before = np.corrcoef(image.data.ravel(), target.ravel())[0, 1]
    after = np.corrcoef(binned.ravel(), target.ravel())[0, 1]
    assert 1 - after < 0.7 * (1 - before)


@pytest.mark.parametrize("shape", [(200, 1), (1, 64), (64, 2), (3, 200)])
@pytest.mark.parametrize("light", [0.3, 3.0])
def test_thin_images_of_few_photons_stay_finite(
    shape: tuple[int, int], light: float
) -> None:
    counts = np.random.default_rng(0).poisson(light, shape).astype(np.float32)
    optics = Optics(na=1.3, emission_nm=600, pixel_size_nm=65)
    image = ImageStack(counts, "YX", pixel_size_nm=65, optics=optics)
    result = finish(STAGE.run(image, DpsParameters(strength=1)))
    assert np.isfinite(result.data).all()
    assert result.data.mean() == pytest.approx(counts.mean(), rel=1e-3, abs=1e-3)
