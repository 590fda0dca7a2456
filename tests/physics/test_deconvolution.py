"""Deconvolution: the imaging model, Richardson–Lucy and sparse–Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, zoom

from napari_dps.core import InputError, Optics, finish
from napari_dps.physics.deconvolution.model import ImagingModel
from napari_dps.physics.deconvolution.richardson_lucy import richardson_lucy_steps
from napari_dps.physics.deconvolution.sparse_hessian import (
    SparseSettings,
    sparse_hessian_steps,
)
from napari_dps.physics.image_formation import Microscope
from napari_dps.physics.otf import otf_2d

CPU = torch.device("cpu")
CUTOFF = 0.4
SHAPES = pytest.mark.parametrize("shape", [(32, 48), (37, 31), (5, 70)])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def sharpened(image: np.ndarray, iterations: int = 15, **options: Any) -> np.ndarray:
    image = image.astype(np.float32)
    model = ImagingModel(image.shape, CUTOFF, CPU)
    steps = richardson_lucy_steps(torch.from_numpy(image), model, iterations, **options)
    return finish(steps).numpy()


def sparse(image: np.ndarray, continuity: float, sparsity: float = 0.2) -> np.ndarray:
    settings = SparseSettings(continuity, sparsity, iterations=12)
    tensor = torch.from_numpy(image.astype(np.float32))
    return finish(sparse_hessian_steps(tensor, CUTOFF, settings)).numpy()


METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rl": sharpened,
    "sparse": lambda image: sparse(image, 0.01 * float(np.ptp(image))),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def blobs(shape: tuple[int, int] = (64, 56)) -> np.ndarray:
    """Noise-free image of random points, by FFT on the fine grid; periodic."""
    fine = np.zeros((2 * shape[0], 2 * shape[1]))
    generator = rng()
    for _ in range(40):
        fine[tuple(generator.integers(0, fine.shape))] += generator.uniform(0.5, 1)
    spectrum = np.fft.rfft2(fine) * otf_2d(fine.shape, CUTOFF / 2, half_plane=True)
    blurred = np.fft.irfft2(spectrum, s=fine.shape)
    image = blurred.reshape(shape[0], 2, shape[1], 2).mean(axis=(1, 3))
    return np.maximum(1000 * image / image.max(), 0)


@SHAPES
@pytest.mark.parametrize("binning", [1, 2])
def test_adjoint_is_the_transpose(shape: tuple[int, int], binning: int) -> None:
    model = ImagingModel(shape, CUTOFF, CPU, binning=binning)
    generator = torch.Generator().manual_seed(1)
    thing = torch.rand(model.object_shape, generator=generator)
    image = torch.rand(shape, generator=generator)
    forward = float((model.forward(thing) * image).sum())
    backward = float((thing * model.adjoint(image)).sum())
    assert backward == pytest.approx(forward * binning**2, rel=1e-5)


def test_model_is_the_camera_of_the_simulation() -> None:
    optics = Optics(na=1.3, emission_nm=525, pixel_size_nm=65)
    shape = (48, 40)
    emitters = np.zeros((4 * shape[0], 4 * shape[1]), np.float32)
    emitters[90:96, 80:81] = 1  # far from the edges
    emitters = gaussian_filter(emitters, 2.0)  # no finer than a fine pixel
    microscope = Microscope(optics, emitters.shape, 4, (0, 0))
    expected = microscope.image(microscope.order(emitters, (0.0, 0.0)))
    model = ImagingModel(shape, optics.cutoff_per_pixel, CPU)
    thing = torch.zeros(model.object_shape)
    # Light per fine pixel, as brightness of the image: four of them make a pixel.
    binned = 4 * emitters.reshape(96, 2, 80, 2).sum(axis=(1, 3))
    thing[:96, :80] = torch.from_numpy(binned)
    found = model.forward(thing).numpy()
    near = np.s_[10:38, 8:34]
    np.testing.assert_allclose(found[near], expected[near], atol=3e-3 * expected.max())


@SHAPES
def test_even_image_is_blurred_to_itself(shape: tuple[int, int]) -> None:
    model = ImagingModel(shape, CUTOFF, CPU)
    image = model.forward(torch.full(model.object_shape, 3.0))
    torch.testing.assert_close(image, torch.full(shape, 3.0))


def test_light_far_from_the_edges_falls_into_the_image() -> None:
    model = ImagingModel((64, 64), CUTOFF, CPU)
    assert float(model.sensitivity[64, 64]) > 0.95
    assert float(model.sensitivity.max()) < 1 + 1e-5
    assert 0 < float(model.sensitivity.min()) < 0.1


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.inf, np.nan])
def test_cutoff_that_is_not_positive_is_refused(cutoff: float) -> None:
    with pytest.raises(InputError, match="cut-off"):
        ImagingModel((8, 8), cutoff, CPU)


@every_method
@SHAPES
def test_constant_image_stays_constant(
    method: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int]
) -> None:
    result = method(np.full(shape, 130.0))
    assert result.shape == (2 * shape[0], 2 * shape[1])
    np.testing.assert_allclose(result, 130, rtol=1e-4)


@every_method
@pytest.mark.parametrize("value", [0.0, -5.0])
def test_image_without_light_gives_no_light(
    method: Callable[[np.ndarray], np.ndarray], value: float
) -> None:
    result = method(np.full((20, 24), value))
    assert np.isfinite(result).all()
    assert np.ptp(result) == 0
    assert result.max() <= 0


@every_method
@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e5])
def test_result_scales_with_the_unit(
    method: Callable[[np.ndarray], np.ndarray], unit: float
) -> None:
    image = blobs()
    plain = method(image)
    scaled = method(unit * image)
    np.testing.assert_allclose(scaled / unit, plain, atol=1e-3 * plain.max())


def test_flux_is_kept_by_richardson_lucy() -> None:
    image = np.zeros((100, 90))  # nothing near the edges, where light may leave
    image[18:82, 17:73] = blobs() * np.hanning(64)[:, np.newaxis]
    image *= np.pad(np.hanning(56), 17)
    noisy = rng().poisson(image)
    assert sharpened(noisy).mean() == pytest.approx(noisy.mean(), rel=0.01)


@every_method
def test_points_become_narrower_and_stay_in_place(
    method: Callable[[np.ndarray], np.ndarray],
) -> None:
    fine = np.zeros((128, 128))
    fine[61, 70] = 1
    spectrum = np.fft.rfft2(fine) * otf_2d(fine.shape, CUTOFF / 2, half_plane=True)
    blurred = np.fft.irfft2(spectrum, s=fine.shape)
    image = blurred.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    result = method(1000 * image / image.max())
    assert np.unravel_index(result.argmax(), result.shape) == (61, 70)
    area = np.count_nonzero(result > result.max() / 2)
    assert area < 0.5 * np.count_nonzero(blurred > blurred.max() / 2)
    y, x = np.mgrid[-6:7, -6:7]
    near = result[55:68, 64:77]
    assert abs((near * y).sum() / near.sum()) < 0.05
    assert abs((near * x).sum() / near.sum()) < 0.05


@every_method
def test_edges_do_not_ring_when_structure_is_cut(
    method: Callable[[np.ndarray], np.ndarray],
) -> None:
    # A bright edge beyond the last column: its light comes in, and nothing else.
    shape = (60, 60)
    wide = blobs((100, 100))
    whole = method(wide)[40:160, 40:160]
    cut = method(wide[20:80, 20:80])
    assert cut.shape == (2 * shape[0], 2 * shape[1])
    border = np.ones(cut.shape, bool)
    border[8:-8, 8:-8] = False
    inside = np.abs(cut - whole)[~border]
    assert np.quantile(inside, 0.99) < 0.02 * whole.max()
    assert np.abs(cut - whole)[border].mean() < 0.03 * whole.max()


def test_acceleration_does_the_work_of_several_iterations() -> None:
    image = blobs()
    model = ImagingModel(image.shape, CUTOFF, CPU)

    def misfit(result: np.ndarray) -> float:
        thing = torch.zeros(model.object_shape)
        thing[:128, :112] = torch.from_numpy(result)
        inner = np.s_[8:-8, 8:-8]
        return float(np.std(model.forward(thing).numpy()[inner] - image[inner]))

    plain = misfit(sharpened(image, 60, accelerate=False))
    assert misfit(sharpened(image, 20)) < plain
    assert misfit(sharpened(image, 20, accelerate=False)) > plain


def test_richardson_lucy_gains_likeness_to_the_object() -> None:
    shape = (64, 56)
    image = blobs(shape)
    fine = np.zeros((128, 112))
    generator = rng()
    for _ in range(40):
        fine[tuple(generator.integers(0, fine.shape))] += generator.uniform(0.5, 1)
    # Both are looked at through a PSF of half the width.
    otf = otf_2d(fine.shape, CUTOFF, half_plane=True)
    target = np.fft.irfft2(np.fft.rfft2(fine) * otf, s=fine.shape)
    noisy = rng().poisson(image).astype(float)
    before = zoom(noisy, 2, order=3, mode="grid-mirror", grid_mode=True)
    after = sharpened(noisy, 20)
    assert np.corrcoef(before.ravel(), target.ravel())[0, 1] < 0.78
    assert np.corrcoef(after.ravel(), target.ravel())[0, 1] > 0.87


def test_richardson_lucy_is_never_negative_for_negative_counts() -> None:
    image = rng().normal(0, 3, (40, 40))
    assert sharpened(image).min() >= 0


@pytest.mark.parametrize("iterations", [0, -3])
def test_iterations_below_one_are_refused(iterations: int) -> None:
    with pytest.raises(InputError, match="iterations"):
        sharpened(np.ones((8, 8)), iterations)


def test_continuity_takes_noise_away() -> None:
    noisy = rng().poisson(np.full((64, 64), 100.0)).astype(float)
    spreads = [sparse(noisy, weight).std() for weight in (0.1, 5.0, 20.0)]
    assert spreads[0] > 1.2 * spreads[1] > 2.4 * spreads[2]


def test_sparsity_dims_faint_light_beside_bright() -> None:
    image = blobs()
    faint = image.copy()
    faint[:, 28:] *= 0.05
    weak, strong = (sparse(faint, 2.0, sparsity) for sparsity in (0.0, 10.0))
    assert np.ptp(strong[:, 60:]) < 0.7 * np.ptp(weak[:, 60:])
    assert np.ptp(strong[:, :52]) > 0.9 * np.ptp(weak[:, :52])


def test_progress_counts_both_parts_of_sparse() -> None:
    settings = SparseSettings(1.0, 0.2, iterations=5, bregman_iterations=7)
    steps = sparse_hessian_steps(torch.rand(16, 16), CUTOFF, settings)
    assert [(report.done, report.total) for report in steps] == [
        (done, 12) for done in range(1, 13)
    ]
