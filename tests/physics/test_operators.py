"""Every forward model against the contract: linear, and its adjoint its transpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from napari_dps.core import Pattern
from napari_dps.physics.deconvolution.model import ImagingModel
from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.sim.mixing import OrderMixing
from napari_dps.physics.sim.pattern_model import Orders, PatternModel
from napari_dps.physics.sim.separate import orders_by_angle

CPU = torch.device("cpu")
SHAPE = (24, 31)
FINE = (48, 62)
WEIGHTS = torch.tensor([[0.2, 0.1]])


def image(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def orders(count: int) -> Callable[[int], Orders]:
    def of(seed: int) -> Orders:
        pair = image((2, 1, count, *SHAPE), seed + 100)
        return Orders(image((1, *SHAPE), seed), torch.complex(pair[0], pair[1]))

    return of


def product(first: Any, second: Any, weights: Any = 1.0) -> float:
    """Inner product of images or of orders, in double precision."""
    if isinstance(first, Orders):
        others = (first.others.conj().cdouble() * second.others).real.sum(dim=(-2, -1))
        return product(first.zero, second.zero) + float((weights * others).sum())
    return float((first.double() * second).sum())


@dataclass(frozen=True)
class Case:
    """A model, and what makes an object and data of a seed."""

    model: ForwardModel[Any, Any]
    thing: Callable[[int], Any]
    data: Callable[[int], Any]
    finer: int = 1
    weights: Any = 1.0


def imaging(binning: int, seen_width: float = 0.0) -> Case:
    model = ImagingModel(SHAPE, 0.4, CPU, binning=binning, seen_width=seen_width)
    return Case(
        model,
        lambda seed: image(model.object_shape, seed),
        lambda seed: image(SHAPE, seed),
        binning,
    )


def pattern_model(fall: float = 0.0) -> Case:
    waves = torch.tensor([[[0.1, -0.35], [-0.3, -0.2]]])
    modulation = torch.tensor([[0.8, 0.5]])
    model = PatternModel(SHAPE, waves, modulation, WEIGHTS, origin_px=3.5, fall=fall)
    return Case(model, lambda seed: image((1, *FINE), seed), orders(2), 2, WEIGHTS)


def mixing(is_usable: bool) -> Case:
    patterns = [
        Pattern(
            angle_index=index,
            angle_deg=60 * index + 7,
            period_nm=260,
            modulation=0.8,
            phases_deg=(3, 118, 247),
        )
        for index in range(3)
    ]
    if not is_usable:
        patterns[1] = Pattern(angle_index=1)
    angles = orders_by_angle(patterns, 65.0)
    model = OrderMixing(angles, 3, np.array([0.1, -0.2]), CPU)
    return Case(
        model, orders(3 if is_usable else 2), lambda seed: image((3, 3, *SHAPE), seed)
    )


CASES = [
    pytest.param(imaging(1), id="imaging-interpolated"),
    pytest.param(imaging(2), id="imaging-camera"),
    pytest.param(imaging(2, seen_width=0.5), id="imaging-partly-sharp"),
    pytest.param(pattern_model(), id="patterns"),
    pytest.param(pattern_model(fall=0.4), id="patterns-falling-otf"),
    pytest.param(mixing(True), id="mixing"),
    pytest.param(mixing(False), id="mixing-angle-without-stripes"),
]


@pytest.mark.parametrize("case", CASES)
def test_adjoint_is_the_transpose_of_forward(case: Case) -> None:
    thing, data = case.thing(1), case.data(2)
    forward = product(case.model.forward(thing), data, case.weights)
    adjoint = product(thing, case.model.adjoint(data)) / case.finer**2
    assert adjoint == pytest.approx(forward, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_normal_is_symmetric_and_never_negative(case: Case) -> None:
    first, second = case.thing(1), case.thing(2)
    there = product(case.model.normal(first), second)
    back = product(first, case.model.normal(second))
    assert back == pytest.approx(there, rel=1e-4, abs=1e-2)
    shown = case.model.forward(first)
    power = product(first, case.model.normal(first)) / case.finer**2
    assert power == pytest.approx(product(shown, shown, case.weights), rel=1e-4)
    assert power > 0


@pytest.mark.parametrize("case", CASES)
def test_forward_is_linear(case: Case) -> None:
    first, second, data = case.thing(1), case.thing(2), case.data(3)
    if isinstance(first, Orders):
        both = Orders(first.zero + 2 * second.zero, first.others + 2 * second.others)
    else:
        both = first + 2 * second
    found = product(case.model.forward(both), data, case.weights)
    expected = product(case.model.forward(first), data, case.weights)
    expected += 2 * product(case.model.forward(second), data, case.weights)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-3)
