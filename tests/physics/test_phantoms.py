"""Phantoms: what holds for all structures, and the exact ones."""

from typing import get_args

import numpy as np
import pytest

from napari_dps.core import InputError
from napari_dps.physics.phantoms import STRUCTURES, StructureId, phantom
from napari_dps.physics.phantoms.canvas import Canvas
from napari_dps.physics.phantoms.curves import (
    Sites,
    sites_along,
    smooth_noise,
    worm_like_chains,
)

every_structure = pytest.mark.parametrize("structure", STRUCTURES)


def new_canvas(shape=(40, 50), pixel_size_nm=16.0):
    return Canvas(shape, pixel_size_nm, np.random.default_rng(0), 120.0)


def binned(image, factor):
    height, width = (side // factor for side in image.shape)
    return image.reshape(height, factor, width, factor).sum(axis=(1, 3))


def test_registry_holds_every_structure():
    assert set(get_args(StructureId)) == set(STRUCTURES)


@every_structure
def test_phantom_is_a_normalised_density(structure):
    image = phantom(structure, (331, 257), pixel_size_nm=20, seed=1)
    assert image.shape == (331, 257)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() == 1
    assert np.count_nonzero(image) < 0.9 * image.size


@every_structure
def test_same_seed_same_scene_other_seed_another(structure):
    first, again, other = (
        phantom(structure, (160, 160), pixel_size_nm=32, seed=seed)
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.001


@every_structure
def test_scene_does_not_depend_on_the_grid(structure):
    coarse = phantom(structure, (200, 150), pixel_size_nm=32, seed=2).ravel()
    fine = binned(phantom(structure, (800, 600), pixel_size_nm=8, seed=2), 4).ravel()
    assert np.corrcoef(coarse, fine)[0, 1] > 0.85
    middle = np.indices((200, 150)).reshape(2, -1)
    np.testing.assert_allclose(
        middle @ coarse / coarse.sum(), middle @ fine / fine.sum(), atol=0.2
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"structure": "unicorn"}, "structure: got unicorn; allowed: microtubules"),
        ({"shape": (0, 5)}, "shape of the phantom"),
        ({"pixel_size_nm": 0}, "pixel size in nm"),
        ({"separation_nm": -1.0}, "separation in nm"),
        ({"shape": (2, 2), "pixel_size_nm": 1e-3}, "larger"),
    ],
)
def test_phantom_refuses_impossible_arguments(arguments, message):
    values = {"structure": "beads", "shape": (64, 64), "pixel_size_nm": 16}
    with pytest.raises(InputError, match=message):
        phantom(**{**values, **arguments})


def test_emitter_keeps_brightness_and_centre_of_mass_exactly():
    canvas = new_canvas()
    place = np.array([[201.3, 355.7]])
    canvas.add(place, 2.5)
    image = canvas.image().astype(float)
    assert image.sum() == pytest.approx(2.5, rel=1e-6)
    y, x = np.indices(image.shape)
    centre = np.array([(image * y).sum(), (image * x).sum()]) / image.sum()
    np.testing.assert_allclose((centre + 0.5) * 16, place[0], atol=1e-3)


def test_emitters_on_and_beyond_the_border_stay_inside_the_image():
    canvas = new_canvas()
    canvas.add(np.array([[-1e6, 5.0], [5.0, 1e6], [np.nextafter(640, 0), 3.0]]))
    image = canvas.image()
    assert image[-1, 0] > 0
    assert image.sum() == pytest.approx(image[-1, 0])
    assert 0.25 <= image.sum() < 1


def test_chunks_give_the_same_image_as_one_splat(monkeypatch):
    points = np.random.default_rng(3).random((1000, 2)) * 700
    images = []
    for chunk in (10_000, 7):
        monkeypatch.setattr("napari_dps.physics.phantoms.canvas._CHUNK", chunk)
        canvas = new_canvas()
        canvas.add(points, np.arange(1000.0))
        images.append(canvas.image())
    np.testing.assert_allclose(images[0], images[1], rtol=1e-5)


@pytest.mark.parametrize("separation_nm", [70.0, 120.0, 333.3])
def test_point_pairs_have_the_separation_asked_for(separation_nm):
    image = phantom(
        "point_pairs", (90, 90), pixel_size_nm=16, separation_nm=separation_nm, seed=5
    ).astype(float)
    # The second central moments of a pair add up to (d/2)²; bilinear weights add
    # f(1 − f) px² in each direction, which the brightness of the corners tells.
    points = np.argwhere(image > 0)
    first = points[0]
    near = np.hypot(*(points - first).T) * 16 < separation_nm + 60
    y, x = points[near].T
    weight = image[y, x]
    centre = np.array([(weight * y).sum(), (weight * x).sum()]) / weight.sum()
    spread = weight @ ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / weight.sum()
    assert 2 * np.sqrt(spread) * 16 == pytest.approx(separation_nm, abs=16)


def test_line_pairs_have_the_separation_asked_for():
    pixel_size_nm, separation_nm = 4.0, 150.0
    image = phantom(
        "line_pairs", (400, 400), pixel_size_nm=pixel_size_nm, seed=3,
        separation_nm=separation_nm,
    )  # fmt: skip
    # The first pair of the raster is horizontal: its lines are single rows.
    rows = image.sum(axis=1)
    peaks = np.flatnonzero(rows > 0.4 * rows.max())
    lines = [
        group.mean()
        for group in np.split(peaks, np.flatnonzero(np.diff(peaks) > 2) + 1)
    ]
    assert (lines[1] - lines[0]) * pixel_size_nm == pytest.approx(separation_nm, abs=4)


def test_smooth_noise_is_stationary_with_unit_variance():
    noise = smooth_noise(np.random.default_rng(0), 4000, 60, correlation_steps=8)
    np.testing.assert_allclose(noise.var(axis=0), 1, atol=0.12)
    correlation = (noise[:, 0] * noise[:, 16]).mean()
    assert correlation == pytest.approx((1 + 2) * np.exp(-2), abs=0.06)


def test_chain_heading_diffuses_by_the_persistence_length():
    chains = worm_like_chains(
        np.random.default_rng(0),
        np.zeros((3000, 2)),
        np.zeros(3000),
        length_nm=20000,
        persistence_nm=30000,
        smooth_over_nm=300,
    )
    steps = np.diff(chains, axis=1)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=-1), 50)
    heading = np.arctan2(steps[..., 0], steps[..., 1])
    turned = np.var(heading[:, 300] - heading[:, 100])  # over 10 µm
    assert turned == pytest.approx(10000 / 30000, rel=0.12)


def test_sites_lie_on_the_labelled_part_of_their_curve():
    curves = np.array([[[0.0, 0.0], [0.0, 500.0], [0.0, 1000.0]]])
    sites = sites_along(
        np.random.default_rng(0), curves, spacing_nm=2, start=0.25, stop=0.75
    )
    assert len(sites.vertex) == 250
    assert sites.points_nm[:, 1].min() >= 250
    assert sites.points_nm[:, 1].max() <= 750
    np.testing.assert_allclose(sites.moved_aside(np.full(250, 7.0))[:, 0], 7)
    profile = np.array([[0.0, 1.0, 5.0]])
    middle = Sites.on(curves, np.array([0]), np.array([1.5]))
    assert middle.at(profile) == pytest.approx(3)
