"""Turned raw frames give turned results, if the network turns or turns are averaged."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from napari_dps.core import finish
from napari_dps.core.context import Context
from napari_dps.methods.denoise.steps import denoise_steps
from napari_dps.methods.sim.image import image_steps
from napari_dps.nets.equivariant import turned
from napari_dps.nets.res_unet import SimDenoiser, SimImager
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings


def turned_pattern(pattern, turn, shape, pixel_size_nm):
    """Return the stripes of turned frames; in half of the cases along −k."""
    order = pattern.orders[0]
    k_y, k_x = (pixel_size_nm * k for k in order.wavevector_per_nm)
    phases = np.radians(pattern.phases_deg)
    height, width = shape
    for _ in range(turn % 4):
        phases = phases + 2 * np.pi * k_x * (width - 1)
        k_y, k_x, height, width = -k_x, k_y, width, height
    if turn >= 4:
        phases, k_x = phases + 2 * np.pi * k_x * (width - 1), -k_x
    angle = math.degrees(math.atan2(k_y, k_x))
    if not 0 <= angle < 180:
        angle, phases = angle % 180, -phases
    return pattern.model_copy(
        update={
            "phases_deg": tuple(np.degrees(phases).tolist()),
            "orders": (order.model_copy(update={"angle_deg": angle}),),
        }
    )


@pytest.mark.parametrize("shape", [(40, 40), (37, 45)])
@pytest.mark.parametrize(
    ("kind", "oriented", "steps"),
    [
        (SimDenoiser, True, denoise_steps),
        (SimImager, True, partial(image_steps, average_turns=False)),
        (SimImager, False, partial(image_steps, average_turns=True)),
    ],
)
def test_turned_frames_give_turned_results(shape, kind, oriented, steps):
    torch.manual_seed(0)
    network = kind(channels=8, blocks=1, oriented=oriented).eval()
    network.requires_grad_(False)
    for values in network.trunk.leave.parameters():
        values.normal_(0, 0.05)
    height_px, width_px = shape
    simulated = simulate(
        SimulationSettings(photons=100, seed=2, height_px=height_px, width_px=width_px)
    )
    counts = simulated.raw.data.astype(np.float32) - 100

    def result(turn):
        patterns = tuple(
            turned_pattern(p, turn, shape, simulated.raw.pixel_size_nm)
            for p in simulated.patterns
        )
        frames = np.ascontiguousarray(turned(counts, turn))
        stack = simulated.raw.derive(frames, patterns=patterns)
        found = steps(
            torch.from_numpy(frames.copy()), stack, patterns, network, Context("cpu")
        )
        return np.asarray(finish(found))

    whole = result(0)
    for turn in (1, 2, 4, 7):
        difference = result(turn) - turned(whole, turn)
        assert np.abs(difference).max() < 2e-4 * np.ptp(whole)
