"""Sparse deconvolution of time-lapses: less noise, no light from other time points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.physics.deconvolution.sparse_hessian import (
    SparseSettings,
    sparse_hessian_steps,
    sparse_lapse_steps,
)
from napari_dps.physics.image_formation import Microscope
from napari_dps.physics.phantoms import phantom
from napari_dps.pipeline import Plan, choose_steps, run
from napari_dps.pipeline.stream import shared_by_blocks, stream
from napari_dps.stages.dps import DpsParameters, window

OPTICS = Optics(na=1.3, emission_nm=525, pixel_size_nm=65)
SIDE = 64
SPARSE = DpsParameters(method="sparse")
ALONE = DpsParameters(method="sparse", time_continuity=0)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """Return an image without noise, its brightest places 60 photons."""
    emitters = phantom("er", (4 * SIDE, 4 * SIDE), pixel_size_nm=65 / 4, seed=3)
    microscope = Microscope(OPTICS, emitters.shape, 4, (0, 0))
    image = microscope.image(microscope.order(emitters, (0.0, 0.0)))
    return 60 * image / np.percentile(image, 99.9) + 2


def lapse(frames: list[np.ndarray]) -> ImageStack:
    """Return time points with the noise of photons."""
    rng = np.random.default_rng(1)
    data = rng.poisson(np.clip(frames, 0, None)).astype(np.float32)
    return ImageStack(data, "TYX", pixel_size_nm=65, optics=OPTICS)


def sharpened(stack: ImageStack, parameters: DpsParameters = SPARSE) -> np.ndarray:
    steps = choose_steps(stack, ["dps"], {"dps": parameters})
    return finish(run(stack, steps, Context("cpu"))).images[0].data


def test_neighbours_take_noise_away(clean):
    stack, flat = lapse([clean] * 3), lapse([np.full_like(clean, 30.0)] * 3)
    wanted = sharpened(ImageStack(clean, "YX", pixel_size_nm=65, optics=OPTICS), ALONE)
    with_them, alone = (
        np.mean((sharpened(stack, p)[1] - wanted) ** 2) for p in (SPARSE, ALONE)
    )
    assert with_them < 0.85 * alone
    assert sharpened(flat)[1].std() < 0.8 * sharpened(flat, ALONE)[1].std()


def test_event_of_one_time_point_stays_in_it(clean):
    lit = clean.copy()
    lit[20:26, 20:26] += 60
    here = (slice(38, 54), slice(38, 54))
    stack = lapse([clean, lit, clean])
    light = 60 * 6**2 * 4  # on four pixels each
    for with_them, alone in zip(sharpened(stack), sharpened(stack, ALONE), strict=True):
        assert abs((with_them - alone)[here].sum()) < 0.03 * light


def test_single_time_point_and_no_continuity_are_frame_by_frame(clean):
    stack = lapse([clean, 0.9 * clean])
    by_frame = [
        sharpened(stack.derive(frame, axes="YX"), ALONE) for frame in stack.data
    ]
    np.testing.assert_array_equal(sharpened(stack, ALONE), by_frame)
    one = stack.derive(stack.data[:1])
    np.testing.assert_array_equal(sharpened(one)[0], by_frame[0])
    assert window(SPARSE) == (1, 1)
    assert window(ALONE) == window(DpsParameters()) == (0, 0)


def test_blocks_hold_the_same_pixels(clean):
    stack = lapse([np.roll(clean, t, axis=1) for t in range(5)])
    steps = choose_steps(stack, ["dps"], {"dps": SPARSE})
    plan, context = Plan.of(stack, steps), Context("cpu")
    shared, ahead = finish(shared_by_blocks(plan, context))
    found = {}

    def keep(number, index, image):
        found[index] = image.data

    for span in ((0, 2), (2, 3), (3, 5)):
        finish(stream(plan, context, keep, span=span, shared=shared, ahead=ahead))
    whole = sharpened(stack)
    np.testing.assert_array_equal([found[t,] for t in range(5)], whole)


def test_time_has_no_direction_and_no_weight_is_no_neighbour():
    frames = torch.rand(3, 20, 23, generator=torch.Generator().manual_seed(0))
    settings = SparseSettings(0.1, 0.2, iterations=4)

    def fitted(lapse: torch.Tensor, place: int, along_t: float) -> torch.Tensor:
        return finish(sparse_lapse_steps(lapse, place, along_t, 0.4, settings))

    forward, backward = fitted(frames, 0, 1.0), fitted(frames.flip(0), 2, 1.0)
    torch.testing.assert_close(forward, backward, rtol=1e-3, atol=1e-4)
    settings = replace(settings, bregman_iterations=300)  # until nothing changes
    alone = finish(sparse_hessian_steps(frames[1], 0.4, settings))
    torch.testing.assert_close(fitted(frames, 1, 1e-9), alone, rtol=0, atol=2e-3)
    assert (fitted(frames, 1, 1.0) - alone).abs().max() > 0.1
