"""The linear model of the orders: against a direct sum, its transpose, its power."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_dps.core import finish
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.sim.pattern_model import (
    Orders,
    PatternModel,
    demodulated_pad,
    mirrored,
)

SHAPE = (24, 30)
WAVES = torch.tensor([[[0.1, -0.35], [-0.3, -0.2]]])
MODULATION = torch.tensor([[0.8, 0.5]])
WEIGHTS = torch.tensor([[0.2, 0.1]])


def model(**options) -> PatternModel:
    return PatternModel(SHAPE, WAVES, MODULATION, WEIGHTS, **options)


def plane_wave(frequency: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return cos(2π f·r) on the fine grid and f, periodic on it; r in coarse pixels."""
    bins = [round(f * n) for f, n in zip(frequency, SHAPE, strict=True)]
    f = np.array([b / n for b, n in zip(bins, SHAPE, strict=True)])
    y, x = (np.arange(2 * n) / 2 - 0.25 for n in SHAPE)
    return np.cos(2 * np.pi * (f[0] * y[:, None] + f[1] * x)), f


def test_order_zero_of_a_cosine_is_the_cosine_times_the_otf():
    image, f = plane_wave((0.1, 0.2))
    zero, _ = model().forward(torch.from_numpy(image)[None].float())
    y, x = (np.arange(n) for n in SHAPE)
    otf = widefield_otf(np.hypot(*f), CANONICAL_CUTOFF_PER_PIXEL)
    expected = otf * np.cos(2 * np.pi * (f[0] * y[:, None] + f[1] * x))
    np.testing.assert_allclose(zero[0].numpy(), expected, atol=1e-5)


def test_order_of_an_even_object_is_its_wave_times_modulation_and_otf():
    wave = torch.tensor([[[3 / SHAPE[0], -6 / SHAPE[1]]]])
    one = PatternModel(SHAPE, wave, torch.tensor([[0.7]]), torch.ones(1, 1))
    ones = torch.ones(1, 2 * SHAPE[0], 2 * SHAPE[1])
    _, others = one.forward(ones)
    y, x = (np.arange(n) for n in SHAPE)
    k = wave[0, 0].numpy().astype(float)
    otf = widefield_otf(np.hypot(*k), CANONICAL_CUTOFF_PER_PIXEL)
    expected = 0.7 * otf * np.exp(2j * np.pi * (k[0] * y[:, None] + k[1] * x))
    np.testing.assert_allclose(others[0, 0].numpy(), expected, atol=1e-5)


def test_adjoint_is_the_transpose_of_the_model():
    # <D, H s> = <Hᵀ D, s>, order 0 weighing 1 and the others their weights
    generator = torch.Generator().manual_seed(1)
    fine = torch.randn(1, 48, 60, generator=generator)
    orders = Orders(
        torch.randn(1, *SHAPE, generator=generator),
        torch.complex(*torch.randn(2, 1, 2, *SHAPE, generator=generator)),
    )
    shown = model().forward(fine)
    zero, others = finish(model().back_projections_steps(orders))
    left = 4 * (shown.zero * orders.zero).sum()
    torch.testing.assert_close(left, (zero * fine).sum(), rtol=1e-4, atol=1e-3)
    products = (shown.others.conj() * orders.others).real.sum(dim=(-2, -1))
    left = 4 * (WEIGHTS * products).sum()
    torch.testing.assert_close(left, (others * fine).sum(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("frequency", [(0.1, 0.2), (-0.3, 0.4), (0.0, -0.6)])
def test_power_is_what_model_and_adjoint_pass_of_a_cosine(frequency):
    image, f = plane_wave(frequency)
    fine = torch.from_numpy(image)[None].float()
    some = model()
    zero, others = finish(some.back_projections_steps(some.forward(fine)))
    row = round(f[0] * SHAPE[0]) % (2 * SHAPE[0])
    column = abs(round(f[1] * SHAPE[1]))
    row = row if f[1] >= 0 else -row % (2 * SHAPE[0])
    power = some.others_power[0, row, column]
    # Wave vectors between bins leave cross terms that average out over r.
    passed = (others * fine).sum() / fine.square().sum()
    torch.testing.assert_close(passed, power, rtol=0.05, atol=1e-3)
    passed = (zero * fine).sum() / fine.square().sum()
    torch.testing.assert_close(passed, some.zero_power[row, column], atol=1e-5, rtol=0)


def test_estimate_from_clean_orders_is_the_object():
    generator = torch.Generator().manual_seed(2)
    spectrum = torch.fft.rfft2(torch.randn(1, 48, 60, generator=generator))
    some = model()
    fine = torch.fft.irfft2(spectrum * (some.radius < 0.6), s=(48, 60))
    zero, _ = finish(some.back_projections_steps(some.forward(fine)))
    again = some.estimate(zero, some.zero_power, torch.tensor(1e-4))
    torch.testing.assert_close(again, fine, atol=1e-2, rtol=0)


def test_padding_goes_on_with_the_stripes():
    k = (0.13, -0.31)
    y, x = (torch.arange(n, dtype=torch.float32) for n in SHAPE)
    wave = torch.exp(2j * math.pi * (k[0] * y[:, None] + k[1] * x))
    orders = Orders(torch.ones(1, *SHAPE), wave[None, None])
    wide = demodulated_pad(orders, torch.tensor([[k]]), (3, 40, 5, 2))
    y = torch.arange(-5.0, SHAPE[0] + 2)
    x = torch.arange(-3.0, SHAPE[1] + 40)
    expected = torch.exp(2j * math.pi * (k[0] * y[:, None] + k[1] * x))
    torch.testing.assert_close(wide.others[0, 0], expected, atol=2e-4, rtol=0)
    assert wide.zero.shape == (1, 31, 73)
    assert mirrored(torch.arange(3.0), 0, 2, 4).tolist() == [1, 0, 0, 1, 2, 2, 1, 0, 0]


def test_model_without_waves_has_order_zero_alone():
    none = torch.zeros(1, 0)
    bare = PatternModel(SHAPE, torch.zeros(1, 0, 2), none, none)
    orders = bare.forward(torch.ones(1, 48, 60))
    assert orders.others.shape == (1, 0, *SHAPE)
    zero, others = finish(bare.back_projections_steps(orders))
    assert float(others.abs().max()) == 0
    torch.testing.assert_close(zero, torch.ones(1, 48, 60))
