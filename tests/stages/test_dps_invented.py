"""The map "invented?": what is planted is found, what is right is left alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.invented import Compared, compared_steps
from napari_dps.methods.dps.maps import unsupported
from napari_dps.methods.dps.recording import recording_behind
from napari_dps.methods.dps.target import target_of
from napari_dps.nets.equivariant import turned
from napari_dps.physics.otf import otf_2d
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import choose_steps
from napari_dps.pipeline import run as run_all
from napari_dps.stages.dps import STAGE, DpsParameters
from napari_dps.stages.reconstruct import STAGE as RECONSTRUCT

OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
CUTOFF = OPTICS.cutoff_per_pixel
SIDE = 64
WIDTH = 0.45
PHOTONS, DARK = 200.0, 4.0

Image = NDArray[np.float32]


def through(emitters: Image, cutoff: float) -> Image:
    """Return emitters as an ideal lens shows them; the field is repeated around."""
    otf = otf_2d(emitters.shape, cutoff, half_plane=True)
    seen = np.fft.irfft2(np.fft.rfft2(emitters) * otf, s=emitters.shape)
    return seen.astype(np.float32)


def line(row: float, start: int, stop: int) -> Image:
    """Return a line along x on the grid of results, between two columns."""
    field = np.zeros((2 * SIDE, 2 * SIDE), np.float32)
    field[round(row), start:stop] = 1
    return field


@cache
def scene() -> tuple[Image, float]:
    """Return emitters, 200 photons in the brightest pixel of their image."""
    emitters = line(40, 30, 100) + line(90, 30, 100)
    image = through(emitters, CUTOFF / 2).reshape(SIDE, 2, SIDE, 2).mean((1, 3))
    return emitters, PHOTONS / float(image.max())


def recorded(emitters: Image, seed: int = 1) -> ImageStack:
    """Return a recording, shot noise included."""
    scale = scene()[1]
    image = scale * through(emitters, CUTOFF / 2).reshape(SIDE, 2, SIDE, 2).mean((1, 3))
    counts = np.random.default_rng(seed).poisson(np.maximum(image, 0) + DARK)
    return ImageStack(counts.astype(np.float32), "YX", pixel_size_nm=65, optics=OPTICS)


def shown(emitters: Image) -> Image:
    """Return emitters as a result shows them."""
    return scene()[1] * through(emitters, CUTOFF / 2 / WIDTH) + np.float32(DARK)


def compared(image: ImageStack, result: Image, width: float = WIDTH) -> Compared:
    """Return what the map of a result is made of."""
    context = Context("cpu")
    raw_frames = recording_behind(image)
    target = target_of(image, context, weights="oriented", raw_frames=raw_frames)
    return finish(compared_steps(target, result, width))


def run(image: ImageStack, **parameters: object) -> ImageStack:
    wanted = DpsParameters(invented=True, **parameters)  # type: ignore[arg-type]
    return finish(STAGE.run(image, wanted, Context("cpu")))


def core(fault: Image) -> NDArray[np.bool_]:
    """Return where most of a fault's light is."""
    size = np.abs(through(fault, CUTOFF / 2 / WIDTH))
    return size > size.max() / 2


@pytest.mark.parametrize("brightness", [0.15, 0.5])
def test_a_rod_that_was_added_is_found(brightness: float) -> None:
    emitters, _ = scene()
    rod = np.float32(brightness) * line(64, 50, 70)
    found = compared(recorded(emitters), shown(emitters + rod)).beyond_noise
    inside = core(rod)
    assert (found[inside] > 0).mean() > 0.9
    assert inside[np.unravel_index(np.argmax(found), found.shape)]
    # Its light, not several times as much, and little of anything else.
    added = float((scene()[1] * rod).sum())
    near = scipy.ndimage.binary_dilation(inside, iterations=6)
    assert 0.2 * added < found[near].sum() < 1.3 * added
    light = float((scene()[1] * emitters).sum())
    assert np.abs(found[~near]).sum() < 0.03 * light


def test_a_gap_that_was_cut_is_less_and_one_that_was_closed_more() -> None:
    whole = scene()[0]
    gap = line(40, 60, 70)
    cut = compared(recorded(whole), shown(whole - gap)).beyond_noise
    closed = compared(recorded(whole - gap), shown(whole)).beyond_noise
    assert (cut[core(gap)] < 0).mean() > 0.9
    assert (closed[core(gap)] > 0).mean() > 0.9


def test_a_thread_split_below_the_resolution_is_seen() -> None:
    one = 2 * line(64, 30, 100)
    two = line(63, 30, 100) + line(66, 30, 100)  # 98 nm: the PSF is 193 nm wide
    found = compared(recorded(one), shown(two)).beyond_noise
    assert found[66, 50:80].mean() > 0 > found[64, 50:80].mean()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_right_result_is_quiet(seed: int) -> None:
    emitters, _ = scene()
    image, result = recorded(emitters, seed), shown(emitters)
    mapped = image.refine(
        result, maps={"invented": compared(image, result).beyond_noise}
    )
    found = unsupported(mapped)["invented"]
    assert found["share"] < 0.01
    assert found["lost"] < 0.03


