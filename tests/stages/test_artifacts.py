"""The stage ``artifacts``: what it takes away, what it leaves, and on which scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
import torch

from napari_dps.core import ImageStack, InputError, Optics, Pattern, finish
from napari_dps.core.context import Context
from napari_dps.metrics.reference import psnr_db, ssim
from napari_dps.nets.equivariant import TURNS, opposite, turned
from napari_dps.physics.canonical import CANONICAL_OPTICS
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import blur_truth
from napari_dps.stages.artifacts import STAGE, ArtifactsParameters
from napari_dps.train.artifacts.faults import Faults
from napari_dps.train.artifacts.pairs import Pair, counts_of, make_pair
from napari_dps.train.artifacts.scenes import PairSettings, draw_scene

CPU = torch.device("cpu")


def spoilt(*kinds: str) -> Pair:
    """A held-out structure, spoilt."""
    settings = PairSettings(field_px=96, planted=0.0)
    rng = np.random.default_rng(31)
    scene = draw_scene(settings, rng, structure="nuclear_pores")
    return make_pair(scene, kinds, settings, rng)


def stack(data: np.ndarray, **changes: object) -> ImageStack:
    return ImageStack(
        data, "YX", pixel_size_nm=32.5, optics=CANONICAL_OPTICS, **changes
    )


def clean(image: ImageStack, strength: float = 1.0) -> np.ndarray:
    parameters = ArtifactsParameters(strength=strength)
    return finish(STAGE.run(image, parameters, Context("cpu"))).data


def noisy() -> tuple[ImageStack, np.ndarray]:
    """A held-out structure full of honeycomb, and the right reconstruction."""
    rng = np.random.default_rng(32)
    settings = PairSettings(field_px=96, planted=0.0)
    scene = draw_scene(settings, rng, structure="mitochondria")
    image, target = counts_of(scene, Faults(photons=8, wiener_ratio=0.01), rng)
    optics = scene.effective_optics
    pixel_nm = optics.pixel_size_nm
    return ImageStack(image, "YX", pixel_size_nm=pixel_nm, optics=optics), target


@pytest.mark.parametrize("kind", ["noise", "wiener", "smoothed"])
def test_spoilt_reconstruction_comes_nearer_to_the_right_one(kind: str) -> None:
    pair = spoilt(kind)
    result = clean(stack(pair.image))
    assert ssim(result, pair.target) > ssim(pair.image, pair.target) + 0.02
    assert result.mean() == pytest.approx(pair.image.mean(), rel=0.02)


def test_structure_is_found_under_honeycomb() -> None:
    image, target = noisy()
    result = clean(image)
    assert ssim(result, target) > ssim(image.data, target) + 0.3
    assert psnr_db(result, target) > psnr_db(image.data, target) + 5
    assert result.mean() == pytest.approx(image.data.mean(), rel=0.02)


def spread_over_turns(image: ImageStack) -> float:
    """Largest difference between the results of turned images, of their range."""
    results = []
    for turn in range(TURNS):
        seen = image.derive(np.ascontiguousarray(turned(image.data, turn)))
        results.append(turned(clean(seen), opposite(turn)))
    spread = np.ptp(np.stack(results), axis=0)
    return float(spread.max() / np.ptp(results[0]))


def test_result_turns_with_an_image_that_is_full_of_noise() -> None:
    assert spread_over_turns(noisy()[0]) < 0.01


@pytest.mark.parametrize("shape", [(96, 96), (91, 78)])
def test_result_turns_with_a_bright_image(shape: tuple[int, int]) -> None:
    image = spoilt("noise").image[: shape[0], : shape[1]]
    assert spread_over_turns(stack(image)) < 0.01


def test_right_reconstruction_passes() -> None:
    image = spoilt().target
    assert psnr_db(clean(stack(image)), image) > 40


@pytest.mark.parametrize("what", ["points", "gaps"])
def test_structures_neither_vanish_nor_fill_up(what: str) -> None:
    """Filaments with something changed, and without: the change is seen as before."""
    settings = PairSettings(field_px=96, planted=0.0, haze=0.0)
    plain = draw_scene(settings, np.random.default_rng(8), structure="microtubules")
    rng = np.random.default_rng(9)
    changed = np.array(plain.emitters)
    size = len(changed)
    if what == "points":
        rows, columns = rng.integers(size // 5, 4 * size // 5, (2, 20))
        changed[rows, columns] += 10
    else:
        y, x = np.mgrid[:size, :size]
        rows, columns = np.nonzero(changed > np.percentile(changed, 97))
        for index in rng.integers(0, len(rows), 25):
            far = np.hypot(y - rows[index], x - columns[index]) / 8
            changed *= 1 - np.exp(-(far**4))
    with_it, without = (
        make_pair(scene, ("noise",), settings, np.random.default_rng(10))
        for scene in (replace(plain, emitters=changed), plain)
    )
    wanted = with_it.target - without.target
    shown = clean(stack(with_it.image)) - clean(stack(without.image))
    assert 0.7 < np.vdot(shown, wanted) / np.vdot(wanted, wanted) < 1.2


def test_result_scales_with_the_counts() -> None:
    image = spoilt("noise").image
    once, more = clean(stack(image)), clean(stack(7 * image))
    np.testing.assert_allclose(more, 7 * once, atol=3e-3 * float(np.ptp(more)))


def test_light_that_is_everywhere_does_not_matter() -> None:
    image = spoilt("noise").image
    brighter = image + 3 * np.float32(image.max())
    atol = 6e-3 * float(np.ptp(image))
    expected = clean(stack(image)) + 3 * image.max()
    np.testing.assert_allclose(clean(stack(brighter)), expected, atol=atol)


def test_strength_mixes_image_and_result() -> None:
    image = spoilt("noise").image
    whole, half, none = (clean(stack(image), s) for s in (1.0, 0.5, 0.0))
    np.testing.assert_array_equal(none, image)
    np.testing.assert_allclose(half, (image + whole) / 2, rtol=1e-5, atol=1e-3)


def test_what_was_taken_out_is_kept_if_wanted() -> None:
    image = stack(spoilt("noise").image)
    wanted = ArtifactsParameters(strength=0.5, residual=True)
    result = finish(STAGE.run(image, wanted, Context("cpu")))
    residual = result.maps["residual"]
    np.testing.assert_allclose(result.data + residual, image.data, rtol=1e-5, atol=1e-3)
    assert residual.dtype == np.float32
    assert float(np.abs(residual).max()) > 0
    assert not finish(STAGE.run(image, ArtifactsParameters(), Context("cpu"))).maps


def test_planes_share_the_sharpness_of_the_first() -> None:
    optics = Optics(na=1.4, emission_nm=520, pixel_size_nm=32.5)
    image = ImageStack(spoilt("noise").image, "YX", pixel_size_nm=32.5, optics=optics)
    context = Context("cpu")
    assert STAGE.inspect is not None
    seen = finish(STAGE.inspect(image, ArtifactsParameters(), context))
    assert seen.optics is not None
    assert seen.optics.modulation_factor > 1.2
    assert len(context.warnings) == 1
    finish(STAGE.run(seen, ArtifactsParameters(), context))
    assert len(context.warnings) == 1


def test_other_pixels_give_the_same_image() -> None:
    """The same reconstruction on a grid twice as fine is treated alike."""
    from napari_dps.physics.resampling import resample

    image = spoilt("noise").image
    fine = ImageStack(
        resample(image, (192, 192)),
        "YX",
        pixel_size_nm=16.25,
        optics=CANONICAL_OPTICS.at_pixel_size(16.25),
    )
    expected = resample(clean(stack(image)), (192, 192))
    atol = 0.03 * float(np.ptp(expected))
    np.testing.assert_allclose(clean(fine), expected, atol=atol)


def test_patterns_set_the_psf() -> None:
    """Stripes at the cut-off nearly double it, a stated factor does the same."""
    image = spoilt("noise").image
    optics = Optics(na=1.4, emission_nm=520, pixel_size_nm=40)
    period_nm = optics.cutoff_period_nm
    patterns = tuple(
        Pattern(angle_index=i, angle_deg=60 * i, period_nm=period_nm, modulation=1)
        for i in range(3)
    )
    found = ImageStack(image, "YX", optics=optics, pixel_size_nm=40, patterns=patterns)
    context = Context("cpu")
    result = finish(STAGE.run(found, ArtifactsParameters(), context)).data
    assert context.warnings == []
    factor = optics.model_copy(update={"modulation_factor": 2 * 0.87})
    stated = ImageStack(image, "YX", optics=factor, pixel_size_nm=40)
    np.testing.assert_allclose(result, clean(stated), atol=1e-3 * float(np.ptp(image)))


def test_image_that_nothing_calls_a_reconstruction_gets_a_warning() -> None:
    optics = Optics(na=1.4, emission_nm=520, pixel_size_nm=65)
    image = ImageStack(spoilt().image, "YX", pixel_size_nm=65, optics=optics)
    context = Context("cpu")
    finish(STAGE.run(image, ArtifactsParameters(), context))
    assert len(context.warnings) == 1
    assert "modulation factor" in context.warnings[0]


def test_image_without_optics_is_refused_naming_the_stage() -> None:
    with pytest.raises(InputError, match="artifacts"):
        clean(ImageStack(np.ones((8, 8), np.float32), "YX"))


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (2, 2)])
@pytest.mark.parametrize("value", [0.0, 100.0])
def test_even_and_tiny_images_stay_even(shape: tuple[int, int], value: float) -> None:
    result = clean(stack(np.full(shape, value, np.float32)))
    np.testing.assert_allclose(result, value, atol=2.0)
    assert result.shape == shape


def stated(image: ImageStack, strength: float = 1.0) -> ImageStack:
    """Return the result with its uncertainty."""
    parameters = ArtifactsParameters(strength=strength, uncertainty=True)
    return finish(STAGE.run(image, parameters, Context("cpu")))


def test_most_errors_are_within_two_stated_deviations() -> None:
    pair = spoilt("noise")
    image, right = noisy()
    for one, truth in ((stack(pair.image), pair.target), (image, right)):
        result = stated(one)
        assert result.uncertainty is not None
        np.testing.assert_array_equal(result.data, clean(one))
        error = np.abs(result.data - truth) / result.uncertainty
        assert (error < 2).mean() > 0.88
        assert np.median(error) > 0.05  # nor is it overstated without bounds


def test_what_was_left_in_is_uncertain() -> None:
    image, right = noisy()
    whole, half = stated(image), stated(image, 0.5)
    assert half.uncertainty.mean() > 2 * whole.uncertainty.mean()
    assert (np.abs(half.data - right) < 2 * half.uncertainty).mean() > 0.9


def test_the_uncertainty_is_in_the_unit_of_the_image_and_turns_with_it() -> None:
    image, _ = noisy()
    once = stated(image).uncertainty
    many = stated(image.derive(1000 * image.data)).uncertainty
    np.testing.assert_allclose(many, 1000 * once, rtol=1e-2)
    other = image.derive(np.ascontiguousarray(turned(image.data, 3)))
    there = turned(stated(other).uncertainty, opposite(3))
    np.testing.assert_allclose(there, once, atol=2e-2 * once.max())


def test_an_even_image_is_certain() -> None:
    result = stated(stack(np.full((48, 40), 30.0, np.float32)))
    assert result.uncertainty.max() < 0.3


def camera_image(photons: float) -> tuple[ImageStack, np.ndarray]:
    """A widefield image, and the same without noise."""
    optics = Optics(na=1.4, emission_nm=520, pixel_size_nm=56)
    emitters = phantom("microtubules", (384, 384), pixel_size_nm=14, seed=3)
    fine = ImageStack(emitters, "YX", pixel_size_nm=14, optics=optics.at_pixel_size(14))
    seen = blur_truth(fine, modulation_factor=1).data
    clean = np.maximum(seen.reshape(96, 4, 96, 4).mean(axis=(1, 3)), 0)
    clean = photons * clean / np.percentile(clean, 99.9)
    noisy = np.random.default_rng(3).poisson(clean + 0.5) - np.float32(0.5)
    image = ImageStack(noisy.astype(np.float32), "YX", pixel_size_nm=56, optics=optics)
    return image, clean


def test_camera_image_loses_strong_noise_alone() -> None:
    bright, _ = camera_image(500)
    np.testing.assert_array_equal(clean(bright), bright.data)
    smooth = bright.derive(scipy.ndimage.median_filter(bright.data, 3))
    np.testing.assert_array_equal(clean(smooth), smooth.data)
    dim, right = camera_image(5)
    before, after = (np.std(one - right) for one in (dim.data, clean(dim)))
    assert after < 0.8 * before
