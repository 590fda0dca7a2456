"""The uncertainty map: what new recordings would show; through T, C and into files."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.methods import METHODS
from napari_dps.methods.dps.target import target_of
from napari_dps.methods.dps.uncertainty import spread_steps
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import blur_truth
from napari_dps.pipeline import choose_steps
from napari_dps.pipeline import run as run_all
from napari_dps.stages.dps import STAGE, DpsParameters

OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
SIDE = 64
RECORDINGS = 16


def image_of(data: np.ndarray, axes: str = "YX") -> ImageStack:
    return ImageStack(data, axes, pixel_size_nm=65, optics=OPTICS)


def run(image: ImageStack, **parameters: object) -> ImageStack:
    wanted = DpsParameters(**parameters)  # type: ignore[arg-type]
    return finish(STAGE.run(image, wanted, Context("cpu")))


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """Photons over a field of actin, 200 in the brightest, 20 between."""
    emitters = phantom("actin", (4 * SIDE, 4 * SIDE), pixel_size_nm=65 / 4, seed=2)
    truth = emitters.reshape(2 * SIDE, 2, 2 * SIDE, 2).sum(axis=(1, 3))
    stack = ImageStack(
        truth, "YX", pixel_size_nm=32.5, optics=OPTICS.at_pixel_size(32.5)
    )
    clean = blur_truth(stack, modulation_factor=1).data
    clean = np.maximum(clean.reshape(SIDE, 2, SIDE, 2).mean(axis=(1, 3)), 0)
    return 180 * clean / np.percentile(clean, 99.9) + 20


def spread_of(data: np.ndarray, strength: float = 0.5) -> np.ndarray:
    """Return what noise alone does to the result of Richardson–Lucy."""
    target = target_of(
        image_of(data), Context("cpu"), weights="hybrid", strength=strength
    )
    method = METHODS["rl"]
    return finish(spread_steps(method, target, finish(method(target))))


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.0, 12.0])
def test_predicted_deviation_is_that_of_new_recordings(
    expected: np.ndarray, gain: float
) -> None:
    rng = np.random.default_rng(1)
    recordings = [
        (gain * rng.poisson(expected)).astype(np.float32) for _ in range(RECORDINGS)
    ]
    results = [run(image_of(frame), method="rl").data for frame in recordings]
    actual = np.std(results, axis=0, ddof=1)
    predicted = spread_of(recordings[0])
    assert 0.7 < np.median(predicted / actual) < 1.3
    # And it tells where: brighter structures vary more than the background.
    bright = results[0] > np.percentile(results[0], 90)
    ratio = predicted[bright].mean() / predicted[~bright].mean()
    assert ratio == pytest.approx(actual[bright].mean() / actual[~bright].mean(), 0.3)


@pytest.mark.parametrize(("method", "strength"), [("network", 0.0), ("rl", 0.5)])
@pytest.mark.parametrize("photons", [40.0, 1000.0])
def test_nine_of_ten_pixels_are_within_two_deviations(
    method: str, strength: float, photons: float
) -> None:
    optics = OPTICS.model_copy(update={"modulation_factor": 2.0, "pixel_size_nm": 35})
    side = 4 * 96
    emitters = phantom("glyphs", (side, side), pixel_size_nm=35 / 4, seed=4)
    halves = emitters.reshape(192, 2, 192, 2).sum(axis=(1, 3))
    fine = ImageStack(
        halves, "YX", pixel_size_nm=17.5, optics=optics.at_pixel_size(17.5)
    )
    clean = np.maximum(blur_truth(fine, modulation_factor=2).data, 0)
    scale = photons / np.percentile(clean, 99.9)
    recorded = scale * clean.reshape(96, 2, 96, 2).mean(axis=(1, 3)) + 0.02 * photons
    data = np.random.default_rng(8).poisson(recorded).astype(np.float32)
    image = ImageStack(data, "YX", pixel_size_nm=35, optics=optics)
    told = run(image, method=method, strength=strength, uncertainty=True)
    # At strength 0 the network shows it under half the width of the PSF.
    truth = scale * blur_truth(fine, modulation_factor=4).data + 0.02 * photons
    inside = np.s_[16:-16, 16:-16]
    error = (np.abs(told.data - truth) / told.uncertainty)[inside]
    assert (error < 2).mean() > 0.88
    assert np.sqrt(np.mean(error**2)) > 0.4  # nor is it overstated


@pytest.mark.parametrize("method", ["network", "rl", "sparse"])
def test_every_method_gives_a_map_and_the_same_result(
    expected: np.ndarray, method: str
) -> None:
    image = image_of(np.random.default_rng(3).poisson(expected).astype(np.float32))
    told = run(image, method=method, uncertainty=True)
    plain = run(image, method=method)
    np.testing.assert_array_equal(told.data, plain.data)
    assert plain.uncertainty is None
    assert told.uncertainty is not None
    assert told.uncertainty.shape == told.shape == (2 * SIDE, 2 * SIDE)
    assert told.uncertainty.dtype == np.float32
    assert np.isfinite(told.uncertainty).all()
    assert 0 <= told.uncertainty.min() < told.uncertainty.max()


def test_constant_image_is_certain() -> None:
    told = run(image_of(np.full((40, 40), 30.0)), method="rl", uncertainty=True)
    assert told.uncertainty is not None
    assert told.uncertainty.max() < 0.01


def test_more_light_is_surer(expected: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    spreads, totals = [], []
    for photons in (1, 25):
        data = rng.poisson(photons * expected).astype(np.float32)
        told = run(image_of(data), method="rl", strength=0.2, uncertainty=True)
        totals.append(float(np.median(told.uncertainty / told.data.mean())))
        spreads.append(float(np.median(spread_of(data, 0.2) / data.mean())))
    assert spreads[1] < 0.6 * spreads[0]
    assert totals[1] < totals[0]


def test_time_points_and_channels_each_have_their_map(expected: np.ndarray) -> None:
    rng = np.random.default_rng(6)
    part = expected[:40, :44]
    shares = np.array([[1.0, 0.5], [0.2, 0.1]])
    data = rng.poisson(shares[:, :, None, None] * part).astype(np.uint16)
    stack = image_of(data, "TCYX").derive(data, channel_names=("red", "green"))
    chosen = {"dps": DpsParameters(method="rl", uncertainty=True)}
    (step,) = choose_steps(stack, ["dps"], chosen)
    output = finish(run_all(stack, [step], Context("cpu"))).outputs[0]
    spread = output.image.uncertainty
    assert spread is not None
    assert spread.shape == output.image.shape == (2, 2, 80, 88)
    assert output.image.axes == "TCYX"
    alone = run(image_of(data[1, 0]), method="rl", uncertainty=True).uncertainty
    np.testing.assert_allclose(spread[1, 0], alone, rtol=1e-4)
    levels = spread.mean(axis=(2, 3))
    assert levels[0, 0] > levels[0, 1] > levels[1, 0] > levels[1, 1]


def test_stage_without_a_map_leaves_none_in_a_stack() -> None:
    data = np.random.default_rng(0).poisson(30, (2, 24, 24)).astype(np.float32)
    stack = image_of(data, "TYX")
    (step,) = choose_steps(stack, ["dps"], {"dps": DpsParameters(method="rl")})
    assert finish(run_all(stack, [step], Context("cpu"))).images[0].uncertainty is None
