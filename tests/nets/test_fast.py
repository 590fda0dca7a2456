"""Networks in bfloat16 and compiled: the same pictures, recorded, float32 outside."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor.exc import InvalidCxxCompiler

import napari_dps
from napari_dps.core import InputError
from napari_dps.core.context import Context
from napari_dps.core.networks import NetworkSettings
from napari_dps.methods.networks import load_network
from napari_dps.nets.checkpoint import shipped_weights
from napari_dps.nets.fast import make_fast

CPU = torch.device("cpu")
OPTICS = {"na": 1.4, "emission_nm": 525, "pixel_size_nm": 40}


def image() -> np.ndarray:
    """Return crossing filaments with noise."""
    y, x = np.mgrid[:64, :64] / 64
    distances = x - 0.3 - 0.3 * y, y - 0.4
    light = sum(200 * np.exp(-(distance**2) / 2e-3) for distance in distances) + 5
    return np.random.default_rng(1).poisson(light).astype(np.float32)


def test_bfloat16_changes_a_picture_by_thousandths_and_is_recorded():
    exact = napari_dps.run(image(), ["dps"], **OPTICS, device="cpu")
    fast = napari_dps.run(
        image(), ["dps"], **OPTICS, device="cpu", networks={"precision": "bfloat16"}
    )
    (before,), (after,) = exact.images, fast.images
    apart = np.std(after.data - before.data) / np.std(before.data)
    assert 1e-6 < apart < 0.01
    assert after.data.dtype == np.float32
    assert after.history[-1].precision == "bfloat16"
    assert before.history[-1].precision is None


def test_precision_is_not_recorded_of_a_stage_without_a_network():
    result = napari_dps.run(
        image(), ["background"], device="cpu", networks={"precision": "bfloat16"}
    )
    assert result.images[0].history[-1].precision is None


def test_network_is_loaded_anew_for_another_precision():
    context = Context("cpu")
    path = shipped_weights("artifacts-low-light")
    exact, _ = load_network(context, path, CPU, "noise_remover")
    context.networks = NetworkSettings(precision="bfloat16")
    assert load_network(context, path, CPU, "noise_remover")[0] is not exact


class Curve(torch.nn.Module):
    """A layer and something to be compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.layer(x)
        return found.sin() + 1, found


torchs_compiler = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"
)
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="no g++ to compile networks with"
)


@needs_compiler
@torchs_compiler
def test_compiled_network_gives_the_same():
    network, pictures = Curve().eval().requires_grad_(False), torch.rand(1, 1, 20, 20)
    expected = network(pictures)
    torch._dynamo.reset()
    before = counters["stats"]["unique_graphs"]
    make_fast(network, CPU, NetworkSettings(compiled=True))
    found = network(pictures)
    assert counters["stats"]["unique_graphs"] == before + 1
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@torchs_compiler
def test_machine_without_a_compiler_says_so(monkeypatch):
    def missing(*_: object) -> None:
        raise InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", missing)
    monkeypatch.setattr("torch._inductor.config.force_disable_caches", True)
    torch._dynamo.reset()
    network = Curve().eval().requires_grad_(False)
    make_fast(network, CPU, NetworkSettings(compiled=True))
    with pytest.raises(InputError, match=r"networks\.compiled.*cannot compile"):
        network(torch.rand(1, 1, 20, 20))
