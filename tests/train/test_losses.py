"""Losses: values by hand, the imaging model against its parts and its transpose."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_dps.core import InputError
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.otf import otf_2d
from napari_dps.train.dps.data import Batch
from napari_dps.train.dps.losses import (
    ImageFormation,
    LossWeights,
    Objective,
    hessian_loss,
    poisson_misfit,
)
from napari_dps.train.losses import ssim_loss


def test_image_formation_passes_its_otf_for_a_cosine():
    # a cosine on the mirrored grid: amplitude times OTF times the 2 × 2 mean
    size, cycles = 64, 8
    frequency = cycles / (2 * size)
    x = torch.cos(2 * math.pi * frequency * (torch.arange(size) + 0.5))
    image = ImageFormation()(x.expand(1, 1, size, size))
    otf = otf_2d((1, 128), CANONICAL_CUTOFF_PER_PIXEL / 2)[0, cycles]
    expected = x.view(-1, 2).mean(1) * float(otf)
    inside = slice(8, -8)
    torch.testing.assert_close(
        image[0, 0, 16, inside], expected[inside], atol=2e-3, rtol=0
    )


def test_image_formation_from_half_width_completes_the_blur():
    rng = np.random.default_rng(0)
    emitters = torch.zeros(1, 1, 96, 96)
    emitters[0, 0, 30:66, 30:66] = torch.from_numpy(rng.random((36, 36)))
    otf = otf_2d((96, 96), CANONICAL_CUTOFF_PER_PIXEL, half_plane=True)
    half = torch.fft.irfft2(
        torch.fft.rfft2(emitters) * torch.from_numpy(otf.astype(np.float32)),
        s=(96, 96),
    )
    from_half = ImageFormation(output_width=0.5)(half)
    direct = ImageFormation()(emitters)
    torch.testing.assert_close(from_half, direct, atol=3e-3, rtol=0)


def test_gradient_of_image_formation_is_its_transpose():
    # <A x, y> = <x, Aᵀ y>, Aᵀ from autograd at another point: A is linear
    formation = ImageFormation().double()
    x, other = (torch.rand(1, 1, 32, 40, dtype=torch.float64) for _ in range(2))
    other.requires_grad_(True)
    y = torch.rand(1, 1, 16, 20, dtype=torch.float64)
    (transposed,) = torch.autograd.grad(formation(other), other, y)
    left, right = (formation(x) * y).sum(), (x * transposed).sum()
    torch.testing.assert_close(left, right)


@pytest.mark.parametrize("width", [-0.1, 1.0])
def test_output_width_out_of_range_is_refused(width):
    with pytest.raises(InputError, match="output width"):
        ImageFormation(output_width=width)


def test_hessian_of_a_plane_is_zero_and_of_a_saddle_is_two_times_fxy():
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
    assert float(hessian_loss((3 * x - 2 * y)[None, None])) == 0
    assert float(hessian_loss((x * y)[None, None])) == 2


def test_hessian_weighs_time_with_sigma():
    t, y, x = torch.meshgrid(
        torch.arange(4.0), torch.arange(6.0), torch.arange(5.0), indexing="ij"
    )
    sigma = 0.25
    accelerating = (t**2)[None]
    assert float(hessian_loss(accelerating, sigma)) == pytest.approx(2 * sigma)
    moving = (x * t + 3 * y * t)[None]
    # f_xt = 1, f_yt = 3, all else 0
    assert float(hessian_loss(moving, sigma)) == pytest.approx(2 * 0.5 * (1 + 3))
    assert float(hessian_loss(moving, 0.0)) == 0


def test_ssim_of_flat_images_is_the_luminance_term():
    x, y = torch.full((1, 1, 16, 16), 0.4), torch.full((1, 1, 16, 16), 0.6)
    for k1 in (0.01, 0.001):
        c1 = k1**2
        expected = 1 - (2 * 0.24 + c1) / (0.16 + 0.36 + c1)
        loss = float(ssim_loss(x, y, k1=k1))
        assert loss == pytest.approx(expected, abs=1e-4)
    assert float(ssim_loss(x, x)) == pytest.approx(0, abs=1e-6)


def test_poisson_misfit_by_hand_and_floor():
    expected = torch.tensor([0.5, 0.0]).view(1, 1, 1, 2)
    recorded = torch.tensor([0.7, 0.1]).view(1, 1, 1, 2)
    value = float(poisson_misfit(expected, recorded, torch.zeros(1)).mean())
    assert value == pytest.approx((0.04 / 0.5 + 0.01 / 0.05) / 2)
    value = float(poisson_misfit(expected, recorded, torch.full((1,), 0.3)).mean())
    assert value == pytest.approx((0.04 / 0.8 + 0.01 / 0.3) / 2)


def _batch(image: torch.Tensor, target: torch.Tensor) -> Batch:
    return Batch(image, image + 1, None, target, torch.zeros(1), torch.zeros(1))


def test_objective_adds_its_weighted_terms():
    target = torch.full((1, 1, 64, 64), 0.2)
    image = ImageFormation()(target)
    weights = LossWeights(truth=2.0, sparsity=0.5, poisson=3.0, margin_px=8)
    terms = Objective(weights, ImageFormation())(target + 0.1, _batch(image, target))
    # |error| over the root of brightness and floor
    assert float(terms["truth"]) == pytest.approx(2 * 0.1 / 0.25**0.5, abs=1e-6)
    inside = (target + 0.1)[..., 16:-16, 16:-16]
    assert float(terms["sparsity"]) == pytest.approx(0.5 * float(inside.mean()))
    assert set(terms) == {"truth", "sparsity", "poisson", "loss"}
    parts = sum(float(terms[name]) for name in ("truth", "sparsity", "poisson"))
    assert float(terms["loss"]) == pytest.approx(parts)


def test_regularisers_do_not_see_the_rim():
    output = torch.full((1, 1, 64, 64), 0.3, requires_grad=True)
    weights = LossWeights(hessian=1.0, sparsity=1.0, margin_px=8)
    batch = _batch(torch.rand(1, 1, 32, 32), torch.rand(1, 1, 64, 64))
    Objective(weights, ImageFormation())(output, batch)["loss"].backward()
    gradient = output.grad
    assert gradient is not None
    assert bool((gradient[..., :16, :] == 0).all())
    assert bool((gradient[..., -16:] == 0).all())
    assert bool((gradient[..., 16:-16, 16:-16] != 0).any())


def test_hessian_couples_the_time_points_of_an_object_and_no_others():
    output = torch.rand(6, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    weights = LossWeights(hessian=1.0, hessian_time=1.0, margin_px=0)
    batch = _batch(torch.zeros(6, 1, 32, 32), output)
    terms = Objective(weights, ImageFormation(), 3)(output, batch)
    expected = (hessian_loss(output[:3].view(1, 3, 64, 64), 1.0)
                + hessian_loss(output[3:].view(1, 3, 64, 64), 1.0)) / 2  # fmt: skip
    assert float(terms["hessian"]) == pytest.approx(float(expected), rel=1e-5)
    single = Objective(weights, ImageFormation())(output, batch)
    assert float(single["hessian"]) < float(terms["hessian"])


def test_noise2noise_compares_with_the_partner():
    target = torch.full((1, 1, 64, 64), 0.5)
    image = ImageFormation()(target)
    for noise2noise, expected in ((False, 0.0), (True, 1 / 0.5)):
        weights = LossWeights(poisson=1.0, noise2noise=noise2noise)
        terms = Objective(weights, ImageFormation())(target, _batch(image, target))
        assert float(terms["loss"]) == pytest.approx(expected, abs=1e-4)