def test_noise_is_measured_rightly() -> None:
    emitters, _ = scene()
    sizes = []
    for seed in range(6):
        both = compared(recorded(emitters, seed), shown(emitters))
        inside = both.sigma[16:-16, 16:-16]
        sizes.append(both.difference[16:-16, 16:-16] / inside)
    assert np.sqrt(np.mean(np.square(sizes))) == pytest.approx(1, abs=0.35)
    assert np.mean(np.abs(sizes) < 2) > 0.92


def test_the_unit_of_the_image_is_that_of_the_map() -> None:
    image = recorded(scene()[0])
    once = run(image, method="rl").maps["invented"]
    eight = run(image.derive(8 * image.data), method="rl").maps["invented"]
    assert np.abs(once).max() > 0
    np.testing.assert_allclose(eight, 8 * once, atol=1e-3 * np.abs(eight).max())


@pytest.mark.parametrize("turn", [1, 6])
def test_the_map_turns_with_the_image(turn: int) -> None:
    image = recorded(scene()[0])
    image = image.derive(np.ascontiguousarray(image.data[:50]))
    # Too much of a lens: there is something to find.
    wide = OPTICS.model_copy(update={"modulation_factor": 0.7})
    image = image.derive(image.data, optics=wide)
    whole = run(image, method="sparse", strength=1).maps["invented"]
    other = image.derive(np.ascontiguousarray(turned(image.data, turn)))
    there = run(other, method="sparse", strength=1).maps["invented"]
    assert np.abs(whole).max() > 0
    error = np.abs(there - turned(whole, turn)).max()
    assert error < 2e-2 * np.abs(whole).max()


@pytest.mark.parametrize("method", ["network", "rl", "sparse"])
def test_the_result_is_the_same_with_the_map(method: str) -> None:
    image = recorded(scene()[0])
    told = run(image, method=method)
    plain = finish(STAGE.run(image, DpsParameters(method=method), Context("cpu")))
    np.testing.assert_array_equal(told.data, plain.data)
    assert not plain.maps
    assert set(told.maps) == {"invented"}
    assert told.maps["invented"].shape == told.shape
    assert told.maps["invented"].dtype == np.float32


def test_both_maps_can_be_had() -> None:
    image = recorded(scene()[0])
    both = run(image, method="rl", uncertainty=True)
    assert set(both.maps) == {"uncertainty", "invented"}
    np.testing.assert_array_equal(
        both.maps["invented"], run(image, method="rl").maps["invented"]
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (12, 12)])
def test_images_without_an_inside_have_an_empty_map(shape: tuple[int, int]) -> None:
    image = recorded(scene()[0])
    image = image.derive(np.ascontiguousarray(image.data[: shape[0], : shape[1]]))
    found = run(image, method="rl").maps["invented"]
    assert found.shape == (2 * shape[0], 2 * shape[1])
    assert not found.any() or min(shape) > 10


def test_an_even_image_holds_nothing_invented() -> None:
    image = recorded(scene()[0])
    found = unsupported(run(image.derive(np.full((40, 40), 30, np.float32))))
    assert found["invented"]["share"] == found["invented"]["lost"] == 0


def test_time_points_each_have_their_map() -> None:
    emitters, _ = scene()
    images = [recorded(emitters, seed).data for seed in (1, 2)]
    stack = recorded(emitters).derive(np.stack(images), axes="TYX")
    chosen = {"dps": DpsParameters(method="rl", invented=True)}
    (step,) = choose_steps(stack, ["dps"], chosen)
    output = finish(run_all(stack, [step], Context("cpu"))).outputs[0]
    image = output.image
    assert image is not None
    assert image.maps["invented"].shape == image.shape == (2, 2 * SIDE, 2 * SIDE)
    alone = run(recorded(emitters, 2), method="rl").maps["invented"]
    np.testing.assert_allclose(image.maps["invented"][1], alone, atol=1e-3 * PHOTONS)
    assert unsupported(output.first)["invented"]["share"] < 0.02


@cache
def from_frames() -> tuple[ImageStack, ImageStack]:
    """Return a reconstruction with its raw frames, and the result of both."""
    settings = SimulationSettings(
        structure="er", height_px=64, width_px=64, na=1.3, photons=300, seed=21
    )
    raw = simulate(settings).raw
    raw = raw.derive(raw.data.astype(np.float32) - 100)
    image = finish(RECONSTRUCT.run(raw, RECONSTRUCT.parameters(), Context("cpu")))
    return image, run(image)


def test_a_result_of_raw_frames_is_held_against_them() -> None:
    image, result = from_frames()
    found = unsupported(result)["invented"]
    assert found["share"] < 0.01
    rod = np.zeros(result.shape, np.float32)
    rod[100, 90:140] = 1
    rod = scipy.ndimage.gaussian_filter(rod, 2.2)
    rod *= 0.5 * np.float32(np.percentile(result.data, 99.9)) / rod.max()
    target_width = 0.5
    both = compared(image, result.data + rod, target_width).beyond_noise
    alone = compared(replace(image, frames=None), result.data + rod, 0.45).beyond_noise
    inside = rod > rod.max() / 2
    for found_map in (both, alone):
        assert (found_map[inside] > 0).mean() > 0.8
